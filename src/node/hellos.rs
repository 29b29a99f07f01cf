//! Meeting: questions to answer, proofs to await. Whom to greet is in `contacts`.

use crate::node::admission::Admission;
use crate::node::contacts::{Contacts, hello, send};
use crate::node::outbox::{Met, Notice, Occasion};
use crate::node::own::Own;
use crate::node::pair::PairKeys;
use crate::node::planted::Bug;
use crate::node::roster::Put;
use crate::node::routes::Way;
use crate::node::tables::Tables;
use crate::node::tokens;
use crate::wire::PROTOCOL_VERSION;
use crate::wire::address::is_private;
use crate::wire::codec;
use crate::wire::header::{HEADER_BYTES, Header, Kind};
use crate::wire::hello::{Hello, Intent, Refusal};
use crate::wire::ids::{Generation, NodeId};
use crate::wire::info::State;
use crate::wire::key::HerdKey;
use crate::wire::limits::{HELLO_BYTES, PENDING_HELLOS, UNPROVED_MS};
use crate::wire::record::Record;
use crate::wire::refusal::Outside;
use crate::wire::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What is said of one that greets again and again and never goes on.
const UNHEARD: &str = "greeted more than once and did not go on: what is sent from here may not arrive \
                       there (is UDP blocked that way?); `daust doctor` there says more";

struct Pending {
    /// Where it greets from, and how often it did: each time its nonce is one more.
    from: SocketAddr,
    nonce: u64,
    greeted: u32,
    record: Record,
    signed: Vec<u8>,
    keys: PairKeys,
    until: Time,
}

pub struct Hellos {
    pub contacts: Contacts,
    pending: BTreeMap<NodeId, Pending>,
    admission: Admission,
}

impl Hellos {
    pub fn new(t: &mut Tables) -> Hellos {
        Hellos {
            contacts: Contacts::new(t),
            pending: BTreeMap::new(),
            admission: Admission::default(),
        }
    }

    pub fn tick(&mut self, t: &mut Tables) {
        let lost = self.pending.values().filter(|one| one.until <= t.now && one.greeted > 1);
        for from in lost.map(|one| one.from).collect::<Vec<_>>() {
            self.say(t, from, UNHEARD);
        }
        self.pending.retain(|_, pending| pending.until > t.now);
        self.contacts.tick(t);
    }

    pub fn deadline(&self, t: &Tables) -> Option<Time> {
        self.contacts.deadline().into_iter().chain(t.discovery.deadline()).min()
    }

    /// A hello of this herd arrived: whoever made it holds the herd's key, if it has one.
    pub fn hello(&mut self, t: &mut Tables, way: Way, header: &Header, rest: &[u8]) {
        let Some((plain, herd)) = t.own.open_hello(header, rest) else {
            t.own.count("hellos under another herd key");
            return self.outsider(t, way, header, rest);
        };
        if header.kind == Kind::HelloAnswer {
            return self.answer(t, way, header, &plain, herd.as_ref());
        }
        let named = t.own.identity.ring().adoption();
        let known = t.roster.contains(header.sender)
            || self.pending.contains_key(&header.sender)
            || named.is_some_and(|adoption| adoption.members.contains(&header.sender));
        if !known && !t.own.identity.ring().admits(header.epoch) {
            t.own.count("hellos under an old herd key");
            return self.outsider(t, way, header, rest);
        }
        self.question(t, way, header, &plain, HEADER_BYTES + rest.len(), herd.as_ref());
    }

    /// Somebody outside the herd: one who greets is told so, seldom, and nothing else. Nothing here
    /// is expensive.
    pub fn outsider(&mut self, t: &mut Tables, way: Way, header: &Header, rest: &[u8]) {
        let padded = HEADER_BYTES + rest.len() >= HELLO_BYTES;
        if header.kind != Kind::HelloQuestion || !padded || t.own.leaving {
            return;
        }
        let why = match t.own.is_shut_out(header.sender) {
            true => Outside::Revoked,
            false => Outside::of(header, t.own.identity.herd_and_epoch()),
        };
        self.refuse(t, way, header, rest, why);
    }

