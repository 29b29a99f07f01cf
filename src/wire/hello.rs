//! Hello: how two nodes meet. Both show their keys and prove them.
//!
//! Question (padded): the asker's signed record, what it wants, a nonce. Answer (never longer):
//! the answerer's signed record, the nonce again, and a checksum under the key both share. The
//! asker's first sealed datagram proves the asker. In a keyed herd all of both after the outer header
//! is sealed under the herd's key: that is the proof of it, and who has it not reads nothing.

use crate::wire::codec;
use crate::wire::header::Header;
use crate::wire::ids::Generation;
use crate::wire::key::HerdKey;
use crate::wire::limits::HELLO_BYTES;
use crate::wire::seal::{SealKey, Suite, TAG_BYTES};
use minicbor::{Decode, Encode};

/// What the asker wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Intent {
    /// A person typed this contact, or `-k` names it: herds may merge.
    #[n(0)]
    Join,
    /// The asker believes that the other knows it: merges nothing.
    #[n(1)]
    Return,
    /// The asker never had a peer and takes what it finds.
    #[n(2)]
    Lone,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Hello {
    /// The range of protocol versions the sender speaks.
    #[n(0)]
    pub version_min: u8,
    #[n(1)]
    pub version_max: u8,
    #[n(2)]
    pub intent: Intent,
    /// Drawn by the asker, repeated in the answer.
    #[n(3)]
    pub nonce: u64,
    #[n(4)]
    pub capabilities: u64,
    /// Empty: in a keyed herd the seal around the whole hello proves the key.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub proof: Vec<u8>,
    /// The sender's signed record.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    /// Answer only: why not. Shown to people, never acted on.
    #[n(7)]
    pub refused: Option<Refusal>,
    /// Answer only: the generation under which the answerer knows the asker, if it is later than
    /// the one the asker showed (its state was lost or restored): start above it.
    #[n(8)]
    pub known_generation: Option<Generation>,
}

/// Why a hello is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode)]
#[cbor(index_only)]
pub enum Refusal {
    #[n(0)]
    Version,
    /// Open herd, and the asker is on a public address.
    #[n(1)]
    PublicAddress,
    /// A node that says it returns is not known here.
    #[n(2)]
    UnknownNode,
    /// A named limit is reached (known nodes).
    #[n(3)]
    Full,
    #[n(4)]
    WrongHerd,
    #[n(5)]
    Stopping,
    /// A named limit is reached (new ids a source).
    #[n(6)]
    Crowded,
    /// A reason that only a newer program knows.
    #[n(7)]
    Other,
}

/// A newer program's reason is still a refusal.
impl<'b, C> Decode<'b, C> for Refusal {
    fn decode(
        d: &mut minicbor::Decoder<'b>,
        _: &mut C,
    ) -> Result<Refusal, minicbor::decode::Error> {
        Ok(match d.u32()? {
            0 => Refusal::Version,
            1 => Refusal::PublicAddress,
            2 => Refusal::UnknownNode,
            3 => Refusal::Full,
            4 => Refusal::WrongHerd,
            5 => Refusal::Stopping,
            6 => Refusal::Crowded,
            _ => Refusal::Other,
        })
    }
}

impl Refusal {
    /// For the log of who refuses.
    pub fn to_asked(self) -> &'static str {
        match self {
            Refusal::Version => {
                "it speaks another version of the protocol; update the older daustd"
            }
            Refusal::PublicAddress => {
                "its address is public and this herd is open (--open-public lifts that)"
            }
            Refusal::Full => "the limit of known nodes is reached",
            Refusal::Crowded => "the limit of new ids a source is reached",
            Refusal::Stopping => "this node is stopping",
            Refusal::UnknownNode | Refusal::WrongHerd | Refusal::Other => "it is not known here",
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Refusal::Version => "it speaks another protocol version",
            Refusal::PublicAddress => {
                "it is an open herd and takes no peers from public addresses (--open-public lifts that)"
            }
            Refusal::UnknownNode => {
                "it does not know this node; join it with `daust remote ADDRESS ping`"
            }
            Refusal::Full => "its limit of known nodes is reached",
            Refusal::WrongHerd => "it belongs to another herd",
            Refusal::Stopping => "it is stopping",
            Refusal::Crowded => "its limit of new ids a source is reached; try again in a minute",
            Refusal::Other => "for a reason that only its newer program knows",
        }
    }
}

impl Hello {
    /// The question as a datagram, padded.
    pub fn question(&self, header: &Header) -> Vec<u8> {
        let mut out = header.to_bytes().to_vec();
        out.extend_from_slice(&codec::encode(self));
        debug_assert!(out.len() <= HELLO_BYTES);
        out.resize(HELLO_BYTES, 0);
        out
    }

    /// The answer as a datagram, with its checksum at the end.
    pub fn answer(&self, header: &Header, key: &SealKey) -> Vec<u8> {
        let mut out = header.associated().to_vec();
        out.extend_from_slice(&codec::encode(self));
        let tag = key.mac(&out);
        out.extend_from_slice(&tag);
        out
    }

    /// Whether an answer (its bytes after the header) was made by who shares `key`.
    pub fn answer_is_authentic(header: &Header, rest: &[u8], key: &SealKey) -> bool {
        let Some((body, tag)) = rest.split_last_chunk::<TAG_BYTES>() else { return false };
        key.mac_matches(&[&header.associated(), body].concat(), tag)
    }
}

/// A whole hello as it goes to the others of a keyed herd: sealed after its header, which names the
/// herd. `counter` and `random` make the nonce.
pub fn seal(hello: &[u8], key: &HerdKey, suite: Suite, counter: u64, random: [u8; 16]) -> Vec<u8> {
    let Ok((header, rest)) = Header::parse(hello) else { return Vec::new() };
    key.for_hellos(suite).seal(&header, counter, random, rest)
}

/// What follows the header of a hello in a keyed herd; None if its sender does not hold the key.
pub fn open(header: &Header, rest: &[u8], key: &HerdKey, suite: Suite) -> Option<Vec<u8>> {
    key.for_hellos(suite).open(header, rest).map(|(_, plain)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::Kind;
    use crate::wire::ids::NodeId;
    use crate::wire::limits::RECORD_BYTES;
    use crate::wire::seal::{Identity, Suite};

    #[test]
    fn the_largest_hello_fits_and_its_answer_is_no_longer() {
        let a = Identity::from_secret(&[1; 64], Suite::Real);
        let b = Identity::from_secret(&[2; 64], Suite::Real);
        let key = a.pair_key(a.herd(), 1, &b.public(), 1).unwrap();
        let hello = Hello {
            version_min: 255,
            version_max: 255,
            intent: Intent::Join,
            nonce: u64::MAX,
            capabilities: u64::MAX,
            proof: vec![9; 64],
            record: vec![9; RECORD_BYTES],
            refused: Some(Refusal::Full),
            known_generation: Some(Generation(u64::MAX)),
        };
        let header = Header::new(Kind::HelloQuestion, NodeId::ANYBODY, a.id());
        let question = hello.question(&header);
        assert_eq!(question.len(), HELLO_BYTES);
        let answer = hello.answer(&header, &key);
        assert!(answer.len() <= HELLO_BYTES, "{}", answer.len());
        let (parsed, rest) = Header::parse(&answer).unwrap();
        assert!(Hello::answer_is_authentic(&parsed, rest, &key));
        assert_eq!(codec::decode::<Hello>(rest).unwrap(), hello);
        let mut bent = rest.to_vec();
        bent[5] ^= 1;
        assert!(!Hello::answer_is_authentic(&parsed, &bent, &key));
    }
}
