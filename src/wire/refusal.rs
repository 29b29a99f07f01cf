//! What somebody outside is told of why it is not answered: that it has no herd key, or another
//! one. In clear and proved by nobody, for there is no key to prove it with: shown to people, never
//! acted on. It names no node, is shorter than any question, and repeats what only the asker and who
//! saw the question can know.
//!
//! | bytes | field |
//! |---|---|
//! | 0..32 | outer header: no herd, no epoch, no sender |
//! | 32..56 | the first bytes of the question after its header |
//! | 56 | why |

use crate::wire::header::{Header, Kind};
use crate::wire::ids::NodeId;
use crate::wire::seal::NONCE_BYTES;

/// Bytes of a question that are repeated: its seal's nonce, or what holds the nonce of an open one.
pub const ECHO_BYTES: usize = NONCE_BYTES;

pub type Echo = [u8; ECHO_BYTES];

/// How the herd of the asker and that of the asked differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// The asked herd is keyed, the asker has no key.
    NoKey,
    OtherHerd,
    /// The same herd, and another key of it.
    OtherKey,
    /// The asked herd is open, the asker has a key.
    OpenHerd,
    /// The asker was shut out of this herd.
    Revoked,
    /// A join token is shown that is for another herd, was not made here, was used, is too old.
    TokenOfOther,
    TokenUnknown,
    TokenUsed,
    TokenExpired,
    /// The asker speaks another version of the protocol.
    Version,
    /// A reason that only a newer program knows.
    Other,
}

impl Outside {
    /// In the order of their numbers; what is not here is `Other`.
    const ALL: [Outside; 10] = [
        Outside::NoKey,
        Outside::OtherHerd,
        Outside::OtherKey,
        Outside::OpenHerd,
        Outside::Revoked,
        Outside::TokenOfOther,
        Outside::TokenUnknown,
        Outside::TokenUsed,
        Outside::TokenExpired,
        Outside::Version,
    ];

    /// How the sender of this header, whose herd and epoch are not `own`, differs.
    pub fn of(header: &Header, own: (u64, u32)) -> Outside {
        match (header.herd, own.0) {
            (theirs, ours) if theirs == ours => Outside::OtherKey,
            (0, _) => Outside::NoKey,
            (_, 0) => Outside::OpenHerd,
            _ => Outside::OtherHerd,
        }
    }

    /// For the asker, after the address it asked.
    pub fn to_asker(self) -> &'static str {
        match self {
            Outside::NoKey => {
                "is in a keyed herd; this node has no key: type `daust token` there and start \
                 daustd here with --join, or give it that herd's key (`daust key add`)"
            }
            Outside::OtherHerd => {
                "is in another keyed herd than this node: to change to it, start daustd with \
                 --key-file FILE and that herd's key"
            }
            Outside::OtherKey => {
                "is in the herd of this node, but has another key: compare `daust key list` on \
                 both and start the wrong one with --key-file FILE and the right key"
            }
            Outside::OpenHerd => {
                "is in an open herd, and this node has a herd key: start daustd there with \
                 --key-file FILE and this herd's key"
            }
            Outside::Revoked => {
                "is in the herd of this node, which shut this node out (`daust key revoke`): if \
                 it is to come back, give it a new identity (an empty state directory) and the \
                 herd's newest key"
            }
            Outside::TokenOfOther => {
                "is not in the herd that this join token is for: ask the node that made it"
            }
            Outside::TokenUnknown => {
                "does not know this join token: another node made it, or this one did before it \
                 started last; `daust token` there makes the next"
            }
            Outside::TokenUsed => {
                "let a machine in with this join token already: if that was none of yours, look \
                 for it in `daust list` there; `daust token` makes the next"
            }
            Outside::TokenExpired => {
                "made this join token more than ten minutes ago: `daust token` there makes the \
                 next"
            }
            Outside::Version => {
                "speaks another version of the protocol than this daustd: update the older one \
                 (`daust version` says which)"
            }
            Outside::Other => "refuses, for a reason that only its newer program knows",
        }
    }

    /// For the asked, after the address that asks.
    pub fn to_asked(self) -> &'static str {
        match self {
            Outside::NoKey => "greets without the key of this herd and is refused",
            Outside::OtherHerd => "greets with the key of another herd and is refused",
            Outside::OtherKey => "greets with a wrong key of this herd and is refused",
            Outside::OpenHerd => "greets with a herd key, which this open herd has not; refused",
            Outside::Revoked => "greets though it was shut out of this herd, and is refused",
            Outside::TokenOfOther => "shows a join token of another herd and is refused",
            Outside::TokenUnknown => {
                "shows a join token that this node does not know and is refused"
            }
            Outside::TokenUsed => "shows a join token that was used before and is refused",
            Outside::TokenExpired => "shows a join token that is too old and is refused",
            Outside::Version => {
                "greets in another version of the protocol; update the older daustd"
            }
            Outside::Other => "greets and is refused",
        }
    }

    /// The whole datagram that refuses this question (its header and what follows); None if it is
    /// too short to be one.
    pub fn refusal(self, question: &Header, rest: &[u8]) -> Option<Vec<u8>> {
        let header = Header::new(Kind::Refusal, question.sender, NodeId::ANYBODY);
        let number = Outside::ALL.iter().position(|why| *why == self);
        let number = number.map_or(u8::MAX, |at| at as u8);
        let echo: &Echo = rest.first_chunk()?;
        Some([&header.to_bytes()[..], echo, &[number]].concat())
    }

    /// What a refusal repeats and says (its bytes after the header).
    pub fn read(rest: &[u8]) -> Option<(Echo, Outside)> {
        let (echo, rest) = rest.split_first_chunk()?;
        let why = Outside::ALL.get(usize::from(*rest.first()?));
        Some((*echo, why.copied().unwrap_or(Outside::Other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_go_round_and_name_nobody() {
        let question =
            Header { herd: 7, epoch: 8, ..Header::new(Kind::HelloQuestion, NodeId(1), NodeId(2)) };
        for why in Outside::ALL.into_iter().chain([Outside::Other]) {
            let bytes = why.refusal(&question, &[9; 30]).unwrap();
            let (header, rest) = Header::parse(&bytes).unwrap();
            assert_eq!(header, Header::new(Kind::Refusal, NodeId(2), NodeId::ANYBODY));
            assert_eq!(Outside::read(rest), Some(([9; ECHO_BYTES], why)));
            assert!((0..rest.len()).all(|length| Outside::read(&rest[..length]).is_none()));
        }
        assert_eq!(Outside::NoKey.refusal(&question, &[9; ECHO_BYTES - 1]), None);
    }

    #[test]
    fn how_two_herds_differ() {
        let header = |herd, epoch| Header {
            herd,
            epoch,
            ..Header::new(Kind::HelloQuestion, NodeId(1), NodeId(2))
        };
        for (theirs, own, why) in [
            ((0, 0), (5, 1), Outside::NoKey),
            ((5, 1), (0, 0), Outside::OpenHerd),
            ((6, 1), (5, 1), Outside::OtherHerd),
            ((5, 2), (5, 1), Outside::OtherKey),
            ((5, 1), (5, 1), Outside::OtherKey),
        ] {
            assert_eq!(Outside::of(&header(theirs.0, theirs.1), own), why);
        }
    }
}
