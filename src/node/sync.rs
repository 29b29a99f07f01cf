//! Keeping rosters equal: a joiner gets the whole list, and whoever notices by the checksum in
//! arriving datagrams that its list differs for long asks for what it misses.

use crate::node::outbox::{Carry, Channel};
use crate::node::roster::{Peer, stamp_checksum};
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::limits::{NODES, PART_BYTES};
use crate::wire::message::{Body, Pull, Sync, SyncEntry};
use crate::wire::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of one line of a pull.
const LINE_BYTES: usize = 8;
/// Lists differ for a moment whenever something changes: ask only after this.
const DIFFERS_MS: u64 = 1_000;
/// Then again after this, each time twice as late while nothing new comes of it.
const AGAIN_MS: u64 = 1_000;
const AGAIN_MOST_MS: u64 = 32_000;
/// A named node whose record is missing is asked for at most this often.
const MISSING_MS: u64 = 500;
/// An answer that takes longer than this is another pull's.
const ANSWER_MS: u64 = 30_000;
/// Bytes of records in one datagram, and datagrams of one answer that goes without a channel.
const DATAGRAM_RECORDS_BYTES: usize = 900;
const DATAGRAMS: usize = 32;

pub struct Syncing {
    /// Since when lists differ, and when that was seen last.
    differs: Option<(Time, Time)>,
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
            wait_ms: AGAIN_MS,
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

    /// A peer's checksum over its list arrived.
    pub fn digest(&mut self, t: &mut Tables, from: NodeId, digest: u32) {
        let (since, last) = self.differs.unwrap_or((t.now, t.now));
        // One who knows as little as we do proves nothing: all have to agree for a while.
        if digest == t.digest() {
            if t.now.ms_since(last) >= DIFFERS_MS {
                self.differs = None;
                self.wait_ms = AGAIN_MS;
            }
            return;
        }
        self.differs = Some((since, t.now));
        if t.now.ms_since(since) >= DIFFERS_MS && t.now >= self.next_pull && !t.own.leaving {
            self.next_pull = t.now.plus_ms(self.wait_ms);
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
        self.wait_ms = AGAIN_MS;
    }

    /// Answers a pull the way it came.
    pub fn asked(&mut self, t: &mut Tables, from: NodeId, pull: &Pull, channel: Option<Channel>) {
        let have: BTreeSet<&[u8]> = pull.have.chunks_exact(LINE_BYTES).take(NODES + 1).collect();
        let missing = t
            .roster
            .iter()
            .filter(|(id, peer)| *id != from && !have.contains(&line(*id, peer)[..]));
        let unknown = have.iter().any(|told| {
            let prefix = told[..4].try_into().expect("four bytes of eight");
            // Who lives is no news of a record.
            let same = |id: NodeId| {
                let peer = t.roster.get(id);
                peer.is_some_and(|peer| line(id, peer)[4..7] == told[4..7])
            };
            !t.roster.by_prefix(prefix).is_some_and(same) && t.own.id.to_bytes()[..4] != told[..4]
        });
        let entries: Vec<SyncEntry> = missing
            .map(|(_, peer)| SyncEntry {
                record: peer.signed.clone(),
                state: peer.state,
                age_ms: peer.age_ms(t.now),
            })
            .collect();
        let part_bytes = if channel.is_some() { PART_BYTES } else { DATAGRAM_RECORDS_BYTES };
        let most = if channel.is_some() { usize::MAX } else { DATAGRAMS };
        let mut parts: Vec<Vec<SyncEntry>> = vec![Vec::new()];
        let mut bytes = 0;
        for entry in entries {
            bytes += entry.record.len() + 16;
            if bytes > part_bytes && parts.last().is_some_and(|part| !part.is_empty()) {
                if parts.len() == most {
                    break;
                }
                bytes = entry.record.len() + 16;
                parts.push(Vec::new());
            }
            parts.last_mut().expect("never empty").push(entry);
        }
        let count = parts.len();
        for (at, entries) in parts.into_iter().enumerate() {
            let last = at + 1 == count;
            t.out.carry(from, Body::Sync(Sync { entries, last }), Carry::Channel(channel));
        }
        // The asker has what is missing here.
        if unknown {
            self.missing(t, from);
        }
    }
}

/// One line of a pull: the beginning of the id, of a checksum of the record's stamp, and whether
/// the node is held to be dead.
fn line(id: NodeId, peer: &Peer) -> [u8; LINE_BYTES] {
    let mut line = [0; LINE_BYTES];
    line[..4].copy_from_slice(&id.to_bytes()[..4]);
    line[4..7].copy_from_slice(&stamp_checksum(id, &peer.record).to_be_bytes()[..3]);
    line[7] = u8::from(peer.is_dead());
    line
}
