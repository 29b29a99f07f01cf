//! Table: who is known. Records, keys, states, names, and when each node was last heard.
//!
//! The engine under `members` decides who is alive; the roster remembers what it decided and
//! decorates it. Nobody is forgotten by itself but the longest dead beyond a named limit.

use crate::node::peer::Peer;
use crate::wire::ids::{Name, NodeId};
use crate::wire::info::State;
use crate::wire::limits::{NODES, REMEMBERED_DEAD};
use crate::wire::record::Record;
use crate::wire::rumor::Subject;
use crate::wire::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Ages above this one are old, and differ by more than this or are the same.
const OLD_MS: u64 = 10_000;
const ECHO_US: i64 = 2_000_000;

/// What putting a record into the roster did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// A node not known before.
    New,
    /// A later life of a known node.
    Later,
    /// Something else of it changed.
    Changed,
    /// Nothing new.
    Same,
    /// The limit of known nodes is reached.
    Full,
}

#[derive(Default)]
pub struct Roster {
    /// Boxed: a tree keeps a third of its room free.
    peers: BTreeMap<NodeId, Box<Peer>>,
    names: BTreeSet<(Name, NodeId)>,
    next_order: u64,
    digest: u64,
    /// Forgotten at a limit: the other tables still hold them.
    pub pushed_out: Vec<Subject>,
}