    /// A new machine shows a join token. The answer is shorter than the padded question.
    pub fn newcomer(&mut self, t: &mut Tables, way: Way, header: &Header, rest: &[u8]) {
        if HEADER_BYTES + rest.len() < HELLO_BYTES || t.own.leaving {
            return;
        }
        if header.herd != t.own.identity.herd_and_epoch().0 {
            return self.refuse(t, way, header, rest, Outside::TokenOfOther);
        }
        if !self.admission.may_answer(t.now, way.address) {
            t.own.count("hellos not answered at their limits");
            return;
        }
        // Whoever asked before we slept may have given up: its token must not be used up by that. Who
        // still waits asks again.
        if t.is_late() {
            t.own.count("join tokens shown too long ago");
            return;
        }
        match tokens::show(t, way.address, rest) {
            Ok(bytes) => send(t, way, bytes),
            Err(why) => {
                t.own.count("join tokens refused");
                self.refuse(t, way, header, rest, why);
            }
        }
    }

    /// A datagram of another version of the protocol: a refusal of ours, or somebody who greets.
    pub fn other_version(&mut self, t: &mut Tables, way: Way, bytes: &[u8]) {
        let Ok((header, rest)) = Header::parse_any(bytes) else { return };
        if self.contacts.is_echo(rest) {
            let why = Outside::Version;
            let own = Header::new(Kind::Refusal, t.own.id, NodeId::ANYBODY);
            let said = why.refusal(&own, rest).unwrap_or_default();
            return self.contacts.outside(t, &own, said.get(HEADER_BYTES..).unwrap_or_default());
        }
        let padded = bytes.len() >= HELLO_BYTES;
        if padded && !t.own.leaving {
            self.refuse(t, way, &header, rest, Outside::Version);
        }
    }

    /// In the log and the journal, seldom for one source.
    fn say(&mut self, t: &mut Tables, from: SocketAddr, why: &str) {
        if self.admission.may_say(t.now, from.ip(), why) {
            log::warn!(target: "hello", "{from} {why}");
            t.journal.stranger(t.now, from, why);
        }
    }

    fn refuse(&mut self, t: &mut Tables, way: Way, header: &Header, rest: &[u8], why: Outside) {
        let seldom = self.admission.may_refuse(t.now, way.address.ip());
        if !seldom && !t.own.has(Bug::RefusedAlways) {
            t.own.count("refusals not sent at their limits");
            return;
        }
        self.say(t, way.address, why.to_asked());
        if let Some(bytes) = why.refusal(header, rest) {
            send(t, way, bytes);
        }
    }

