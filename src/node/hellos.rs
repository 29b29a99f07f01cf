//! Meeting: contacts to greet, questions to answer, proofs to await.
//!
//! A contact is an address to be greeted until the node there is a member: typed by a person,
//! given by `-k`, remembered, or the default gateway. Greeting a random remembered pair that is
//! not a member goes on for ever: that is what heals islands and long partitions.

use crate::node::admission::Admission;
use crate::node::outbox::{Notice, Occasion};
use crate::node::planted::Bug;
use crate::node::roster::{Peer, Put, is_private};
use crate::node::routes::{Way, default_socket};
use crate::node::tables::Tables;
use crate::wire::PROTOCOL_VERSION;
use crate::wire::codec;
use crate::wire::header::{Header, Kind};
use crate::wire::hello::{Hello, Intent, Refusal};
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::limits::{CONTACTS, HOMES, PENDING_HELLOS, UNPROVED_MS};
use crate::wire::record::Record;
use crate::wire::reply::{ErrorCode, Failure};
use crate::wire::seal::PairKey;
use crate::wire::time::Time;
use rand::RngExt;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A lost hello is repeated after this, then each time later up to the most.
const AGAIN_MS: u64 = 1_000;
const AGAIN_MOST_MS: u64 = 30_000;
/// How often one remembered node that is not a member is greeted.
const REMEMBERED_MS: u64 = 5_000;
const REMEMBERED_WAYS: usize = 3;
/// A hidden node without a parent greets so many nodes that may become one, this often.
const ORPHAN_MS: u64 = 2_000;
const ORPHAN_CONTACTS: usize = 4;
/// While cut off, everyone is tried: the first time after this, then each time twice as late.
const CUT_OFF_MS: u64 = 1_000;
/// A node that heard nobody for so long joins its gateway as a lone one would.
const DESERTED_MS: u64 = 60_000;
/// Nodes greeted under a newly drawn identity or a higher life.
const REINTRODUCED: usize = 16;

struct Contact {
    why: Occasion,
    intent: Intent,
    /// Who is expected there; anybody for a typed or given address.
    id: NodeId,
    nonce: u64,
    since: Time,
    next: Time,
    wait_ms: u64,
    /// Who answered there last, and when: met for good once sealed word came after it.
    met: Option<(NodeId, Time)>,
}

struct Pending {
    record: Record,
    signed: Vec<u8>,
    key: PairKey,
    until: Time,
}

pub struct Hellos {
    contacts: BTreeMap<SocketAddr, Contact>,
    pending: BTreeMap<NodeId, Pending>,
    admission: Admission,
    next_remembered: Time,
    next_orphan: Time,
    cut_off_wait_ms: u64,
}

impl Hellos {
    pub fn new(t: &mut Tables) -> Hellos {
        let jitter_ms = t.random.random_range(0..REMEMBERED_MS);
        let mut hellos = Hellos {
            contacts: BTreeMap::new(),
            pending: BTreeMap::new(),
            admission: Admission::default(),
            next_remembered: t.now.plus_ms(jitter_ms),
            next_orphan: t.now,
            cut_off_wait_ms: CUT_OFF_MS,
        };
        hellos.set_homes(t, &t.own.options.homes.clone());
        hellos.set_gateways(t, &t.own.options.gateways.clone());
        hellos.greet_remembered(t, usize::MAX);
        hellos
    }

    pub fn set_homes(&mut self, t: &mut Tables, homes: &[SocketAddr]) {
        t.own.options.homes = homes.iter().copied().take(HOMES).collect();
        self.contacts.retain(|at, contact| contact.why != Occasion::Home || homes.contains(at));
        for home in t.own.options.homes.clone() {
            self.contact(t, home, NodeId::ANYBODY, Intent::Join, Occasion::Home);
        }
    }

