//! The tree of routes, computed at once from records, without asking the network.

use crate::node::guests;
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::{Hop, Silent, State, TraceRow};
use crate::wire::limits::HOPS;
use std::collections::{BTreeMap, BTreeSet};

/// Silent containers that are named, some 64 bytes each; of more their number is told.
const SILENT_NAMES: usize = 64;

/// The tree as this node sees it, in reading order.
///
/// Top level: this node, then every node that is not hidden, or is an ancestor of this node, or
/// has this node as parent, or has the same parent as it. Every other node stands under its
/// parent; one whose parent is unknown, gone, or in a circle stands at the top.
pub fn tree(t: &Tables) -> Vec<TraceRow> {
    let mut drawn: Vec<(NaturalKey, NodeId)> = t
        .roster
        .iter()
        .filter(|(id, _)| is_drawn(t, *id))
        .map(|(id, _)| (natural_key(&t.name(id)), id))
        .collect();
    drawn.sort();
    let mut children: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    let mut tops = Vec::new();
    for (_, id) in &drawn {
        match parent_to_draw(t, *id) {
            Some(parent) => children.entry(parent).or_default().push(*id),
            None => tops.push(*id),
        }
    }
    let mut rows = vec![row(t, t.own.id, 0)];
    let mut seen = BTreeSet::new();
    // Whatever is in a circle is reached from no top: its members come last, at the top.
    for top in tops.into_iter().chain(drawn.iter().map(|(_, id)| *id)) {
        let mut stack = vec![(top, 0)];
        while let Some((id, depth)) = stack.pop() {
            if seen.insert(id) {
                rows.push(row(t, id, depth));
                let below = children.get(&id).into_iter().flatten().rev();
                stack.extend(below.map(|id| (*id, depth + 1)));
            }
        }
    }
    rows
}

fn is_drawn(t: &Tables, id: NodeId) -> bool {
    t.roster
        .get(id)
        .is_some_and(|peer| peer.state != State::Left && !t.roster.is_replaced(peer, &t.own.record))
}

fn parent_to_draw(t: &Tables, id: NodeId) -> Option<NodeId> {
    let peer = t.roster.get(id)?;
    let parent = peer.record.parent.filter(|_| peer.record.hidden)?;
    let near = parent == t.own.id || Some(parent) == t.own.record.parent || t.is_ancestor(id);
    (!near && is_drawn(t, parent)).then_some(parent)
}

fn row(t: &Tables, id: NodeId, depth: u32) -> TraceRow {
    let own = id == t.own.id;
    let record = if own { Some(&t.own.record) } else { t.roster.get(id).map(|peer| &peer.record) };
    TraceRow {
        depth,
        name: t.name(id),
        id,
        state: t.roster.get(id).map_or(State::Alive, |peer| peer.state),
        rtt_us: t.routes.rtt_us(id),
        homes: record
            .map(|record| &record.homes[..])
            .unwrap_or_default()
            .iter()
            .map(|id| t.name(*id))
            .collect(),
        silent: if own { silent(t) } else { None },
    }
}

/// The containers here from which nobody phones home.
fn silent(t: &Tables) -> Option<Silent> {
    let mut names = guests::silent(t);
    names.sort_by_cached_key(|name| natural_key(name));
    let count = names.len() as u64;
    let names = names.into_iter().take(SILENT_NAMES).map(str::to_string).collect();
    (count > 0).then_some(Silent { count, names })
}

/// The way to one node, a row a hop, this node first.
pub fn path(t: &Tables, to: NodeId) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut at = to;
    while at != t.own.id && hops.len() < usize::from(HOPS) {
        hops.push(hop(t, at));
        match t.routes.through(at, &t.own, &t.roster, t.now) {
            Some(through) if !hops.iter().any(|hop| hop.id == through) => at = through,
            _ => break,
        }
    }
    hops.push(Hop {
        name: t.own.record.name.to_string(),
        id: t.own.id,
        address: t.own.record.addresses.first().map(|ip| (*ip, t.own.record.port).into()),
        rtt_us: Some(0),
    });
    hops.reverse();
    hops
}

fn hop(t: &Tables, id: NodeId) -> Hop {
    let told = t
        .roster
        .get(id)
        .and_then(|peer| peer.record.addresses.first().map(|ip| (*ip, peer.record.port).into()));
    let direct = t.routes.seen_directly(id, t.now);
    Hop { name: t.name(id), id, address: direct.or(told), rtt_us: t.routes.rtt_us(id) }
}

/// Orders "vm 2" before "vm 10": runs of digits count as numbers.
pub type NaturalKey = Vec<(String, u64)>;

pub fn natural_key(name: &str) -> NaturalKey {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(text_end);
        let number_end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(number_end);
        // Text without a number comes before the same text with one.
        let value = if number.is_empty() { 0 } else { number.parse().unwrap_or(u64::MAX) };
        key.push((text.to_string(), value));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["vm 10", "vm 2", "a", "vm", "vm 2b"];
        names.sort_by_key(|name| natural_key(name));
        assert_eq!(names, ["a", "vm", "vm 2", "vm 2b", "vm 10"]);
    }
}
