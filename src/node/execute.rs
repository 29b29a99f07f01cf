//! Commands carried out on this node: values in, values out.

use crate::node::keys;
use crate::node::named::find;
use crate::node::outbox::Notice;
use crate::node::peer::Peer;
use crate::node::rights::Asker;
use crate::node::tables::Tables;
use crate::node::{checkup, guests, tokens, trace, why};
use crate::wire::PROTOCOL_VERSION;
use crate::wire::command::{Command, Scope};
use crate::wire::history::Entry;
use crate::wire::ids::NodeId;
use crate::wire::info::{Counter, KeyInfo, Lacking, Limit, NodeInfo, State, VersionInfo};
use crate::wire::key::HerdKey;
use crate::wire::keyring::Held;
use crate::wire::limits::{KEY_GRACE_S, KEYS, NODES, REVOKED, TABLE, TOKEN_MS, TOKENS};
use crate::wire::record::Record;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::rumor::Subject;
use std::net::SocketAddr;

/// Rows in one part of a reply: some 150 bytes each, so that a part stays below its limit.
const ROWS: usize = 64;
/// The same of entries of the journal, which have up to 600.
const ENTRIES: usize = 24;

const NO_KEY: &str = "this herd is open: `daust key adopt` gives it a key while it runs, `daust key \
                      new` makes one for a new herd";

/// Carries out a command, and notes in the journal what changes something; gives the parts of the
/// reply, at least one.
pub fn carry_out(t: &mut Tables, asker: &Asker, command: &Command) -> Vec<Reply> {
    let replies = execute(t, asker, command);
    let failure = match replies.first() {
        Some(Reply::Error(failure)) => Some(failure),
        _ => None,
    };
    t.journal.note(t.now, asker, &Scope::Here, command, failure);
    replies
}

fn execute(t: &mut Tables, asker: &Asker, command: &Command) -> Vec<Reply> {
    match command {
        Command::Ping => vec![Reply::Pong],
        Command::List => list(t),
        Command::Trace => {
            trace::tree(t).into_iter().take(1).map(|row| Reply::Tree(vec![row])).collect()
        }
        Command::TraceAll => {
            trace::tree(t).chunks(ROWS).map(|rows| Reply::Tree(rows.to_vec())).collect()
        }
        Command::TraceNode(text) => vec![match find(t, text) {
            Ok(id) if t.roster.get(id).is_some_and(Peer::is_silent) => {
                Reply::Error(why_dead(t, id))
            }
            Ok(id) => Reply::Path(trace::path(t, id)),
            Err(failure) => Reply::Error(failure),
        }],
        Command::Stop => {
            t.out.notice(Notice::Stop);
            vec![Reply::Stopped]
        }
        Command::Version => vec![Reply::Version(version(t))],
        Command::Watch => {
            let text = "watch follows the local node only";
            vec![Reply::Error(Failure::new(ErrorCode::Invalid, text))]
        }
        Command::Forget(text) => vec![forget(t, text)],
        Command::Keys => vec![Reply::Keys(key_infos(t))],
        Command::Rotate if t.own.identity.ring().len() >= KEYS => {
            let text = format!(
                "limit of {KEYS} herd keys held reached: one more would shut out who is away; the \
                 oldest is retired {} days after it was followed",
                KEY_GRACE_S / (24 * 3_600)
            );
            vec![Reply::Error(Failure::new(ErrorCode::Limit, text))]
        }
        Command::Rotate => vec![rotate(t, &[])],
        Command::Revoke(text) => vec![revoke(t, text)],
        Command::KeyText => vec![match t.own.identity.herd() {
            Some(key) => Reply::KeyText(key.to_text().to_string()),
            None => Reply::Error(Failure::new(ErrorCode::Refused, NO_KEY)),
        }],
        Command::Token => vec![token(t).unwrap_or_else(Reply::Error)],
        Command::Adopt(members) => vec![adopt(t, members)],
        Command::Why(text) => vec![match find(t, text) {
            Ok(id) => Reply::Why(Box::new(why::why(t, id))),
            Err(failure) => Reply::Error(failure),
        }],
        Command::Doctor(None) => vec![Reply::Findings(checkup::checkup(t))],
        // Taken before it comes here where it can be answered at all.
        Command::Doctor(Some(_)) => {
            let text = "`doctor NODE` is asked of the local node only";
            vec![Reply::Error(Failure::new(ErrorCode::Invalid, text))]
        }
        // Taken before it comes here where it is asked for as it should be.
        Command::Pipe(_) => {
            let text = "a pipe is asked of the local node, for one other";
            vec![Reply::Error(Failure::new(ErrorCode::Invalid, text))]
        }
        Command::History(about) => history(t, asker, about.as_deref()),
    }
}

