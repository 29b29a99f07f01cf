//! Table: who is known. Records, keys, states, names, and when each node was last heard.
//!
//! The engine under `members` decides who is alive; the roster remembers what it decided and
//! decorates it. Nobody is forgotten by itself but the longest dead beyond a named limit.

use crate::node::digest::digest_of;
use crate::node::own::Own;
use crate::node::pair::PairKeys;
use crate::wire::header::{Header, Kind};
use crate::wire::ids::{Name, NodeId};
use crate::wire::info::State;
use crate::wire::key::HerdKey;
use crate::wire::keyring::Keyring;
use crate::wire::limits::{NODES, REMEMBERED_DEAD};
use crate::wire::record::Record;
use crate::wire::rumor::{Rumor, Subject};
use crate::wire::seal::{Identity, ReplayWindow, SealKey};
use crate::wire::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How long the key of a peer's former life is kept, to notice that it still lives: a clone.
const FORMER_KEY_MS: u64 = 60_000;
/// A former life is asked at most this often whether it lives.
const CHALLENGE_MS: u64 = 1_000;
/// An ICMP error must quote one of the last datagrams sent to that node.
const RECENTLY_SENT: u64 = 16;
/// Ages above this one are old, and differ by more than this or are the same.
const OLD_MS: u64 = 10_000;
const ECHO_US: i64 = 2_000_000;
/// Not heard yet, as far as is known: some 30 years ago.
const NEVER_US: i64 = -1_000_000_000_000_000;

pub struct Peer {
    pub record: Record,
    /// The record as it was signed, to hand on.
    pub signed: Vec<u8>,
    pub state: State,
    pub state_since: Time,
    /// Why it is suspect or down; empty otherwise.
    pub reason: String,
    /// Remembered from before this daemon started, and no word of it since: a suspect that counts
    /// as nobody until somebody heard it.
    pub unheard: bool,
    /// The verdict or goodbye that ended its life, for those who missed it.
    pub end: Option<Rumor>,
    /// Counts up: the lower one was known first.
    pub known_order: u64,
    /// When the herd last heard it, microseconds of our clock; before our boot it is negative.
    pub heard_us: i64,
    pub heard_by: NodeId,
    /// When it was last heard by this node itself.
    pub heard_here: Option<Time>,
    keys: PairKeys,
    former: Option<Former>,
    window: ReplayWindow,
    counter: u64,
}

struct Former {
    keys: PairKeys,
    window: ReplayWindow,
    record: Record,
    signed: Vec<u8>,
    counter: u64,
    since: Time,
    /// What it was asked last, to see whether it lives.
    challenge: Option<(u64, Time)>,
}

impl Peer {
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Alive | State::Suspect) && !self.unheard
    }

    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Down | State::Left)
    }

    /// Left, or down and it did not speak to us since: there is nobody to ask.
    pub fn is_silent(&self) -> bool {
        let spoke = self.heard_here.is_some_and(|at| at > self.state_since);
        self.state == State::Left || (self.state == State::Down && !spoke)
    }

    pub fn age_ms(&self, now: Time) -> u64 {
        (now.0 as i64).saturating_sub(self.heard_us).max(0) as u64 / 1_000
    }
}

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

/// What opening a sealed datagram gave.
pub enum Opened {
    Plain(Vec<u8>),
    /// Authentic under the key of the peer's former life: late, or a clone's.
    Former(Vec<u8>),
    /// Authentic, but it came before.
    Replayed(Vec<u8>),
    Forged,
}

#[derive(Default)]
pub struct Roster {
    peers: BTreeMap<NodeId, Peer>,
    names: BTreeMap<Name, BTreeSet<NodeId>>,
    next_order: u64,
    digest: u64,
    /// Forgotten at a limit: the other tables still hold them.
    pub pushed_out: Vec<Subject>,
}

