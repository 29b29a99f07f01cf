//! Who is hidden, and what others see of us.
//!
//! Hidden is tested, not guessed: a witness that sees us under an address that is not ours (or,
//! without such a one, any third node) knocks at the addresses of our record from a port we never
//! sent to. Our gateway alone is no witness: it sees behind its own NAT. Three tries; again with a
//! new kind of witness, after an address change, and every ten minutes.

use crate::node::boundary::Socket;
use crate::node::outbox::{Carry, Notice};
use crate::node::peer::Peer;
use crate::node::planted::Bug;
use crate::node::roster::is_link_local;
use crate::node::routes::{Way, default_socket};
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::message::{Body, Nonce, Saw};
use crate::wire::time::Time;
use rand::RngExt;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// The first test comes so long after the first witness, the next ones so long after each other.
const FIRST_MS: u64 = 500;
const AGAIN_MS: u64 = 600_000;
/// Without any witness: look for one this often.
const WITNESS_MS: u64 = 5_000;
/// One try waits so long for the knock.
const TRY_MS: u64 = 700;
/// Tries in which the witness answered and no knock came; and tries in all.
const TRIES: u32 = 3;
const TRIES_IN_ALL: u32 = 8;
/// Looks in vain for a witness before a node behind another is taken for hidden.
const LOOKS: u32 = 2;
/// Witnesses whose word decides the public ip, and those whose word is kept until it may count.
const WITNESSES: usize = 5;
const WITNESSES_KEPT: usize = 32;
/// Addresses that others see us under, remembered.
const SEEN: usize = 256;
/// Addresses one knock is tried at.
const KNOCKS: usize = 4;
/// How often a peer is told under which address it is seen.
const TELL_MS: u64 = 60_000;
const TELL_MOVED_MS: u64 = 5_000;

struct Test {
    witness: NodeId,
    nonce: u64,
    /// The witness sees us under an address that is not ours.
    strong: bool,
    answered: bool,
    failed: u32,
    tries: u32,
    next: Time,
}

pub struct Nat {
    test: Option<Test>,
    next_test: Time,
    /// Looks in a row that found nobody who answers.
    vain: u32,
    /// Whether the last test had a strong witness.
    strong: bool,
    /// Under which address others see us.
    seen: BTreeMap<NodeId, SocketAddr>,
    witnesses: VecDeque<(NodeId, IpAddr)>,
    told: BTreeMap<NodeId, (SocketAddr, Time)>,
}

impl Nat {
    pub fn new(now: Time) -> Nat {
        Nat {
            test: None,
            next_test: now.plus_ms(FIRST_MS),
            vain: 0,
            strong: false,
            seen: BTreeMap::new(),
            witnesses: VecDeque::new(),
            told: BTreeMap::new(),
        }
    }

    /// Our addresses changed: nothing known about us from outside holds any more.
    pub fn moved(&mut self, t: &mut Tables) {
        *self = Nat::new(t.now);
        t.own.hidden = None;
        // It was seen before it was known to be ours.
        if t.own.record.public_ip.is_some_and(|ip| t.own.is_own_address(ip)) {
            t.own.change(|record| record.public_ip = None);
        }
    }

    /// A peer's datagram came directly from `way`: if that is none of its own addresses, it
    /// should know.
    pub fn saw_peer(&mut self, t: &mut Tables, id: NodeId, way: Way) {
        let Some(peer) = t.roster.get(id) else { return };
        let at = way.address.ip();
        let own = peer.record.addresses.contains(&at) || is_link_local(at);
        if own || t.own.hidden == Some(true) {
            return;
        }
        let told = self.told.get(&id);
        // Behind a symmetric NAT this word itself may come from another address again.
        let again = told.is_none_or(|(address, at)| {
            let wait_ms = if *address == way.address { TELL_MS } else { TELL_MOVED_MS };
            t.now.ms_since(*at) >= wait_ms
        });
        if again {
            if self.told.len() >= SEEN {
                self.told.clear();
            }
            self.told.insert(id, (way.address, t.now));
            let saw = Saw { address: way.address, nonce: None };
            t.out.carry(id, Body::Saw(saw), Carry::At(way));
        }
    }

