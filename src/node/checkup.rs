//! What `doctor` says of the asked node itself: values in, sentences out.

use crate::node::discovery::strangers;
use crate::node::named::typed;
use crate::node::peer::Peer;
use crate::node::rights;
use crate::node::tables::Tables;
use crate::wire::finding::Finding;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::time::Time;
use std::collections::BTreeMap;

/// A time of day before this one is a clock that was never set: 2025.
const CLOCK_S: u64 = 1_735_689_600;
/// A node that others heard so lately lives.
const HEARD_MS: u64 = 5_000;
/// After this, and so much more for each node, a datagram of every node that can be reached came: the
/// engine probes one every three seconds at least, and each once in two rounds.
const DUE_MS: u64 = 10_000;
const DUE_MS_A_NODE: u64 = 8_000;
/// Nodes named in one sentence.
const NAMED: usize = 5;
/// Counters that tell of somebody who is kept out, and what they mean.
const KEPT_OUT: [(&str, &str); 3] = [
    ("foreign herd", "datagrams of other herds came"),
    ("hellos under another herd key", "somebody greeted under another key of this herd"),
    ("other protocol version", "datagrams of another version of the protocol came"),
];

pub fn checkup(t: &Tables) -> Vec<Finding> {
    let mut findings = vec![running(t), herd(t), kept(t), clock(t)];
    findings.extend(reach(t));
    findings.extend(outside(t));
    findings.extend(peers(t));
    findings.extend(around(t));
    findings.extend(discovered(t));
    findings.extend(unheard(t));
    findings.extend(names(t));
    findings.extend(clones(t));
    findings.extend(kept_out(t));
    findings
}

fn running(t: &Tables) -> Finding {
    let seconds = t.now.ms_since(t.own.started) / 1_000;
    let text = format!("daustd runs since {seconds} s as {} ({})", t.own.record.name, t.own.id);
    Finding::well("running", format!("{text}, UDP and TCP port {}", t.own.record.port))
}

fn herd(t: &Tables) -> Finding {
    if let Some(sentence) = t.own.exposed() {
        let advice = "`daust key new` makes a herd key, `daust key add` takes it to the others";
        return Finding::wrong("herd", sentence, advice);
    }
    if let Some(missed) = missed(t) {
        return missed;
    }
    match t.own.identity.herd() {
        Some(key) => {
            let (fingerprint, epoch) = (key.fingerprint(), key.epoch());
            Finding::well("herd", format!("its herd has the key {fingerprint}, epoch {epoch}"))
        }
        None if t.own.options.open_public => {
            Finding::note("herd", "its herd is open: who reaches it may join (--open-public)")
        }
        None => Finding::well("herd", "its herd is open: who has a private address may join"),
    }
}

/// The open herd of this node was given a key, and this node did not get it.
fn missed(t: &Tables) -> Option<Finding> {
    let has_key = |(_, peer): &(NodeId, &Peer)| peer.record.told_keys().is_some();
    let holders = t.own.identity.herd().is_none().then(|| t.roster.iter().filter(has_key));
    let ids: Vec<NodeId> = holders.into_iter().flatten().map(|(id, _)| id).collect();
    let why = match rights::why_no_adoption(t, *ids.first()?) {
        Some(failure) => failure.detail,
        None => "perhaps it was not named there, or away".to_string(),
    };
    let text =
        format!("{} has a key for this herd, which this node did not get", names_of(t, &ids));
    let advice = "`daust token` there, then daustd here with --join; who has no key is heard for ten \
                  minutes at most";
    Some(Finding::wrong("herd", format!("{text}: {why}"), advice))
}

fn kept(t: &Tables) -> Finding {
    match &t.own.not_kept {
        None => Finding::well("state", "what it knows is kept on the disk"),
        Some(why) => Finding::wrong(
            "state",
            format!("what it knows is not kept: {why}"),
            "make room on the disk and the state directory writable for daustd, or name another \
             with -S DIR",
        ),
    }
}

