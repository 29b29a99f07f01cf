//! Who is answered, who is let in, who is greeted.

use crate::crowd::{VICTIM, address, alone, give, greet, heard, join, say, who};
use crate::mesh::{Mesh, record};
use herd::node::Input;
use herd::wire::command::{Command, Scope};
use herd::wire::discovery::Discovered;
use herd::wire::header::{Header, Kind};
use herd::wire::hello::Refusal;
use herd::wire::ids::NodeId;
use herd::wire::limits::*;
use herd::wire::message::{Body, Nonce};
use herd::wire::reply::{ErrorCode, Reply};
use herd::wire::rumor::Rumor;
use std::net::SocketAddr;

const AT_LIMITS: &str = "hellos not answered at their limits";

#[test]
fn hellos_of_one_source() {
    assert_eq!(HELLOS_PER_SOURCE, 4);
    let mut mesh = alone();
    for _ in 0..HELLOS_PER_SOURCE {
        assert!(greet(&mut mesh, &who(0), address(1, 7)).is_some());
    }
    assert!(greet(&mut mesh, &who(0), address(1, 7)).is_none());
    assert_eq!(mesh.counter(VICTIM, AT_LIMITS), 1);
    assert!(greet(&mut mesh, &who(0), address(1, 8)).is_some(), "another is answered");
    mesh.run_ms(1_000);
    assert!(greet(&mut mesh, &who(0), address(1, 7)).is_some(), "so is he a second later");
}

#[test]
fn hellos_of_all_sources() {
    let mut mesh = alone();
    for number in 0..HELLOS_PER_SECOND as u16 {
        let from = address(2 + number as usize / 50, 100 + number);
        assert!(greet(&mut mesh, &who(0), from).is_some(), "{number}");
    }
    assert!(greet(&mut mesh, &who(0), address(1, 99)).is_none());
    assert_eq!(mesh.counter(VICTIM, AT_LIMITS), 1);
    mesh.run_ms(1_000);
    assert!(greet(&mut mesh, &who(0), address(1, 99)).is_some());
}

#[test]
fn hellos_of_one_address() {
    let mut mesh = alone();
    for port in 0..HELLOS_PER_ADDRESS as u16 {
        assert!(greet(&mut mesh, &who(0), address(1, 100 + port)).is_some(), "{port}");
    }
    assert!(greet(&mut mesh, &who(0), address(1, 99)).is_none());
    assert!(greet(&mut mesh, &who(0), address(2, 99)).is_some(), "another is answered");
    mesh.run_ms(1_000);
    assert!(greet(&mut mesh, &who(0), address(1, 99)).is_some());
}

/// Somebody of another herd greets; whether he is told that he is refused.
fn refused(mesh: &mut Mesh, from: SocketAddr) -> bool {
    let header =
        Header { herd: 5, epoch: 1, ..Header::new(Kind::HelloQuestion, NodeId(0), NodeId(7)) };
    let mut question = header.to_bytes().to_vec();
    question.resize(HELLO_BYTES, 9);
    let before = mesh.sent.len();
    give(mesh, from, &question);
    let answer = mesh.sent[before..].iter().find(|sent| sent.to == from);
    let kind = answer.map(|sent| Header::parse(&sent.bytes).expect("a header").0.kind);
    assert!(kind.is_none_or(|kind| kind == Kind::Refusal));
    kind.is_some()
}

#[test]
fn refusals_of_one_source() {
    assert_eq!(REFUSALS_PER_SOURCE, 1);
    let mut mesh = alone();
    assert!(refused(&mut mesh, address(1, 7)));
    assert!(!refused(&mut mesh, address(1, 7)) && !refused(&mut mesh, address(1, 8)));
    assert_eq!(mesh.counter(VICTIM, "refusals not sent at their limits"), 2);
    assert_eq!(mesh.counter(VICTIM, "foreign herd"), 3);
    assert!(refused(&mut mesh, address(2, 7)), "another is told");
    mesh.run_ms(1_000);
    assert!(refused(&mut mesh, address(1, 7)), "so is he a second later");
}

#[test]
fn refusals_of_all_sources() {
    let mut mesh = alone();
    for source in 0..REFUSALS_PER_SECOND as usize {
        assert!(refused(&mut mesh, address(source, 7)), "{source}");
    }
    assert!(!refused(&mut mesh, address(500, 7)));
    mesh.run_ms(1_000);
    assert!(refused(&mut mesh, address(500, 7)));
}

#[test]
fn pending_ones() {
    let mut mesh = alone();
    for number in 0..PENDING_HELLOS {
        assert!(greet(&mut mesh, &who(number), address(number / 50, 7 + number as u16)).is_some());
        mesh.run_ms(10);
    }
    let one_more = |mesh: &mut Mesh| greet(mesh, &who(PENDING_HELLOS), address(99, 7));
    assert!(one_more(&mut mesh).is_none());
    assert_eq!(mesh.counter(VICTIM, "hellos not answered at the limit of pending ones"), 1);
    mesh.run_ms(UNPROVED_MS);
    assert!(one_more(&mut mesh).is_some(), "who did not prove himself is forgotten");
}

