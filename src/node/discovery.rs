//! Table: what discovery found on the local network, and which of it is to be greeted where that can
//! join nothing that was apart. Found nodes are addresses, never members.
//!
//! A keyed herd greets all that bear its mark. In an open one only a lone node joins what it finds,
//! one address at a time: two herds never become one this way.

use crate::node::tables::Tables;
use crate::wire::address::is_private;
use crate::wire::discovery::Discovered;
use crate::wire::hello::Intent;
use crate::wire::limits::DISCOVERED;
use crate::wire::time::Time;
use rand::RngExt;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// How often a keyed herd greets those of its own that it does not know.
const KEYED_MS: u64 = 30_000;
/// How long a lone node looks around before it joins anything, and how long each try takes.
const TRY_MS: u64 = 3_000;
/// Lone nodes that start together all join the one with the first address. This one waits so many
/// tries for them: then that those it sees joined others already is likely.
const TRIES_AS_FIRST: u32 = 2;

pub struct Discovery {
    /// In the order of addresses.
    found: BTreeSet<Discovered>,
    next: Time,
    tries: u32,
}

impl Discovery {
    pub fn new(now: Time) -> Discovery {
        Discovery { found: BTreeSet::new(), next: now.plus_ms(TRY_MS), tries: 0 }
    }

    /// Nothing is to be done where nothing was found.
    pub fn deadline(&self) -> Option<Time> {
        (!self.found.is_empty()).then_some(self.next)
    }
}

/// All that is there now.
pub fn found(t: &mut Tables, found: Vec<Discovered>) {
    let keyed = t.own.identity.herd().is_some();
    // Whoever is on this network may name any address: no open herd is outside private ones.
    let near = keyed || t.own.options.open_public;
    let wanted =
        |one: &Discovered| !t.own.is_own_address(one.at.ip()) && (near || is_private(one.at.ip()));
    t.discovery.found = found.into_iter().filter(wanted).take(DISCOVERED).collect();
    if keyed {
        t.discovery.next = t.now;
    }
}

/// Who is to be greeted now, and as what.
pub fn due(t: &mut Tables) -> Vec<(SocketAddr, Intent)> {
    if t.now < t.discovery.next {
        return Vec::new();
    }
    let keyed = t.own.identity.herd().is_some();
    t.discovery.next = t.now.plus_ms(if keyed { KEYED_MS } else { TRY_MS }).on_grid();
    let there: Vec<SocketAddr> = strangers(t).filter(|one| one.alike).map(|one| one.at).collect();
    if keyed {
        return there.into_iter().map(|at| (at, Intent::Join)).collect();
    }
    if !t.is_deserted() {
        t.discovery.tries = 0;
        return Vec::new();
    }
    let Some(first) = there.first() else { return Vec::new() };
    let tries = t.discovery.tries;
    t.discovery.tries += 1;
    let own = t.own.record.addresses.first().map(|ip| SocketAddr::new(*ip, t.own.record.port));
    if own < Some(*first) && tries < TRIES_AS_FIRST {
        return Vec::new();
    }
    // Then any: who invents many with low addresses keeps it from the others no longer than by chance.
    let turn = if tries <= TRIES_AS_FIRST { 0 } else { t.random.random_range(0..there.len()) };
    vec![(there[turn], Intent::Lone)]
}

/// What was found and is at no address of a node of this herd.
pub fn strangers(t: &Tables) -> impl Iterator<Item = &Discovered> {
    let is_known = |at: SocketAddr| {
        let bears = |ip: &std::net::IpAddr| *ip == at.ip();
        t.roster.live().any(|(_, peer)| {
            peer.record.port == at.port() && peer.record.addresses.iter().any(bears)
        })
    };
    t.discovery.found.iter().filter(move |one| !is_known(one.at))
}
