//! What programs read: one JSON object a line. The field names are part of the contract and are
//! written down in daust(1); what is not known or empty is null.

use crate::client::answers::Answer;
use crate::client::past::Then;
use crate::client::render::escape;
use crate::wire::finding::Finding;
use crate::wire::history::Entry;
use crate::wire::ids::NodeId;
use crate::wire::info::{Counter, Event, Hop, KeyInfo, NodeInfo, TraceRow, VersionInfo};
use crate::wire::reply::{Failure, Reply};
use crate::wire::time::utc;
use crate::wire::why::{Heard, VoteInfo, VoterInfo, WhyInfo};
use serde_json::{Value, json};
use std::fmt::Display;

/// The objects of one answer, failures included, a line each. Replaced nodes only with `verbose`.
pub fn lines(answer: &Answer, verbose: bool) -> String {
    let mut objects = Vec::new();
    for reply in &answer.replies {
        objects.extend(reply_objects(reply, answer.elapsed_us, verbose));
    }
    let from = json!({ "from": text(&answer.node), "from_id": id(answer.id) });
    objects.into_iter().map(|object| line(&merge(object, from.clone()))).collect()
}

/// The object for what failed before any node was asked.
pub fn error_line(code: &str, detail: &str) -> String {
    let from = json!({ "from": null, "from_id": null });
    line(&merge(json!({ "type": "error", "code": code, "detail": text(detail) }), from))
}

fn reply_objects(reply: &Reply, elapsed_us: u64, verbose: bool) -> Vec<Value> {
    match reply {
        Reply::Pong => vec![json!({ "type": "pong", "elapsed_us": elapsed_us })],
        Reply::Nodes { nodes, stale_ms } => {
            let shown = nodes.iter().filter(|node| verbose || !node.replaced);
            shown.map(|info| node(info, *stale_ms)).collect()
        }
        Reply::Tree(rows) => rows.iter().map(row).collect(),
        Reply::Path(hops) => hops.iter().map(hop).collect(),
        Reply::Stopped => vec![json!({ "type": "stopped" })],
        Reply::Version(info) => vec![version(info)],
        Reply::Forgotten { name, id: of } => {
            vec![json!({ "type": "forgotten", "name": name, "id": id(*of) })]
        }
        Reply::Event(what) => vec![event(what)],
        Reply::Keys(keys) if keys.is_empty() => vec![key(None)],
        Reply::Keys(keys) => keys.iter().map(|info| key(Some(info))).collect(),
        Reply::KeyText(text) => vec![json!({ "type": "key_text", "key": text })],
        Reply::Token(text) => vec![json!({ "type": "join_token", "token": text })],
        Reply::Findings(findings) => findings.iter().map(finding).collect(),
        Reply::Why(info) => vec![why(info)],
        Reply::History(entries) => entries.iter().map(entry).collect(),
        Reply::Pipe(_) => Vec::new(),
        Reply::Error(failure) => vec![error(failure)],
    }
}

fn node(info: &NodeInfo, stale_ms: Option<u64>) -> Value {
    json!({
        "type": "node",
        "name": info.name,
        "id": id(info.id),
        "internal_ip": shown(info.internal_ip),
        "public_ip": shown(info.public_ip),
        "last_seen_ms": info.last_seen_ms,
        "state": info.state.word(),
        "reason": text(&info.reason),
        "hidden": info.hidden,
        "parent": text(&info.parent),
        "route": text(&info.route),
        "rtt_us": info.rtt_us,
        "heard_by": text(&info.heard_by),
        "generation": info.generation,
        "replaced": info.replaced,
        "accept": info.accept,
        "class": info.class,
        "stale_ms": stale_ms,
        "port": (info.port > 0).then_some(info.port),
        "version": text(&info.version),
        "started_unix_s": (info.started_unix_s > 0).then_some(info.started_unix_s),
    })
}

fn row(row: &TraceRow) -> Value {
    json!({
        "type": "row",
        "depth": row.depth,
        "name": row.name,
        "id": id(row.id),
        "state": row.state.word(),
        "rtt_us": row.rtt_us,
        "homes": row.homes,
        "silent": row.silent.as_ref().map(|silent| &silent.names),
    })
}

fn hop(hop: &Hop) -> Value {
    json!({
        "type": "hop",
        "name": hop.name,
        "id": id(hop.id),
        "address": shown(hop.address),
        "rtt_us": hop.rtt_us,
    })
}

fn version(info: &VersionInfo) -> Value {
    let limits = info.limits.iter().map(
        |limit| json!({ "name": limit.name, "value": limit.value, "unit": text(&limit.unit) }),
    );
    let counter = |counter: &Counter| json!({ "name": counter.name, "value": counter.value });
    let counters = |list: &[Counter]| list.iter().map(counter).collect::<Vec<_>>();
    json!({
        "type": "version",
        "program": info.program,
        "protocol": info.protocol,
        "library": info.library,
        "build": text(&info.build),
        "limits": limits.collect::<Vec<_>>(),
        "counters": counters(&info.counters),
        "gauges": info.gauges.as_deref().map(counters),
        "warning": info.warning,
        "guests": info.guests,
    })
}

