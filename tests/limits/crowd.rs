//! Many strangers and members at one node, made by hand: keys, addresses, what they say.

use crate::mesh::{self, Mesh, Who, record};
use herd::node::{Input, Socket};
use herd::wire::codec;
use herd::wire::header::{Header, Kind};
use herd::wire::hello::Hello;
use herd::wire::ids::NodeId;
use herd::wire::message::{Body, Envelope, Nonce};
use herd::wire::seal::{Identity, Suite};
use std::net::SocketAddr;

/// The node that is crowded.
pub const VICTIM: usize = 0;

pub fn alone() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    mesh.run_ms(100);
    mesh
}

/// Somebody with keys of his own.
pub fn who(number: usize) -> Who {
    let mut secret = [0xee; 64];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    secret[32..40].copy_from_slice(&number.to_be_bytes());
    Who { identity: Identity::from_secret(&secret, Suite::Real), start_counter: 3 }
}

/// A private address; those of one `network` have but one host.
pub fn address(network: usize, port: u16) -> SocketAddr {
    let [.., high, low] = network.to_be_bytes();
    SocketAddr::from(([10, 77, high, low], port))
}

pub fn give(mesh: &mut Mesh, from: SocketAddr, bytes: &[u8]) {
    mesh.turn(VICTIM, Some(Input::Datagram { socket: Socket::Main, from, bytes }));
}

/// He greets; what he is answered, if he is.
pub fn greet(mesh: &mut Mesh, who: &Who, from: SocketAddr) -> Option<Hello> {
    let hello = mesh::hello(record(who, "crowd", 60).sign(&who.identity));
    let before = mesh.sent.len();
    let header = Header::new(Kind::HelloQuestion, NodeId::ANYBODY, who.id());
    give(mesh, from, &hello.question(&header));
    let answered = mesh.sent[before..].iter().find(|sent| sent.to == from)?;
    let (_, rest) = Header::parse(&answered.bytes).ok()?;
    codec::decode(rest).ok()
}

/// He says something under the seal.
pub fn say(mesh: &mut Mesh, who: &Who, from: SocketAddr, counter: u64, body: &Body) {
    let (number, body) = (body.number(), body.encode());
    let plain = codec::encode(&Envelope { number, body, ages: Vec::new(), digest: None });
    let victim = mesh.members[VICTIM].who.clone();
    give(mesh, from, &who.seal(&victim, counter, &plain));
}

/// He greets and proves himself: a member from now on. The refusal, if there was one.
pub fn join(mesh: &mut Mesh, who: &Who, from: SocketAddr) -> Option<Hello> {
    let answer = greet(mesh, who, from);
    say(mesh, who, from, 1, &Body::Probe(Nonce { nonce: 1 }));
    answer
}

/// What the victim says to him under the seal, from the datagram of this number on.
pub fn heard(mesh: &Mesh, who: &Who, since: usize) -> Vec<Body> {
    let victim = &mesh.members[VICTIM].who;
    let to_him = |bytes: &[u8]| {
        let (header, rest) = Header::parse(bytes).ok()?;
        (header.kind == Kind::Sealed && header.destination == who.id()).then_some(())?;
        let (_, plain) = who.key_with(victim).open(&header, rest)?;
        let envelope: Envelope = codec::decode(&plain).ok()?;
        Body::decode(envelope.number, &envelope.body)?.ok()
    };
    mesh.sent[since..].iter().filter_map(|sent| to_him(&sent.bytes)).collect()
}
