//! Why a node is shown as it is: who heard it, when, over which path, and who voted what.

use crate::node::keys;
use crate::node::peer::Peer;
use crate::node::tables::Tables;
use crate::node::trials::Trial;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::why::{Heard, HeardOn, VoteInfo, VoterInfo, WhyInfo};
use std::net::SocketAddr;

/// What is to be said of this known node, or of the asked node itself.
pub fn why(t: &Tables, id: NodeId) -> WhyInfo {
    let stale_ms = t.own.stale_since.map(|since| t.now.ms_since(since));
    let own = WhyInfo {
        name: t.name(id),
        id,
        state: State::Alive,
        state_ms: t.now.ms_since(t.own.started),
        generation: t.own.record.generation.0,
        hidden: t.own.record.hidden,
        parent: t.own.record.parent.map(|id| t.name(id)).unwrap_or_default(),
        heard_by: t.name(id),
        route: "self".to_string(),
        own: true,
        stale_ms,
        ..WhyInfo::default()
    };
    let Some(peer) = t.roster.get(id) else { return own };
    let path = t.routes.get(id);
    let refused = path.and_then(|path| path.refused);
    WhyInfo {
        state: peer.state,
        state_ms: t.now.ms_since(peer.state_since),
        reason: peer.reason.clone(),
        generation: peer.record.generation.0,
        last_seen_ms: peer.age_ms(t.now),
        heard_by: t.name(peer.heard_by),
        heard: heard(t, id),
        hidden: peer.record.hidden,
        parent: peer.record.parent.map(|id| t.name(id)).unwrap_or_default(),
        route: t.route(id),
        refused_ms: refused.map(|at| t.now.ms_since(at)),
        broke_off: path.is_some_and(|path| path.broke_off),
        vote: t.trials.get(id).map(|trial| vote(t, trial)),
        own: false,
        note: between(t, id, peer),
        ..own
    }
}

/// What keeps the two apart however well the network is: a key that one of them lacks.
fn between(t: &Tables, id: NodeId, peer: &Peer) -> Option<String> {
    let record = &peer.record;
    if t.own.is_shut_out(id) {
        // The reason of its state says so.
        return None;
    }
    if keys::has_none(t.own.identity.ring(), record) {
        let text = "it has none of the herd keys that are held here: `daust token` here, then \
                    `daustd --join` there, lets it in";
        return Some(text.to_string());
    }
    let is_its = |at: &SocketAddr| {
        t.routes.id_at(*at) == Some(id)
            || (record.addresses.contains(&at.ip()) && record.port == at.port())
    };
    let said = t.own.outside.iter().find(|(at, _)| is_its(at));
    said.map(|(at, (why, _))| format!("{at} {}", why.to_asker()))
}

fn heard(t: &Tables, id: NodeId) -> Vec<Heard> {
    let path = t.routes.get(id);
    let heard = |path, address, at| {
        let through = match path {
            HeardOn::Relayed => t.routes.id_at(address).map(|id| t.name(id)).unwrap_or_default(),
            _ => String::new(),
        };
        Heard { path, address: Some(address), age_ms: t.now.ms_since(at), through }
    };
    let direct = path.and_then(|path| path.direct);
    let direct = direct.map(|(way, at)| heard(HeardOn::Direct, way.address, at));
    let last = path.and_then(|path| path.last).filter(|(_, hops, _)| *hops > 0);
    let last = last.map(|(way, _, at)| heard(HeardOn::Relayed, way.address, at));
    let stream = t.routes.heard_on_stream(id).map(|at| {
        let age_ms = t.now.ms_since(at);
        Heard { path: HeardOn::Stream, address: None, age_ms, through: String::new() }
    });
    let mut all: Vec<Heard> = [direct, last, stream].into_iter().flatten().collect();
    all.sort_by_key(|heard| heard.age_ms);
    all
}

fn vote(t: &Tables, trial: &Trial) -> VoteInfo {
    let name = |(id, said): &(NodeId, _)| VoterInfo { name: t.name(*id), said: *said };
    VoteInfo {
        age_ms: t.now.ms_since(trial.ended),
        called_by: t.name(trial.called_by),
        outcome: trial.outcome,
        votes: trial.votes.iter().map(name).collect(),
    }
}
