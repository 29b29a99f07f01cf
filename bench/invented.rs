//! An invented node: sound keys and a signed record, and no daemon behind it. Shared by the forger
//! and the benches of the core.

use herd::wire::codec;
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent};
use herd::wire::ids::{Generation, NodeId};
use herd::wire::message::Envelope;
use herd::wire::record::Record;
use herd::wire::seal::{Identity, SealKey, Suite};
use std::net::IpAddr;

const START_COUNTER: u64 = 1;

pub struct Invented {
    pub identity: Identity,
    number: u64,
    address: IpAddr,
}

/// What the answer to a hello gives: who answered, and the key of the pair.
pub struct Met {
    pub victim: NodeId,
    pub key: SealKey,
}

impl Invented {
    pub fn new(number: u64, address: IpAddr) -> Invented {
        let mut secret = [7; 64];
        secret[..8].copy_from_slice(&number.to_le_bytes());
        secret[32..40].copy_from_slice(&number.to_le_bytes());
        Invented { identity: Identity::from_secret(&secret, Suite::Real), number, address }
    }

    /// The record, as it is signed.
    pub fn record(&self) -> Vec<u8> {
        let keys = self.identity.public();
        let record = Record {
            agreement_key: keys.agreement,
            signing_key: keys.signing,
            generation: Generation::first(START_COUNTER),
            sequence: 0,
            name: format!("invented{}", self.number).parse().expect("a valid name"),
            addresses: vec![self.address],
            port: 4040,
            parent: None,
            hidden: false,
            instance: self.number,
            public_ip: None,
            deadend: false,
            homes: Vec::new(),
            attributes: Vec::new(),
        };
        record.sign(&self.identity)
    }

    /// A hello to whoever is there.
    pub fn question(&self) -> Vec<u8> {
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            intent: Intent::Join,
            nonce: self.number,
            capabilities: 0,
            proof: Vec::new(),
            record: self.record(),
            refused: None,
            known_generation: None,
        };
        hello.question(&Header::new(Kind::HelloQuestion, NodeId::ANYBODY, self.identity.id()))
    }

    /// Reads the answer; None if it refuses us.
    pub fn met(&self, answer: &[u8]) -> Option<Met> {
        let (header, rest) = Header::parse(answer).ok()?;
        let hello: Hello = codec::decode(rest).ok()?;
        let record = Record::peek(&hello.record).ok().filter(|_| hello.refused.is_none())?;
        let start = record.generation.start_counter();
        let key =
            self.identity.pair_key(self.identity.herd(), START_COUNTER, &record.keys(), start)?;
        Some(Met { victim: header.sender, key })
    }

    /// Anything under the seal; the first one proves who we are.
    pub fn sealed(&self, met: &Met, counter: u64, number: u16, body: Vec<u8>) -> Vec<u8> {
        let plain = codec::encode(&Envelope { number, body, ages: Vec::new(), digest: None });
        let header = Header::new(Kind::Sealed, met.victim, self.identity.id());
        met.key.seal(&header, counter, [1; 16], &plain)
    }
}