    /// A witness says under which address it sees us.
    pub fn saw(&mut self, t: &mut Tables, from: NodeId, saw: Saw) {
        if let Some(test) = self.test.as_mut().filter(|test| saw.nonce == Some(test.nonce)) {
            test.answered = true;
        }
        // A link-local address is ours, told in the record or not: no NAT lies on one link.
        if t.own.is_own_address(saw.address.ip()) || is_link_local(saw.address.ip()) {
            self.seen.remove(&from);
            return;
        }
        if self.seen.len() >= SEEN && !self.seen.contains_key(&from) {
            return;
        }
        self.seen.insert(from, saw.address);
        self.witness(t, from, saw.address.ip());
    }

    fn witness(&mut self, t: &mut Tables, from: NodeId, address: IpAddr) {
        self.witnesses.retain(|(id, _)| *id != from);
        self.witnesses.push_front((from, address));
        self.witnesses.truncate(WITNESSES_KEPT);
        self.judge_public(t);
    }

    /// The public ip is what most of the last few witnesses see. Who is above us in the tree is no
    /// witness: it sees behind one of our NATs. Called again when that changes.
    pub fn judge_public(&mut self, t: &mut Tables) {
        if t.own.options.public_face.is_some() {
            return;
        }
        let counts = |id: NodeId| {
            t.roster.get(id).is_some_and(|peer| !peer.record.hidden) && !t.is_ancestor(id)
        };
        let heard = self.witnesses.iter().filter(|(id, _)| counts(*id)).take(WITNESSES);
        let seen: Vec<IpAddr> = heard.map(|(_, ip)| *ip).collect();
        let votes = |ip: &IpAddr| seen.iter().filter(|seen| *seen == ip).count();
        let best = seen.iter().copied().max_by_key(|ip| (votes(ip), *ip));
        let public = best.filter(|ip| votes(ip) * 2 > seen.len());
        if t.own.change(|record| record.public_ip = public) {
            t.out.notice(Notice::OwnChanged);
        }
    }

    fn start(&mut self, t: &mut Tables, witness: NodeId, strong: bool) {
        let nonce = t.random.random();
        let next = t.now;
        self.test =
            Some(Test { witness, nonce, strong, answered: false, failed: 0, tries: 0, next });
        self.next_test = t.now.plus_ms(AGAIN_MS).on_grid();
    }

    pub fn tick(&mut self, t: &mut Tables) {
        let stronger = !self.strong && self.seen.keys().any(|id| is_witness(t, *id));
        if self.test.is_none() && (self.next_test <= t.now || stronger) {
            self.next_test = t.now.plus_ms(WITNESS_MS).on_grid();
            let seen = &self.seen;
            let candidates = t.some_live(t.own.id);
            let strong = candidates.iter().find(|id| seen.contains_key(id) && is_witness(t, **id));
            let weak = |id: &&NodeId| is_witness(t, **id) && !may_be_gateway(t, **id);
            let any = candidates.iter().find(weak);
            if let Some(witness) = strong.or(any).copied() {
                let strong = strong.is_some();
                self.start(t, witness, strong);
            } else {
                self.nobody_near(t);
            }
        }
        let Some(test) = self.test.as_mut().filter(|test| test.next <= t.now) else { return };
        test.failed += u32::from(test.tries > 0 && test.answered);
        if test.failed >= TRIES {
            self.tested(t, true);
        } else if test.tries >= TRIES_IN_ALL {
            self.test = None;
            self.next_test = t.now.plus_ms(WITNESS_MS).on_grid();
            self.nobody_near(t);
        } else {
            test.tries += 1;
            test.answered = false;
            test.next = t.now.plus_ms(TRY_MS);
            let body = Body::Test(Nonce { nonce: test.nonce });
            if let Some(way) = t.routes.direct_way(test.witness, t.now) {
                t.out.carry(test.witness, body, Carry::At(way));
            }
        }
    }

