//! News of other nodes: one was met, a peer's list came, one is to be forgotten.

use crate::node::Node;
use crate::node::outbox::{Carry, Notice};
use crate::node::planted::Bug;
use crate::node::{lives, verdicts};
use crate::wire::history::EntryKind;
use crate::wire::ids::NodeId;
use crate::wire::info::{EventKind, State};
use crate::wire::message::{Body, Nonce, Sync};
use crate::wire::record::Record;
use crate::wire::rumor::{Rumor, Subject, Verdict};
use rand::RngExt;

/// News of a node is spread only if somebody heard it so lately.
const SPREAD_MS: u64 = 3_000;

impl Node {
    /// A part of a peer's list. What is new here is new to others only if it is little against
    /// what was known before: a joiner tells nobody what the herd told it.
    pub(super) fn synced(&mut self, from: NodeId, sync: Sync) {
        let t = &mut self.t;
        let before = t.roster.len();
        let spread = sync.entries.len() <= before;
        let under_way_ms = self.sync.under_way_ms(t, from, sync.last);
        for entry in sync.entries {
            let Ok(record) = Record::peek(&entry.record) else { continue };
            let id = record.id();
            let new = !t.roster.contains(id);
            if new && lives::is_past(&record, entry.state, entry.age_ms) {
                continue;
            }
            let spread = spread && entry.state == State::Alive && entry.age_ms < SPREAD_MS;
            self.members.record(t, entry.record, entry.state, spread);
            if new && let Some(peer) = t.roster.get_mut(id) {
                // Not heard by this node yet: the age is the other's.
                peer.heard_us = i64::MIN;
            }
            self.members.hearsay(t, id, entry.state, entry.age_ms);
            let age_ms = entry.age_ms.saturating_add(under_way_ms);
            t.roster.heard_elsewhere(id, from, age_ms, t.arrived);
            self.keeping.changed(t, id);
        }
        if t.roster.len() > before {
            self.sync.learnt();
        }
    }

    /// A verdict, passed just now or kept and told.
    pub(super) fn verdict(&mut self, verdict: Verdict, told: bool) {
        let (t, subject) = (&mut self.t, verdict.subject);
        if subject.id == t.own.id {
            if subject.generation == t.own.record.generation {
                self.members.renew(t, subject.generation);
            }
            return;
        }
        if !verdicts::accepts(t, &verdict) {
            return;
        }
        let testified = verdict.ending.is_some();
        let doubtful = told && !testified && !t.own.has(Bug::VotesUnchecked);
        if doubtful && self.members.heard_lately(t, subject.id) {
            self.votes.doubt(t, subject.id);
        } else if self.members.down(t, subject, &verdict.why()) {
            if verdict.issuer != t.own.id && !testified {
                t.trials.told(t.now, &verdict);
            }
            self.members.told_end(t, subject.id, Rumor::Verdict(verdict));
        } else if testified && t.roster.explain(subject.id, &verdict.why()) {
            // A vote came first.
            t.out.notice(Notice::Down(subject.id));
            self.members.told_end(t, subject.id, Rumor::Verdict(verdict));
        }
    }

    /// A node proved itself: it lives, it is asked for what it knows, and others hear of it.
    pub(super) fn met(&mut self, id: NodeId, greeted: bool) {
        let t = &mut self.t;
        self.rotation.told(t, id);
        self.members.join(t, id);
        let nonce = t.random.random();
        t.out.send(id, Body::Probe(Nonce { nonce }));
        // The one who was greeted asks by datagram: it may not be able to dial back.
        self.sync.pull(t, id, if greeted { Carry::Stream } else { Carry::Best(0) });
        self.keeping.changed(t, id);
        if let Some(signed) = t.roster.get(id).map(|peer| peer.signed.clone()) {
            self.members.spread(t, &Rumor::Record(signed));
        }
    }

    pub(super) fn record_changed(&mut self, id: NodeId, rerouted: bool, moved: bool) {
        let t = &mut self.t;
        self.rotation.told(t, id);
        self.keeping.changed(t, id);
        if moved {
            self.links.moved(t, Some(id));
            self.hellos.contacts.moved(t, id);
        }
        if rerouted {
            self.rerouted(id);
        }
    }

    fn rerouted(&mut self, id: NodeId) {
        let t = &self.t;
        let parent = t.roster.get(id).filter(|peer| peer.record.hidden);
        let parent = parent.and_then(|peer| peer.record.parent);
        let text = parent.map(|parent| t.name(parent)).unwrap_or_default();
        self.event(EventKind::Route, id, text);
    }

    /// A node that was not known to live does.
    pub(super) fn up(&mut self, id: NodeId) {
        let t = &mut self.t;
        self.keeping.changed(t, id);
        t.journal.up(t.now, id, &t.name(id));
        self.event(EventKind::Up, id, String::new());
    }

    pub(super) fn ended(&mut self, id: NodeId, kind: EventKind) {
        let t = &mut self.t;
        self.relay.gone(t, id);
        self.pipes.gone(t, id);
        self.votes.forget(id);
        self.keeping.changed(t, id);
        let reason = t.roster.get(id).map(|peer| peer.reason.clone()).unwrap_or_default();
        let down = kind == EventKind::Down;
        let entry = if down { EntryKind::Down } else { EntryKind::Left };
        let name = t.name(id);
        t.journal.event(t.now, entry, id, &name, &reason);
        self.event(kind, id, reason);
    }

    /// Nothing is said to it from now on, and nothing heard.
    pub(super) fn shut_out(&mut self, id: NodeId) {
        self.members.shut_out(&mut self.t, id);
        self.links.shut_out(&mut self.t, id);
    }

    pub(super) fn forget(&mut self, subject: Subject) {
        let t = &mut self.t;
        let name = t.name(subject.id);
        if self.members.forget(t, subject) {
            t.journal.event(t.now, EntryKind::Forgotten, subject.id, &name, "");
            self.votes.forget(subject.id);
            self.keeping.changed(t, subject.id);
        }
    }
}