    pub fn set_gateways(&mut self, t: &mut Tables, gateways: &[IpAddr]) {
        t.own.options.gateways = gateways.to_vec();
        let is_gateway = |at: &SocketAddr| gateways.contains(&at.ip());
        self.contacts.retain(|at, contact| contact.why != Occasion::Gateway || is_gateway(at));
        for gateway in gateways {
            if !t.own.is_own_address(*gateway) {
                let at = SocketAddr::new(*gateway, t.own.record.port);
                self.contact(t, at, NodeId::ANYBODY, Intent::Lone, Occasion::Gateway);
            }
        }
    }

    /// Greets an address from now on. A typed contact comes before any other reason.
    pub fn contact(
        &mut self,
        t: &mut Tables,
        at: SocketAddr,
        id: NodeId,
        intent: Intent,
        why: Occasion,
    ) {
        let is_typed = matches!(why, Occasion::Typed { .. });
        if let Some(known) = self.contacts.get_mut(&at) {
            if is_typed || (why == Occasion::Home && known.why != Occasion::Home) {
                known.intent = Intent::Join;
                known.id = NodeId::ANYBODY;
                known.next = t.now;
                known.wait_ms = AGAIN_MS;
                if known.why != Occasion::Home {
                    known.why = why;
                }
            }
            return;
        }
        if self.contacts.len() >= CONTACTS {
            t.own.count("contacts refused at their limit");
            if is_typed {
                let text = format!("limit of {CONTACTS} contacts greeted at once reached");
                let failure = Failure::new(ErrorCode::Limit, text);
                t.out.notice(Notice::ContactFailed { address: at, failure });
            }
            return;
        }
        let nonce = t.random.random();
        let contact = Contact {
            why,
            intent,
            id,
            nonce,
            since: t.now,
            next: t.now,
            wait_ms: AGAIN_MS,
            met: None,
        };
        self.contacts.insert(at, contact);
    }

    /// Greets up to `most` remembered nodes that are not alive members.
    pub fn greet_remembered(&mut self, t: &mut Tables, most: usize) {
        if t.own.has(Bug::NotGreeted) {
            return;
        }
        let cut_off = t.own.stale_since.is_some();
        self.greet_some(t, most, |peer| cut_off || peer.state != State::Alive);
    }

    fn greet_some(&mut self, t: &mut Tables, most: usize, wanted: impl Fn(&Peer) -> bool) {
        let wanted = t.roster.iter().filter(|(_, peer)| wanted(peer));
        let mut ids: Vec<NodeId> = wanted.map(|(id, _)| id).collect();
        ids.shuffle(&mut t.random);
        for id in ids.into_iter().take(most.min(CONTACTS / 2)) {
            // All ways: where it was heard last may be the port of a process that is no more.
            for way in t.ways(id).into_iter().take(REMEMBERED_WAYS) {
                self.contact(t, way.address, id, Intent::Return, Occasion::Remembered);
            }
        }
    }

    /// Our id or our keys are others than before: tells those we know at once.
    pub fn greet_known(&mut self, t: &mut Tables, intent: Intent) {
        let mut ids: Vec<NodeId> =
            t.roster.iter().filter(|(_, peer)| !peer.is_dead()).map(|(id, _)| id).collect();
        ids.shuffle(&mut t.random);
        for id in ids.into_iter().take(REINTRODUCED) {
            if let Some(way) = t.way(id, 0) {
                self.contacts.remove(&way.address);
                self.contact(t, way.address, id, intent, Occasion::Remembered);
            }
        }
    }

