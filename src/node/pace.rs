//! Table: how often each other node had something changed here in this second. Few who change
//! something do it often: one that has run wild is slowed down.

use crate::wire::ids::NodeId;
use crate::wire::limits::CHANGES_PER_SECOND;
use crate::wire::reply::{ErrorCode, Failure};
use crate::wire::time::Time;
use std::collections::BTreeMap;

/// By who asks, in the second that began then.
#[derive(Default)]
pub struct Pace {
    counts: BTreeMap<NodeId, u32>,
    since: Time,
}

impl Pace {
    /// Counts one more, and says so where that is too many.
    pub fn too_many(&mut self, now: Time, from: NodeId) -> Option<Failure> {
        if now.ms_since(self.since) >= 1_000 {
            (self.since, self.counts) = (now, BTreeMap::new());
        }
        let count = self.counts.entry(from).or_default();
        *count += 1;
        let text = format!("its limit of {CHANGES_PER_SECOND} changes a second is reached");
        (*count > CHANGES_PER_SECOND).then(|| Failure::new(ErrorCode::Limit, text))
    }
}
