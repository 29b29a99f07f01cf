//! The outer header: fixed size, in clear, the same for datagrams and for opening a channel on a
//! stream. A parent routes by it what it cannot read. All of it but the hop count is associated
//! data of the seal, so nobody can change it on the way.
//!
//! | bytes | field |
//! |---|---|
//! | 0 | protocol version |
//! | 1 | kind |
//! | 2 | hops so far |
//! | 3 | flags, 0 for now |
//! | 4..8 | epoch of the herd key, 0 when open |
//! | 8..16 | herd id, 0 when open |
//! | 16..24 | destination id, 0 for "whoever is there" |
//! | 24..32 | sender id |

use crate::wire::PROTOCOL_VERSION;
use crate::wire::ids::NodeId;

pub const HEADER_BYTES: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    HelloQuestion,
    HelloAnswer,
    Sealed,
    Channel,
    /// A channel for one byte pipe.
    Pipe,
    /// Sealed by nobody, for people to read: why a hello of no member is not answered.
    Refusal,
    /// A new machine shows a join token.
    JoinQuestion,
    JoinAnswer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub kind: Kind,
    pub hops: u8,
    pub epoch: u32,
    pub herd: u64,
    pub destination: NodeId,
    pub sender: NodeId,
}

/// Why a header was not taken. Nothing is answered to any of these, but that a greeter speaks
/// another version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    Short,
    /// The version of a newer or foreign protocol.
    Version(u8),
    Kind(u8),
}

impl Header {
    pub fn new(kind: Kind, destination: NodeId, sender: NodeId) -> Header {
        Header { kind, hops: 0, epoch: 0, herd: 0, destination, sender }
    }

    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0] = PROTOCOL_VERSION;
        out[1] = match self.kind {
            Kind::HelloQuestion => 1,
            Kind::HelloAnswer => 2,
            Kind::Sealed => 3,
            Kind::Channel => 4,
            Kind::Refusal => 5,
            Kind::JoinQuestion => 6,
            Kind::JoinAnswer => 7,
            Kind::Pipe => 8,
        };
        out[2] = self.hops;
        out[4..8].copy_from_slice(&self.epoch.to_be_bytes());
        out[8..16].copy_from_slice(&self.herd.to_be_bytes());
        out[16..24].copy_from_slice(&self.destination.to_bytes());
        out[24..32].copy_from_slice(&self.sender.to_bytes());
        out
    }

    /// The bytes the seal covers: the header with the hop count at zero.
    pub fn associated(&self) -> [u8; HEADER_BYTES] {
        Header { hops: 0, ..*self }.to_bytes()
    }

    /// Splits a packet into its header and the rest.
    pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        match packet.first() {
            Some(&PROTOCOL_VERSION) | None => Header::parse_any(packet),
            Some(_) if packet.len() < HEADER_BYTES => Err(Malformed::Short),
            Some(version) => Err(Malformed::Version(*version)),
        }
    }

    /// The same whatever version it bears, as far as that looks alike: enough to refuse it.
    pub fn parse_any(packet: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        let (head, rest) = packet.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed::Short)?;
        let kind = match head[1] {
            1 => Kind::HelloQuestion,
            2 => Kind::HelloAnswer,
            3 => Kind::Sealed,
            4 => Kind::Channel,
            5 => Kind::Refusal,
            6 => Kind::JoinQuestion,
            7 => Kind::JoinAnswer,
            8 => Kind::Pipe,
            other => return Err(Malformed::Kind(other)),
        };
        let eight = |at: usize| head[at..at + 8].try_into().expect("eight bytes of thirty-two");
        let header = Header {
            kind,
            hops: head[2],
            epoch: u32::from_be_bytes(head[4..8].try_into().expect("four bytes of thirty-two")),
            herd: u64::from_be_bytes(eight(8)),
            destination: NodeId::from_bytes(eight(16)),
            sender: NodeId::from_bytes(eight(24)),
        };
        Ok((header, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_goes_round_and_refuses_what_it_does_not_know() {
        let header = Header {
            hops: 3,
            epoch: 7,
            herd: 9,
            ..Header::new(Kind::Sealed, NodeId(u64::MAX), NodeId(1))
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(b"rest");
        assert_eq!(Header::parse(&bytes), Ok((header, &b"rest"[..])));
        assert_eq!(header.associated(), Header { hops: 9, ..header }.associated());
        assert_eq!(Header::parse(&bytes[..31]), Err(Malformed::Short));
        bytes[0] = 2;
        assert_eq!(Header::parse(&bytes), Err(Malformed::Version(2)));
        bytes[0] = 1;
        bytes[1] = 200;
        assert_eq!(Header::parse(&bytes), Err(Malformed::Kind(200)));
    }
}