    pub fn tick(&mut self, t: &mut Tables) {
        self.pending.retain(|_, pending| pending.until > t.now);
        if t.own.leaving {
            return;
        }
        if self.next_remembered <= t.now {
            let cut_off = t.own.stale_since.is_some();
            self.cut_off_wait_ms =
                if cut_off { (self.cut_off_wait_ms * 2).min(AGAIN_MOST_MS) } else { CUT_OFF_MS };
            let wait_ms = if cut_off { self.cut_off_wait_ms } else { REMEMBERED_MS };
            self.next_remembered = t.now.plus_ms(wait_ms).on_grid();
            self.greet_remembered(t, if cut_off { usize::MAX } else { 1 });
        }
        let orphan = t.own.hidden == Some(true) && t.own.record.parent.is_none();
        if orphan && self.next_orphan <= t.now {
            self.next_orphan = t.now.plus_ms(ORPHAN_MS).on_grid();
            let may_hold = |peer: &Peer| !peer.record.hidden && peer.state != State::Alive;
            self.greet_some(t, ORPHAN_CONTACTS, may_hold);
        }
        let due: Vec<SocketAddr> = self
            .contacts
            .iter()
            .filter(|(_, contact)| contact.next <= t.now)
            .map(|(at, _)| *at)
            .collect();
        for at in due {
            self.greet(t, at);
        }
    }

    fn greet(&mut self, t: &mut Tables, at: SocketAddr) {
        let Some(contact) = self.contacts.get_mut(&at) else { return };
        let is_member = |id: NodeId, after: Time| {
            let peer = t.roster.get(id).filter(|peer| peer.state == State::Alive);
            peer.and_then(|peer| peer.heard_here).is_some_and(|at| at > after)
        };
        let met = contact.met.is_some_and(|(id, at)| is_member(id, at))
            || is_member(contact.id, contact.since);
        match contact.why {
            Occasion::Typed { until } if until <= t.now => {
                self.contacts.remove(&at);
                let text = format!("no daustd answers at {at}");
                let failure = Failure::new(ErrorCode::Unreachable, text);
                t.out.notice(Notice::ContactFailed { address: at, failure });
                return;
            }
            Occasion::Typed { .. } if met => {
                self.contacts.remove(&at);
                return;
            }
            Occasion::Remembered if met || contact.wait_ms > 2 * AGAIN_MS => {
                self.contacts.remove(&at);
                return;
            }
            // A gateway is asked so that a lone node joins it, and a member finds its parent.
            Occasion::Home | Occasion::Gateway if met => {
                contact.next = t.now.plus_ms(AGAIN_MOST_MS / 6).on_grid();
                return;
            }
            _ => {}
        }
        let intent = match contact.why {
            Occasion::Gateway if !is_deserted(t) => Intent::Return,
            _ => contact.intent,
        };
        contact.next = t.now.plus_ms(contact.wait_ms);
        contact.wait_ms = (contact.wait_ms * 2).min(AGAIN_MOST_MS);
        let hello = hello(t, intent, contact.nonce);
        let header = Header::new(Kind::HelloQuestion, contact.id, t.own.id);
        let way = Way { address: at, socket: default_socket(&t.own) };
        let mut question = hello.question(&header);
        if t.own.has(Bug::NotPadded) {
            question.truncate(header.to_bytes().len() + codec::encode(&hello).len());
        }
        send(t, way, question);
    }

