//! Keeping rosters equal: a joiner gets the whole list, and whoever notices by the checksum in
//! arriving datagrams that its list differs for long asks for what it misses.

use crate::node::digest::{is_shorter, stamp_checksum};
use crate::node::guests::is_testified;
use crate::node::outbox::{Carry, Channel};
use crate::node::peer::Peer;
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::limits::{NODES, PART_BYTES};
use crate::wire::message::{Body, Pull, Sync, SyncEntry};
use crate::wire::record::Record;
use crate::wire::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of one line of a pull.
const LINE_BYTES: usize = 8;
/// Lists differ for a moment whenever something changes, in a large herd for longer: ask only after
/// this, and so much for each known node.
const DIFFERS_MS: u64 = 100;
const DIFFERS_A_NODE_MS: u64 = 1;
/// Then again after as long, each time twice as late while nothing new comes of it.
const AGAIN_MOST_MS: u64 = 32_000;
/// A named node whose record is missing is asked for at most this often.
const MISSING_MS: u64 = 500;
/// An answer that takes longer than this is another pull's.
const ANSWER_MS: u64 = 30_000;
/// Bytes of records in one datagram, and datagrams of one answer that goes without a channel.
const DATAGRAM_RECORDS_BYTES: usize = 900;
const DATAGRAMS: usize = 32;
/// What an entry takes besides its record.
const ENTRY_BYTES: usize = 16;
/// Proofs of ends in one answer; the rest is asked for again.
const ENDS: usize = 32;

/// Lists differ: since when, when that was seen last, and in whose word.
struct Differs {
    since: Time,
    last: Time,
    from: NodeId,
    digest: u64,
}

pub struct Syncing {
    differs: Option<Differs>,
    next_pull: Time,
    next_missing: Time,
    wait_ms: u64,
    /// When each node was asked: what it answers is at most that old.
    pulled: BTreeMap<NodeId, Time>,
}

impl Syncing {
    pub fn new(now: Time) -> Syncing {
        Syncing {
            differs: None,
            next_pull: now,
            next_missing: now,
            wait_ms: DIFFERS_MS,
            pulled: BTreeMap::new(),
        }
    }

    /// Asks for every record not known here, and for what became of those who were remembered
    /// from an earlier life and not heard since.
    pub fn pull(&mut self, t: &mut Tables, from: NodeId, carry: Carry) {
        let now = t.now;
        self.pulled.retain(|_, at| now.ms_since(*at) < ANSWER_MS);
        self.pulled.entry(from).or_insert(now);
        let mut have = Vec::new();
        for (id, peer) in t.roster.iter().filter(|(_, peer)| !peer.is_remembered_only()) {
            have.extend_from_slice(&line(id, peer));
        }
        t.out.carry(from, Body::Pull(Pull { have }), carry);
    }

    /// A peer's digest of its list arrived.
    pub fn digest(&mut self, t: &mut Tables, from: NodeId, digest: u64) {
        let patience_ms = patience_ms(t);
        let fresh = |one: &&Differs| t.now.ms_since(one.last) < patience_ms;
        let known = self.differs.as_ref();
        if digest == t.digest() {
            // One who knows as little as we do proves nothing: all have to agree for a while.
            if known.filter(fresh).is_none() {
                self.differs = None;
                self.wait_ms = DIFFERS_MS;
            }
        } else if known.filter(fresh).is_none_or(|one| !is_shorter(digest, one.digest)) {
            // Of those who differ just now the one with the longest list is asked.
            let since = known.map_or(t.now, |differs| differs.since);
            self.differs = Some(Differs { since, last: t.now, from, digest });
        }
    }

    /// Somebody who is not known here speaks to us: perhaps the others know it.
    pub fn stranger(&mut self, t: &mut Tables) {
        let known = self.differs.as_ref();
        if known.is_some_and(|one| t.now.ms_since(one.last) < patience_ms(t)) {
            return;
        }
        let since = known.map_or(t.now, |differs| differs.since);
        if let Some(from) = t.some_live(t.own.id).first().copied() {
            self.differs = Some(Differs { since, last: t.now, from, digest: !t.digest() });
        }
    }

    /// Asks whoever was seen last to have another list, once lists differ for long.
    pub fn tick(&mut self, t: &mut Tables) {
        let Some(differs) = &self.differs else { return };
        let due = t.now.ms_since(differs.since) >= patience_ms(t) && t.now >= self.next_pull;
        if due && differs.digest != t.digest() && !t.own.leaving {
            let from = differs.from;
            self.next_pull = t.now.plus_ms(self.wait_ms.max(patience_ms(t)));
            self.wait_ms = (self.wait_ms * 2).min(AGAIN_MOST_MS);
            self.pull(t, from, Carry::Best(0));
        }
    }

    /// A peer named nodes whose records are missing here: it has them.
    pub fn missing(&mut self, t: &mut Tables, from: NodeId) {
        if t.now >= self.next_missing {
            self.next_missing = t.now.plus_ms(MISSING_MS);
            self.pull(t, from, Carry::Best(0));
        }
    }