impl Roster {
    pub fn get(&self, id: NodeId) -> Option<&Peer> {
        self.peers.get(&id).map(|peer| &**peer)
    }

    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(&id).map(|peer| &mut **peer)
    }

    pub fn contains(&self, id: NodeId) -> bool {
        self.peers.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, &**peer))
    }

    pub fn len(&self) -> usize {
        self.peers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub fn live(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.iter().filter(|(_, peer)| peer.is_live())
    }

    /// Takes a checked record. A new node starts in `state`; a known one keeps its own.
    pub fn put(&mut self, record: Record, signed: Vec<u8>, state: State, now: Time) -> Put {
        let id = record.id();
        if let Some(peer) = self.peers.get_mut(&id) {
            if record.stamp() <= peer.record.stamp() {
                return Put::Same;
            }
            let later_life =
                record.generation.start_counter() != peer.record.generation.start_counter();
            let later = record.generation > peer.record.generation;
            if record.name != peer.record.name {
                self.names.remove(&(peer.record.name.clone(), id));
                self.names.insert((record.name.clone(), id));
            }
            if later_life {
                peer.start_life(now);
            }
            self.digest = self.digest.wrapping_sub(peer.digest(id));
            peer.record = record;
            peer.signed = signed;
            self.digest = self.digest.wrapping_add(peer.digest(id));
            return if later { Put::Later } else { Put::Changed };
        }
        if self.len() >= NODES {
            if self.is_full() {
                return Put::Full;
            }
            self.forget_one_dead();
        }
        self.names.insert((record.name.clone(), id));
        let peer = Peer::new(record, signed, state, self.next_order, now);
        self.next_order += 1;
        self.digest = self.digest.wrapping_add(peer.digest(id));
        self.peers.insert(id, Box::new(peer));
        Put::New
    }

    pub fn set_state(&mut self, id: NodeId, state: State, reason: &str, now: Time) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.state == state {
            return false;
        }
        self.digest = self.digest.wrapping_sub(peer.digest(id));
        peer.state = state;
        peer.state_since = now;
        peer.reason = reason.to_string();
        peer.end = peer.end.take().filter(|_| peer.is_dead());
        self.digest = self.digest.wrapping_add(peer.digest(id));
        self.keep_dead_within_limit();
        true
    }

    /// Why a node is down is known better now; false if it is not down.
    pub fn explain(&mut self, id: NodeId, reason: &str) -> bool {
        let down = self.peers.get_mut(&id).filter(|peer| peer.state == State::Down);
        let Some(peer) = down else { return false };
        peer.reason = reason.to_string();
        true
    }

    pub fn forget(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.remove(&id) {
            self.digest = self.digest.wrapping_sub(peer.digest(id));
            self.names.remove(&(peer.record.name, id));
        }
    }

    /// Authentic word from `id` arrived here.
    pub fn heard(&mut self, id: NodeId, own: NodeId, now: Time) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.heard_here = Some(now);
            self.digest = self.digest.wrapping_sub(peer.digest(id));
            peer.unheard = false;
            self.digest = self.digest.wrapping_add(peer.digest(id));
            peer.heard_us = peer.heard_us.max(now.0 as i64);
            peer.heard_by = own;
        }
    }

    /// Remembered, not heard yet; or, with `false`, somebody heard it.
    pub fn set_unheard(&mut self, id: NodeId, unheard: bool) {
        if let Some(peer) = self.peers.get_mut(&id) {
            self.digest = self.digest.wrapping_sub(peer.digest(id));
            peer.unheard = unheard;
            self.digest = self.digest.wrapping_add(peer.digest(id));
        }
    }

    /// Somebody else heard `id`, `age_ms` ago. An old age that is nearly the same is no news: it
    /// comes back from where it went, each time younger by what the way took.
    pub fn heard_elsewhere(&mut self, id: NodeId, by: NodeId, age_ms: u64, now: Time) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let heard_us = now.0 as i64 - age_ms.min(i64::MAX as u64 / 2_000) as i64 * 1_000;
        let echo_us = if age_ms > OLD_MS { ECHO_US } else { 0 };
        if heard_us > peer.heard_us.saturating_add(echo_us) {
            peer.heard_us = heard_us;
            peer.heard_by = by;
        }
    }

    /// The id that begins with these bytes, if just one known node's does.
    pub fn by_prefix(&self, prefix: [u8; 4]) -> Option<NodeId> {
        let low = u64::from(u32::from_be_bytes(prefix)) << 32;
        let mut fits = self.peers.range(NodeId(low)..=NodeId(low | u64::from(u32::MAX)));
        let (id, _) = fits.next()?;
        fits.next().is_none().then_some(*id)
    }

    pub fn by_name(&self, name: &str) -> Vec<NodeId> {
        let Ok(name) = name.parse::<Name>() else { return Vec::new() };
        self.bearers(&name).collect()
    }

    fn bearers(&self, name: &Name) -> impl Iterator<Item = NodeId> {
        let from = (name.clone(), NodeId(0));
        self.names.range(from..).take_while(move |(next, _)| next == name).map(|(_, id)| *id)
    }

    /// Equal rosters have equal ones.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The name `id` is shown under. The one known first bears the bare name, a live one before a
    /// dead one; `own` is this node, known before anybody.
    pub fn shown_name(&self, id: NodeId, own: (NodeId, &Name)) -> String {
        if id == own.0 {
            return own.1.to_string();
        }
        let Some(peer) = self.peers.get(&id) else { return id.short() };
        let name = &peer.record.name;
        let bearer = self.bearers(name).min_by_key(|id| {
            let peer = &self.peers[id];
            (!peer.is_live(), peer.known_order)
        });
        if name != own.1 && bearer == Some(id) {
            name.to_string()
        } else {
            format!("{name}~{}", id.short())
        }
    }

    /// Whether a dead node's name and address were taken by a live one, perhaps by `own`.
    pub fn is_replaced(&self, peer: &Peer, own: &Record) -> bool {
        let took = |record: &Record| {
            record.name == peer.record.name
                && record.addresses.first() == peer.record.addresses.first()
        };
        let namesakes = self.bearers(&peer.record.name);
        let mut others = namesakes.map(|id| &self.peers[&id]).filter(|other| other.is_live());
        !peer.is_live() && (took(own) || others.any(|other| took(&other.record)))
    }

    /// Whether no new node finds room: the limit is reached and nobody is dead.
    pub fn is_full(&self) -> bool {
        self.len() >= NODES && self.iter().all(|(_, peer)| peer.is_live())
    }

    fn forget_one_dead(&mut self) {
        let dead = self.iter().filter(|(_, peer)| !peer.is_live());
        let Some((id, peer)) = dead.min_by_key(|(_, peer)| peer.heard_us) else { return };
        log::warn!(target: "roster", "forgot {id}: the limit of known nodes is reached and it was silent for longest");
        self.pushed_out.push(Subject { id, generation: peer.record.generation });
        self.forget(id);
    }

    fn keep_dead_within_limit(&mut self) {
        if self.len() > REMEMBERED_DEAD
            && self.iter().filter(|(_, peer)| !peer.is_live()).count() > REMEMBERED_DEAD
        {
            self.forget_one_dead();
        }
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut().map(|peer| &mut **peer)
    }
}

pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
