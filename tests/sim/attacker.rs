//! Somebody who is no member: makes identities and says hello, as far as a stranger can.

use crate::net::HostId;
use crate::world::{Origin, World};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent};
use herd::wire::ids::{Generation, NodeId};
use herd::wire::record::Record;
use herd::wire::seal::Identity;
use rand::RngExt;
use std::net::SocketAddr;

/// So many hellos of as many new identities, a millisecond apart.
pub fn flood(world: &mut World, host: HostId, to: SocketAddr, count: usize) {
    for _ in 0..count {
        let mut secret = [0; 64];
        world.rng.fill(&mut secret[..]);
        let identity = Identity::from_secret(&secret, world.suite);
        let nonce = world.rng.random();
        let bytes = question(&identity, nonce);
        let port = world.rng.random_range(10_000..60_000);
        world.launch(host, (port, None), Origin::Raw(host), to, bytes);
        world.run_ms(1);
    }
}

fn question(identity: &Identity, nonce: u64) -> Vec<u8> {
    let record = Record {
        agreement_key: identity.public().agreement,
        signing_key: identity.public().signing,
        generation: Generation::first(1),
        sequence: 0,
        name: "invented".parse().expect("a valid name"),
        addresses: vec![[10, 9, 9, 9].into()],
        port: 4040,
        parent: None,
        hidden: false,
        instance: 1,
        public_ip: None,
        deadend: false,
        homes: Vec::new(),
        attributes: Vec::new(),
    };
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        intent: Intent::Join,
        nonce,
        capabilities: 0,
        proof: Vec::new(),
        record: record.sign(identity),
        refused: None,
        known_generation: None,
    };
    hello.question(&Header::new(Kind::HelloQuestion, NodeId::ANYBODY, identity.id()))
}