    /// How long the answer of `from` may have been under way, milliseconds: its ages are so much
    /// older. A stream that was cut for a while delivers late.
    pub fn under_way_ms(&mut self, t: &Tables, from: NodeId, last: bool) -> u64 {
        let at = if last { self.pulled.remove(&from) } else { self.pulled.get(&from).copied() };
        at.map_or(0, |at| t.now.ms_since(at))
    }

    /// Something new was learnt: pulling pays.
    pub fn learnt(&mut self) {
        self.wait_ms = DIFFERS_MS;
    }

    /// Answers a pull the way it came.
    pub fn asked(&mut self, t: &mut Tables, from: NodeId, pull: &Pull, channel: Option<Channel>) {
        let have: BTreeSet<&[u8]> = pull.have.chunks_exact(LINE_BYTES).take(NODES + 1).collect();
        let lacks =
            |(id, peer): &(NodeId, &Peer)| *id != from && !have.contains(&line(*id, peer)[..]);
        let missing: Vec<(NodeId, &Peer)> = t.roster.iter().filter(lacks).collect();
        // Whoever still holds one to live that was taken down or left gets the proof.
        let outlived = missing.iter().filter(|(id, peer)| have.contains(&as_living(*id, peer)[..]));
        let ends = outlived.filter_map(|(_, peer)| peer.end.as_deref().cloned()).take(ENDS);
        let mut bodies: Vec<Body> = ends.map(Body::Tell).collect();
        let entries = missing.iter().map(|(_, peer)| SyncEntry {
            record: peer.signed.clone(),
            state: peer.state,
            age_ms: peer.age_ms(t.now),
        });
        // Word of our own change may have been lost at a cut: nobody else can tell of it.
        let own = own_line(t);
        let outdated = have.iter().any(|told| told[..4] == own[..4] && told[4..7] != own[4..7]);
        let own = SyncEntry { record: t.own.signed.clone(), state: State::Alive, age_ms: 0 };
        let entries = entries.chain(outdated.then_some(own));
        bodies.extend(parts(entries, channel.is_some()).into_iter().map(Body::Sync));
        // Whoever learns only now that a container ended learns how: it is remembered for a minute.
        let held = |id: NodeId, peer: &Peer| have.contains(&as_living(id, peer)[..]);
        let news = missing.iter().filter(|(id, peer)| is_testified(peer) && !held(*id, peer));
        bodies.extend(
            news.filter_map(|(_, peer)| peer.end.as_deref().cloned()).take(ENDS).map(Body::Tell),
        );
        let unknown = have.iter().any(|told| is_unknown(t, told));
        for body in bodies {
            t.out.carry(from, body, Carry::Channel(channel));
        }
        // The asker has what is missing here.
        if unknown {
            self.missing(t, from);
        }
    }
}

fn patience_ms(t: &Tables) -> u64 {
    DIFFERS_MS + DIFFERS_A_NODE_MS * t.roster.len() as u64
}

/// A list in parts that travel: large ones on a channel, else datagrams, and not too many of them.
fn parts(entries: impl Iterator<Item = SyncEntry>, on_channel: bool) -> Vec<Sync> {
    let part_bytes = if on_channel { PART_BYTES } else { DATAGRAM_RECORDS_BYTES };
    let most = if on_channel { usize::MAX } else { DATAGRAMS };
    let mut parts: Vec<Vec<SyncEntry>> = vec![Vec::new()];
    let mut bytes = 0;
    for entry in entries {
        let entry_bytes = entry.record.len() + ENTRY_BYTES;
        bytes += entry_bytes;
        if bytes > part_bytes && parts.last().is_some_and(|part| !part.is_empty()) {
            if parts.len() == most {
                break;
            }
            bytes = entry_bytes;
            parts.push(Vec::new());
        }
        parts.last_mut().expect("never empty").push(entry);
    }
    let count = parts.len();
    let part = |(at, entries)| Sync { entries, last: at + 1 == count };
    parts.into_iter().enumerate().map(part).collect()
}

/// Whether a line of a pull tells of a record that is not known here. Who lives is no news of one.
fn is_unknown(t: &Tables, told: &[u8]) -> bool {
    let prefix = told[..4].try_into().expect("four bytes of eight");
    let same = |id: NodeId| t.roster.get(id).is_some_and(|peer| line(id, peer)[4..7] == told[4..7]);
    !t.roster.by_prefix(prefix).is_some_and(same) && t.own.id.to_bytes()[..4] != told[..4]
}

/// One line of a pull: the beginning of the id, of a checksum of the record's stamp, and whether
/// the node is held to be dead.
fn line(id: NodeId, peer: &Peer) -> [u8; LINE_BYTES] {
    let mut line = as_living(id, peer);
    line[7] = u8::from(peer.is_dead());
    line
}

fn as_living(id: NodeId, peer: &Peer) -> [u8; LINE_BYTES] {
    line_of(id, &peer.record)
}

fn own_line(t: &Tables) -> [u8; LINE_BYTES] {
    line_of(t.own.id, &t.own.record)
}

fn line_of(id: NodeId, record: &Record) -> [u8; LINE_BYTES] {
    let mut line = [0; LINE_BYTES];
    line[..4].copy_from_slice(&id.to_bytes()[..4]);
    line[4..7].copy_from_slice(&stamp_checksum(id, record).to_be_bytes()[..3]);
    line
}