/// Where it is to be shown goes with it: the first address that this node tells others.
fn token(t: &mut Tables) -> Result<Reply, Failure> {
    if t.own.identity.herd().is_none() {
        return Err(Failure::new(ErrorCode::Refused, NO_KEY));
    }
    let record = &t.own.record;
    let ip = record.addresses.first().copied();
    let at = ip.map(|ip| SocketAddr::new(ip, record.port)).ok_or_else(|| {
        Failure::new(ErrorCode::Refused, "this node has no address that a new machine could ask")
    })?;
    match tokens::make(t) {
        Some(token) => Ok(Reply::Token(format!("{}@{at}", *token.to_text()))),
        None => {
            let text = format!(
                "limit of {TOKENS} join tokens that wait to be used reached: each is good for {} \
                 minutes; use one of them, wait, or ask another node for one",
                TOKEN_MS / 60_000
            );
            Err(Failure::new(ErrorCode::Limit, text))
        }
    }
}

/// The journal, or what of it is about one node. Other nodes are not told the names of local users;
/// in an open herd, where anybody may be one of them, no more than what became of its nodes.
fn history(t: &Tables, asker: &Asker, about: Option<&str>) -> Vec<Reply> {
    let is_local = matches!(asker, Asker::User(_));
    let keyed = t.own.identity.herd().is_some();
    let found = about.map(|text| find(t, text));
    if let Some(Err(failure)) = &found
        && failure.code == ErrorCode::Ambiguous
    {
        return vec![Reply::Error(failure.clone())];
    }
    let id = found.as_ref().and_then(|found| found.as_ref().ok().copied());
    let wanted = |entry: &&Entry| {
        let told = is_local || keyed || !entry.is_private();
        told && about.is_none_or(|name| entry.is_about(id, name))
    };
    let entries: Vec<Entry> = t
        .journal
        .entries()
        .filter(wanted)
        .map(|entry| if is_local { entry.clone() } else { entry.without_user() })
        .collect();
    match found {
        Some(Err(failure)) if entries.is_empty() => vec![Reply::Error(failure)],
        _ if entries.is_empty() => vec![Reply::History(entries)],
        _ => entries.chunks(ENTRIES).map(|some| Reply::History(some.to_vec())).collect(),
    }
}

fn list(t: &Tables) -> Vec<Reply> {
    let stale_ms = t.own.stale_since.map(|since| t.now.ms_since(since));
    let mut rows: Vec<_> =
        t.roster.iter().map(|(id, _)| (trace::natural_key(&t.name(id)), id)).collect();
    rows.sort();
    let mut nodes = vec![own_info(t)];
    nodes.extend(rows.into_iter().filter_map(|(_, id)| info(t, id)));
    nodes.chunks(ROWS).map(|rows| Reply::Nodes { nodes: rows.to_vec(), stale_ms }).collect()
}

fn own_info(t: &Tables) -> NodeInfo {
    let record = &t.own.record;
    NodeInfo {
        state: State::Alive,
        reason: warning(t, record),
        parent: record.parent.map(|id| t.name(id)).unwrap_or_default(),
        route: "self".to_string(),
        rtt_us: Some(0),
        heard_by: record.name.to_string(),
        ..NodeInfo::of(record)
    }
}

fn info(t: &Tables, id: NodeId) -> Option<NodeInfo> {
    let peer = t.roster.get(id)?;
    let record = &peer.record;
    Some(NodeInfo {
        name: t.name(id),
        last_seen_ms: peer.age_ms(t.now),
        state: peer.state,
        reason: match peer.reason.as_str() {
            "" => warning(t, record),
            reason => reason.to_string(),
        },
        parent: record.parent.map(|id| t.name(id)).unwrap_or_default(),
        route: t.route(id),
        rtt_us: t.routes.rtt_us(id),
        heard_by: t.name(peer.heard_by),
        replaced: t.roster.is_replaced(peer, &t.own.record),
        ..NodeInfo::of(record)
    })
}

/// What people should know of a node that is alive; mostly nothing.
fn warning(t: &Tables, record: &Record) -> String {
    record.copy_of().map_or_else(String::new, |id| {
        format!("started as a copy of {} (a cloned image?) and drew a new identity", t.name(id))
    })
}

fn version(t: &Tables) -> VersionInfo {
    VersionInfo {
        program: t.own.options.program.clone(),
        protocol: PROTOCOL_VERSION,
        library: env!("CARGO_PKG_VERSION").to_string(),
        build: t.own.options.build.clone(),
        limits: TABLE
            .iter()
            .map(|(name, value, unit)| Limit {
                name: name.to_string(),
                value: *value,
                unit: unit.to_string(),
            })
            .collect(),
        counters: t
            .own
            .counters()
            .iter()
            .map(|(name, value)| Counter { name: name.to_string(), value: *value })
            .collect(),
        warning: t.own.exposed(),
        gauges: Some(vec![
            gauge("requests under way", t.own.requests),
            gauge("journal entries", t.journal.entries().count()),
        ]),
        guests: guests::in_words(t),
    }
}

fn gauge(name: &str, value: usize) -> Counter {
    Counter { name: name.to_string(), value: value as u64 }
}

