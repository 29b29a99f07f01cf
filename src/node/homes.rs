//! Phoning home: heartbeats, and the parent of a hidden node.
//!
//! A node phones the homes given by `-k` and its parent every second. A hidden node chooses its
//! parent by containment first (its gateway: the hypervisor of a VM, the VM of a container), then
//! the homes it was given, then whoever is nearest. It holds a stream to it and leaves it when
//! three heartbeats go unanswered.

use crate::node::outbox::{Carry, Notice};
use crate::node::peer::Peer;
use crate::node::planted::Bug;
use crate::node::routes::{Way, default_socket};
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::limits::{HEARTBEAT_MS, HEARTBEATS_MISSED, HOMES, HOPS};
use crate::wire::message::{Body, Heartbeat, HeartbeatAnswer, Nonce, Saw};
use crate::wire::time::Time;
use rand::RngExt;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A better parent is taken once it was heard for so long without a gap.
const STEADY_MS: u64 = 5_000;
/// Nodes behind the same NAT are tried directly this often, so many at a time.
const SIBLINGS_MS: u64 = 4_000;
const SIBLINGS: usize = 16;

/// Nodes for which one hub is enough.
const HUB_NODES: usize = 128;

pub struct Homes {
    /// Nodes met at addresses given by `-k`.
    given: Vec<NodeId>,
    next: Time,
    next_siblings: Time,
    /// When each phoned home answered last.
    answered: BTreeMap<NodeId, Time>,
    /// Since when the gateway's node was heard without a gap.
    gateway_since: Option<(NodeId, Time)>,
}

impl Homes {
    pub fn new(now: Time) -> Homes {
        Homes {
            given: Vec::new(),
            next: now.plus_ms(HEARTBEAT_MS).on_grid(),
            next_siblings: now.plus_ms(SIBLINGS_MS).on_grid(),
            answered: BTreeMap::new(),
            gateway_since: None,
        }
    }

    /// A contact answered: if it was given by `-k` or is our default gateway, it is a home.
    pub fn contacted(&mut self, t: &mut Tables, address: SocketAddr, id: NodeId) {
        if t.own.options.gateways.contains(&address.ip()) {
            t.own.gateways_met.insert(address.ip(), id);
            if t.own.tell_host() {
                t.out.notice(Notice::OwnChanged);
            }
        }
        if t.own.options.homes.contains(&address) && !self.given.contains(&id) {
            self.given.push(id);
            if self.given.len() > HOMES {
                self.given.remove(0);
            }
        }
    }

    pub fn tick(&mut self, t: &mut Tables) {
        if self.next > t.now {
            return;
        }
        self.next = t.now.plus_ms(HEARTBEAT_MS).on_grid();
        self.choose_parent(t);
        self.phone(t);
        if self.next_siblings <= t.now && t.own.hidden == Some(true) {
            self.next_siblings = t.now.plus_ms(SIBLINGS_MS).on_grid();
            try_siblings(t);
        }
    }

    fn phone(&mut self, t: &mut Tables) {
        let mut homes: Vec<NodeId> = self.given.clone();
        homes.extend(t.own.record.parent);
        homes.extend(t.own.gateways_met.values());
        if homes.is_empty() {
            homes.extend(hub(t));
        }
        homes.sort_unstable();
        homes.dedup();
        homes.retain(|id| t.roster.contains(*id));
        self.answered.retain(|id, _| homes.contains(id));
        for home in homes {
            self.answered.entry(home).or_insert(t.now);
            let body = Body::Heartbeat(Heartbeat { stamp_us: t.now.0 });
            t.out.send(home, body);
        }
    }

    /// The process slept: silence until now proves nothing about anybody.
    pub fn woke(&mut self, t: &Tables) {
        for at in self.answered.values_mut() {
            *at = t.now;
        }
    }

    /// Phones every home at once: our address changed.
    pub fn phone_now(&mut self, t: &mut Tables) {
        self.next = t.now;
    }

    pub fn heartbeat(&mut self, t: &mut Tables, from: NodeId, body: Heartbeat, way: Way) {
        t.own.phoned_until = t.now.plus_ms(HEARTBEATS_MISSED * HEARTBEAT_MS);
        if let Some(peer) = t.roster.get_mut(from) {
            peer.phones = true;
        }
        let answer = HeartbeatAnswer { stamp_us: body.stamp_us, saw: way.address };
        t.out.carry(from, Body::HeartbeatAnswer(answer), Carry::At(way));
    }

    /// Gives what the home sees, for `nat`.
    pub fn answer(&mut self, t: &mut Tables, from: NodeId, body: HeartbeatAnswer) -> Saw {
        if body.stamp_us <= t.now.0 {
            t.routes.measured(from, t.now.0 - body.stamp_us);
        }
        if let Some(at) = self.answered.get_mut(&from) {
            *at = t.now;
            t.own.watched_until = t.now.plus_ms(HEARTBEATS_MISSED * HEARTBEAT_MS);
        }
        Saw { address: body.saw, nonce: None }
    }

