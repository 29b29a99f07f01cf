//! Contacts: addresses to be greeted until the node there is a member. Typed by a person, given by
//! `-k`, remembered, or the default gateway. Greeting a random remembered pair that is not a
//! member goes on for ever: that is what heals islands and long partitions.

use crate::node::discovery;
use crate::node::outbox::{Notice, Occasion};
use crate::node::own::Own;
use crate::node::peer::Peer;
use crate::node::planted::Bug;
use crate::node::routes::{Way, default_socket};
use crate::node::tables::Tables;
use crate::wire::PROTOCOL_VERSION;
use crate::wire::codec;
use crate::wire::header::{HEADER_BYTES, Header, Kind};
use crate::wire::hello::{Hello, Intent, Refusal};
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::key::HerdKey;
use crate::wire::limits::{CONTACTS, HOMES};
use crate::wire::record::Record;
use crate::wire::refusal::{Echo, Outside};
use crate::wire::reply::{ErrorCode, Failure};
use crate::wire::time::Time;
use rand::RngExt;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A lost hello is repeated after this, then each time later up to the most.
const AGAIN_MS: u64 = 1_000;
const AGAIN_MOST_MS: u64 = 30_000;
/// A contact that knows a later life of ours is greeted again after this.
const AT_ONCE_MS: u64 = 100;
/// How often one remembered node that is not a member is greeted.
const REMEMBERED_MS: u64 = 5_000;
const REMEMBERED_WAYS: usize = 3;
/// A hidden node without a parent greets so many nodes that may become one, this often.
const ORPHAN_MS: u64 = 2_000;
const ORPHAN_CONTACTS: usize = 4;
/// While cut off, everyone is tried: the first time after this, then each time twice as late.
const CUT_OFF_MS: u64 = 1_000;
/// How often the log says of one address that it is not of this herd, milliseconds.
const SAID_AGAIN_MS: u64 = 600_000;
/// Nodes greeted under a newly drawn identity or a higher life.
const REINTRODUCED: usize = 16;

struct Contact {
    why: Occasion,
    intent: Intent,
    /// Who is expected there; anybody for a typed or given address.
    id: NodeId,
    /// Of the last question; the one before had one less.
    nonce: u64,
    /// The last questions that are not answered: an answer counts once.
    unanswered: u64,
    since: Time,
    next: Time,
    wait_ms: u64,
    /// Who answered there last, and when: met for good once sealed word came after it.
    met: Option<(NodeId, Time)>,
    /// What a refusal of the last question must repeat, while that is not answered.
    echo: Option<Echo>,
}

pub struct Contacts {
    contacts: BTreeMap<SocketAddr, Contact>,
    next_remembered: Time,
    next_orphan: Time,
    cut_off_wait_ms: u64,
}

