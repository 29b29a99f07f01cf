//! Table: the last vote about each node, for who asks why it is shown as it is.

use crate::wire::ids::NodeId;
use crate::wire::rumor::Verdict;
use crate::wire::time::Time;
use crate::wire::why::{Outcome, Said};
use std::collections::BTreeMap;

pub struct Trial {
    pub ended: Time,
    pub called_by: NodeId,
    pub outcome: Outcome,
    /// No more than were asked.
    pub votes: Vec<(NodeId, Said)>,
}

/// Of known nodes only.
#[derive(Default)]
pub struct Trials {
    last: BTreeMap<NodeId, Trial>,
}

impl Trials {
    pub fn ended(&mut self, subject: NodeId, trial: Trial) {
        self.last.insert(subject, trial);
    }

    /// What another node's verdict says of the vote it called.
    pub fn told(&mut self, now: Time, verdict: &Verdict) {
        let votes = verdict.votes.iter().map(|vote| (vote.voter, Said::Down)).collect();
        let (called_by, outcome) = (verdict.issuer, Outcome::Down);
        self.ended(verdict.subject.id, Trial { ended: now, called_by, outcome, votes });
    }

    pub fn get(&self, id: NodeId) -> Option<&Trial> {
        self.last.get(&id)
    }

    pub fn forget(&mut self, id: NodeId) {
        self.last.remove(&id);
    }
}
