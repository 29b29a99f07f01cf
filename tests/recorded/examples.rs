//! One example of everything that can be said, so that no number and no field is left out of the
//! recording: bodies, commands, replies, rumors, and the frames of the control socket.

use crate::exchange::Item;
use crate::mesh::Who;
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::ids::{Generation, NodeId};
use herd::wire::info::{
    Counter, Event, EventKind, Hop, KeyInfo, Limit, NodeInfo, State, TraceRow, VersionInfo,
};
use herd::wire::message::*;
use herd::wire::record::Record;
use herd::wire::reply::{ErrorCode, Failure, Reply};
use herd::wire::rumor::{Left, Reason, Rumor, SignedVote, Subject, Verdict};

pub fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for body in bodies() {
        let envelope = Envelope {
            number: body.number(),
            body: body.encode(),
            ages: vec![1, 2, 3, 4, 5],
            digest: Some(0xfeed_beef),
        };
        items.push(Item::new(["envelope".to_string()]).with("plain", &codec::encode(&envelope)));
    }
    for (number, (scope, command)) in requests().into_iter().enumerate() {
        let request = Request { number: number as u64, scope, command, timeout_ms: 5_000 };
        items.push(Item::new(["request".to_string()]).with("plain", &codec::encode(&request)));
    }
    for (number, reply) in replies().into_iter().enumerate() {
        let part = Part {
            number: number as u64,
            node: "vm 3".to_string(),
            id: NodeId(7),
            reply,
            last: true,
            done: number % 2 == 0,
        };
        items.push(Item::new(["part".to_string()]).with("plain", &codec::encode(&part)));
    }
    items
}

/// What a body is, with the message of the SWIM engine inside.
pub fn kind(body: &Body) -> String {
    match body {
        Body::Swim(packet) => format!("swim {:?}", swim_message(packet).map(|(kind, _)| kind)),
        other => other.number().to_string(),
    }
}

/// The message number of a SWIM packet and what follows it: the number of the probe, for the
/// messages that have one. Three numbers of seven bits a byte come before.
pub fn swim_message(packet: &[u8]) -> Option<(u8, u8)> {
    let mut rest = packet;
    for _ in 0..3 {
        let end = rest.iter().position(|byte| byte & 0x80 == 0)?;
        rest = &rest[end + 1..];
    }
    Some((*rest.first()?, rest.get(1).copied().unwrap_or(0)))
}

fn requests() -> Vec<(Scope, Command)> {
    use Command::*;
    let name = || "vm 4".to_string();
    let commands = [
        Ping,
        List,
        Trace,
        TraceAll,
        TraceNode(name()),
        Stop,
        Version,
        Watch,
        Forget(name()),
        Keys,
    ];
    let scopes = [Scope::Here, Scope::Node(name()), Scope::All];
    scopes.into_iter().cycle().zip(commands).collect()
}

fn replies() -> Vec<Reply> {
    let event =
        |kind| Reply::Event(Event { kind, name: "b".into(), id: NodeId(2), text: "c".into() });
    let limit = Limit { name: "hops".into(), value: 16, unit: "".into() };
    let counter = Counter { name: "forged".into(), value: 3 };
    let mut replies = vec![
        Reply::Pong,
        Reply::Nodes { nodes: vec![NodeInfo::default(), full_info()], stale_ms: Some(9) },
        Reply::Tree(vec![TraceRow {
            depth: 2,
            name: "vm 4".into(),
            id: NodeId(3),
            state: State::Down,
            rtt_us: Some(250),
            homes: vec!["node1".into()],
            silent: None,
        }]),
        Reply::Path(vec![Hop {
            name: "node1".into(),
            id: NodeId(1),
            address: Some("[fe80::1]:4040".parse().expect("an address")),
            rtt_us: Some(1),
        }]),
        Reply::Stopped,
        Reply::Version(VersionInfo {
            program: "daustd 0.1.0".into(),
            protocol: 1,
            library: "0.1.0".into(),
            build: "debug".into(),
            limits: vec![limit],
            counters: vec![counter.clone()],
            warning: Some("no herd key".into()),
            gauges: Some(vec![counter]),
            guests: None,
        }),
        Reply::Forgotten { name: "vm 4".into(), id: NodeId(4) },
        Reply::Keys(vec![KeyInfo {
            fingerprint: "0011-2233-4455-6677".into(),
            herd: u64::MAX,
            epoch: 7,
            source: "/etc/daust/key".into(),
            lacking: None,
        }]),
    ];
    use EventKind::*;
    replies.extend([Up, Suspect, Down, Left, Route, Stale].map(event));
    let codes = [
        ErrorCode::UnknownNode,
        ErrorCode::Ambiguous,
        ErrorCode::NoAnswer,
        ErrorCode::Unreachable,
        ErrorCode::Unsupported,
        ErrorCode::Refused,
        ErrorCode::Limit,
        ErrorCode::Invalid,
        ErrorCode::Stopping,
        ErrorCode::Internal,
    ];
    replies.extend(codes.map(|code| Reply::Error(Failure::new(code, "why"))));
    replies
}

