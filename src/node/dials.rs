//! Links, continued: which neighbour leads to a node, and how the link to it is dialled.

use crate::node::boundary::Output;
use crate::node::link::Link;
use crate::node::links::Links;
use crate::node::tables::Tables;
use crate::wire::ids::{NodeId, StreamId};
use crate::wire::limits::{HOPS, STREAMS};

/// A held link that is gone, or could not be dialled, is dialled again so often.
const HOLD_AGAIN_MS: u64 = 1_000;

impl Links {
    /// From now on there is a link to this node, dialled again whenever it is gone.
    pub fn hold(&mut self, t: &mut Tables, id: Option<NodeId>) {
        self.held = id;
        self.next_hold = t.now;
        self.dial_held(t);
    }

    pub(super) fn dial_held(&mut self, t: &mut Tables) {
        let Some(id) = self.held.filter(|id| self.next_hold <= t.now && !self.is_linked(*id))
        else {
            return;
        };
        self.next_hold = t.now.plus_ms(HOLD_AGAIN_MS).on_grid();
        self.link_to(t, id);
    }

    /// The node whose link leads to `to`: itself, or the last unhidden one of its ancestors; our
    /// parent, where we do not see that one.
    pub(super) fn neighbour(&self, t: &Tables, to: NodeId) -> Option<NodeId> {
        let mut id = to;
        for _ in 0..HOPS {
            if self.is_linked(id) {
                return Some(id);
            }
            let peer = t.roster.get(id)?;
            match peer.record.parent.filter(|_| peer.record.hidden) {
                Some(parent) if parent != t.own.id => id = parent,
                _ => break,
            }
        }
        // Before it is known whether we are hidden, our gateway's node may be the parent to come.
        let gateway = t.own.gateways_met.values().find(|_| t.own.hidden.is_none()).copied();
        let ours = self.held.filter(|parent| self.is_linked(*parent)).or(gateway);
        let ours = ours.filter(|ours| *ours != id && t.routes.seen_directly(id, t.now).is_none());
        Some(ours.unwrap_or(id))
    }

    pub(super) fn link_to(&mut self, t: &mut Tables, neighbour: NodeId) -> Option<StreamId> {
        let known = self.links.iter().find(|(_, link)| link.peer == Some(neighbour));
        if let Some((stream, _)) = known {
            return Some(*stream);
        }
        if self.links.len() >= STREAMS {
            t.own.count("streams refused at their limit");
            return None;
        }
        let address = t.routes.dial(neighbour, &t.own, &t.roster, t.now)?;
        let stream = StreamId(self.next_stream * 2 + 1);
        self.next_stream += 1;
        self.links.insert(stream, Link::new(true, Some(neighbour), t.now));
        t.out.output(Output::Dial { stream, to: address });
        Some(stream)
    }
}
