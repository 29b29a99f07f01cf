//! Forged joins for `bench/faults`: as many invented identities as asked for, each with sound keys
//! and a signed record, greet one node from one address, each from a port of its own; those that
//! are answered prove themselves. Prints how many were sent, answered and refused.
//!
//! forger VICTIM:PORT SOURCE_ADDRESS COUNT

use herd::wire::codec;
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent};
use herd::wire::ids::{Generation, NodeId};
use herd::wire::message::Envelope;
use herd::wire::record::Record;
use herd::wire::seal::{Identity, Suite};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How long an answer is waited for: the victim is on the same machine.
const ANSWER: Duration = Duration::from_micros(300);
const START_COUNTER: u64 = 1;
/// A probe of a path: any body under the seal proves its sender.
const PROBE: u16 = 9;

struct Forged {
    identity: Identity,
    socket: UdpSocket,
}

impl Forged {
    fn new(number: u64, source: IpAddr) -> std::io::Result<Forged> {
        let mut secret = [7; 64];
        secret[..8].copy_from_slice(&number.to_le_bytes());
        secret[32..40].copy_from_slice(&number.to_le_bytes());
        let socket = UdpSocket::bind((source, 0))?;
        socket.set_read_timeout(Some(ANSWER))?;
        Ok(Forged { identity: Identity::from_secret(&secret, Suite::Real), socket })
    }

    fn record(&self, number: u64, source: IpAddr) -> Vec<u8> {
        let keys = self.identity.public();
        let record = Record {
            agreement_key: keys.agreement,
            signing_key: keys.signing,
            generation: Generation::first(START_COUNTER),
            sequence: 0,
            name: format!("forged{number}").parse().expect("a valid name"),
            addresses: vec![source],
            port: 4040,
            parent: None,
            hidden: false,
            instance: number,
            public_ip: None,
            deadend: false,
            homes: Vec::new(),
            attributes: Vec::new(),
        };
        record.sign(&self.identity)
    }

    fn question(&self, number: u64, source: IpAddr) -> Vec<u8> {
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            intent: Intent::Join,
            nonce: number,
            capabilities: 0,
            proof: Vec::new(),
            record: self.record(number, source),
            refused: None,
            known_generation: None,
        };
        let sender = self.identity.id();
        hello.question(&Header::new(Kind::HelloQuestion, NodeId::ANYBODY, sender))
    }

    /// The first sealed word to whoever answered; None if it refused us.
    fn proof(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = Header::parse(answer).ok()?;
        let hello: Hello = codec::decode(rest).ok()?;
        let record = Record::peek(&hello.record).ok().filter(|_| hello.refused.is_none())?;
        let start = record.generation.start_counter();
        let key = self.identity.pair_key(START_COUNTER, &record.keys(), start)?;
        let body = vec![0x81, 0x05];
        let plain =
            codec::encode(&Envelope { number: PROBE, body, ages: Vec::new(), digest: None });
        let to_victim = Header::new(Kind::Sealed, header.sender, self.identity.id());
        Some(key.seal(&to_victim, 1, [1; 16], &plain))
    }

    /// Greets; whether it was answered, and whether it was taken in.
    fn greet(&self, victim: SocketAddr, question: &[u8]) -> std::io::Result<(bool, bool)> {
        self.socket.send_to(question, victim)?;
        let mut buffer = [0; 2_048];
        let Ok(length) = self.socket.recv(&mut buffer) else { return Ok((false, false)) };
        let Some(proof) = self.proof(&buffer[..length]) else { return Ok((true, false)) };
        self.socket.send_to(&proof, victim)?;
        Ok((true, true))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [victim, source, count] = &words[..] else {
        return Err("usage: forger VICTIM:PORT SOURCE_ADDRESS COUNT".into());
    };
    let (victim, source) = (victim.parse()?, source.parse()?);
    let (mut answered, mut taken) = (0, 0);
    for number in 0..count.parse()? {
        let forged = Forged::new(number, source)?;
        let (answer, proof) = forged.greet(victim, &forged.question(number, source))?;
        answered += u64::from(answer);
        taken += u64::from(proof);
    }
    println!("sent {count} answered {answered} taken {taken}");
    Ok(())
}