    /// Nobody can be asked, though others live whom everybody can reach: they and we reach each
    /// other through our gateway's node alone, over a network that goes no further or is not
    /// translated (yet).
    fn nobody_near(&mut self, t: &mut Tables) {
        let far = |(id, _): (NodeId, &Peer)| is_open(t, id) && !may_be_gateway(t, id);
        let behind = !t.own.gateways_met.is_empty() && t.roster.live().any(far);
        self.vain = if behind { self.vain + 1 } else { 0 };
        if self.vain >= LOOKS {
            self.conclude(t, true, "nobody beyond the gateway sees it");
        }
    }

    /// A witness is asked: it says what it sees, and knocks from the other socket.
    pub fn asked(&mut self, t: &mut Tables, from: NodeId, nonce: u64, way: Way) {
        let Some(peer) = t.roster.get(from) else { return };
        // Behind its NAT, or perhaps behind another one, we see what others do not.
        let behind = t.own.hidden != Some(false) && !t.own.gateways_met.is_empty();
        if behind || may_be_gateway(t, from) {
            return;
        }
        let port = peer.record.port;
        let mut addresses: Vec<IpAddr> = peer.record.addresses.clone();
        addresses.truncate(KNOCKS - 1);
        addresses.push(way.address.ip());
        addresses.dedup();
        let socket = if way.socket == Socket::Main { Socket::Ephemeral } else { Socket::Main };
        if socket == Socket::Main && default_socket(&t.own) != Socket::Main {
            return;
        }
        let saw = Saw { address: way.address, nonce: Some(nonce) };
        t.out.carry(from, Body::Saw(saw), Carry::At(way));
        for address in addresses {
            let way = Way { address: SocketAddr::new(address, port), socket };
            t.out.carry(from, Body::Knock(Nonce { nonce }), Carry::At(way));
        }
    }

    /// A knock arrived, directly.
    pub fn knocked(&mut self, t: &mut Tables, from: NodeId, nonce: u64) {
        let current = |test: &&Test| test.nonce == nonce && test.witness == from;
        if self.test.as_ref().filter(current).is_some() {
            self.tested(t, false);
        }
    }

    fn tested(&mut self, t: &mut Tables, hidden: bool) {
        let Some(test) = self.test.take() else { return };
        self.strong = test.strong;
        let other = if test.strong { ", who sees it under another address" } else { "" };
        let how = format!("as {} tested{other}", t.name(test.witness));
        self.conclude(t, hidden, &how);
    }

    fn conclude(&mut self, t: &mut Tables, hidden: bool, how: &str) {
        let hidden = hidden && !t.own.has(Bug::NeverHidden);
        self.vain = 0;
        if t.own.hidden != Some(hidden) {
            let can = if hidden { "cannot" } else { "can" };
            log::info!(target: "nat", "others {can} start a conversation with this node: {how}");
        }
        t.own.hidden = Some(hidden);
        if t.own.change(|record| {
            record.hidden = hidden;
            record.parent = record.parent.filter(|_| hidden);
        }) {
            t.out.notice(Notice::OwnChanged);
        }
        if !hidden {
            t.out.notice(Notice::Parent(None));
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        Some(self.test.as_ref().map_or(self.next_test, |test| test.next))
    }
}

/// Whether a node bears our gateway's address: it may be our gateway, known under another address.
fn may_be_gateway(t: &Tables, id: NodeId) -> bool {
    let gateways = &t.own.options.gateways;
    let has = |address: &IpAddr| gateways.contains(address);
    t.roster.get(id).is_some_and(|peer| peer.record.addresses.iter().any(has))
}

/// Whether everybody can reach a node: alive, not hidden itself, and not our gateway.
fn is_open(t: &Tables, id: NodeId) -> bool {
    t.roster.get(id).is_some_and(|peer| peer.state == State::Alive && !peer.record.hidden)
        && !t.own.gateways_met.values().any(|gateway| *gateway == id)
}

/// Whether a node may witness: one of those, and we see each other.
fn is_witness(t: &Tables, id: NodeId) -> bool {
    is_open(t, id) && t.routes.seen_directly(id, t.now).is_some()
}