/// Without a key, all is null: the herd is open.
fn key(info: Option<&KeyInfo>) -> Value {
    let lacking = info.and_then(|key| key.lacking.as_ref());
    json!({
        "type": "key",
        "fingerprint": info.map(|key| &key.fingerprint),
        "herd": info.map(|key| format!("{:016x}", key.herd)),
        "epoch": info.map(|key| key.epoch),
        "source": info.map(|key| &key.source),
        "lacking": lacking.map(|lacking| &lacking.names),
        "refusing": lacking.and_then(|lacking| lacking.refusing.as_ref()),
        "lacking_count": info.map(|_| lacking.map_or(0, |lacking| lacking.count)),
    })
}

/// What `daust key new` made: no daemon was asked.
pub fn new_key(secret: &str, fingerprint: &str, source: &str) -> String {
    let object = json!({
        "type": "new_key",
        "key": secret,
        "fingerprint": fingerprint,
        "source": source,
    });
    line(&merge(object, json!({ "from": null, "from_id": null })))
}

/// What `daust key add` took.
pub fn added_key(fingerprint: &str, source: &str) -> String {
    let object = json!({ "type": "added_key", "fingerprint": fingerprint, "source": source });
    line(&merge(object, json!({ "from": null, "from_id": null })))
}

/// What became of one host of `daust add` (`added`) or `daust remove` (`removed`).
pub fn host_line(kind: &str, host: &str, name: &str, of: Option<NodeId>, changed: bool) -> String {
    let object = json!({
        "type": kind,
        "host": host,
        "name": text(name),
        "id": of.map(|id| id.to_string()),
        "changed": changed,
    });
    line(&merge(object, json!({ "from": null, "from_id": null })))
}

/// A node of `list --at`.
pub fn then_line(then: &Then) -> String {
    let object = json!({
        "type": "then",
        "name": then.name,
        "id": id(then.id),
        "state": then.state,
        "since": utc(then.since_unix_s),
        "since_unix_s": then.since_unix_s,
        "reason": text(&then.reason),
    });
    line(&merge(object, json!({ "from": null, "from_id": null })))
}

fn event(event: &Event) -> Value {
    json!({
        "type": "event",
        "event": event.kind.word(),
        "name": text(&event.name),
        "id": id(event.id),
        "text": text(&event.text),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "type": "finding",
        "check": finding.check,
        "verdict": finding.verdict.word(),
        "text": finding.text,
        "advice": text(&finding.advice),
    })
}

/// What `daust doctor` finds without a daemon.
pub fn finding_line(of: &Finding) -> String {
    line(&merge(finding(of), json!({ "from": null, "from_id": null })))
}

fn why(info: &WhyInfo) -> Value {
    let heard = |heard: &Heard| {
        json!({
            "path": heard.path.word(),
            "address": shown(heard.address),
            "age_ms": heard.age_ms,
            "through": text(&heard.through),
        })
    };
    let voter = |voter: &VoterInfo| json!({ "name": voter.name, "said": voter.said.word() });
    let vote = |vote: &VoteInfo| {
        json!({
            "age_ms": vote.age_ms,
            "called_by": vote.called_by,
            "outcome": vote.outcome.word(),
            "votes": vote.votes.iter().map(voter).collect::<Vec<_>>(),
        })
    };
    json!({
        "type": "why",
        "name": info.name,
        "id": id(info.id),
        "state": info.state.word(),
        "state_ms": info.state_ms,
        "reason": text(&info.reason),
        "generation": info.generation,
        "last_seen_ms": info.last_seen_ms,
        "heard_by": text(&info.heard_by),
        "heard": info.heard.iter().map(heard).collect::<Vec<_>>(),
        "hidden": info.hidden,
        "parent": text(&info.parent),
        "route": text(&info.route),
        "refused_ms": info.refused_ms,
        "broke_off": info.broke_off,
        "vote": info.vote.as_ref().map(vote),
        "stale_ms": info.stale_ms,
        "note": info.note,
    })
}

fn entry(entry: &Entry) -> Value {
    json!({
        "type": "entry",
        "time": utc(entry.unix_s),
        "unix_s": entry.unix_s,
        "kind": entry.kind.word(),
        "name": text(&entry.name),
        "id": id(entry.id),
        "address": shown(entry.address),
        "uid": entry.uid,
        "text": text(&entry.text),
        "failure": text(&entry.failure),
        "times": entry.times,
    })
}

