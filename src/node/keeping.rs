//! What outlives the process: the identity, who was known, the journal. Written behind, in batches:
//! nothing waits for the disk, and a node that cannot write goes on.

use crate::node::boundary::{Kept, Output};
use crate::node::journal::Due;
use crate::node::planted::Bug;
use crate::node::tables::Tables;
use crate::wire::codec;
use crate::wire::ids::NodeId;
use crate::wire::info::{NodeInfo, State};
use crate::wire::record::Record;
use crate::wire::seal::{Identity, Suite};
use crate::wire::time::Time;
use minicbor::{Decode, Encode};
use rand::RngExt;
use std::collections::BTreeSet;

const IDENTITY: &str = "identity";
const PEER: &str = "peer/";
/// After a write, changes are gathered for so long before the next: the first peer is kept at once.
const GATHER_MS: u64 = 1_000;
/// All ages are written anew this often.
const ALL_MS: u64 = 600_000;

#[derive(Encode, Decode)]
struct KeptPeer {
    #[cbor(n(0), with = "minicbor::bytes")]
    record: Vec<u8>,
    #[n(1)]
    state: State,
    /// Seconds since the epoch.
    #[n(2)]
    heard_unix_s: u64,
}

type Entries = Vec<(String, Option<Vec<u8>>)>;

pub struct Keeping {
    changed: BTreeSet<NodeId>,
    flush_at: Option<Time>,
    gather_until: Time,
    next_all: Time,
    ticket: u64,
    /// The batch with entries of the journal that is not on the disk yet.
    journal_ticket: Option<u64>,
    failing: bool,
}

/// The identity kept from earlier, or a new one and what to keep of it.
pub fn identity(kept: &Kept, secret: [u8; 64], suite: Suite) -> (Identity, Option<Output>) {
    let kept_secret = kept.entries.get(IDENTITY).and_then(|bytes| bytes[..].try_into().ok());
    match kept_secret {
        Some(secret) => (Identity::from_secret(&secret, suite), None),
        None => (Identity::from_secret(&secret, suite), Some(keep_identity(secret))),
    }
}

pub fn keep_identity(secret: [u8; 64]) -> Output {
    Output::Keep { ticket: 0, entries: vec![(IDENTITY.to_string(), Some(secret.to_vec()))] }
}

/// What was known of the others when the last daemon here ended. Which of two bearers of a name had it
/// first is not kept: both are shown with their ids.
pub fn remembered(kept: &Kept, now_unix_s: u64, suite: Suite) -> Vec<NodeInfo> {
    let bytes = kept.entries.iter().filter(|(key, _)| key.starts_with(PEER));
    let peers = bytes.filter_map(|(_, bytes)| codec::decode::<KeptPeer>(bytes).ok());
    let peers: Vec<(Record, KeptPeer)> =
        peers.filter_map(|peer| Some((Record::open(suite, &peer.record).ok()?, peer))).collect();
    let name = |id: NodeId| {
        let Some((record, _)) = peers.iter().find(|(record, _)| record.id() == id) else {
            return id.to_string();
        };
        let bearers = peers.iter().filter(|(other, _)| other.name == record.name).count();
        let mark = if bearers > 1 { format!("~{}", id.short()) } else { String::new() };
        format!("{}{mark}", record.name)
    };
    peers
        .iter()
        .map(|(record, peer)| NodeInfo {
            last_seen_ms: now_unix_s.saturating_sub(peer.heard_unix_s).saturating_mul(1_000),
            state: peer.state,
            reason: "only remembered: no daustd runs here".to_string(),
            started_unix_s: 0,
            name: name(record.id()),
            parent: record.parent.map(name).unwrap_or_default(),
            ..NodeInfo::of(record)
        })
        .collect()
}

impl Keeping {
    pub fn new(now: Time) -> Keeping {
        Keeping {
            changed: BTreeSet::new(),
            flush_at: None,
            gather_until: now,
            next_all: now.plus_ms(ALL_MS),
            ticket: 0,
            journal_ticket: None,
            failing: false,
        }
    }

