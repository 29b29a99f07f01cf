//! Last seen, spread in the spare room of datagrams: a datagram says how long ago its sender's
//! herd heard the living, half a byte each.
//!
//! What a node heard itself it tells as long as an age can be told. Hearsay it hands on only while
//! it is fresh: each hand makes an age wrong by what the way took, and what echoes for long would
//! never grow old.

use crate::node::outbox::Notice;
use crate::node::peer::Peer;
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::message::Ages;
use rand::RngExt;

/// Ages in one datagram: in a larger herd the stretches take turns.
const AGES: usize = 256;

/// Hearsay older than this is not handed on, milliseconds.
const HEARSAY_MS: u64 = 3_000;
/// What is added for the way where its round trip is not measured, microseconds.
const WAY_US: u64 = 100_000;

/// The living, this node among them, in the order that ages are told in.
fn living(t: &Tables) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = t.roster.live().map(|(id, _)| id).collect();
    let place = ids.partition_point(|id| *id < t.own.id);
    ids.insert(place, t.own.id);
    ids
}

/// The ages for the spare room of a datagram: each second another stretch, so that whoever is told
/// once a second is told all in turn.
pub fn ages(t: &mut Tables, room_bytes: usize) -> Vec<u8> {
    let living = living(t);
    let stretches = living.len().div_ceil(AGES);
    let from = (t.now.0 / 1_000_000) as usize % stretches * AGES;
    let length = (living.len() - from).min(AGES);
    let room = (room_bytes.saturating_sub(Ages::OFFSET_BYTES) * 2).min(length);
    let offset = from + t.random.random_range(0..=length - room);
    let steps = living[offset..offset + room].iter().map(|id| age_to_tell(t, *id)).collect();
    Ages { offset: offset as u16, steps }.write()
}

/// A node that nobody seems to have heard for so long is looked at afresh, by who heard it last:
/// the engine's own probe may come late.
const SILENT_MS: u64 = 2_000;

const LOOK_MS: u64 = 200;
/// Who heard nobody for so long is itself cut off: some word comes every second.
const DEAF_MS: u64 = 4_000;

/// Asks for a look at one such node now and then.
pub fn look_at_silent(t: &mut Tables) {
    if t.now < t.next_look {
        return;
    }
    // In a larger herd ages take their turns to arrive; but word of those who phone this node is due.
    let stretches = (1 + t.roster.len() / AGES) as u64;
    t.next_look = t.now.plus_ms(LOOK_MS * stretches);
    let heard = t.roster.live().filter_map(|(_, peer)| peer.heard_here).max();
    if heard.is_some_and(|at| t.now.ms_since(at.max(t.awake_since)) >= DEAF_MS) {
        t.out.notice(Notice::CutOff);
    }
    let own = t.own.id;
    let silent = |(_, peer): &(NodeId, &Peer)| {
        let due = stretches > 1 && peer.phones;
        let silent_ms = if due { SILENT_MS } else { SILENT_MS * stretches };
        let ours = due || peer.heard_by == own;
        ours && peer.heard_here.is_some() && peer.age_ms(t.now) > silent_ms
    };
    let longest = t.roster.live().filter(silent).min_by_key(|(_, peer)| peer.heard_us);
    if let Some((id, _)) = longest {
        t.out.notice(Notice::ProbeFailed(id));
        // It may phone another now: that is waited for from here on.
        if let Some(peer) = t.roster.get_mut(id) {
            peer.phones = false;
        }
    }
}

fn age_to_tell(t: &Tables, id: NodeId) -> u8 {
    let Some(peer) = t.roster.get(id) else { return Ages::UNTOLD };
    let age_ms = peer.age_ms(t.now);
    let tell = peer.heard_by == t.own.id || age_ms <= HEARSAY_MS;
    if tell { Ages::step(age_ms) } else { Ages::UNTOLD }
}

/// What a datagram of `from` told, older by what the way took. Its list is ours.
pub fn told(t: &mut Tables, from: NodeId, bytes: &[u8], refresh: bool) {
    let Some(ages) = Ages::read(bytes) else { return };
    let living = living(t);
    let way_ms = t.routes.rtt_us(from).unwrap_or(WAY_US).div_ceil(1_000);
    for (at, age_ms) in ages.iter() {
        if let Some(id) = living.get(at).filter(|id| **id != from) {
            let age_ms = if refresh { 0 } else { age_ms + way_ms };
            t.roster.heard_elsewhere(*id, from, age_ms, t.arrived);
        }
    }
}