fn error(failure: &Failure) -> Value {
    json!({ "type": "error", "code": failure.code.word(), "detail": text(&failure.detail) })
}

fn text(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn id(id: NodeId) -> Option<String> {
    (id != NodeId::ANYBODY).then(|| id.to_string())
}

fn shown(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn merge(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

/// JSON escapes the C0 controls itself; what else could move a cursor stands inside strings, where
/// `\uXXXX` means the same to every parser.
fn line(object: &Value) -> String {
    let mut out = String::new();
    for c in object.to_string().chars() {
        if escape(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
            out.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            out.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::info::{EventKind, Limit};
    use crate::wire::reply::ErrorCode;

    fn parse(replies: Vec<Reply>) -> Vec<Value> {
        let answer = Answer { node: "node1".into(), id: NodeId(1), replies, elapsed_us: 7 };
        let lines = lines(&answer, false);
        lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    fn fields(object: &Value) -> String {
        let names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        names.join(" ")
    }

    #[test]
    fn every_reply_has_its_fields() {
        let info = NodeInfo { name: "vm 4".into(), ..NodeInfo::default() };
        let replaced = NodeInfo { replaced: true, ..info.clone() };
        let version = VersionInfo {
            limits: vec![Limit { name: "hops".into(), value: 16, unit: String::new() }],
            counters: vec![Counter { name: "forged".into(), value: 1 }],
            ..VersionInfo::default()
        };
        let (name, at) = (String::from("vm 4"), NodeId(4));
        let objects = parse(vec![
            Reply::Pong,
            Reply::Nodes { nodes: vec![info, replaced], stale_ms: Some(3) },
            Reply::Tree(vec![TraceRow::default()]),
            Reply::Path(vec![Hop { name: name.clone(), id: at, address: None, rtt_us: None }]),
            Reply::Stopped,
            Reply::Version(version),
            Reply::Forgotten { name: name.clone(), id: at },
            Reply::Event(Event { kind: EventKind::Up, name, id: at, text: String::new() }),
            Reply::Error(Failure::new(ErrorCode::NoAnswer, "5 s")),
            Reply::Keys(vec![KeyInfo::default()]),
            Reply::Keys(Vec::new()),
            Reply::KeyText("herd1-x".into()),
            Reply::Token("join1-x@[::1]:4040".into()),
            Reply::History(vec![Entry::default()]),
            Reply::Why(Box::default()),
            Reply::Findings(vec![Finding::default()]),
        ]);
        let expected = [
            "elapsed_us from from_id type",
            "accept class from from_id generation heard_by hidden id internal_ip last_seen_ms name parent \
             port public_ip reason replaced route rtt_us stale_ms started_unix_s state type \
             version",
            "depth from from_id homes id name rtt_us silent state type",
            "address from from_id id name rtt_us type",
            "from from_id type",
            "build counters from from_id gauges guests library limits program protocol type warning",
            "from from_id id name type",
            "event from from_id id name text type",
            "code detail from from_id type",
            "epoch fingerprint from from_id herd lacking lacking_count refusing source type",
            "epoch fingerprint from from_id herd lacking lacking_count refusing source type",
            "from from_id key type",
            "from from_id token type",
            "address failure from from_id id kind name text time times type uid unix_s",
            "broke_off from from_id generation heard heard_by hidden id last_seen_ms name note parent \
             reason refused_ms route stale_ms state state_ms type vote",
            "advice check from from_id text type verdict",
        ];
        assert_eq!(objects.iter().map(fields).collect::<Vec<_>>(), expected);
        assert_eq!(objects[1]["parent"], Value::Null);
        assert_eq!(objects[1]["stale_ms"], 3);
        assert_eq!(objects[3]["id"], "0000000000000004");
        assert!(objects.iter().all(|object| object["from"] == "node1"));
    }

    #[test]
    fn errors_before_any_node_look_the_same() {
        let object: Value = serde_json::from_str(&error_line("no_daemon", "a \"b\"\n")).unwrap();
        assert_eq!(fields(&object), "code detail from from_id type");
        assert_eq!(object["detail"], "a \"b\"\n");
    }

    #[test]
    fn evil_names_come_back_whole_and_print_harmless() {
        let evil = "a\u{9b}\u{202e}\u{e0041}\u{1b}\n\"\\ä";
        let node = NodeInfo { name: evil.into(), ..NodeInfo::default() };
        let answer = Answer {
            node: evil.into(),
            id: NodeId(1),
            replies: vec![Reply::Nodes { nodes: vec![node], stale_ms: None }],
            elapsed_us: 0,
        };
        let line = lines(&answer, false);
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains(['\u{9b}', '\u{202e}', '\u{e0041}', '\u{1b}']), "{line}");
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((object["name"].as_str(), object["from"].as_str()), (Some(evil), Some(evil)));
    }
}