/// The newest first; of each, who of those that live holds it as far as their records tell.
fn key_infos(t: &Tables) -> Vec<KeyInfo> {
    let file = t.own.options.key.as_ref().map(HerdKey::id);
    let ring = t.own.identity.ring();
    let open = ring.adoption().map(|adoption| {
        let open_s = adoption.until_unix_s.saturating_sub(t.own.unix_s(t.now));
        format!("; who has none is heard for {open_s} s more at most")
    });
    let open = open.unwrap_or_default();
    let info = |held: &Held| {
        let peers = t.roster.iter().filter(|(id, _)| !ring.is_revoked(*id));
        let lacking = peers
            .filter(|(_, peer)| peer.state != State::Left && keys::lacks(&peer.record, held.id));
        let mut lacking: Vec<(String, bool)> = lacking
            .map(|(id, peer)| {
                let record = &peer.record;
                (t.name(id), record.told_accept().is_some() && keys::has_none(ring, record))
            })
            .collect();
        lacking.sort_by_cached_key(|(name, _)| trace::natural_key(name));
        KeyInfo {
            fingerprint: held.key.fingerprint(),
            herd: held.key.herd(),
            epoch: held.id.epoch,
            source: match Some(held.id) == file {
                true => format!("{}{open}", t.own.options.key_source),
                false => "rotation".to_string(),
            },
            lacking: (!lacking.is_empty()).then(|| lacking_of(lacking)),
        }
    };
    ring.iter().map(info).collect()
}

/// Who lacks a key, and whether it takes none from others.
fn lacking_of(nodes: Vec<(String, bool)>) -> Lacking {
    let count = nodes.len() as u64;
    let (mut names, mut refusing) = (Vec::new(), Vec::new());
    for (name, refuses) in nodes.into_iter().take(ROWS) {
        refusing.extend(refuses.then(|| name.clone()));
        names.push(name);
    }
    Lacking { count, names, refusing: (!refusing.is_empty()).then_some(refusing) }
}

fn rotate(t: &mut Tables, revoked: &[NodeId]) -> Reply {
    if keys::make(t, revoked) {
        return Reply::Keys(key_infos(t));
    }
    Reply::Error(Failure::new(ErrorCode::Refused, NO_KEY))
}

fn adopt(t: &mut Tables, members: &[NodeId]) -> Reply {
    if t.own.identity.herd().is_some() {
        let text = "this herd has a key already: `daust key rotate` makes the next";
        return Reply::Error(Failure::new(ErrorCode::Refused, text));
    }
    if !members.contains(&t.own.id) || members.len() > NODES {
        let text = "the nodes that are to get the key are not named: `daust key adopt` asks";
        return Reply::Error(Failure::new(ErrorCode::Invalid, text));
    }
    keys::adopt(t, members);
    Reply::Keys(key_infos(t))
}

fn revoke(t: &mut Tables, text: &str) -> Reply {
    let ring = t.own.identity.ring();
    match find(t, text) {
        Ok(id) if id == t.own.id => {
            let text = "a node can not shut itself out: ask another one";
            Reply::Error(Failure::new(ErrorCode::Invalid, text))
        }
        Ok(id) if ring.is_revoked(id) => {
            let text = format!("{} is shut out already", t.name(id));
            Reply::Error(Failure::new(ErrorCode::Refused, text))
        }
        Ok(_) if ring.revoked().len() >= REVOKED => {
            let text = format!("limit of {REVOKED} nodes shut out reached: begin a new herd");
            Reply::Error(Failure::new(ErrorCode::Limit, text))
        }
        Ok(id) => rotate(t, &[id]),
        Err(failure) => Reply::Error(failure),
    }
}

fn forget(t: &mut Tables, text: &str) -> Reply {
    let id = match find(t, text) {
        Ok(id) => id,
        Err(failure) => return Reply::Error(failure),
    };
    let name = t.name(id);
    let Some(peer) = t.roster.get(id).filter(|peer| !peer.is_live()) else {
        let text = format!("{name} is not down: only a node that is down or left can be forgotten");
        return Reply::Error(Failure::new(ErrorCode::Refused, text));
    };
    let subject = Subject { id, generation: peer.record.generation };
    t.out.notice(Notice::Forget(subject));
    Reply::Forgotten { name, id }
}

/// Why a node is not asked.
pub fn why_dead(t: &Tables, id: NodeId) -> Failure {
    let Some(peer) = t.roster.get(id) else {
        return Failure::new(ErrorCode::UnknownNode, "forgotten");
    };
    let seconds = peer.age_ms(t.now) / 1_000;
    let text = match peer.state {
        State::Left => format!("left {seconds} s ago"),
        _ => format!("down for {seconds} s"),
    };
    Failure::new(ErrorCode::NoAnswer, text)
}

/// What may be the reason that a node does not answer.
pub fn hint(t: &Tables, id: NodeId) -> String {
    let Some(peer) = t.roster.get(id) else { return String::new() };
    match (peer.state, peer.record.hidden, peer.record.parent) {
        (State::Suspect, ..) => format!("; suspect: {}", peer.reason),
        (_, true, Some(parent)) => format!("; it is reached through {}", t.name(parent)),
        (_, true, None) => "; it is hidden and has no parent yet".to_string(),
        _ => String::new(),
    }
}
