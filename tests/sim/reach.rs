//! Who can reach whom at all: what no program could do is no broken promise.

use crate::machine::MachineId;
use crate::world::World;
use herd::wire::ids::NodeId;
use std::collections::BTreeSet;

impl World {
    /// Whether all routers between this machine and the top are up, and it runs unpaused, and was not
    /// shut out.
    pub fn is_reachable(&self, id: MachineId) -> bool {
        if self.revoked.contains(&id) {
            return false;
        }
        let mut at = Some(self.machines[id].host);
        while let Some(host) = at {
            if !self.net.hosts[host].up {
                return false;
            }
            at = self.net.router_of(host);
        }
        self.machines[id].is_live()
    }

    /// The pairs of observer and accused that have no way to each other just now: nobody both know
    /// of, directly or through others, lives where both can start a conversation.
    pub(crate) fn apart(&self, ids: &[Option<NodeId>]) -> BTreeSet<(MachineId, MachineId)> {
        let accused = self.checkers.shown.accused();
        let pairs = accused.filter_map(|(observer, subject)| {
            let machine = self.checkers.truth.machine(subject)?;
            Some((observer, machine)).filter(|_| ids[machine] == Some(subject))
        });
        let alive = |id: MachineId| self.is_reachable(id);
        let pairs = pairs.filter(|(one, other)| alive(*one) && alive(*other));
        pairs.filter(|(one, other)| !self.is_linked(*one, *other, ids)).collect()
    }

    fn is_linked(&self, from: MachineId, to: MachineId, ids: &[Option<NodeId>]) -> bool {
        let mut reached = BTreeSet::from([from]);
        let mut next = vec![from];
        while let Some(one) = next.pop() {
            if self.is_neighbour(one, to, ids) {
                return true;
            }
            let fresh = |id: &MachineId| {
                !reached.contains(id)
                    && !self.machines[*id].spec.deadend
                    && self.is_reachable(*id)
                    && self.is_neighbour(one, *id, ids)
            };
            let fresh: Vec<MachineId> = (0..self.machines.len()).filter(fresh).collect();
            reached.extend(&fresh);
            next.extend(fresh);
        }
        false
    }

    /// Whether one of the two can start a conversation with the other, and knows it and where it is:
    /// of a node that moved, whoever it cannot reach itself knows only by others.
    fn is_neighbour(&self, one: MachineId, other: MachineId, ids: &[Option<NodeId>]) -> bool {
        let starts = |from: MachineId, to: MachineId| {
            let hosts = (self.machines[from].host, self.machines[to].host);
            let at = self.net.hosts[hosts.1].address.into();
            let known = ids[to].is_some_and(|id| self.checkers.shown.knows(from, id, at));
            known && self.net.is_outward(hosts.0, hosts.1)
        };
        starts(one, other) || starts(other, one)
    }
}
