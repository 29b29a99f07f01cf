//! Table: how each node is reached. Features say "to that id"; this table says where the datagram
//! goes next.
//!
//! Answers go to where the last authentic datagram came from. A hidden node is reached through
//! its parent unless it was heard directly a moment ago: a mapping that happens to be open in a
//! NAT does not make it direct for long.

use crate::node::boundary::Socket;
use crate::node::own::Own;
use crate::node::roster::Roster;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::limits::HOPS;
use crate::wire::record::Record;
use crate::wire::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// How long the way a node was last heard on is trusted.
const FRESH_MS: u64 = 30_000;
/// The same for a hidden node that is not our child: NATs forget.
const FRESH_HIDDEN_MS: u64 = 10_000;
/// The same for a way through others: a relay may be gone.
const FRESH_RELAYED_MS: u64 = 3_000;
/// Word this fresh that came directly is answered directly, though a later one was relayed.
const FRESH_DIRECT_MS: u64 = 3_000;
/// How long a broken path is gone around before it is tried again.
const AROUND_MS: u64 = 60_000;

/// Hops looked at on the way to whoever heard a node last.
const HEARER_HOPS: u8 = 4;

/// Where to send: an address, and from which of our sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Way {
    pub address: SocketAddr,
    pub socket: Socket,
}

#[derive(Clone, Debug, Default)]
pub struct Path {
    /// Where its last authentic datagram came from, over how many hops, and when.
    pub last: Option<(Way, u8, Time)>,
    /// The same for the last one that came directly.
    pub direct: Option<(Way, Time)>,
    /// The direct path is broken: go around through this node until then.
    around: Option<(NodeId, Time)>,
    /// Counts failures: which of the ways that proved nothing yet is tried first.
    turn: usize,
    pub rtt_us: Option<u64>,
    /// Its host said that nobody listens there.
    pub refused: Option<Time>,
    /// Its end of a stream was closed without a goodbye, and nothing was heard since.
    pub broke_off: bool,
}

impl Path {
    fn direct_since(&self, now: Time, within_ms: u64) -> Option<(Way, Time)> {
        self.direct.filter(|(_, at)| now.ms_since(*at) < within_ms)
    }
}

#[derive(Default)]
pub struct Routes {
    paths: BTreeMap<NodeId, Path>,
    /// Who was heard on a stream, and when last.
    streams: BTreeMap<NodeId, Time>,
}

impl Routes {
    pub fn get(&self, id: NodeId) -> Option<&Path> {
        self.paths.get(&id)
    }

    pub fn forget(&mut self, id: NodeId) {
        self.paths.remove(&id);
        self.streams.remove(&id);
    }

    pub fn stream_heard(&mut self, id: NodeId, now: Time) {
        self.streams.insert(id, now);
    }

    pub fn heard_on_stream(&self, id: NodeId) -> Option<Time> {
        self.streams.get(&id).copied()
    }

    /// An authentic datagram from `id` came from there.
    pub fn heard(&mut self, id: NodeId, way: Way, hops: u8, now: Time) {
        let path = self.paths.entry(id).or_default();
        path.last = Some((way, hops, now));
        path.refused = None;
        path.broke_off = false;
        if hops == 0 {
            path.direct = Some((way, now));
        }
    }

    pub fn measured(&mut self, id: NodeId, rtt_us: u64) {
        let path = self.paths.entry(id).or_default();
        path.rtt_us = Some(match path.rtt_us {
            Some(before) => (before * 7 + rtt_us) / 8,
            None => rtt_us,
        });
    }

    pub fn rtt_us(&self, id: NodeId) -> Option<u64> {
        self.paths.get(&id)?.rtt_us
    }

    pub fn refused(&mut self, id: NodeId, now: Time) {
        self.paths.entry(id).or_default().refused = Some(now);
    }

    /// Nobody answers for `id` at this address any more.
    pub fn lost(&mut self, id: NodeId, address: SocketAddr) {
        if let Some(path) = self.paths.get_mut(&id) {
            path.last = path.last.filter(|(way, _, _)| way.address != address);
            path.direct = path.direct.filter(|(way, _)| way.address != address);
        }
    }

    pub fn broke_off(&mut self, id: NodeId) {
        self.paths.entry(id).or_default().broke_off = true;
    }

    /// The path to `id` is broken though others reach it: go around through one of them.
    pub fn go_around(&mut self, id: NodeId, through: NodeId, now: Time) {
        let path = self.paths.entry(id).or_default();
        path.around = Some((through, now.plus_ms(AROUND_MS)));
        path.direct = None;
    }

    /// Whether the direct path to `id` is known to be broken.
    pub fn is_around(&self, id: NodeId, now: Time) -> bool {
        let around = self.paths.get(&id).and_then(|path| path.around);
        around.is_some_and(|(_, until)| until > now)
    }

    /// Something sent to `id` got no answer: prefer another of its addresses next time.
    pub fn failed(&mut self, id: NodeId) {
        self.paths.entry(id).or_default().turn += 1;
    }

    /// The address a node was heard under directly, lately.
    pub fn seen_directly(&self, id: NodeId, now: Time) -> Option<SocketAddr> {
        self.direct_way(id, now).map(|way| way.address)
    }

    /// The way a node was heard on directly, lately.
    pub fn direct_way(&self, id: NodeId, now: Time) -> Option<Way> {
        self.paths.get(&id)?.direct_since(now, FRESH_MS).map(|(way, _)| way)
    }

    /// All ways to try for `id`, best first, at most [`HOPS`] of them.
    pub fn ways(&self, id: NodeId, own: &Own, roster: &Roster, now: Time) -> Vec<Way> {
        let mut ways = Vec::new();
        self.collect(id, own, roster, now, HOPS, &mut ways);
        ways.truncate(usize::from(HOPS));
        ways
    }

