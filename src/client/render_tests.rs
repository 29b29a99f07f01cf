//! The texts of the contract and of the first description, compared to the letter.

use super::*;
use crate::wire::ids::NodeId;
use crate::wire::info::{Counter, Limit};

fn answer(replies: Vec<Reply>) -> Answer {
    Answer { node: "node1".into(), id: NodeId(1), replies, elapsed_us: 1_234 }
}

fn info(name: &str, ip: &str, seen_ms: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId(0xab12_cd00_0000_0001),
        name: name.into(),
        internal_ip: Some(ip.parse().unwrap()),
        last_seen_ms: seen_ms,
        ..NodeInfo::default()
    }
}

fn nodes(nodes: Vec<NodeInfo>) -> Reply {
    Reply::Nodes { nodes, stale_ms: None }
}

fn row(depth: u32, name: &str) -> TraceRow {
    TraceRow { depth, name: name.into(), ..TraceRow::default() }
}

fn event(kind: EventKind, name: &str, reason: &str) -> Reply {
    let (name, text) = (name.into(), reason.into());
    Reply::Event(Event { kind, name, id: NodeId(1), text })
}

#[test]
fn list_as_in_the_quick_start() {
    let list = answer(vec![
        nodes(vec![info("node1", "192.168.1.2", 0)]),
        nodes(vec![info("node2", "192.168.1.3", 15_999)]),
    ]);
    assert_eq!(
        text(&list, false),
        "node1: internal ip 192.168.1.2, public ip N/A, last seen 0 seconds ago\n\
         node2: internal ip 192.168.1.3, public ip N/A, last seen 15 seconds ago\n"
    );
    assert_eq!(heading(&list), "node1 responded:\n");
}

#[test]
fn marks_and_what_is_not_known() {
    let mut rows = Vec::new();
    for state in [State::Alive, State::Suspect, State::Down, State::Left] {
        rows.push(NodeInfo { name: "n".into(), state, last_seen_ms: 1_000, ..Default::default() });
    }
    assert_eq!(
        text(&answer(vec![nodes(rows)]), false),
        "n: internal ip N/A, public ip N/A, last seen 1 seconds ago\n\
         n: internal ip N/A, public ip N/A, last seen 1 seconds ago (suspect)\n\
         n: internal ip N/A, public ip N/A, last seen 1 seconds ago (down)\n\
         n: internal ip N/A, public ip N/A, last seen 1 seconds ago (left)\n"
    );
}

#[test]
fn verbose_list_says_all_and_shows_the_replaced() {
    let mut node = info("vm 1", "10.0.0.7", 2_000);
    node.public_ip = Some("192.0.2.1".parse().unwrap());
    (node.state, node.replaced) = (State::Down, true);
    (node.route, node.rtt_us) = ("via hyp".into(), Some(1_050));
    (node.heard_by, node.parent, node.reason) = ("hyp".into(), "hyp".into(), "silent".into());
    node.class = Some("cattle".into());
    let list = answer(vec![nodes(vec![node])]);
    assert_eq!(text(&list, false), "");
    assert_eq!(
        text(&list, true),
        "vm 1: internal ip 10.0.0.7, public ip 192.0.2.1, last seen 2 seconds ago (down), \
         state down, route via hyp, rtt 1.050 ms, heard by hyp, parent hyp, reason silent, \
         class cattle, id ab12cd0000000001, replaced\n"
    );
    let plain = answer(vec![nodes(vec![info("n", "10.0.0.1", 0)])]);
    let line = "n: internal ip 10.0.0.1, public ip N/A, last seen 0 seconds ago, state alive, \
                id ab12cd0000000001\n";
    assert_eq!(text(&plain, true), line);
}

#[test]
fn tree_as_in_the_quick_start() {
    let rows = vec![
        row(0, "hypervisor1"),
        row(0, "hypervisor2"),
        row(1, "vm 4"),
        row(1, "vm 5"),
        row(2, "container"),
        row(0, "vm 1"),
    ];
    assert_eq!(
        text(&answer(vec![Reply::Tree(rows)]), false),
        "|__ hypervisor1\n\
         |__ hypervisor2\n\
         |   |__ vm 4\n\
         |   |__ vm 5\n\
         |   |   |__ container\n\
         |__ vm 1\n"
    );
}