impl Roster {
    pub fn get(&self, id: NodeId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    pub fn contains(&self, id: NodeId) -> bool {
        self.peers.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
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
                unname(&mut self.names, &peer.record.name, id);
                self.names.entry(record.name.clone()).or_default().insert(id);
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
        self.names.entry(record.name.clone()).or_default().insert(id);
        let peer = Peer::new(record, signed, state, self.next_order, now);
        self.next_order += 1;
        self.digest = self.digest.wrapping_add(peer.digest(id));
        self.peers.insert(id, peer);
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

    pub fn forget(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.remove(&id) {
            unname(&mut self.names, &peer.record.name, id);
            self.digest = self.digest.wrapping_sub(peer.digest(id));
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
        self.names.get(&name).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
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
        let bearer = self.names.get(name).into_iter().flatten().min_by_key(|id| {
            let peer = &self.peers[id];
            (!peer.is_live(), peer.known_order)
        });
        if name != own.1 && bearer == Some(&id) {
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
        let namesakes = self.names.get(&peer.record.name).into_iter().flatten();
        let others = namesakes.map(|id| &self.peers[id]).filter(|other| other.is_live());
        !peer.is_live() && (took(own) || others.into_iter().any(|other| took(&other.record)))
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

    /// The next counter and the key to seal a datagram to `id` with, under this key of the herd.
    pub fn seal_with(
        &mut self,
        id: NodeId,
        herd: Option<&HerdKey>,
        identity: &Identity,
        start_counter: u64,
    ) -> Option<(u64, &SealKey)> {
        let peer = self.peers.get_mut(&id)?;
        peer.counter += 1;
        let key = peer.keys.under(herd, identity, start_counter, &peer.record)?;
        Some((peer.counter, key))
    }

    /// Seals for a peer's former life, which still speaks.
    pub fn seal_to_former(
        &mut self,
        id: NodeId,
        own: &Own,
        random: [u8; 16],
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        let former = self.peers.get_mut(&id)?.former.as_mut()?;
        former.counter += 1;
        let identity = &own.identity;
        let herd = identity.ring().common(former.record.told_keys());
        let start = own.record.generation.start_counter();
        let key = former.keys.under(herd, identity, start, &former.record)?;
        let header = own.header(herd, Kind::Sealed, id);
        Some(key.seal(&header, former.counter, random, plain))
    }

    /// Keys of the herd were retired.
    pub fn keep_keys(&mut self, ring: &Keyring) {
        for peer in self.peers.values_mut() {
            peer.keys.keep(ring);
            if let Some(former) = &mut peer.former {
                former.keys.keep(ring);
            }
        }
    }

    /// Our own start counter changed: every shared key is another.
    pub fn renew_keys(&mut self, now: Time) {
        for peer in self.peers.values_mut() {
            peer.keys = PairKeys::default();
            peer.window = ReplayWindow::default();
            peer.counter = peer.counter.max(now.0);
        }
    }

    /// Whether this counter was used for a datagram to `id` lately: at most a window ago.
    pub fn was_sent(&self, id: NodeId, counter: u64) -> bool {
        self.get(id)
            .is_some_and(|peer| counter <= peer.counter && peer.counter - counter < RECENTLY_SENT)
    }

    pub fn open(
        &mut self,
        header: &Header,
        rest: &[u8],
        identity: &Identity,
        start_counter: u64,
        now: Time,
    ) -> Opened {
        let Some(peer) = self.peers.get_mut(&header.sender) else { return Opened::Forged };
        if let Some((counter, plain)) =
            peer.keys.open(header, rest, identity, start_counter, &peer.record)
        {
            let new = peer.window.take(counter);
            return if new { Opened::Plain(plain) } else { Opened::Replayed(plain) };
        }
        let fresh = |former: &&mut Former| now.ms_since(former.since) < FORMER_KEY_MS;
        let Some(former) = peer.former.as_mut().filter(fresh) else { return Opened::Forged };
        match former.keys.open(header, rest, identity, start_counter, &former.record) {
            Some((counter, plain)) if former.window.take(counter) => Opened::Former(plain),
            Some((_, plain)) => Opened::Replayed(plain),
            None => Opened::Forged,
        }
    }
}

impl Peer {
    fn new(record: Record, signed: Vec<u8>, state: State, known_order: u64, now: Time) -> Peer {
        Peer {
            heard_by: record.id(),
            record,
            signed,
            state,
            state_since: now,
            reason: String::new(),
            unheard: false,
            end: None,
            known_order,
            heard_us: NEVER_US,
            heard_here: None,
            keys: PairKeys::default(),
            former: None,
            window: ReplayWindow::default(),
            // Above all counters an earlier entry for the same peer can have used.
            counter: now.0,
        }
    }

    /// Known from the state directory, suspected since, and not heard here: others know better.
    pub fn is_remembered_only(&self) -> bool {
        self.state == State::Suspect && self.heard_here.is_none()
    }

    /// What it adds to the roster's digest.
    fn digest(&self, id: NodeId) -> u64 {
        if self.is_live() { digest_of(id, &self.record) } else { 0 }
    }

    fn start_life(&mut self, now: Time) {
        let keys = Some(std::mem::take(&mut self.keys)).filter(|keys| !keys.is_empty());
        self.former = keys.map(|keys| Former {
            keys,
            window: self.window,
            record: self.record.clone(),
            signed: self.signed.clone(),
            counter: self.counter,
            since: now,
            challenge: None,
        });
        self.window = ReplayWindow::default();
        self.counter = self.counter.max(now.0);
    }

    /// The record of the life before this one, and as it was signed, if its key is still kept.
    pub fn former(&self) -> Option<(&Record, &[u8])> {
        self.former.as_ref().map(|former| (&former.record, &former.signed[..]))
    }

    /// Whether the former life is to be asked now if it lives; remembers the question.
    pub fn challenge_former(&mut self, nonce: u64, now: Time) -> bool {
        let Some(former) = self.former.as_mut() else { return false };
        if former.challenge.is_some_and(|(_, at)| now.ms_since(at) < CHALLENGE_MS) {
            return false;
        }
        former.challenge = Some((nonce, now));
        true
    }

    /// Whether the former life answered what it was asked last: it lives.
    pub fn former_lives(&self, nonce: u64) -> bool {
        let asked = self.former.as_ref().and_then(|former| former.challenge);
        asked.is_some_and(|(asked, _)| asked == nonce)
    }
}

fn unname(names: &mut BTreeMap<Name, BTreeSet<NodeId>>, name: &Name, id: NodeId) {
    if let Some(ids) = names.get_mut(name) {
        ids.remove(&id);
        if ids.is_empty() {
            names.remove(name);
        }
    }
}

pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether others may be let into an open herd from here: private, link-local or loopback.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(v4.into()),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}
