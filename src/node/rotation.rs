//! How a new herd key spreads: each node's record tells which keys it holds, and whoever lacks the
//! newest asks one that has it. Spreading, catching up after an absence, and two keys made at once are
//! all the same: of what is told, the greatest is pulled.

use crate::node::keys;
use crate::node::outbox::Carry;
use crate::node::peer::Peer;
use crate::node::planted::Bug;
use crate::node::rights::{self, Asker};
use crate::node::tables::Tables;
use crate::wire::command::{Command, Scope};
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::key::OPEN;
use crate::wire::keyring::{Gift, read};
use crate::wire::message::Body;
use crate::wire::record::Record;
use crate::wire::time::Time;
use rand::RngExt;
use rand::seq::IndexedRandom;

/// Who does not answer is asked again, or another, after this.
const AGAIN_MS: u64 = 500;
/// Whether a key may be taken from somebody is looked at again after this.
const LATER_MS: u64 = 30_000;
/// What follows for a node that takes no key from others.
const NO_KEY_TAKEN: &str = "; it takes no key for its herd either and is not heard any more without \
                            one: `daust token` there, then `daustd --join` here";
/// A key that somebody shut out may hold is followed by another within this: some wait, so that not all
/// make one.
const REMAKE_MS: u64 = 2_000;
/// Word that somebody has the key is everywhere so soon.
const OPEN_SETTLE_MS: u64 = 10_000;

pub struct Rotation {
    /// Somebody told of a newer key than ours.
    wanted: bool,
    next_ask: Time,
    asked: Option<NodeId>,
    /// That a key is not taken was said, and of whom.
    refused: Option<NodeId>,
    remake: Option<Time>,
    /// All who were to get the key of this open herd have it: when it ends.
    settled: Option<Time>,
}

impl Rotation {
    pub fn new(now: Time) -> Rotation {
        // Of records kept from earlier, one may tell.
        Rotation {
            wanted: true,
            next_ask: now,
            asked: None,
            refused: None,
            remake: None,
            settled: None,
        }
    }

    /// A record came.
    pub fn told(&mut self, t: &Tables, id: NodeId) {
        let newer = t.roster.get(id).is_some_and(|peer| has_newer(t, id, &peer.record));
        if newer && !self.wanted {
            self.wanted = true;
            self.next_ask = t.now;
        }
    }

    /// Another node wants our newest key. Only those in the herd get this far.
    pub fn asked(&self, t: &mut Tables, from: NodeId, back: Carry) {
        let ring = t.own.identity.ring();
        if !ring.may_have(from) && !t.own.has(Bug::AdoptedByAnybody) {
            t.own.count("herd keys not handed to who was not named");
            return;
        }
        if let Some(gift) = ring.gift(t.own.unix_s(t.now)) {
            t.out.carry(from, Body::Key(gift), back);
        }
    }

    pub fn given(&mut self, t: &mut Tables, from: NodeId, gift: &Gift) {
        if self.asked != Some(from) || !keys::take(t, from, gift) {
            t.own.count("herd keys not taken");
        }
    }

    pub fn tick(&mut self, t: &mut Tables) {
        t.tokens.expire(t.now);
        let ring = t.own.identity.ring();
        if ring.next_retirement().is_some_and(|at| at <= t.own.unix_s(t.now)) {
            keys::retire(t);
        }
        let pulls = !t.own.leaving && !t.own.has(Bug::KeyNotPulled);
        if self.wanted && self.next_ask <= t.now && pulls {
            self.ask(t);
        }
        self.remake(t);
        self.end_open(t);
    }

    /// Who has no key is heard no more once all who were to get it say that they have it, and had a
    /// moment to hear that of each other; or after a time, whoever is away.
    fn end_open(&mut self, t: &mut Tables) {
        let ring = t.own.identity.ring();
        let (Some(adoption), Some(newest)) = (ring.adoption(), ring.newest_id()) else {
            self.settled = None;
            return;
        };
        let has = |peer: &Peer| {
            let told = peer.record.told_keys().is_some_and(|told| read(told).contains(&newest));
            told || peer.state == State::Left
        };
        let mut members = adoption.members.iter().filter(|id| **id != t.own.id);
        let all = members.all(|id| t.roster.get(*id).is_some_and(has));
        let over = adoption.until_unix_s <= t.own.unix_s(t.now);
        let settled = *self.settled.get_or_insert(t.now.plus_ms(OPEN_SETTLE_MS));
        if !all {
            self.settled = None;
        }
        if over || (all && settled <= t.now) {
            self.settled = None;
            keys::close(t);
        }
    }

    fn ask(&mut self, t: &mut Tables) {
        let newer = |(id, peer): &(NodeId, &Peer)| has_newer(t, *id, &peer.record);
        let holders: Vec<NodeId> = t.roster.live().filter(newer).map(|(id, _)| id).collect();
        let given = |id: &NodeId| {
            !t.own.identity.ring().is_empty() || rights::why_no_adoption(t, *id).is_none()
        };
        let givers: Vec<NodeId> = holders.iter().copied().filter(given).collect();
        self.asked = givers.choose(&mut t.random).copied();
        self.wanted = !holders.is_empty();
        self.next_ask = t.now.plus_ms(if givers.is_empty() { LATER_MS } else { AGAIN_MS });
        match (self.asked, holders.first()) {
            (Some(id), _) => t.out.send(id, Body::KeyPull),
            (None, Some(id)) => self.refuse(t, *id),
            (None, None) => {}
        }
    }

    /// Nobody who has a key for this open herd may give it to this node: its history says so, once.
    fn refuse(&mut self, t: &mut Tables, holder: NodeId) {
        if self.refused.replace(holder).is_some() {
            return;
        }
        let Some(mut failure) = rights::why_no_adoption(t, holder) else { return };
        failure.detail += NO_KEY_TAKEN;
        let asker = Asker::node(t, holder);
        log::warn!(target: "keys", "no herd key is taken from {}: {}", t.name(holder), failure.detail);
        t.journal.note(t.now, &asker, &Scope::Here, &Command::Adopt(Vec::new()), Some(&failure));
    }

    fn remake(&mut self, t: &mut Tables) {
        if !t.own.identity.ring().is_uncovered() || t.own.has(Bug::NotRemade) {
            self.remake = None;
            return;
        }
        let wait_ms = t.random.random_range(0..REMAKE_MS);
        if *self.remake.get_or_insert(t.now.plus_ms(wait_ms)) <= t.now {
            self.remake = None;
            keys::make(t, &[]);
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        self.wanted
            .then_some(self.next_ask)
            .into_iter()
            .chain(self.remake)
            .chain(self.settled)
            .min()
    }
}

/// Of those who are not to have our key, none is believed to have a newer one.
fn has_newer(t: &Tables, id: NodeId, record: &Record) -> bool {
    let ring = t.own.identity.ring();
    let newest = ring.newest_id().unwrap_or(OPEN);
    ring.may_have(id)
        && record.told_keys().is_some_and(|told| read(told).into_iter().any(|id| id > newest))
}