#[test]
fn tree_marks_round_trips_and_further_homes() {
    let mut vm = row(1, "vm 4");
    (vm.state, vm.rtt_us, vm.homes) = (State::Suspect, Some(999), vec!["a".into(), "b".into()]);
    vm.silent = Some(Silent { count: 3, names: vec!["web".into(), "db".into()] });
    let tree = answer(vec![Reply::Tree(vec![vm])]);
    assert_eq!(text(&tree, false), "|   |__ vm 4 (suspect)\n");
    let expected = "|   |__ vm 4 (suspect), rtt 0.999 ms, also under a, b\n\
                    |   |   |__ web (silent)\n|   |   |__ db (silent)\n|   |   |__ 1 more (silent)\n";
    assert_eq!(text(&tree, true), expected);
}

#[test]
fn a_damaged_depth_costs_no_memory() {
    let tree = answer(vec![Reply::Tree(vec![row(u32::MAX, "x")])]);
    assert_eq!(text(&tree, false).len(), 4 * NODES + "|__ x\n".len());
}

#[test]
fn path_rows() {
    let first = Hop { name: "node1".into(), id: NodeId(1), address: None, rtt_us: None };
    let address = Some("[fe80::1]:4040".parse().unwrap());
    let second = Hop { name: "vm 4".into(), id: NodeId(2), address, rtt_us: Some(12_007) };
    assert_eq!(
        text(&answer(vec![Reply::Path(vec![first, second])]), false),
        "node1 N/A N/A\nvm 4 [fe80::1]:4040 12.007 ms\n"
    );
}

#[test]
fn short_answers() {
    assert_eq!(text(&answer(vec![Reply::Pong]), false), "pong\n");
    assert_eq!(text(&answer(vec![Reply::Pong]), true), "pong, 1.234 ms\n");
    assert_eq!(text(&answer(vec![Reply::Stopped]), false), "stopped\n");
    let forgotten = Reply::Forgotten { name: "vm 4".into(), id: NodeId(4) };
    assert_eq!(text(&answer(vec![forgotten]), false), "vm 4 forgotten\n");
    let key = KeyInfo {
        fingerprint: "ab-cd".into(),
        herd: 0xab,
        epoch: 2,
        source: "/etc/key".into(),
        ..KeyInfo::default()
    };
    let lacked = KeyInfo {
        lacking: Some(Lacking {
            count: 3,
            names: vec!["a".into(), "b".into()],
            refusing: Some(vec!["b".into()]),
        }),
        ..key.clone()
    };
    assert_eq!(
        text(&answer(vec![Reply::Keys(vec![lacked])]), false),
        format!(
            "key ab-cd, epoch 2, herd 00000000000000ab, from /etc/key; not held by a, b and 1 more; \
             b: {TAKES_NO_KEY}\n"
        )
    );
    assert_eq!(
        text(&answer(vec![Reply::Keys(vec![key])]), false),
        "key ab-cd, epoch 2, herd 00000000000000ab, from /etc/key\n"
    );
    let open = text(&answer(vec![Reply::Keys(Vec::new())]), false);
    assert_eq!(open, "no herd key: this herd is open\n");
}

#[test]
fn version_and_its_details() {
    let version = answer(vec![Reply::Version(VersionInfo {
        program: "daustd 0.1.0".into(),
        protocol: 1,
        library: "0.1.0".into(),
        build: "release".into(),
        limits: vec![
            Limit { name: "hops".into(), value: 16, unit: String::new() },
            Limit { name: "frame".into(), value: 9, unit: "bytes".into() },
        ],
        counters: vec![Counter { name: "forged".into(), value: 3 }],
        warning: Some("no herd key".into()),
        gauges: Some(vec![Counter { name: "journal entries".into(), value: 7 }]),
        guests: Some("3 containers are watched".into()),
    })]);
    let first = "daustd 0.1.0, protocol 1, library 0.1.0\n";
    assert_eq!(text(&version, false), first);
    assert_eq!(
        text(&version, true),
        first.to_string()
            + "build: release\nwarning: no herd key\nguests: 3 containers are watched\nlimit hops: 16\n\
               limit frame: 9 bytes\ncounter forged: 3\nnow journal entries: 7\n"
    );
}