    /// A question arrived. The answer is never longer than the question.
    pub fn question(
        &mut self,
        t: &mut Tables,
        way: Way,
        header: &Header,
        rest: &[u8],
        length: usize,
    ) {
        let is_for_us = [NodeId::ANYBODY, t.own.id].contains(&header.destination);
        // One that could not be awaited is not answered either: it greets again.
        let full =
            self.pending.len() >= PENDING_HELLOS && !self.pending.contains_key(&header.sender);
        if !is_for_us || header.sender == t.own.id {
            t.own.count("hellos for others");
            return;
        }
        if full || !self.admission.may_answer(t.now, way.address) {
            let pending = "hellos not answered at the limit of pending ones";
            t.own.count(if full { pending } else { "hellos not answered at their limits" });
            return;
        }
        let Ok(question) = codec::decode::<Hello>(rest) else {
            t.own.count("malformed");
            return;
        };
        let Ok(record) = Record::open(t.own.options.suite, &question.record) else {
            t.own.count("forged");
            return;
        };
        if record.id() != header.sender {
            t.own.count("forged");
            return;
        }
        let start = t.own.record.generation.start_counter();
        let keys = record.keys();
        let peer_start = record.generation.start_counter();
        let Some(key) = t.own.identity.pair_key(start, &keys, peer_start) else { return };
        let known = t.roster.get(header.sender);
        // The same life under another instance is a clone's: it has to start above, too.
        let known_generation = known
            .filter(|peer| {
                let known = &peer.record;
                known.generation > record.generation
                    || (known.generation.start_counter() == record.generation.start_counter()
                        && known.instance != record.instance)
            })
            .map(|peer| peer.record.generation);
        // Who asks for us by id knew us. Where we know nobody (the disk was lost, or died before our
        // first peer was written) we return to it, as it does to us.
        let knows_us = header.destination == t.own.id && t.roster.is_empty();
        let is_known = known.is_some() || knows_us;
        let refused = self.refusal(t, &question, way.address.ip(), is_known, header.destination);
        let answer =
            Hello { refused, known_generation, ..hello(t, question.intent, question.nonce) };
        let reply = Header::new(Kind::HelloAnswer, header.sender, t.own.id);
        let bytes = answer.answer(&reply, &key);
        if bytes.len() <= length {
            send(t, way, bytes);
        }
        if refused.is_none() && known_generation.is_none() {
            self.await_proof(t, record, question.record, key);
        }
    }

    fn await_proof(&mut self, t: &mut Tables, record: Record, signed: Vec<u8>, key: PairKey) {
        let id = record.id();
        let until = t.now.plus_ms(UNPROVED_MS);
        self.pending.insert(id, Pending { record, signed, key, until });
    }

    fn refusal(
        &mut self,
        t: &Tables,
        question: &Hello,
        source: IpAddr,
        known: bool,
        named: NodeId,
    ) -> Option<Refusal> {
        let speaks = (question.version_min..=question.version_max).contains(&PROTOCOL_VERSION);
        if !speaks {
            return Some(Refusal::Version);
        }
        if t.own.leaving {
            return Some(Refusal::Stopping);
        }
        if !is_private(source) && !t.own.options.open_public {
            return Some(Refusal::PublicAddress);
        }
        if known {
            return None;
        }
        // Who returns and asks for this very id knew it: its herd was ours, and one of us lost what
        // it kept. Who asks for anybody knows but the address, which may be another's by now.
        let stranger = named == NodeId::ANYBODY && !t.roster.is_empty();
        if question.intent == Intent::Return && stranger {
            return Some(Refusal::UnknownNode);
        }
        if t.roster.is_full() {
            return Some(Refusal::Full);
        }
        (!self.admission.may_admit(t.now, source)).then_some(Refusal::Crowded)
    }

    /// An answer arrived.
    pub fn answer(&mut self, t: &mut Tables, way: Way, header: &Header, rest: &[u8]) {
        let Some((at, answer, record)) = self.check_answer(t, header, rest) else {
            t.own.count("forged");
            return;
        };
        let id = record.id();
        if let Some(refusal) = answer.refused {
            self.refused(t, at, &record, refusal);
            return;
        }
        if let Some(known) = answer.known_generation {
            t.out.notice(Notice::StartAbove(known));
            if let Some(contact) = self.contacts.get_mut(&at) {
                contact.next = t.now.plus_ms(100);
            }
            return;
        }
        if let Some(contact) = self.contacts.get_mut(&at) {
            contact.met = Some((id, t.now));
            contact.wait_ms = AGAIN_MS;
        }
        self.admit(t, way, record, answer.record, true);
        t.out.notice(Notice::Contacted { address: at, id });
    }