#[test]
fn new_ids_of_one_source() {
    let mut mesh = alone();
    let refused = |mesh: &mut Mesh, number: usize, network: usize| {
        greet(mesh, &who(number), address(network, 7 + number as u16)).expect("an answer").refused
    };
    for number in 0..NEW_IDS_PER_MINUTE as usize {
        assert_eq!(refused(&mut mesh, number, 1), None, "{number}");
    }
    mesh.run_ms(1_000);
    assert_eq!(refused(&mut mesh, 64, 1), Some(Refusal::Crowded));
    assert_eq!(refused(&mut mesh, 65, 2), None, "another address is let in");
    mesh.run_ms(60_000);
    assert_eq!(refused(&mut mesh, 64, 1), None, "so is this one a minute later");
}

#[test]
fn sources_that_are_counted() {
    let mut mesh = alone();
    for source in 0..HELLO_SOURCES {
        assert_eq!(greet(&mut mesh, &who(source), address(source, 7)).unwrap().refused, None);
        mesh.run_ms(20);
    }
    let one_more = greet(&mut mesh, &who(HELLO_SOURCES), address(HELLO_SOURCES, 7));
    assert_eq!(one_more.unwrap().refused, Some(Refusal::Crowded));
}

/// The limit of known nodes: all of them live, so nobody is pushed out.
#[test]
fn known_nodes() {
    let mut mesh = alone();
    for number in 0..NODES {
        let from = address(number / 64, 7 + number as u16);
        let answer = join(&mut mesh, &who(number), from).expect("an answer");
        assert_eq!(answer.refused, None, "{number}");
        mesh.run_ms(5);
    }
    assert_eq!(mesh.list(VICTIM).len(), NODES + 1);
    let stranger = join(&mut mesh, &who(NODES), address(500, 7)).expect("an answer");
    assert_eq!(stranger.refused, Some(Refusal::Full));
    assert_eq!(mesh.list(VICTIM).len(), NODES + 1);
    let since = mesh.sent.len();
    let first = (who(0), address(0, 7));
    say(&mut mesh, &first.0, first.1, 2, &Body::Probe(Nonce { nonce: 9 }));
    let answers = heard(&mesh, &first.0, since);
    assert!(answers.contains(&Body::ProbeAnswer(Nonce { nonce: 9 })), "{answers:?}");
}

#[test]
fn contacts() {
    let mut mesh = alone();
    let mut ping = |number: usize| {
        let asked =
            mesh.request(VICTIM, Scope::Node(address(number, 4_040).to_string()), Command::Ping);
        mesh.parts(VICTIM, asked).into_iter().cloned().collect::<Vec<_>>()
    };
    for number in 0..CONTACTS {
        assert_eq!(ping(number), [], "{number} is greeted");
    }
    let refused = ping(CONTACTS);
    let Reply::Error(failure) = &refused[0].reply else { panic!("{refused:?}") };
    assert_eq!(failure.code, ErrorCode::Limit);
    assert!(failure.detail.contains("limit of 256 contacts"), "{failure:?}");
    assert_eq!(ping(0), [], "one that is greeted already needs no more room");
}

#[test]
fn discovered_addresses() {
    assert_eq!(DISCOVERED, 256);
    let mut mesh = alone();
    let at = |number: usize| Discovered { at: address(number, 4_040), alike: true };
    let all = (1..=DISCOVERED + 1).map(at).collect();
    mesh.turn(VICTIM, Some(Input::Found(all)));
    let asked = mesh.request(VICTIM, Scope::Here, Command::Doctor(None));
    let text = format!("{:?}", mesh.parts(VICTIM, asked));
    assert!(text.contains(" and 251 more"), "{text}");
}

/// Records at once, from a member: those beyond the limit are known here, and not told on.
#[test]
fn rumors_that_wait() {
    let mut mesh = alone();
    let (teller, from) = (who(0), address(0, 4_040));
    join(&mut mesh, &teller, from);
    let mut tell = |number: usize| {
        let other = who(number);
        let signed = record(&other, "rumored", 60).sign(&other.identity);
        say(&mut mesh, &teller, from, 1 + number as u64, &Body::Tell(Rumor::Record(signed)));
        mesh.counter(VICTIM, "records not told on while many wait")
    };
    for number in 1..=RUMORS {
        assert_eq!(tell(number), 0, "{number}");
    }
    assert_eq!(tell(RUMORS + 1), 1);
    assert_eq!(mesh.list(VICTIM).len(), RUMORS + 3);
}
