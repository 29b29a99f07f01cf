//! Membership, continued: what others say. Records, goodbyes and verdicts prove themselves; of the
//! rest no more is believed than what a look of our own would show.

use crate::node::members::Members;
use crate::node::outbox::Notice;
use crate::node::peer::Peer;
use crate::node::roster::Put;
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::record::Record;
use crate::wire::rumor::{Left, Rumor, Subject};

/// A verdict that somebody kept does not outweigh word of its node that is younger than this.
const HEARD_LATELY_MS: u64 = 3_500;
/// A rumor about a node is at most about so old: its node was heard then, by somebody.
const RUMOR_AGE_MS: u64 = 5_000;
/// A suspect that nobody heard for so long is not on trial, but only remembered.
const REMEMBERED_MS: u64 = 10_000;

impl Members {
    /// A rumor, not checked yet. What is new here spreads further.
    pub fn rumor(&mut self, t: &mut Tables, rumor: Rumor) {
        match rumor {
            Rumor::Record(signed) => {
                let id = Record::peek(&signed).map(|record| record.id());
                // Who hands it on may have slept: it says little of a node that was heard before.
                let new = id.as_ref().is_ok_and(|id| !t.roster.contains(*id));
                self.record(t, signed, State::Alive, true);
                if let (Ok(id), true) = (id, new) {
                    t.roster.heard_elsewhere(id, id, RUMOR_AGE_MS, t.arrived);
                }
            }
            Rumor::Left(left) => self.left(t, left),
            Rumor::Verdict(verdict) => t.out.notice(Notice::Verdict(verdict)),
            Rumor::Forget { id, generation } => {
                t.out.notice(Notice::Forget(Subject { id, generation }));
            }
        }
    }

    /// Whether the herd heard its node so lately that a verdict somebody kept, perhaps from before a
    /// split healed, is a reason to look and no more.
    pub fn heard_lately(&self, t: &Tables, id: NodeId) -> bool {
        let heard = |peer: &Peer| peer.is_live() && peer.age_ms(t.now) < HEARD_LATELY_MS;
        t.roster.get(id).is_some_and(heard)
    }

    /// A record from wherever: checked here. `spread` hands it on if it is new.
    pub fn record(&mut self, t: &mut Tables, signed: Vec<u8>, state: State, spread: bool) {
        let Ok(peeked) = Record::peek(&signed) else {
            t.own.count("records not understood");
            return;
        };
        let id = peeked.id();
        if t.own.is_shut_out(id) {
            return;
        }
        if id == t.own.id {
            self.own_record(t, &peeked, &signed);
            return;
        }
        let known = t.roster.get(id).map(|peer| &peer.record);
        if known.is_some_and(|known| known.stamp() >= peeked.stamp()) {
            return;
        }
        let Ok(record) = Record::open(t.own.options.suite, &signed) else {
            t.own.count("records forged");
            return;
        };
        let state = if known.is_none() { state } else { State::Alive };
        let rerouted = known.is_some_and(|known| known.parent != peeked.parent);
        let stays = |address| peeked.addresses.contains(address);
        let moved = known.is_some_and(|known| !known.addresses.iter().all(stays));
        match t.roster.put(record, signed.clone(), state, t.now) {
            Put::New | Put::Later => {
                if state == State::Alive {
                    self.join(t, id);
                }
                t.out.notice(Notice::Recorded(id));
            }
            Put::Changed => t.out.notice(Notice::RecordChanged { id, rerouted, moved }),
            Put::Full => t.own.count("nodes refused at the limit of known nodes"),
            Put::Same => return,
        }
        if spread && t.roster.contains(id) {
            self.spread(t, &Rumor::Record(signed));
        }
    }

    /// A record under our own id: an echo, an earlier life's trace, or a clone's. A clone shows
    /// itself by talking (see `Taken`), unless it bears our very generation: then the later
    /// instance starts above, and the earlier one says itself anew, so that the later hears of it.
    fn own_record(&mut self, t: &mut Tables, record: &Record, signed: &[u8]) {
        let own = &t.own.record;
        let same = record.generation == own.generation;
        let ours = record.instance == own.instance && record.generation > own.generation;
        let above = ours || (same && record.instance < own.instance);
        let hides_us = same && record.instance > own.instance && record.sequence >= own.sequence;
        if !(above || hides_us) || Record::open(t.own.options.suite, signed).is_err() {
            return;
        }
        if above {
            t.out.notice(Notice::StartAbove(record.generation));
        } else {
            t.own.outdo(record.sequence);
            t.out.notice(Notice::OwnChanged);
        }
    }

    fn left(&mut self, t: &mut Tables, left: Left) {
        let Some(peer) = t.roster.get(left.subject.id) else { return };
        let keys = peer.record.keys();
        if peer.record.generation > left.subject.generation
            || peer.state == State::Left
            || !left.is_authentic(t.own.options.suite, &keys)
        {
            return;
        }
        self.end(t, left.subject, State::Left, "");
        self.told_end(t, left.subject.id, Rumor::Left(left));
    }

    /// What a peer's list says of a node that was not heard here since this daemon started.
    pub fn hearsay(&mut self, t: &mut Tables, id: NodeId, state: State, age_ms: u64) {
        if t.own.is_shut_out(id) {
            return;
        }
        // Two lists differ for ever if neither hears the node itself: it settles that.
        let lives = state == State::Alive && age_ms < REMEMBERED_MS;
        if lives && t.roster.get(id).is_some_and(|peer| peer.state == State::Down) {
            self.heard_the_dead(t, id);
            return;
        }
        let unheard = !self.shared.borrow().known.contains_key(&id);
        let ended = matches!(state, State::Down | State::Left);
        if ended && !unheard && t.roster.get(id).is_some_and(Peer::is_live) {
            // The verdict did not get here: look afresh.
            t.out.notice(Notice::ProbeFailed(id));
        }
        let Some(peer) = t.roster.get(id).filter(|_| unheard) else { return };
        if peer.state != State::Suspect {
            return;
        }
        match state {
            // The other only remembers it, too.
            State::Suspect if age_ms > REMEMBERED_MS => t.roster.set_unheard(id, true),
            State::Alive | State::Suspect => self.join(t, id),
            State::Down | State::Left => {
                if t.roster.set_state(id, state, "said another node", t.now) {
                    let down = state == State::Down;
                    t.out.notice(if down { Notice::Down(id) } else { Notice::Left(id) });
                }
            }
        }
    }
}