/// Nothing but the journal and the keys' time of grace depends on the time of day.
fn clock(t: &Tables) -> Finding {
    match t.journal.unix_s(t.now) {
        CLOCK_S.. => Finding::well("clock", "its clock is set"),
        _ => Finding::wrong(
            "clock",
            "its clock was never set: the times in `daust history` are wrong",
            "set it, best by NTP",
        ),
    }
}

/// Nothing where there was nobody to try it.
fn reach(t: &Tables) -> Option<Finding> {
    if let Some(since) = t.own.stale_since {
        let seconds = t.now.ms_since(since) / 1_000;
        let text =
            format!("nobody in its herd answers its datagrams for {seconds} s: it is cut off");
        let advice = match t.roster.iter().next() {
            Some((id, _)) if t.own.outside.is_empty() => format!(
                "see to its network, and that UDP may leave it; `daust doctor {}` says what gets \
                 through",
                typed(&t.name(id))
            ),
            _ => "what answers instead is said below".to_string(),
        };
        return Some(Finding::wrong("reach", text, advice));
    }
    Some(match (t.own.record.hidden, t.own.record.parent) {
        (false, _) if t.own.hidden.is_none() => return None,
        (false, _) => Finding::well("reach", "others can start talking to it"),
        (true, Some(parent)) => {
            Finding::well("reach", format!("it is hidden and reached through {}", t.name(parent)))
        }
        (true, None) => Finding::wrong(
            "reach",
            "it is hidden (behind NAT or a firewall) and no node that all can reach is its parent",
            "start daustd on its hypervisor, or name a home with -k ADDRESS",
        ),
    })
}

/// Who is outside its herd, or says that this node is. Nobody can prove it, and it may be meant so:
/// it is wrong only where nobody else answers.
fn outside(t: &Tables) -> Vec<Finding> {
    let finding = |text| match t.own.stale_since {
        Some(_) => Finding::wrong("outside", text, ""),
        None => Finding::note("outside", text),
    };
    let said = t.own.outside.iter().take(NAMED);
    said.map(|(at, (why, _))| finding(format!("{at} {}", why.to_asker()))).collect()
}

fn peers(t: &Tables) -> Vec<Finding> {
    let of = |state: State| -> Vec<NodeId> {
        t.roster.iter().filter(|(_, peer)| peer.state == state).map(|(id, _)| id).collect()
    };
    let (alive, suspect, down) = (of(State::Alive), of(State::Suspect), of(State::Down));
    if alive.is_empty() && suspect.is_empty() && down.is_empty() {
        let text = "it knows no other node: `daust remote ADDRESS ping` makes it meet one";
        return vec![Finding::note("peers", text)];
    }
    let oldest_s = alive.iter().filter_map(|id| t.roster.get(*id)).map(|p| p.age_ms(t.now)).max();
    let oldest_s = oldest_s.unwrap_or(0) / 1_000;
    let heard = match alive.len() {
        0 if t.own.stale_since.is_some() => {
            Finding::note("peers", "what it knows of the others is as old as that")
        }
        0 => {
            let first = suspect.first().or(down.first()).map(|id| typed(&t.name(*id)));
            let advice = format!(
                "start those that do not run; `daust doctor {}` says whether the way there is shut",
                first.unwrap_or_default()
            );
            Finding::wrong("peers", "none of the nodes it knows is alive", advice)
        }
        1 => Finding::well("peers", format!("1 other node is alive, heard {oldest_s} s ago")),
        count => Finding::well(
            "peers",
            format!("{count} other nodes are alive, the oldest word is {oldest_s} s old"),
        ),
    };
    let lost =
        [(suspect, "suspect"), (down, "down")].into_iter().filter(|(ids, _)| !ids.is_empty());
    let lost = lost.map(|(ids, word)| {
        let verb = if ids.len() == 1 { "is" } else { "are" };
        let (names, first) = (names_of(t, &ids), typed(&t.name(ids[0])));
        Finding::note("peers", format!("{names} {verb} {word}: `daust why {first}` says more"))
    });
    [heard].into_iter().chain(lost).collect()
}