    /// A question arrived. The answer is never longer than the question.
    fn question(
        &mut self,
        t: &mut Tables,
        way: Way,
        header: &Header,
        rest: &[u8],
        length: usize,
        herd: Option<&HerdKey>,
    ) {
        let is_for_us = [NodeId::ANYBODY, t.own.id].contains(&header.destination);
        // One that could not be awaited is not answered either: it greets again.
        let full =
            self.pending.len() >= PENDING_HELLOS && !self.pending.contains_key(&header.sender);
        if !is_for_us || header.sender == t.own.id {
            t.own.count("hellos for others");
            // One that we lost looks for somebody else here: now we know where it is.
            let lost = t.roster.get(header.sender).is_some_and(|peer| peer.state != State::Alive);
            let padded = length >= HELLO_BYTES;
            if lost && padded && self.admission.may_answer(t.now, way.address) {
                let why = Occasion::Claimed;
                self.contacts.contact(t, way.address, header.sender, Intent::Return, why);
            }
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
        let mut keys = PairKeys::default();
        let Some(key) = keys.under(herd, &t.own.identity, start, &record) else { return };
        let known = t.roster.get(header.sender);
        let known_generation = self.above(t, &record);
        // Who asks for us by id knew us. Where we know nobody (the disk was lost, or died before our
        // first peer was written) we return to it, as it does to us.
        let knows_us = header.destination == t.own.id && t.roster.is_empty();
        let is_known = known.is_some() || knows_us;
        let refused = self.refusal(t, &question, way.address.ip(), is_known, header.destination);
        let answer =
            Hello { refused, known_generation, ..hello(t, question.intent, question.nonce) };
        let reply = t.own.header(herd, Kind::HelloAnswer, header.sender);
        let bytes = t.seal_hello(answer.answer(&reply, key), herd);
        if bytes.len() <= length {
            send(t, way, bytes);
        }
        if refused.is_none() && known_generation.is_none() {
            self.await_proof(t, way.address, record, question, keys);
        }
        // One that only asks whether it is still known is no stranger.
        if let Some(refusal) = refused.filter(|refusal| *refusal != Refusal::UnknownNode) {
            self.say(t, way.address, &format!("greets and is refused: {}", refusal.to_asked()));
        }
    }

    /// The generation above which the node of this record has to start: a later one than its own is
    /// known, or the same life under another instance, which is a clone's.
    fn above(&self, t: &Tables, record: &Record) -> Option<Generation> {
        let id = record.id();
        let is_clone = |known: &&Record| {
            known.generation.start_counter() == record.generation.start_counter()
                && known.instance != record.instance
        };
        let known = t.roster.get(id).map(|peer| &peer.record);
        let awaited = self.pending.get(&id).map(|pending| &pending.record);
        known
            .filter(|known| known.generation > record.generation || is_clone(known))
            .or(awaited.filter(is_clone))
            .map(|known| known.generation)
    }

    fn await_proof(
        &mut self,
        t: &mut Tables,
        from: SocketAddr,
        record: Record,
        question: Hello,
        keys: PairKeys,
    ) {
        let id = record.id();
        let until = t.now.plus_ms(UNPROVED_MS);
        let (nonce, signed) = (question.nonce, question.record);
        let before = self.pending.get(&id).filter(|one| one.nonce.wrapping_add(1) == nonce);
        let greeted = 1 + before.map_or(0, |before| before.greeted);
        self.pending.insert(id, Pending { from, nonce, greeted, record, signed, keys, until });
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
        let keyed = t.own.identity.herd().is_some();
        if !keyed && !is_private(source) && !t.own.options.open_public {
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
    fn answer(
        &mut self,
        t: &mut Tables,
        way: Way,
        header: &Header,
        rest: &[u8],
        herd: Option<&HerdKey>,
    ) {
        let Some((at, answer, record)) = self.check_answer(t, header, rest, herd) else {
            t.own.count("forged");
            return;
        };
        self.contacts.answered(t, at);
        let id = record.id();
        if self.contacts.looked(at) && !t.own.has(Bug::LookJoins) {
            let met = Met { name: record.name.to_string(), id, refusal: answer.refused };
            t.out.notice(Notice::Looked { address: at, found: Ok(met) });
            return;
        }
        if let Some(refusal) = answer.refused {
            self.contacts.refused(t, at, &record, refusal);
            return;
        }
        if let Some(known) = answer.known_generation {
            t.out.notice(Notice::StartAbove(known));
            self.contacts.again(at, t.now);
            return;
        }
        self.contacts.met(at, id, t.now);
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
        herd: Option<&HerdKey>,
    ) -> Option<(SocketAddr, Hello, Record)> {
        let answer: Hello = codec::decode(rest).ok()?;
        let (at, expected) = self.contacts.asked(answer.nonce)?;
        if header.destination != t.own.id
            || header.sender == t.own.id
            || (expected != NodeId::ANYBODY && expected != header.sender)
        {
            return None;
        }
        let record = Record::open(t.own.options.suite, &answer.record).ok()?;
        let start = t.own.record.generation.start_counter();
        let peer_start = record.generation.start_counter();
        let key = t.own.identity.pair_key(herd, start, &record.keys(), peer_start)?;
        (record.id() == header.sender && Hello::answer_is_authentic(header, rest, &key))
            .then_some((at, answer, record))
    }

    /// The life (start counter) that this datagram proves, if its sender greeted and waits for that.
    pub fn proof(&mut self, own: &Own, header: &Header, rest: &[u8]) -> Option<u64> {
        let pending = self.pending.get_mut(&header.sender)?;
        let start = own.record.generation.start_counter();
        pending.keys.open(header, rest, &own.identity, start, &pending.record)?;
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
}
