//! The node, continued: a turn that comes too late means that the process slept.

use crate::node::Node;
use crate::wire::limits::SLEPT_MS;
use crate::wire::time::Time;

/// A turn this late may read what waited in a buffer, and for so long afterwards.
const LATE_MS: u64 = 100;
const DRAIN_MS: u64 = 200;

impl Node {
    /// Begins a turn. One that comes far too late means that the process slept: it knows nothing
    /// about the others' last seconds and accuses nobody.
    pub(super) fn turn(&mut self, now: Time) {
        let slept_ms = self.awaited.map_or(0, |awaited| now.ms_since(awaited));
        self.draining = self.draining.filter(|(_, until)| *until > now);
        if slept_ms >= LATE_MS && self.draining.is_none() {
            // What arrives now may have waited since the turn before.
            self.draining = Some((self.t.now, now.plus_ms(DRAIN_MS)));
        }
        self.t.now = self.t.now.max(now);
        self.t.arrived = self.draining.map_or(self.t.now, |(since, _)| since);
        if slept_ms < SLEPT_MS {
            return;
        }
        self.awaited = None;
        self.t.awake_since = now;
        log::warn!(target: "node", "woke up after {}.{} s", slept_ms / 1_000, slept_ms % 1_000 / 100);
        self.t.own.count("sleeps");
        self.votes.clear();
        self.members.woke(&mut self.t);
        self.homes.woke(&self.t);
        self.settle();
    }
}