#[test]
fn events() {
    let watched = answer(vec![
        event(EventKind::Up, "node1", ""),
        event(EventKind::Suspect, "node1", "parent down"),
        event(EventKind::Down, "node1", "process gone"),
        event(EventKind::Down, "node1", ""),
        event(EventKind::Left, "node1", ""),
        event(EventKind::Route, "vm 4", "hypervisor2"),
        event(EventKind::Route, "vm 4", ""),
        event(EventKind::Stale, "", "nobody answers"),
    ]);
    assert_eq!(
        text(&watched, false),
        "up node1\nsuspect node1\ndown node1 (process gone)\ndown node1\nleft node1\n\
         route vm 4 via hypervisor2\nroute vm 4 direct\nstale\n"
    );
    let verbose = text(&watched, true);
    assert!(verbose.contains("suspect node1 (parent down)\n"), "{verbose}");
    assert!(verbose.ends_with("stale (nobody answers)\n"), "{verbose}");
}

#[test]
fn findings_and_whether_something_is_wrong() {
    let findings = vec![Finding::well("udp", "fine\n"), Finding::note("peers", "none")];
    let well = answer(vec![Reply::Findings(findings)]);
    assert_eq!(
        (text(&well, false).as_str(), well.is_wrong()),
        ("ok: fine\\n\nnote: none\n", false)
    );
    let wrong = answer(vec![Reply::Findings(vec![Finding::wrong("tcp", "blocked", "open it")])]);
    assert_eq!(
        (text(&wrong, false).as_str(), wrong.is_wrong()),
        ("wrong: blocked; open it\n", true)
    );
}

#[test]
fn entries_of_the_journal() {
    let entry = |kind, name: &str, text: &str| Entry {
        unix_s: 1_700_000_000,
        kind,
        name: name.into(),
        text: text.into(),
        ..Entry::default()
    };
    let command = |name: &str, uid, id, failure: &str| Entry {
        uid,
        id: NodeId(id),
        address: (id != 0).then(|| "10.0.0.1:4040".parse().unwrap()),
        failure: failure.into(),
        times: 2,
        ..entry(EntryKind::Command, name, "forget vm 4")
    };
    let stranger = Entry {
        address: Some("10.0.0.9:7".parse().unwrap()),
        ..entry(EntryKind::Refused, "", "greets and is refused")
    };
    let shown = text(
        &answer(vec![Reply::History(vec![
            entry(EntryKind::Started, "", "herd key 11, epoch 1"),
            entry(EntryKind::Up, "vm\n4", ""),
            entry(EntryKind::Down, "vm 4", "silent"),
            entry(EntryKind::CutOff, "", "nobody answers"),
            entry(EntryKind::Key, "", "herd key 22, epoch 2"),
            entry(EntryKind::Key, "node1", "herd key 22, epoch 2"),
            stranger,
            command("anna", Some(1000), 0, ""),
            command("", Some(1000), 0, "no"),
            command("node1", None, 5, ""),
            command("", None, 0, ""),
        ])]),
        false,
    );
    let lines: Vec<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("2023-11-14T22:13:20Z ")).collect();
    assert_eq!(
        lines,
        [
            "started (herd key 11, epoch 1)",
            r"up vm\n4",
            "down vm 4 (silent)",
            "cut off (nobody answers)",
            "herd key 22, epoch 2 made here",
            "herd key 22, epoch 2 from node1",
            "10.0.0.9:7 greets and is refused",
            "user anna (uid 1000): forget vm 4",
            "uid 1000: forget vm 4: failed, 2 times: no",
            "node node1 (0000000000000005) at 10.0.0.1:4040: forget vm 4",
            "a local user: forget vm 4",
        ]
    );
}

#[test]
fn complaints_name_the_node_and_the_reason() {
    let failed = |node: &str, code, detail: &str| Answer {
        node: node.into(),
        ..answer(vec![Reply::Error(Failure::new(code, detail))])
    };
    let node2 = Scope::Node("node2".into());
    for (scope, node, code, detail, line) in [
        (
            &Scope::All,
            "node3",
            ErrorCode::NoAnswer,
            "down for 9 s",
            "node3 did not answer: down for 9 s",
        ),
        (&Scope::All, "node3", ErrorCode::Unsupported, "too old", "node3: too old"),
        (&Scope::All, "", ErrorCode::Limit, "too much", "too much"),
        (&node2, "node2", ErrorCode::NoAnswer, "5 s", "can not reach remote node node2: 5 s"),
        (
            &node2,
            "",
            ErrorCode::Unreachable,
            "no route",
            "can not reach remote node node2: no route",
        ),
        (&node2, "", ErrorCode::UnknownNode, "nobody", "can not reach remote node node2: nobody"),
        (&node2, "node2", ErrorCode::UnknownNode, "who is x", "node2: who is x"),
        (&node2, "", ErrorCode::Ambiguous, "a, b", "a, b"),
        (&Scope::Here, "node1", ErrorCode::Refused, "node2 is alive", "node2 is alive"),
        (&Scope::Here, "node1", ErrorCode::Internal, "", "internal"),
        (&Scope::All, "a\nb", ErrorCode::NoAnswer, "\u{9b}2J", "a\\nb did not answer: \\u{9b}2J"),
    ] {
        assert_eq!(complaints(scope, &failed(node, code, detail)), [line]);
    }
}

