//! Last seen, spread in the spare room of datagrams: a datagram says how long ago its sender's
//! herd heard other nodes.
//!
//! What a node heard itself it tells as long as an age can be told. Hearsay it hands on only while
//! it is fresh: each hand makes an age wrong by what the way took, and what echoes for long would
//! never grow old.

use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::message::Age;
use rand::seq::SliceRandom;

/// Ages in one datagram.
const AGES: usize = 16;

/// Hearsay older than this is not handed on, milliseconds.
const HEARSAY_MS: u64 = 3_000;
/// What is added for the way where its round trip is not measured, microseconds.
const WAY_US: u64 = 100_000;

/// The age of what a datagram from `from` told: older by what the way took.
pub fn told(t: &Tables, from: NodeId, age: Age) -> u64 {
    age.age_ms() + t.routes.rtt_us(from).unwrap_or(WAY_US).div_ceil(1_000)
}

/// Ages for the spare room of a datagram: a random choice of those heard lately.
pub fn ages(t: &mut Tables, to: NodeId, room_bytes: usize) -> Vec<u8> {
    let most = (room_bytes / Age::BYTES).min(AGES);
    let mut known: Vec<(NodeId, u64)> = t
        .roster
        .live()
        .map(|(id, peer)| (id, peer.age_ms(t.now), peer.heard_by == t.own.id))
        .filter(|(id, age_ms, own)| *id != to && (*own || *age_ms <= HEARSAY_MS))
        .map(|(id, age_ms, _)| (id, age_ms))
        .collect();
    if known.len() > most {
        known = known.partial_shuffle(&mut t.random, most).0.to_vec();
    }
    let mut out = Vec::new();
    for (id, age_ms) in known {
        if let Some(age) = Age::new(id, age_ms) {
            age.write(&mut out);
        }
    }
    out
}