impl Contacts {
    pub fn new(t: &mut Tables) -> Contacts {
        let jitter_ms = t.random.random_range(0..REMEMBERED_MS);
        let mut contacts = Contacts {
            contacts: BTreeMap::new(),
            next_remembered: t.now.plus_ms(jitter_ms),
            next_orphan: t.now,
            cut_off_wait_ms: CUT_OFF_MS,
        };
        contacts.set_homes(t, &t.own.options.homes.clone());
        contacts.set_gateways(t, &t.own.options.gateways.clone());
        contacts.greet_remembered(t, usize::MAX);
        contacts
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
            let over = matches!(known.why, Occasion::Typed { until } if until <= t.now);
            if matches!(why, Occasion::Looked { .. }) {
                known.next = t.now;
                known.wait_ms = AGAIN_MS;
                // Who typed it was told already: it is no news for who looks.
                known.why = if over { why } else { known.why };
            } else if is_typed || (why == Occasion::Home && known.why != Occasion::Home) {
                known.intent = Intent::Join;
                known.id = NodeId::ANYBODY;
                known.next = t.now;
                known.wait_ms = AGAIN_MS;
                known.why = match (known.why, why) {
                    (Occasion::Home, _) => Occasion::Home,
                    // Two wait for it, each as long as it wants.
                    (Occasion::Typed { until }, Occasion::Typed { until: other }) => {
                        Occasion::Typed { until: until.max(other) }
                    }
                    _ => why,
                };
            }
            return;
        }
        if self.contacts.len() >= CONTACTS {
            t.own.count("contacts refused at their limit");
            if is_typed || matches!(why, Occasion::Looked { .. }) {
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
            unanswered: 0,
            since: t.now,
            next: t.now,
            wait_ms: AGAIN_MS,
            met: None,
            echo: None,
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
            // Nobody hands a hello on: where another node is known to be it is of no use.
            let ways = t.ways(id);
            let own = |way: &Way| t.routes.id_at(way.address).is_none_or(|there| there == id);
            let ways: Vec<Way> = ways.into_iter().filter(own).take(REMEMBERED_WAYS).collect();
            for way in ways {
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

    /// A lost node speaks where we greet somebody: it is in touch, and we need not wait so long.
    pub fn hurry(&mut self, t: &Tables, id: NodeId, at: IpAddr) {
        if t.roster.get(id).is_some_and(|peer| peer.state != State::Alive) {
            for (_, contact) in self.contacts.iter_mut().filter(|(to, _)| to.ip() == at) {
                contact.next = contact.next.min(t.now.plus_ms(AGAIN_MS));
            }
        }
    }

    /// A lost node is said to be elsewhere: it is greeted there at once.
    pub fn moved(&mut self, t: &mut Tables, id: NodeId) {
        let Some(peer) = t.roster.get(id).filter(|peer| peer.state != State::Alive) else { return };
        let at = peer.record.addresses.first().map(|ip| SocketAddr::new(*ip, peer.record.port));
        if let Some(at) = at.filter(|at| !t.own.is_own_address(at.ip())) {
            self.contact(t, at, id, Intent::Return, Occasion::Remembered);
        }
    }

    /// Greets whoever is due.
    pub fn tick(&mut self, t: &mut Tables) {
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
        for (at, intent) in discovery::due(t) {
            self.contact(t, at, NodeId::ANYBODY, intent, Occasion::Found);
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
            // Who waits for it has the same time, and tells himself that it is over.
            Occasion::Typed { until } | Occasion::Looked { until } if until <= t.now => {
                self.contacts.remove(&at);
                return;
            }
            Occasion::Typed { .. } if met => {
                self.contacts.remove(&at);
                return;
            }
            Occasion::Claimed if contact.wait_ms > AGAIN_MS => {
                self.contacts.remove(&at);
                return;
            }
            Occasion::Remembered | Occasion::Found if met || contact.wait_ms > 2 * AGAIN_MS => {
                self.contacts.remove(&at);
                return;
            }
            // It joined another meanwhile: no two herds become one.
            Occasion::Found if contact.intent == Intent::Lone && !t.is_deserted() => {
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
            Occasion::Gateway if !t.is_deserted() => Intent::Return,
            _ => contact.intent,
        };
        // A whole herd that starts at once phones one home: those it had no time for come back apart.
        let apart_ms = match contact.why {
            Occasion::Home if contact.wait_ms > AGAIN_MS && t.roster.is_empty() => {
                contact.nonce % contact.wait_ms
            }
            _ => contact.wait_ms / 2,
        };
        contact.next = t.now.plus_ms(contact.wait_ms / 2 + apart_ms);
        contact.wait_ms = (contact.wait_ms * 2).min(AGAIN_MOST_MS);
        contact.nonce = contact.nonce.wrapping_add(1);
        let record = t.roster.get(contact.id).map(|peer| &peer.record);
        let herd = key_to_try(&t.own, record, contact.unanswered).cloned();
        contact.unanswered += 1;
        let hello = hello(t, intent, contact.nonce);
        let header = t.own.header(herd.as_ref(), Kind::HelloQuestion, contact.id);
        let way = Way { address: at, socket: default_socket(&t.own) };
        let mut question = hello.question(&header);
        if t.own.has(Bug::NotPadded) {
            question.truncate(header.to_bytes().len() + codec::encode(&hello).len());
        }
        let question = t.seal_hello(question, herd.as_ref());
        contact.echo = question[HEADER_BYTES..].first_chunk().copied();
        send(t, way, question);
    }

    /// The contact with this nonce: its address, and who is expected there.
    pub fn asked(&self, nonce: u64) -> Option<(SocketAddr, NodeId)> {
        let asked = |(_, contact): &(&SocketAddr, &Contact)| {
            contact.nonce.wrapping_sub(nonce) < contact.unanswered
        };
        self.contacts.iter().find(asked).map(|(at, contact)| (*at, contact.id))
    }

    /// An authentic answer came from there: what is said again is no answer.
    pub fn answered(&mut self, t: &mut Tables, at: SocketAddr) {
        t.own.outside.remove(&at);
        if let Some(contact) = self.contacts.get_mut(&at) {
            contact.unanswered = 0;
            contact.echo = None;
        }
    }

    /// Whether nobody is to be let in from there: it is only looked at. It is no more from then on.
    pub fn looked(&mut self, at: SocketAddr) -> bool {
        let is_looked = |contact: &Contact| matches!(contact.why, Occasion::Looked { .. });
        let looked = self.contacts.get(&at).is_some_and(is_looked);
        if looked {
            self.contacts.remove(&at);
        }
        looked
    }

    /// The node there answered well.
    pub fn met(&mut self, at: SocketAddr, id: NodeId, now: Time) {
        if let Some(contact) = self.contacts.get_mut(&at) {
            if contact.met.is_none() && contact.why == Occasion::Found {
                log::info!(target: "hello", "{id} was found by discovery at {at}, and answered");
            }
            contact.met = Some((id, now));
            contact.wait_ms = AGAIN_MS;
        }
    }

    /// Our life is another now: greets again at once.
    pub fn again(&mut self, at: SocketAddr, now: Time) {
        if let Some(contact) = self.contacts.get_mut(&at) {
            contact.next = now.plus_ms(AT_ONCE_MS);
        }
    }

    /// The node there refuses us.
    pub fn refused(&mut self, t: &mut Tables, at: SocketAddr, record: &Record, refusal: Refusal) {
        let text = format!("{at} ({}) refuses: {}", record.name, refusal.text());
        let typed = self.contacts.get(&at).is_some_and(|c| matches!(c.why, Occasion::Typed { .. }));
        if typed {
            self.contacts.remove(&at);
        } else {
            log::info!(target: "hello", "{text}");
        }
        let failure = Failure::new(ErrorCode::Refused, text);
        t.out.notice(Notice::ContactFailed { address: at, failure });
    }

    /// Whether these bytes repeat a question that is not answered.
    pub fn is_echo(&self, rest: &[u8]) -> bool {
        let echo: Option<&Echo> = rest.first_chunk();
        echo.is_some_and(|echo| self.contacts.values().any(|one| one.echo == Some(*echo)))
    }

    /// Who answers there is not of this herd: whoever waits for it is told, the log says it seldom,
    /// and nothing else follows, for nobody can prove it.
    pub fn outside(&mut self, t: &mut Tables, header: &Header, rest: &[u8]) {
        let said = Outside::read(rest).filter(|_| header.destination == t.own.id);
        let asked = said.and_then(|(echo, why)| {
            let (at, contact) =
                self.contacts.iter().find(|(_, contact)| contact.echo == Some(echo))?;
            Some((*at, why, matches!(contact.why, Occasion::Typed { .. })))
        });
        let Some((at, why, typed)) = asked else {
            t.own.count("refusals of nothing asked");
            return;
        };
        // It may have missed our newest key, or we the first ones: each is tried once.
        let ring = t.own.identity.ring();
        let may_differ = match why {
            Outside::OtherKey => true,
            Outside::NoKey | Outside::OpenHerd => ring.adoption().is_some(),
            _ => false,
        };
        let untried = |contact: &&mut Contact| may_differ && contact.unanswered < ring.len() as u64;
        if let Some(contact) = self.contacts.get_mut(&at).filter(untried) {
            contact.echo = None;
            contact.next = t.now;
            return;
        }
        let text = format!("{at} {}", why.to_asker());
        let said = &mut t.own.outside;
        said.retain(|_, (_, since)| t.now.ms_since(*since) < SAID_AGAIN_MS);
        let known = said.get(&at).is_some_and(|(said, _)| *said == why);
        if !known && said.len() < CONTACTS {
            said.insert(at, (why, t.now));
            log::warn!(target: "hello", "{text}");
        }
        if typed {
            self.contacts.remove(&at);
        }
        self.looked(at);
        let failure = Failure::new(ErrorCode::Refused, text);
        t.out.notice(Notice::ContactFailed { address: at, failure });
    }

    pub fn deadline(&self) -> Option<Time> {
        let contacts = self.contacts.values().map(|contact| contact.next);
        contacts.chain([self.next_remembered]).min()
    }
}

/// The key of the herd for the next hello of several that are not answered (None: without one): first
/// the newest that is held there too as far as is known, then each other one, the newest first.
fn key_to_try<'a>(own: &'a Own, there: Option<&Record>, unanswered: u64) -> Option<&'a HerdKey> {
    let ring = own.identity.ring();
    let first = match there {
        Some(record) if record.told_keys().is_some() || ring.adoption().is_some() => {
            ring.common(record.told_keys())
        }
        _ => ring.newest(),
    };
    let held = ring.iter().map(|held| Some(&*held.key));
    let all = held.chain(ring.takes_open().then_some(None));
    let id = |key: Option<&HerdKey>| key.map(HerdKey::id);
    let others = all.filter(|key| id(*key) != id(first));
    let all: Vec<Option<&HerdKey>> = std::iter::once(first).chain(others).collect();
    all[unanswered as usize % all.len()]
}

pub fn hello(t: &Tables, intent: Intent, nonce: u64) -> Hello {
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

pub fn send(t: &mut Tables, way: Way, bytes: Vec<u8>) {
    let output =
        crate::node::boundary::Output::Datagram { socket: way.socket, to: way.address, bytes };
    t.out.output(output);
}