#[test]
fn a_stale_view_is_told_once() {
    let old = || Reply::Nodes { nodes: vec![], stale_ms: Some(12_900) };
    let said = complaints(&Scope::Here, &answer(vec![old(), old()]));
    assert_eq!(said, ["node1 believes itself cut off since 12 s: its view is old"]);
}

#[test]
fn a_warning_about_a_live_node_is_told_by_the_list_asked_for() {
    let mut copy = info("vm 4~ab12cd", "10.0.0.4", 0);
    copy.reason = "started as a copy of vm 4".into();
    let down = NodeInfo { state: State::Down, reason: "silent".into(), ..copy.clone() };
    let list = answer(vec![nodes(vec![info("vm 4", "10.0.0.4", 0), copy, down])]);
    let said = ["warning: vm 4~ab12cd started as a copy of vm 4"];
    assert_eq!(complaints(&Scope::Here, &list), said);
    assert_eq!(complaints(&Scope::Node("node1".into()), &list), said);
    assert!(complaints(&Scope::All, &list).is_empty());
}

#[test]
fn nothing_from_elsewhere_moves_the_cursor() {
    for (evil, shown) in [
        ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
        ("a\nb\r\t\u{7f}\0", "a\\nb\\r\\t\\u{7f}\\0"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("a\u{202e}b\u{2066}\u{200f}", "a\\u{202e}b\\u{2066}\\u{200f}"),
        ("\u{2028}\u{feff}\u{e0041}", "\\u{2028}\\u{feff}\\u{e0041}"),
        ("it's \"vm\\4\" ä", "it's \"vm\\4\" ä"),
    ] {
        assert_eq!(escape(evil), shown);
        let evil = evil.to_string();
        let node = NodeInfo {
            name: evil.clone(),
            route: evil.clone(),
            reason: evil.clone(),
            heard_by: evil.clone(),
            parent: evil.clone(),
            ..NodeInfo::default()
        };
        let homes = vec![evil.clone()];
        let silent = Some(Silent { count: 1, names: vec![evil.clone()] });
        let version = VersionInfo {
            program: evil.clone(),
            library: evil.clone(),
            build: evil.clone(),
            limits: vec![Limit { name: evil.clone(), value: 1, unit: evil.clone() }],
            counters: vec![Counter { name: evil.clone(), value: 1 }],
            gauges: Some(vec![Counter { name: evil.clone(), value: 1 }]),
            warning: Some(evil.clone()),
            guests: Some(evil.clone()),
            ..VersionInfo::default()
        };
        let key = KeyInfo { fingerprint: evil.clone(), source: evil.clone(), ..KeyInfo::default() };
        let mut all = answer(vec![
            nodes(vec![node]),
            Reply::Keys(vec![key]),
            Reply::Tree(vec![TraceRow { homes, silent, ..row(1, &evil) }]),
            Reply::Path(vec![Hop {
                name: evil.clone(),
                id: NodeId(1),
                address: None,
                rtt_us: None,
            }]),
            Reply::Version(version),
            Reply::Forgotten { name: evil.clone(), id: NodeId(1) },
            event(EventKind::Down, &evil, &evil),
            event(EventKind::Route, &evil, &evil),
        ]);
        all.node = evil.clone();
        let shown = text(&all, true) + &heading(&all);
        assert!(shown.chars().all(|c| c == '\n' || escape(&c.to_string()).len() == c.len_utf8()));
        // The answers above make 16 lines: 1 + 1 + 2 + 1 + 7 + 1 + 1 + 1, and the heading.
        assert_eq!(shown.lines().count(), 16, "{shown}");
    }
}
