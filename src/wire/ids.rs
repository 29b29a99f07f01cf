//! Names of things: nodes, generations, requests, streams.

use crate::wire::limits::NAME_BYTES;
use minicbor::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// Who a node is: the first 8 bytes of a hash of its public keys. Names and addresses may change
/// or repeat, the id does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct NodeId(#[n(0)] pub u64);

impl NodeId {
    /// "Whoever is there": the destination of a hello to an address whose node is not known.
    pub const ANYBODY: NodeId = NodeId(0);

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub fn from_bytes(bytes: [u8; 8]) -> NodeId {
        NodeId(u64::from_be_bytes(bytes))
    }

    /// The first six hexadecimal digits: enough for people, as in `name~ab12cd`.
    pub fn short(self) -> String {
        format!("{:016x}", self.0)[..6].to_string()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.short())
    }
}

/// Which life of a node: start counter in the upper 48 bits, renewals within that life in the
/// lower 16. Pairwise keys depend on the start counter only, so a renewal does not break them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct Generation(#[n(0)] pub u64);

impl Generation {
    pub fn first(start_counter: u64) -> Generation {
        Generation(start_counter << 16)
    }

    pub fn start_counter(self) -> u64 {
        self.0 >> 16
    }

    /// The next generation of the same life; runs over into the next start counter after 65,535
    /// renewals, which at one a minute takes 45 days without a restart and does no harm.
    pub fn renewed(self) -> Generation {
        Generation(self.0 + 1)
    }
}

/// One request, anywhere: who asked, and the asker's number for it. A retry carries the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct RequestId {
    #[n(0)]
    pub origin: NodeId,
    #[n(1)]
    pub number: u64,
}

/// One TCP connection, between core and daemon: odd when the node dialled, even when the daemon
/// accepted, so that neither needs the other to number it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct StreamId(pub u64);

/// One connection of a local program to the control socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ClientId(pub u64);

/// One byte pipe, between core and daemon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct PipeId(pub u64);

/// A label for people: 1 to 63 of `A-Z a-z 0-9 . _ - space`, first and last alphanumeric.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Name(String);

impl Name {
    /// What a node is called whose host name is no valid name.
    pub fn fallback(id: NodeId) -> Name {
        Name(format!("node-{}", id.short()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if text.is_empty() || text.len() > NAME_BYTES {
            return Err(format!("a name has 1 to {NAME_BYTES} bytes, this one {}", text.len()));
        }
        if !text.chars().all(allowed) || !edge(text.chars().next()) || !edge(text.chars().last()) {
            return Err(
                "a name is made of A-Z a-z 0-9 . _ - and space, and begins and ends with a letter or digit"
                    .to_string(),
            );
        }
        Ok(Name(text.to_string()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Name, minicbor::decode::Error> {
        d.str()?.parse().map_err(minicbor::decode::Error::message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_their_edges() {
        for good in ["a", "vm 4", "a.b_c-d", &"x".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "-a", "a\n", "a\u{1b}[m", "ä", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
