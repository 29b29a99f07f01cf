//! Who is forgotten by itself once it is gone: what the node's own signed record says, and how long
//! nobody heard it. Each node does this for itself. All know the same record and, but for seconds, the
//! same age, so all come to the same; and who forgot a node takes it from nobody's list as dead, or
//! those who forget later would bring it back. Whoever lives comes back by its own word.

use crate::node::guests::is_testified;
use crate::node::peer::Peer;
use crate::node::planted::Bug;
use crate::node::tables::Tables;
use crate::wire::history::EntryKind;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::life::Class;
use crate::wire::limits::{CATTLE_MS, EPHEMERAL_MS};
use crate::wire::record::Record;
use crate::wire::rumor::Subject;
use crate::wire::time::Time;

/// How often the dead are looked through.
const LOOK_MS: u64 = 1_000;

/// Forgets those whose time is over.
pub fn look(t: &mut Tables) {
    if t.now < t.next_forgetting {
        return;
    }
    t.next_forgetting = t.now.plus_ms(LOOK_MS);
    let everybody = t.own.has(Bug::PetsForgotten);
    let over = |(_, peer): &(NodeId, &Peer)| is_over(peer, everybody, t.now);
    let over: Vec<NodeId> = t.roster.iter().filter(over).map(|(id, _)| id).collect();
    for id in over {
        let (name, peer) = (t.name(id), t.roster.get(id));
        let Some(record) = peer.map(|peer| &peer.record) else { continue };
        let (class, generation) = (record.class(), record.generation);
        log::info!(target: "node", "forgot {name}: {class}, and gone");
        t.journal.event(t.now, EntryKind::Forgotten, id, &name, class.word());
        t.roster.forget(id);
        t.roster.pushed_out.push(Subject { id, generation });
    }
}

fn is_over(peer: &Peer, everybody: bool, now: Time) -> bool {
    let class = if everybody { Class::Ephemeral } else { peer.record.class() };
    let word = peer.state == State::Left || is_testified(peer);
    let Some(limit_ms) = limit_ms(class, word).filter(|_| !peer.is_live()) else { return false };
    // Its end is shown for a while, however late it came; who is only remembered may yet speak.
    let shown_ms = if peer.is_dead() { EPHEMERAL_MS } else { limit_ms };
    peer.age_ms(now) >= limit_ms && now.ms_since(peer.state_since) >= shown_ms
}

/// How long after it was last heard a node that is gone is forgotten, by `word` of its own or its
/// host's that it is; None: never.
fn limit_ms(class: Class, word: bool) -> Option<u64> {
    match class {
        Class::Pet => None,
        Class::Ephemeral if word => Some(EPHEMERAL_MS),
        Class::Ephemeral | Class::Cattle => Some(CATTLE_MS),
    }
}

/// Whether a node that a peer's list holds, in this state and heard so long ago, is to stay forgotten.
pub fn is_past(record: &Record, state: State, age_ms: u64) -> bool {
    let dead = matches!(state, State::Down | State::Left);
    let limit_ms = limit_ms(record.class(), dead);
    state != State::Alive && limit_ms.is_some_and(|limit_ms| age_ms >= limit_ms)
}
