//! What nodes say to each other inside a seal, in a datagram or on a channel alike.
//!
//! An [`Envelope`] names its body by number and carries it as bytes, so that a node can tell a
//! body it does not know (and answer `Unsupported`) from a damaged one. Numbers 64 and above are
//! reserved: 64-79 channels, 80-95 queue, 96-111 consensus and config, 112-127 keys, 128-143
//! tasks and apps.

use crate::wire::codec;
use crate::wire::command::Command;
use crate::wire::ids::Generation;
use crate::wire::info::State;
use crate::wire::keyring::Gift;
use crate::wire::pipe::Piece;
use crate::wire::reply::Reply;
use crate::wire::rumor::{Reason, Rumor, Subject};
use minicbor::{Decode, Encode};
use std::net::SocketAddr;

#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Envelope {
    #[n(0)]
    pub number: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Spare room: how long ago the sender's herd heard other nodes; see [`Ages`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub ages: Vec<u8>,
    /// A digest of the list of the living the sender knows: where it differs for long,
    /// records are missing on one side.
    #[n(3)]
    pub digest: Option<u64>,
}

/// One body. The number of each is its place in [`Body::number`].
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// A packet of the SWIM engine, without the two ids that the outer header carries already.
    Swim(Vec<u8>),
    /// To a home, every second at the latest.
    Heartbeat(Heartbeat),
    HeartbeatAnswer(HeartbeatAnswer),
    /// Send me the records I do not have.
    Pull(Pull),
    Sync(Sync),
    /// Try to reach me at the addresses of my record, from a port I never sent to.
    Test(Nonce),
    /// The address the sender of this sees the receiver under.
    Saw(Saw),
    /// The try: arrives at a node that is not hidden.
    Knock(Nonce),
    /// Are you there, on this very path?
    Probe(Nonce),
    ProbeAnswer(Nonce),
    /// Look afresh whether you see this node, and vote.
    Vote(Vote),
    Ballot(Ballot),
    Ask(Ask),
    Answer(Answer),
    /// The sender holds a verdict or a later generation against the receiver's generation.
    Undead(Undead),
    /// Another live instance bears the receiver's id: its record.
    Taken(Taken),
    /// A rumor sent straight to one who must not miss it.
    Tell(Rumor),
    /// The answer to a body the sender does not know.
    Unsupported(Unsupported),
    /// Hand me your newest herd key: your record tells of one that I do not hold.
    KeyPull,
    Key(Gift),
    /// A probe that fills its datagram, to see whether the path carries such. Comes back as full.
    Full(Full),
    FullAnswer(Full),
    Pipe(Piece),
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Full {
    #[n(0)]
    pub nonce: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub padding: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Nonce {
    #[n(0)]
    pub nonce: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Heartbeat {
    /// The sender's clock, microseconds; comes back in the answer.
    #[n(0)]
    pub stamp_us: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct HeartbeatAnswer {
    #[n(0)]
    pub stamp_us: u64,
    /// The address the heartbeat came from.
    #[n(1)]
    pub saw: SocketAddr,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Pull {
    /// For each record the asker has: 4 bytes of its id, 4 bytes of a checksum of its stamp.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub have: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Sync {
    #[n(0)]
    pub entries: Vec<SyncEntry>,
    /// Nothing more follows.
    #[n(1)]
    pub last: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SyncEntry {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    #[n(1)]
    pub state: State,
    /// Age of the last word from it, milliseconds.
    #[n(2)]
    pub age_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Saw {
    #[n(0)]
    pub address: SocketAddr,
    /// The test it answers, if it answers one.
    #[n(1)]
    pub nonce: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Vote {
    #[n(0)]
    pub ballot: u64,
    #[n(1)]
    pub subject: Subject,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Ballot {
    #[n(0)]
    pub ballot: u64,
    #[n(1)]
    pub subject: Subject,
    /// None: the voter sees the subject up. Else its signature that it sees it down, and why.
    #[n(2)]
    pub down: Option<Down>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Down {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub signature: [u8; 64],
    #[n(1)]
    pub reason: Reason,
}

/// A relayed command. The origin is the sealed sender; a retry carries the same number.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Ask {
    #[n(0)]
    pub number: u64,
    /// How long the origin still waits, milliseconds.
    #[n(1)]
    pub wait_ms: u64,
    #[n(2)]
    pub command: Command,
}

/// One part of the answer to an ask.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Answer {
    #[n(0)]
    pub number: u64,
    /// Counts from 0.
    #[n(1)]
    pub part: u16,
    #[n(2)]
    pub last: bool,
    #[n(3)]
    pub reply: Reply,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Undead {
    #[n(0)]
    pub generation: Generation,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Taken {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub record: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Unsupported {
    #[n(0)]
    pub number: u16,
    /// The ask it answers, if it could be read.
    #[n(1)]
    pub ask: Option<u64>,
}

impl Body {
    /// The number of `Full`, which an older node names when it does not know it.
    pub const FULL: u16 = 19;

    pub fn number(&self) -> u16 {
        match self {
            Body::Swim(_) => 1,
            Body::Heartbeat(_) => 2,
            Body::HeartbeatAnswer(_) => 3,
            Body::Pull(_) => 4,
            Body::Sync(_) => 5,
            Body::Test(_) => 6,
            Body::Saw(_) => 7,
            Body::Knock(_) => 8,
            Body::Probe(_) => 9,
            Body::ProbeAnswer(_) => 10,
            Body::Vote(_) => 11,
            Body::Ballot(_) => 12,
            Body::Ask(_) => 13,
            Body::Answer(_) => 14,
            Body::Undead(_) => 15,
            Body::Taken(_) => 16,
            Body::Tell(_) => 17,
            Body::Unsupported(_) => 18,
            Body::Full(_) => Body::FULL,
            Body::FullAnswer(_) => 20,
            Body::Pipe(_) => 21,
            Body::KeyPull => 112,
            Body::Key(_) => 113,
        }
    }

    /// The body's bytes, as an envelope carries them.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Body::Swim(packet) => packet.clone(),
            Body::Heartbeat(body) => codec::encode(body),
            Body::HeartbeatAnswer(body) => codec::encode(body),
            Body::Pull(body) => codec::encode(body),
            Body::Sync(body) => codec::encode(body),
            Body::Test(body) | Body::Knock(body) => codec::encode(body),
            Body::Probe(body) | Body::ProbeAnswer(body) => codec::encode(body),
            Body::Saw(body) => codec::encode(body),
            Body::Vote(body) => codec::encode(body),
            Body::Ballot(body) => codec::encode(body),
            Body::Ask(body) => codec::encode(body),
            Body::Answer(body) => codec::encode(body),
            Body::Undead(body) => codec::encode(body),
            Body::Taken(body) => codec::encode(body),
            Body::Tell(body) => codec::encode(body),
            Body::Unsupported(body) => codec::encode(body),
            Body::Full(body) | Body::FullAnswer(body) => codec::encode(body),
            Body::Pipe(piece) => codec::encode(piece),
            Body::KeyPull => Vec::new(),
            Body::Key(body) => codec::encode(body),
        }
    }

    /// None: the number is not known here. Err: the bytes are not what the number says.
    pub fn decode(number: u16, bytes: &[u8]) -> Option<Result<Body, String>> {
        Some(match number {
            1 => Ok(Body::Swim(bytes.to_vec())),
            2 => codec::decode(bytes).map(Body::Heartbeat),
            3 => codec::decode(bytes).map(Body::HeartbeatAnswer),
            4 => codec::decode(bytes).map(Body::Pull),
            5 => codec::decode(bytes).map(Body::Sync),
            6 => codec::decode(bytes).map(Body::Test),
            7 => codec::decode(bytes).map(Body::Saw),
            8 => codec::decode(bytes).map(Body::Knock),
            9 => codec::decode(bytes).map(Body::Probe),
            10 => codec::decode(bytes).map(Body::ProbeAnswer),
            11 => codec::decode(bytes).map(Body::Vote),
            12 => codec::decode(bytes).map(Body::Ballot),
            13 => codec::decode(bytes).map(Body::Ask),
            14 => codec::decode(bytes).map(Body::Answer),
            15 => codec::decode(bytes).map(Body::Undead),
            16 => codec::decode(bytes).map(Body::Taken),
            17 => codec::decode(bytes).map(Body::Tell),
            18 => codec::decode(bytes).map(Body::Unsupported),
            Body::FULL => codec::decode(bytes).map(Body::Full),
            20 => codec::decode(bytes).map(Body::FullAnswer),
            21 => codec::decode(bytes).map(Body::Pipe),
            112 => Ok(Body::KeyPull),
            113 => codec::decode(bytes).map(Body::Key),
            _ => return None,
        })
    }
}

/// How long ago the herd heard other nodes: a stretch of the list of the living (the sender among
/// them), in the order of their ids. It begins at an offset (2 bytes, big endian) and goes on with
/// half a byte a node, the higher half first: the number of the first step of [`Ages::STEPS_MS`]
/// that is not below the age. Sender and receiver mean the same list if the digest in the same
/// envelope is the receiver's own; else the stretch is of no use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ages {
    pub offset: u16,
    pub steps: Vec<u8>,
}

impl Ages {
    /// The ages that can be told, milliseconds. Never younger than the truth, so rounded up.
    pub const STEPS_MS: [u16; 15] = [
        200, 400, 600, 800, 1_000, 1_250, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 7_000, 10_000,
        25_000,
    ];
    /// The step that says that no age is told.
    pub const UNTOLD: u8 = 15;
    pub const OFFSET_BYTES: usize = 2;

    pub fn step(age_ms: u64) -> u8 {
        Ages::STEPS_MS.partition_point(|step_ms| u64::from(*step_ms) < age_ms) as u8
    }

    pub fn write(&self) -> Vec<u8> {
        let pairs =
            self.steps.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&Ages::UNTOLD));
        self.offset.to_be_bytes().into_iter().chain(pairs).collect()
    }

    pub fn read(bytes: &[u8]) -> Option<Ages> {
        let (offset, pairs) = bytes.split_first_chunk::<{ Ages::OFFSET_BYTES }>()?;
        let steps = pairs.iter().flat_map(|pair| [pair >> 4, pair & 0xf]).collect();
        Some(Ages { offset: u16::from_be_bytes(*offset), steps })
    }

    /// Place in the list and age in milliseconds of each node told of.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.steps.iter().enumerate().filter_map(|(at, step)| {
            let age_ms = Ages::STEPS_MS.get(usize::from(*step))?;
            Some((usize::from(self.offset) + at, u64::from(*age_ms)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ids::NodeId;
    use crate::wire::key::HerdKey;
    use crate::wire::keyring::Keyring;

    fn all() -> Vec<Body> {
        let nonce = Nonce { nonce: 7 };
        let subject = Subject { id: NodeId(3), generation: Generation(4) };
        vec![
            Body::Swim(vec![1, 2, 3]),
            Body::Heartbeat(Heartbeat { stamp_us: 1 }),
            Body::HeartbeatAnswer(HeartbeatAnswer { stamp_us: 1, saw: "[::1]:9".parse().unwrap() }),
            Body::Pull(Pull { have: vec![1; 8] }),
            Body::Sync(Sync {
                entries: vec![SyncEntry { record: vec![1], state: State::Left, age_ms: 5 }],
                last: true,
            }),
            Body::Test(nonce),
            Body::Saw(Saw { address: "1.2.3.4:5".parse().unwrap(), nonce: Some(1) }),
            Body::Knock(nonce),
            Body::Probe(nonce),
            Body::ProbeAnswer(nonce),
            Body::Vote(Vote { ballot: 1, subject }),
            Body::Ballot(Ballot {
                ballot: 1,
                subject,
                down: Some(Down { signature: [9; 64], reason: Reason::Silent }),
            }),
            Body::Ask(Ask { number: 1, wait_ms: 2, command: Command::Forget("x".into()) }),
            Body::Answer(Answer { number: 1, part: 2, last: true, reply: Reply::Pong }),
            Body::Undead(Undead { generation: Generation(1) }),
            Body::Taken(Taken { record: vec![1] }),
            Body::Tell(Rumor::Forget { id: NodeId(1), generation: Generation(2) }),
            Body::Unsupported(Unsupported { number: 99, ask: None }),
            Body::Full(Full { nonce: 7, padding: vec![0; 9] }),
            Body::FullAnswer(Full { nonce: 7, padding: Vec::new() }),
            Body::Pipe(Piece::Bytes(vec![0, 255])),
            Body::KeyPull,
            Body::Key(Keyring::from(Some(HerdKey::first(&[1; 40]))).gift(0).unwrap()),
        ]
    }

    #[test]
    fn every_body_goes_round_and_has_its_own_number() {
        let mut numbers = std::collections::BTreeSet::new();
        for body in all() {
            assert!(numbers.insert(body.number()));
            assert_eq!(Body::decode(body.number(), &body.encode()), Some(Ok(body)));
        }
        assert_eq!(numbers.len(), 23);
        assert_eq!(Body::decode(99, b""), None);
    }

    #[test]
    fn a_newer_field_is_skipped() {
        // Heartbeat with a second field that this version does not know.
        let newer = [0x82, 0x01, 0x63, b'n', b'e', b'w'];
        let known = Body::Heartbeat(Heartbeat { stamp_us: 1 });
        assert_eq!(Body::decode(2, &newer), Some(Ok(known)));
    }

    #[test]
    fn ages_round_up_and_end() {
        for (age_ms, step) in
            [(0, 0), (200, 0), (201, 1), (25_000, 14), (25_001, 15), (u64::MAX, 15)]
        {
            assert_eq!(Ages::step(age_ms), step, "{age_ms}");
        }
        let ages = Ages { offset: 300, steps: vec![2, Ages::UNTOLD, 0] };
        assert_eq!(ages.write(), [1, 44, 0x2f, 0x0f]);
        let told: Vec<(usize, u64)> = Ages::read(&ages.write()).unwrap().iter().collect();
        assert_eq!(told, [(300, 600), (302, 200)]);
        assert_eq!(Ages::read(&[1]), None);
    }
}