    /// Where attempt number `attempt` for `id` goes.
    pub fn next(
        &self,
        id: NodeId,
        own: &Own,
        roster: &Roster,
        now: Time,
        attempt: usize,
    ) -> Option<Way> {
        let ways = self.ways(id, own, roster, now);
        (!ways.is_empty()).then(|| ways[attempt % ways.len()])
    }

    fn collect(
        &self,
        id: NodeId,
        own: &Own,
        roster: &Roster,
        now: Time,
        depth: u8,
        ways: &mut Vec<Way>,
    ) {
        let Some(peer) = roster.get(id) else { return };
        if depth == 0 {
            return;
        }
        let path = self.paths.get(&id);
        let add = |way: Way, ways: &mut Vec<Way>| {
            if !ways.iter().any(|known| known.address == way.address) {
                ways.push(way);
            }
        };
        let around = path.and_then(|path| path.around).filter(|(_, until)| *until > now);
        if let Some((through, _)) = around.filter(|(through, _)| *through != id) {
            self.collect(through, own, roster, now, depth - 1, ways);
        }
        let parent = peer.record.parent.filter(|parent| peer.record.hidden && *parent != own.id);
        let fresh_ms = if parent.is_some() { FRESH_HIDDEN_MS } else { FRESH_MS };
        let last = path.and_then(|path| path.last);
        if let Some((way, _)) = path.and_then(|path| path.direct_since(now, FRESH_DIRECT_MS)) {
            add(way, ways);
        }
        let fresh = |(_, hops, at): &(Way, u8, Time)| {
            now.ms_since(*at) < if *hops == 0 { fresh_ms } else { FRESH_RELAYED_MS }
        };
        if let Some((way, _, _)) = last.filter(fresh) {
            add(way, ways);
        }
        if let Some(parent) = parent {
            self.collect(parent, own, roster, now, depth - 1, ways);
        }
        let mut others = self.told(id, &peer.record, own);
        if depth == HOPS {
            others.extend(self.by_hearer(id, own, roster, now));
        }
        if !others.is_empty() {
            let turn = path.map_or(0, |path| path.turn) % others.len();
            others.rotate_left(turn);
        }
        for way in others {
            add(way, ways);
        }
        if let Some((way, _, _)) = last {
            add(way, ways);
        }
    }

    /// The way to whoever heard a node last, if that was another one: it knows how to reach it.
    fn by_hearer(&self, id: NodeId, own: &Own, roster: &Roster, now: Time) -> Option<Way> {
        let hearer = roster.get(id)?.heard_by;
        let lives = roster.get(hearer).is_some_and(|peer| peer.state == State::Alive);
        let mut ways = Vec::new();
        if lives && hearer != id && hearer != own.id {
            self.collect(hearer, own, roster, now, HEARER_HOPS, &mut ways);
        }
        ways.first().copied()
    }

    /// The addresses a node's record tells. An address that is our own or our gateway's (every
    /// Docker host has 172.17.0.1) is not its.
    fn told(&self, id: NodeId, record: &Record, own: &Own) -> Vec<Way> {
        let socket = default_socket(own);
        let addresses = record.addresses.iter().chain(record.public_ip.iter());
        let anothers = |address: &IpAddr| {
            own.is_own_address(*address)
                || own.gateways_met.get(address).is_some_and(|gateway| *gateway != id)
        };
        addresses
            .filter(|address| !anothers(address) || record.port != own.record.port)
            .map(|address| Way { address: SocketAddr::new(*address, record.port), socket })
            .collect()
    }

    /// Where a stream to `id` is dialled: where it was heard directly, or an address that it tells.
    /// A way through others leads to those others.
    pub fn dial(&self, id: NodeId, own: &Own, roster: &Roster, now: Time) -> Option<SocketAddr> {
        let record = &roster.get(id)?.record;
        let told = self.told(id, record, own).into_iter().map(|way| way.address.ip());
        let mut found: Vec<IpAddr> =
            self.seen_directly(id, now).map(|at| at.ip()).into_iter().chain(told).collect();
        found.dedup();
        let turn = self.paths.get(&id).map_or(0, |path| path.turn);
        (!found.is_empty()).then(|| SocketAddr::new(found[turn % found.len()], record.port))
    }

    /// Through which known node `id` is reached, if not directly.
    pub fn through(&self, id: NodeId, own: &Own, roster: &Roster, now: Time) -> Option<NodeId> {
        let first = self.next(id, own, roster, now, 0)?;
        let path = self.paths.get(&id)?;
        if path.direct.is_some_and(|(way, _)| way.address == first.address) {
            return None;
        }
        let around = path.around.filter(|(_, until)| *until > now).map(|(through, _)| through);
        let parent = roster.get(id).filter(|peer| peer.record.hidden)?.record.parent;
        around.or(parent).filter(|through| *through != own.id)
    }

    /// The node heard directly under this address, if any.
    pub fn id_at(&self, address: SocketAddr) -> Option<NodeId> {
        let at = |path: &Path| path.direct.is_some_and(|(way, _)| way.address == address);
        self.paths.iter().find(|(_, path)| at(path)).map(|(id, _)| *id)
    }
}

/// The socket for conversations this node starts: the main one only where others reach it there and
/// no node of ours is its gateway. Behind a NAT it could take over the gateway's own port.
pub fn default_socket(own: &Own) -> Socket {
    let main = own.hidden == Some(false) && own.gateways_met.is_empty();
    if main { Socket::Main } else { Socket::Ephemeral }
}
