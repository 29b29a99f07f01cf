//! Last seen, spread in the spare room of datagrams: a datagram says how long ago its sender's
//! herd heard other nodes.

use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::message::Age;

/// Ages in one datagram.
const AGES: usize = 16;

/// Ages for the spare room of a datagram: those heard last come first.
pub fn ages(t: &Tables, to: NodeId, room_bytes: usize) -> Vec<u8> {
    let most = (room_bytes / Age::BYTES).min(AGES);
    let mut freshest: Vec<(i64, NodeId)> = t
        .roster
        .live()
        .filter(|(id, _)| *id != to)
        .map(|(id, peer)| (-peer.heard_us, id))
        .collect();
    if freshest.len() > most {
        freshest.select_nth_unstable(most);
        freshest.truncate(most);
    }
    let mut out = Vec::new();
    for (heard_us, id) in freshest {
        let age_ms = (t.now.0 as i64 + heard_us).max(0) as u64 / 1_000;
        if let Some(age) = Age::new(id, age_ms) {
            age.write(&mut out);
        }
    }
    out
}