fn discovered(t: &Tables) -> Option<Finding> {
    let there: Vec<String> = strangers(t).map(|one| one.at.to_string()).collect();
    let first = there.first()?;
    let advice = match t.own.identity.herd() {
        None => format!(
            " (`daust doctor {first}` says who is there, `daust remote {first} ping` makes one of two \
             open herds)"
        ),
        Some(_) => format!(" (`daust doctor {first}` says who is there)"),
    };
    let text = "discovery shows what is of no node of this herd, at";
    Some(Finding::note("discovery", format!("{text} {}{advice}", some_of(there))))
}

/// Nodes that only others reach from here.
fn around(t: &Tables) -> Option<Finding> {
    let ids: Vec<NodeId> = t
        .roster
        .iter()
        .filter(|(id, peer)| peer.state == State::Alive && t.routes.is_around(*id, t.now))
        .map(|(id, _)| id)
        .collect();
    (!ids.is_empty()).then(|| {
        let names = names_of(t, &ids);
        let text =
            format!("{names} can be talked to only through others, though others can directly");
        let first = typed(&t.name(ids[0]));
        Finding::wrong("paths", text, format!("`daust doctor {first}` says which way is blocked"))
    })
}

/// Nodes that live and that others hear, but of whom no datagram comes here any more: probes go round,
/// so each is due once in some seconds for each node.
fn unheard(t: &Tables) -> Option<Finding> {
    let due_ms = DUE_MS + DUE_MS_A_NODE * t.roster.len() as u64;
    let is_due = |since: Time| t.now.ms_since(since) > due_ms;
    if t.own.record.hidden || !is_due(t.awake_since) {
        return None;
    }
    let direct = |id: NodeId| t.routes.get(id).and_then(|path| path.direct);
    let others = t.roster.iter().filter(|(_, peer)| {
        let open = !peer.record.hidden && peer.state == State::Alive;
        open && is_due(peer.state_since) && peer.age_ms(t.now) < HEARD_MS
    });
    let silent = others.filter(|(id, _)| direct(*id).is_none_or(|(_, at)| is_due(at)));
    let ids: Vec<NodeId> = silent.map(|(id, _)| id).collect();
    (!ids.is_empty()).then(|| {
        let (names, seconds) = (names_of(t, &ids), due_ms / 1_000);
        let text =
            format!("no datagram of {names} came here in {seconds} s, though others hear it");
        let first = typed(&t.name(ids[0]));
        let advice = format!("let UDP from there through; `daust doctor {first}` looks closer");
        Finding::wrong("paths", text, advice)
    })
}

fn names(t: &Tables) -> Vec<Finding> {
    let mut bearers: BTreeMap<&str, u32> = BTreeMap::from([(t.own.record.name.as_str(), 1)]);
    for (_, peer) in t.roster.live() {
        *bearers.entry(peer.record.name.as_str()).or_default() += 1;
    }
    let twice = bearers.into_iter().filter(|(_, count)| *count > 1).take(NAMED);
    let text = |(name, count)| {
        format!("{count} nodes are called {name}: daustd -n NAME gives one of them another")
    };
    twice.map(|one| Finding::note("names", text(one))).collect()
}

fn clones(t: &Tables) -> Option<Finding> {
    let own = t.own.record.copy_of().map(|_| t.own.id);
    let is_copy = |(_, peer): &(NodeId, &Peer)| peer.record.copy_of().is_some();
    let others = t.roster.live().filter(is_copy).map(|(id, _)| id);
    let ids: Vec<NodeId> = own.into_iter().chain(others).collect();
    (!ids.is_empty()).then(|| {
        let text = format!("{} started with the identity of another node", names_of(t, &ids));
        let advice = "empty the state directory in the image that such machines are made of";
        Finding::wrong("clones", text, advice)
    })
}

fn kept_out(t: &Tables) -> Vec<Finding> {
    let counted = KEPT_OUT.iter().filter_map(|(counter, meaning)| {
        let count = t.own.counters().get(counter)?;
        Some(Finding::note("strangers", format!("{meaning} ({count} so far): `daust history`")))
    });
    counted.collect()
}

/// The first of them, and how many more.
fn names_of(t: &Tables, ids: &[NodeId]) -> String {
    some_of(ids.iter().map(|id| t.name(*id)).collect())
}

fn some_of(all: Vec<String>) -> String {
    let named = all[..all.len().min(NAMED)].join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