    /// Puts remembered nodes back into the roster: as suspects, until they are heard.
    pub fn restore(&mut self, t: &mut Tables, kept: &Kept) {
        let now_unix_s = t.own.options.started_unix_s;
        for (_, bytes) in kept.entries.iter().filter(|(key, _)| key.starts_with(PEER)) {
            let Ok(peer) = codec::decode::<KeptPeer>(bytes) else { continue };
            let Ok(record) = Record::open(t.own.options.suite, &peer.record) else { continue };
            let id = record.id();
            if id == t.own.id {
                continue;
            }
            let state = if peer.state == State::Alive { State::Suspect } else { peer.state };
            t.roster.put(record, peer.record, state, t.now);
            // A second more: both clocks were cut to whole ones.
            let age_s = now_unix_s.saturating_sub(peer.heard_unix_s).saturating_add(1);
            let age_ms = age_s.saturating_mul(1_000);
            if let Some(known) = t.roster.get_mut(id) {
                known.heard_us = t.now.0 as i64 - (age_ms.min(1 << 50) as i64) * 1_000;
                known.reason = "not heard since this daemon started".to_string();
            }
            t.roster.set_unheard(id, true);
        }
    }

    pub fn changed(&mut self, t: &Tables, id: NodeId) {
        self.changed.insert(id);
        let at_once = self.gather_until <= t.now;
        self.flush_at.get_or_insert(if at_once { t.now } else { self.gather_until.on_grid() });
    }

    pub fn tick(&mut self, t: &mut Tables) {
        if self.next_all <= t.now {
            self.next_all = t.now.plus_ms(ALL_MS + t.random.random_range(0..ALL_MS / 10));
            self.changed.extend(t.roster.iter().map(|(id, _)| id));
            self.flush_at = Some(t.now);
        }
        if t.journal.due == Due::Soon {
            self.flush_at.get_or_insert(self.gather_until.max(t.now));
        }
        if self.flush_at.is_some_and(|at| at <= t.now) {
            self.flush(t, false);
        } else if t.journal.due == Due::Now {
            let journal = self.journal(t, false);
            self.keep(t, journal);
        }
    }

    /// Hands all that changed to the disk; at the `end` even what would wait for a slow one.
    pub fn flush(&mut self, t: &mut Tables, end: bool) {
        self.flush_at = None;
        self.gather_until = t.now.plus_ms(GATHER_MS);
        if end {
            // Their ages go on being counted while no daemon runs.
            self.changed.extend(t.roster.iter().map(|(id, _)| id));
        }
        let now_unix_s = t.own.unix_s(t.now);
        let mut entries: Entries = std::mem::take(&mut self.changed)
            .into_iter()
            .map(|id| {
                let value = t.roster.get(id).map(|peer| {
                    codec::encode(&KeptPeer {
                        record: peer.signed.clone(),
                        state: peer.state,
                        heard_unix_s: now_unix_s.saturating_sub(peer.age_ms(t.now).div_ceil(1_000)),
                    })
                });
                (format!("{PEER}{id}"), value)
            })
            .collect();
        entries.extend(self.journal(t, end));
        self.keep(t, entries);
    }

    /// What is new in the journal. While the disk still has an earlier batch of it nothing: however
    /// slow it is, commands fill its queue with one batch.
    fn journal(&mut self, t: &mut Tables, end: bool) -> Entries {
        if (self.journal_ticket.is_some() && !end) || t.own.has(Bug::JournalNotKept) {
            return Vec::new();
        }
        let entries = t.journal.take_unkept();
        self.journal_ticket = (!entries.is_empty()).then_some(self.ticket + 1);
        entries
    }

    fn keep(&mut self, t: &mut Tables, entries: Entries) {
        if !entries.is_empty() {
            self.ticket += 1;
            t.out.output(Output::Keep { ticket: self.ticket, entries });
        }
    }

    /// The disk answered. A failure is said once, until it works again.
    pub fn kept(&mut self, t: &mut Tables, ticket: u64, result: Result<(), String>) {
        if self.journal_ticket == Some(ticket) {
            self.journal_ticket = None;
        }
        match &result {
            Err(error) if !self.failing => {
                log::error!(target: "store", "cannot keep what is known, going on without: {error}");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                log::info!(target: "store", "keeping works again");
                self.failing = false;
            }
            _ => {}
        }
        t.own.not_kept = result.err();
    }

    pub fn deadline(&self) -> Option<Time> {
        self.flush_at.into_iter().chain([self.next_all]).min()
    }
}