    fn choose_parent(&mut self, t: &mut Tables) {
        if t.own.hidden != Some(true) {
            return;
        }
        let gateway = self.steady_gateway(t);
        let current = t.own.record.parent.filter(|id| self.holds(t, *id));
        let better = gateway.filter(|id| self.holds(t, *id));
        let chosen = better.or(current).or_else(|| self.best_home(t));
        if chosen == t.own.record.parent {
            return;
        }
        if let Some(parent) = chosen {
            self.answered.insert(parent, t.now);
        }
        let homes: Vec<NodeId> =
            self.given.iter().copied().filter(|id| Some(*id) != chosen).take(4).collect();
        t.own.change(|record| {
            record.parent = chosen;
            record.homes = homes;
        });
        t.out.notice(Notice::OwnChanged);
        t.out.notice(Notice::Parent(chosen));
    }

    /// Whether a node can be our parent now.
    fn holds(&self, t: &Tables, id: NodeId) -> bool {
        let silent_ms = HEARTBEATS_MISSED * HEARTBEAT_MS + HEARTBEAT_MS / 2;
        let answers = self.answered.get(&id).is_none_or(|at| t.now.ms_since(*at) < silent_ms);
        (answers && is_parent(t, id))
            || (t.own.has(Bug::ParentKept) && t.own.record.parent == Some(id))
    }

    /// The node at our default gateway, once it was heard steadily (at once if we have none).
    fn steady_gateway(&mut self, t: &Tables) -> Option<NodeId> {
        let mut gateways = t.own.gateways_met.values().copied();
        let found = gateways.find(|id| t.roster.get(*id).is_some_and(Peer::is_live));
        let heard = found.filter(|id| {
            let heard = t.roster.get(*id).and_then(|peer| peer.heard_here);
            heard.is_some_and(|at| t.now.ms_since(at) < HEARTBEATS_MISSED * HEARTBEAT_MS)
        });
        self.gateway_since = match (heard, self.gateway_since) {
            (Some(id), Some((before, since))) if id == before => Some((id, since)),
            (Some(id), _) => Some((id, t.now)),
            (None, _) => None,
        };
        let (id, since) = self.gateway_since?;
        let steady = t.own.record.parent.is_none()
            || t.own.record.parent == Some(id)
            || t.now.ms_since(since) >= STEADY_MS;
        steady.then_some(id)
    }

    fn best_home(&self, t: &mut Tables) -> Option<NodeId> {
        let given = self.given.iter().copied().find(|id| self.holds(t, *id));
        if given.is_some() {
            return given;
        }
        let mut others = t.some_live(t.own.id);
        others.retain(|id| self.holds(t, *id) && t.routes.seen_directly(*id, t.now).is_some());
        let unmeasured = u64::MAX;
        others.into_iter().min_by_key(|id| t.routes.rtt_us(*id).unwrap_or(unmeasured))
    }

    pub fn deadline(&self) -> Option<Time> {
        Some(self.next)
    }
}

/// The home of a node that has no other: of those whom everybody can reach the first by id, so that
/// all nodes phone the same few without asking anybody. They in turn phone the very first.
fn hub(t: &Tables) -> Option<NodeId> {
    let may = |(_, peer): &(NodeId, &Peer)| {
        peer.state == State::Alive && !peer.record.hidden && !peer.record.deadend
    };
    let hubs = t.roster.len() / HUB_NODES + 1;
    let others: Vec<NodeId> = t.roster.live().filter(may).map(|(id, _)| id).take(hubs).collect();
    let own_place = others.partition_point(|id| *id < t.own.id);
    let is_hub = own_place < hubs && t.own.hidden != Some(true) && !t.own.record.deadend;
    let place = match own_place {
        0 if is_hub => return None,
        _ if is_hub => 0,
        _ => t.own.id.0 as usize % others.len().max(1),
    };
    others.get(place).copied()
}

/// Alive, relays, and is unhidden or has a chain of parents that ends at an unhidden node and
/// does not contain us.
fn is_parent(t: &Tables, id: NodeId) -> bool {
    let mut at = id;
    for _ in 0..HOPS {
        let Some(peer) = t.roster.get(at) else { return false };
        if peer.state != State::Alive || peer.record.deadend || at == t.own.id {
            return false;
        }
        match (peer.record.hidden, peer.record.parent) {
            (false, _) => return true,
            (true, Some(parent)) => at = parent,
            (true, None) => return false,
        }
    }
    false
}

/// Nodes that seem to be behind the same NAT: their own addresses are tried directly.
fn try_siblings(t: &mut Tables) {
    let (parent, public) = (t.own.record.parent, t.own.record.public_ip);
    let socket = default_socket(&t.own);
    let mut tries = Vec::new();
    for (id, peer) in t.roster.live().filter(|(_, peer)| peer.record.hidden) {
        let same_parent = parent.is_some() && peer.record.parent == parent;
        let same_public = public.is_some() && peer.record.public_ip == public;
        if same_parent || same_public {
            let address = peer.record.addresses.first().copied();
            let foreign = address.filter(|address| !t.own.is_own_address(*address));
            tries.extend(foreign.map(|ip| (id, SocketAddr::new(ip, peer.record.port))));
        }
        if tries.len() >= SIBLINGS {
            break;
        }
    }
    for (id, address) in tries {
        let nonce = t.random.random();
        let way = Way { address, socket };
        t.out.carry(id, Body::Probe(Nonce { nonce }), Carry::At(way));
    }
}