fn full_info() -> NodeInfo {
    NodeInfo {
        id: NodeId(u64::MAX),
        name: "vm 4~ab12cd".into(),
        internal_ip: Some([10, 0, 0, 4].into()),
        public_ip: Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
        last_seen_ms: u64::MAX,
        state: State::Suspect,
        reason: "parent down".into(),
        hidden: true,
        parent: "node1".into(),
        route: "via node1".into(),
        rtt_us: Some(12),
        heard_by: "node2".into(),
        generation: 1 << 40,
        replaced: true,
        accept: Some("read".into()),
        ..NodeInfo::default()
    }
}

fn full_record(who: &Who) -> Record {
    Record {
        agreement_key: who.identity.public().agreement,
        signing_key: who.identity.public().signing,
        generation: Generation(u64::MAX),
        sequence: 9,
        name: "a.b_c-d e".parse().expect("a valid name"),
        addresses: vec![[10, 0, 0, 4].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 4].into()],
        port: 65_535,
        parent: Some(NodeId(1)),
        hidden: true,
        instance: u64::MAX,
        public_ip: Some([198, 51, 100, 7].into()),
        deadend: true,
        homes: vec![NodeId(1), NodeId(2)],
        attributes: vec![("key".into(), "value".into())],
    }
}

fn bodies() -> Vec<Body> {
    let who = Who::new(1, 5);
    let record = full_record(&who).sign(&who.identity);
    let nonce = Nonce { nonce: 0x0123_4567_89ab_cdef };
    let subject = Subject { id: NodeId(3), generation: Generation::first(4) };
    let vote = SignedVote::sign(&who.identity, subject, 5, NodeId(6));
    let down = Down { signature: vote.signature, reason: Reason::ProcessGone };
    let entry = |state| SyncEntry { record: record.clone(), state, age_ms: 1_234 };
    let states = [State::Alive, State::Suspect, State::Down, State::Left];
    let verdict = Verdict {
        subject,
        ballot: 5,
        issuer: NodeId(6),
        reason: Reason::Silent,
        answered: 2,
        votes: vec![vote],
        signature: [0; 64],
        ending: None,
    };
    let rumors = [
        Rumor::Record(record.clone()),
        Rumor::Verdict(verdict.sign(&who.identity)),
        Rumor::Left(Left::sign(&who.identity, Generation::first(4))),
        Rumor::Forget { id: NodeId(8), generation: Generation(9) },
    ];
    let mut bodies = vec![
        Body::Swim(vec![1, 2, 3, 7]),
        Body::Heartbeat(Heartbeat { stamp_us: 1_000_001 }),
        Body::HeartbeatAnswer(HeartbeatAnswer {
            stamp_us: 1_000_001,
            saw: "[::1]:4040".parse().expect("an address"),
        }),
        Body::Pull(Pull { have: vec![9; 16] }),
        Body::Sync(Sync { entries: states.map(entry).to_vec(), last: true }),
        Body::Test(nonce),
        Body::Saw(Saw {
            address: "198.51.100.7:40001".parse().expect("an address"),
            nonce: Some(1),
        }),
        Body::Knock(nonce),
        Body::Probe(nonce),
        Body::ProbeAnswer(nonce),
        Body::Vote(Vote { ballot: 5, subject }),
        Body::Ballot(Ballot { ballot: 5, subject, down: None }),
        Body::Ballot(Ballot { ballot: 5, subject, down: Some(down) }),
        Body::Undead(Undead { generation: Generation(77) }),
        Body::Taken(Taken { record: record.clone() }),
        Body::Unsupported(Unsupported { number: 99, ask: Some(4) }),
    ];
    bodies.extend(rumors.map(Body::Tell));
    let ask = |(_, command)| Body::Ask(Ask { number: 4, wait_ms: 5_000, command });
    bodies.extend(requests().into_iter().map(ask));
    let answer = |reply| Body::Answer(Answer { number: 4, part: 1, last: true, reply });
    bodies.extend(replies().into_iter().map(answer));
    bodies
}
