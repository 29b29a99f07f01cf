//! Discovery: what was found on the local network is greeted, where that can join nothing that was
//! apart. Found nodes are addresses, never members.
//!
//! A keyed herd greets all that bear its mark. In an open one only a lone node joins what it finds,
//! one address at a time: two herds never become one this way.

use crate::node::contacts::{Contacts, is_deserted};
use crate::node::outbox::Occasion;
use crate::node::tables::Tables;
use crate::wire::discovery::Discovered;
use crate::wire::hello::Intent;
use crate::wire::ids::NodeId;
use crate::wire::limits::DISCOVERED;
use crate::wire::time::Time;
use std::net::SocketAddr;

/// How often a keyed herd greets those of its own that it does not know.
const KEYED_MS: u64 = 30_000;
/// How long a lone node looks around before it joins anything, and how long each try takes.
const TRY_MS: u64 = 3_000;
/// Lone nodes that start together all join the one with the first address. This one waits so many
/// tries for them: then that those it sees joined others already is likely.
const TRIES_AS_FIRST: u32 = 2;

pub struct Discovery {
    next: Time,
    tries: u32,
}

impl Discovery {
    pub fn new(now: Time) -> Discovery {
        Discovery { next: now.plus_ms(TRY_MS), tries: 0 }
    }

    /// All that is there now.
    pub fn found(&mut self, t: &mut Tables, found: Vec<Discovered>) {
        let keyed = t.own.identity.herd().is_some();
        let is_ours = |one: &Discovered| t.own.is_own_address(one.at.ip());
        t.discovered = found.into_iter().filter(|one| !is_ours(one)).take(DISCOVERED).collect();
        if keyed {
            self.next = t.now;
        }
    }

    pub fn tick(&mut self, t: &mut Tables, contacts: &mut Contacts) {
        if t.now < self.next || t.own.leaving {
            return;
        }
        let keyed = t.own.identity.herd().is_some();
        self.next = t.now.plus_ms(if keyed { KEYED_MS } else { TRY_MS }).on_grid();
        let strangers: Vec<SocketAddr> =
            strangers(t).filter(|one| one.alike).map(|one| one.at).collect();
        if keyed {
            for at in strangers {
                contacts.contact(t, at, NodeId::ANYBODY, Intent::Join, Occasion::Found);
            }
            return;
        }
        if !is_deserted(t) {
            self.tries = 0;
            return;
        }
        let own = t.own.record.addresses.first().map(|ip| SocketAddr::new(*ip, t.own.record.port));
        let is_first = own < strangers.first().copied() && self.tries < TRIES_AS_FIRST;
        let turn = self.tries.saturating_sub(TRIES_AS_FIRST) as usize;
        if !strangers.is_empty() {
            self.tries += 1;
        }
        if let (false, Some(at)) = (is_first, strangers.get(turn % strangers.len().max(1))) {
            contacts.contact(t, *at, NodeId::ANYBODY, Intent::Lone, Occasion::Found);
        }
    }

    /// Nothing is to be done where nothing was found.
    pub fn deadline(&self, t: &Tables) -> Option<Time> {
        (!t.discovered.is_empty()).then_some(self.next)
    }
}

/// What was found and is at no address of a node of this herd.
pub fn strangers(t: &Tables) -> impl Iterator<Item = &Discovered> {
    let is_known = |at: SocketAddr| {
        let bears = |ip: &std::net::IpAddr| *ip == at.ip();
        t.roster.live().any(|(_, peer)| {
            peer.record.port == at.port() && peer.record.addresses.iter().any(bears)
        })
    };
    t.discovered.iter().filter(move |one| !is_known(one.at))
}
