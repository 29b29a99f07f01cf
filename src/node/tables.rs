//! What every feature may read and change: the tables, the outbox, the time of this turn.

use crate::node::boundary::Output;
use crate::node::digest::digest_of;
use crate::node::discovery::Discovery;
use crate::node::journal::Journal;
use crate::node::outbox::Outbox;
use crate::node::own::Own;
use crate::node::roster::Roster;
use crate::node::routes::{Routes, Way};
use crate::node::tokens::Tokens;
use crate::node::trials::Trials;
use crate::wire::control::Part;
use crate::wire::guest::Guests;
use crate::wire::header::Header;
use crate::wire::hello;
use crate::wire::ids::{ClientId, NodeId};
use crate::wire::info::State;
use crate::wire::key::HerdKey;
use crate::wire::limits::HOPS;
use crate::wire::reply::Reply;
use crate::wire::time::Time;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// What waited here longer than this is not handed on, milliseconds.
const LATE_MS: u64 = 500;
/// How long children of a lost parent are suspects without a vote.
const ORPHAN_MS: u64 = 10_000;

/// A node that heard nobody for so long joins what it finds as a lone one would.
const DESERTED_MS: u64 = 60_000;

pub struct Tables {
    pub now: Time,
    /// When what arrives in this turn arrived at the latest: earlier than now if it waited in a
    /// buffer because the turn is late.
    pub arrived: Time,
    pub own: Own,
    pub roster: Roster,
    pub routes: Routes,
    pub tokens: Tokens,
    pub out: Outbox,
    pub random: StdRng,
    /// Since when this node runs without a sleep.
    pub awake_since: Time,
    /// When the silent are looked for again.
    pub next_look: Time,
    pub journal: Journal,
    pub trials: Trials,
    pub discovery: Discovery,
    /// What an Engine here says that it runs; None while it said nothing.
    pub guests: Option<Guests>,
    /// When those who are gone are looked through again.
    pub next_forgetting: Time,
}

impl Tables {
    /// Whether what arrives in this turn waited here while we slept: handed on it would seem fresh.
    pub fn is_late(&self) -> bool {
        self.now.ms_since(self.arrived) > LATE_MS
    }

    /// Whether this is from one of this open herd that has its key already, to another such: it goes
    /// through us though we have none yet.
    pub fn relays_for(&self, header: &Header) -> bool {
        let told = |id| self.roster.get(id).is_some_and(|peer| peer.record.told_keys().is_some());
        header.herd != 0
            && header.destination != self.own.id
            && self.own.identity.ring().takes_open()
            && told(header.sender)
    }

    /// Whether what bears this header is nothing of ours.
    pub fn is_foreign(&self, header: &Header) -> bool {
        !self.own.is_of_herd(header) && !self.relays_for(header)
    }

    /// Whether this node is as good as one that never had a peer: for long it heard none of those it
    /// knew. Then it takes what it finds at its gateway, such as a hypervisor that was made anew.
    pub fn is_deserted(&self) -> bool {
        let lately = |at: Time| self.now.ms_since(at) < DESERTED_MS;
        let heard = self.roster.iter().any(|(_, peer)| peer.heard_here.is_some_and(lately));
        self.roster.is_empty() || (!heard && !lately(self.own.started))
    }

    pub fn way(&self, id: NodeId, attempt: usize) -> Option<Way> {
        self.routes.next(id, &self.own, &self.roster, self.now, attempt)
    }

    pub fn ways(&self, id: NodeId) -> Vec<Way> {
        self.routes.ways(id, &self.own, &self.roster, self.now)
    }

    /// How a node is reached now, for people: an address, or through whom.
    pub fn route(&self, id: NodeId) -> String {
        match self.routes.through(id, &self.own, &self.roster, self.now) {
            Some(through) => format!("via {}", self.name(through)),
            None => {
                let at = self.routes.seen_directly(id, self.now);
                at.map(|address| address.to_string()).unwrap_or_default()
            }
        }
    }

    pub fn name(&self, id: NodeId) -> String {
        self.roster.shown_name(id, (self.own.id, &self.own.record.name))
    }

    /// A sum over the records of the living, this node's among them: whoever has the same one
    /// has the same list.
    pub fn digest(&self) -> u64 {
        self.roster.digest().wrapping_add(digest_of(self.own.id, &self.own.record))
    }

    /// A hello as this herd sends it: as it is in an open one, sealed in a keyed one.
    pub fn seal_hello(&mut self, hello: Vec<u8>, herd: Option<&HerdKey>) -> Vec<u8> {
        match herd {
            Some(key) => {
                let random = self.random.random();
                hello::seal(&hello, key, self.own.options.suite, self.now.0, random)
            }
            None => hello,
        }
    }

    /// The whole answer of this node to a local program.
    pub fn tell(&mut self, client: ClientId, number: u64, reply: Reply) {
        let (node, id) = (self.own.record.name.to_string(), self.own.id);
        let part = Part { number, node, id, reply, last: true, done: true };
        self.out.output(Output::Part { client, part });
    }

    /// Live nodes other than `except`, in random order.
    pub fn some_live(&mut self, except: NodeId) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> =
            self.roster.live().map(|(id, _)| id).filter(|id| *id != except).collect();
        ids.shuffle(&mut self.random);
        ids
    }

    /// How long a peer may take to answer a probe, milliseconds: MeshNet's `timeout` and the
    /// round trip of its path.
    pub fn patience_ms(&self, id: NodeId) -> u64 {
        self.own.options.timeout_ms + self.routes.rtt_us(id).unwrap_or(0).div_ceil(1_000)
    }

    /// Whether `id` is our parent, its parent, and so on.
    pub fn is_ancestor(&self, id: NodeId) -> bool {
        let mut above = self.own.record.parent;
        for _ in 0..HOPS {
            match above {
                Some(parent) if parent == id => return true,
                Some(parent) => {
                    above = self.roster.get(parent).and_then(|peer| peer.record.parent);
                }
                None => return false,
            }
        }
        false
    }

    /// Whether a node's parent was lost a moment ago: it gets time to find another.
    pub fn is_orphan(&self, id: NodeId) -> bool {
        let parent = |id: NodeId| self.roster.get(id).filter(|p| p.record.hidden)?.record.parent;
        let mut above = parent(id);
        for _ in 0..HOPS {
            let Some(next) = above else { return false };
            let Some(peer) = self.roster.get(next) else { return false };
            let lost_ms = self.now.ms_since(peer.state_since);
            if peer.state != State::Alive && lost_ms < ORPHAN_MS {
                return true;
            }
            above = parent(next);
        }
        false
    }
}
