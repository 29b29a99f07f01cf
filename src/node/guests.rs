//! Table: the containers that an Engine on this machine runs, as it says. The end of one is certain:
//! it is told to all, with the Engine's word for it, and no vote is called.
//!
//! A guest is matched with a node by address, and only with one that names this node as its host: the
//! others believe no testimony but its host's. Where two fit nothing is said.

use crate::node::outbox::Notice;
use crate::node::peer::Peer;
use crate::node::tables::Tables;
use crate::wire::guest::{Guest, GuestState, Guests};
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::rumor::{Ending, Rumor, Subject, Verdict};
use crate::wire::time::Time;

/// A vote may be faster than the Engine, which may be away: for so long its word still says why a node
/// is down.
const VOTED_MS: u64 = 60_000;

/// All there are now, or why that is not known.
pub fn told(t: &mut Tables, told: Guests) {
    if let Ok(all) = &told {
        for guest in all {
            match guest.state {
                GuestState::Ended(ending) => testify(t, all, guest, ending),
                GuestState::Running | GuestState::Paused => {}
            }
        }
    }
    say_changed(t, &told);
    t.guests = Some(told.map(|all| all.into_iter().filter(is_there).collect()));
}

fn is_there(guest: &Guest) -> bool {
    !matches!(guest.state, GuestState::Ended(_))
}

fn say_changed(t: &Tables, told: &Guests) {
    match (&t.guests, told) {
        (Some(Err(before)), Err(why)) if before == why => {}
        (_, Err(why)) => log::info!(target: "guests", "containers are not watched: {why}"),
        (Some(Ok(_)), Ok(_)) => {}
        (_, Ok(all)) => log::info!(target: "guests", "watches {} containers", all.len()),
    }
}

fn testify(t: &mut Tables, all: &[Guest], guest: &Guest, ending: Ending) {
    let bears = |other: &Guest| other.addresses.iter().any(|ip| guest.addresses.contains(ip));
    let reused = all.iter().any(|other| other.id != guest.id && is_there(other) && bears(other));
    let own = t.own.id;
    let ended = |(_, peer): &(NodeId, &Peer)| {
        is_in(peer, guest) && peer.record.host() == Some(own) && may_have_ended(peer, t.now)
    };
    let fits = |live: bool| {
        let fits = t.roster.iter().filter(ended).filter(move |(_, peer)| peer.is_live() == live);
        fits.map(|(id, peer)| Subject { id, generation: peer.record.generation }).collect()
    };
    let (live, dead): (Vec<Subject>, Vec<Subject>) = (fits(true), fits(false));
    let fits = if live.is_empty() { dead } else { live };
    let ([subject], false) = (&fits[..], reused) else { return };
    t.out.notice(Notice::Verdict(Verdict::testimony(&t.own.identity, *subject, ending)));
}

fn is_in(peer: &Peer, guest: &Guest) -> bool {
    peer.record.addresses.iter().any(|ip| guest.addresses.contains(ip))
}

/// Alive as far as is known, or down by a vote of this moment.
fn may_have_ended(peer: &Peer, now: Time) -> bool {
    let lately = now.ms_since(peer.state_since) < VOTED_MS;
    peer.is_live() || (peer.state == State::Down && lately && !is_testified(peer))
}

/// Whether its host said that it ended.
pub fn is_testified(peer: &Peer) -> bool {
    matches!(peer.end.as_deref(), Some(Rumor::Verdict(verdict)) if verdict.ending.is_some())
}

/// Names of the guests that run and from which no node phones home.
pub fn silent(t: &Tables) -> Vec<&str> {
    let Some(Ok(all)) = &t.guests else { return Vec::new() };
    let is_known = |guest: &Guest| {
        t.roster.live().any(|(id, peer)| {
            let direct = t.routes.seen_directly(id, t.now);
            let near = direct.is_some_and(|at| guest.addresses.contains(&at.ip()));
            is_in(peer, guest) && (near || peer.record.host() == Some(t.own.id))
        })
    };
    let runs = |guest: &&Guest| guest.state == GuestState::Running && !guest.addresses.is_empty();
    let silent = all.iter().filter(runs).filter(|guest| !is_known(guest));
    silent.map(|guest| guest.name.as_str()).collect()
}

/// For `version -v`.
pub fn in_words(t: &Tables) -> Option<String> {
    Some(match t.guests.as_ref()? {
        Ok(all) => format!("{} containers are watched", all.len()),
        Err(why) => format!("containers are not watched: {why}"),
    })
}