    /// The contact that is answered, by its nonce: a host with several addresses may answer from
    /// another one than was asked.
    fn check_answer(
        &self,
        t: &Tables,
        header: &Header,
        rest: &[u8],
    ) -> Option<(SocketAddr, Hello, Record)> {
        let answer: Hello = codec::decode(rest).ok()?;
        let asked = |(_, contact): &(&SocketAddr, &Contact)| contact.nonce == answer.nonce;
        let (at, contact) = self.contacts.iter().find(asked)?;
        if header.destination != t.own.id
            || header.sender == t.own.id
            || (contact.id != NodeId::ANYBODY && contact.id != header.sender)
        {
            return None;
        }
        let record = Record::open(t.own.options.suite, &answer.record).ok()?;
        let start = t.own.record.generation.start_counter();
        let peer_start = record.generation.start_counter();
        let key = t.own.identity.pair_key(start, &record.keys(), peer_start)?;
        (record.id() == header.sender && Hello::answer_is_authentic(header, rest, &key))
            .then_some((*at, answer, record))
    }

    fn refused(&mut self, t: &mut Tables, at: SocketAddr, record: &Record, refusal: Refusal) {
        let text = format!("{at} ({}) refuses: {}", record.name, refusal.text());
        let typed = self.contacts.get(&at).is_some_and(|c| matches!(c.why, Occasion::Typed { .. }));
        if typed {
            self.contacts.remove(&at);
            let failure = Failure::new(ErrorCode::Refused, text);
            t.out.notice(Notice::ContactFailed { address: at, failure });
        } else {
            log::info!(target: "hello", "{text}");
        }
    }

    /// The life (start counter) that this datagram proves, if its sender greeted and waits for that.
    pub fn proof(&self, header: &Header, rest: &[u8]) -> Option<u64> {
        let pending = self.pending.get(&header.sender)?;
        pending.key.open(header, rest)?;
        Some(pending.record.generation.start_counter())
    }

    /// Its first sealed datagram opened: it is who it said.
    pub fn proved(&mut self, t: &mut Tables, id: NodeId, way: Way) {
        if let Some(pending) = self.pending.remove(&id) {
            self.admit(t, way, pending.record, pending.signed, false);
        }
    }

    fn admit(&mut self, t: &mut Tables, way: Way, record: Record, signed: Vec<u8>, greeted: bool) {
        let id = record.id();
        match t.roster.put(record, signed, State::Suspect, t.now) {
            Put::Full => {
                t.own.count("nodes refused at the limit of known nodes");
                return;
            }
            Put::New | Put::Later | Put::Changed | Put::Same => {}
        }
        t.routes.heard(id, way, 0, t.now);
        t.roster.heard(id, t.own.id, t.arrived);
        t.out.notice(Notice::Met { id, greeted });
    }

    pub fn deadline(&self) -> Option<Time> {
        let contacts = self.contacts.values().map(|contact| contact.next);
        contacts.chain([self.next_remembered]).min()
    }
}

/// Whether this node is as good as one that never had a peer: for long it heard none of those it
/// knew. Then it takes what it finds at its gateway, such as a hypervisor that was made anew.
fn is_deserted(t: &Tables) -> bool {
    let lately = |at: Time| t.now.ms_since(at) < DESERTED_MS;
    let heard = t.roster.iter().any(|(_, peer)| peer.heard_here.is_some_and(lately));
    t.roster.is_empty() || (!heard && !lately(t.own.started))
}

fn hello(t: &Tables, intent: Intent, nonce: u64) -> Hello {
    Hello {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        intent,
        nonce,
        capabilities: 0,
        proof: Vec::new(),
        record: t.own.signed.clone(),
        refused: None,
        known_generation: None,
    }
}

fn send(t: &mut Tables, way: Way, bytes: Vec<u8>) {
    let output =
        crate::node::boundary::Output::Datagram { socket: way.socket, to: way.address, bytes };
    t.out.output(output);
}
