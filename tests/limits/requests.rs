//! Requests: how many, how long, how many parts, how far.

use crate::crowd::{VICTIM, address, alone, give, heard, join, say, who};
use crate::mesh::{self, Mesh, Who};
use herd::node::{Input, User};
use herd::wire::command::{Command, Scope};
use herd::wire::control::Request;
use herd::wire::header::{Header, Kind};
use herd::wire::ids::{ClientId, Generation};
use herd::wire::info::State;
use herd::wire::limits::*;
use herd::wire::message::{Answer, Ask, Body};
use herd::wire::reply::{ErrorCode, Reply};
use herd::wire::rumor::{Reason, Rumor, SignedVote, Subject, Verdict};
use std::net::SocketAddr;

fn with_member() -> (Mesh, Who, SocketAddr) {
    let (mut mesh, member, at) = (alone(), who(7), address(1, 4_040));
    assert_eq!(join(&mut mesh, &member, at).expect("an answer").refused, None);
    (mesh, member, at)
}

fn limit(reply: &Reply) -> &str {
    match reply {
        Reply::Error(failure) if failure.code == ErrorCode::Limit => &failure.detail,
        other => panic!("no limit but {other:?}"),
    }
}

#[test]
fn of_local_programs() {
    let mut mesh = alone();
    for _ in 0..REQUESTS {
        let asked = mesh.request(VICTIM, Scope::Here, Command::Watch);
        assert!(mesh.parts(VICTIM, asked).is_empty());
    }
    let refused = mesh.request(VICTIM, Scope::Here, Command::Watch);
    assert!(limit(&mesh.parts(VICTIM, refused)[0].reply).contains("limit of 1024 requests"));
    mesh.turn(VICTIM, Some(Input::ClientGone { client: ClientId(1) }));
    let asked = mesh.request(VICTIM, Scope::Here, Command::Watch);
    assert!(mesh.parts(VICTIM, asked).is_empty(), "who left makes room");
}

fn ask(mesh: &mut Mesh, member: &(Who, SocketAddr), counter: u64, number: u64) -> Vec<Reply> {
    let since = mesh.sent.len();
    let body = Body::Ask(Ask { number, wait_ms: 0, command: Command::Ping });
    say(mesh, &member.0, member.1, counter, &body);
    let answers = heard(mesh, &member.0, since).into_iter();
    answers
        .filter_map(|body| if let Body::Answer(a) = body { Some(a.reply) } else { None })
        .collect()
}

fn forget(mesh: &mut Mesh, member: &(Who, SocketAddr), number: u64) -> Reply {
    let since = mesh.sent.len();
    let command = Command::Forget("nobody".to_string());
    let body = Body::Ask(Ask { number, wait_ms: 0, command });
    say(mesh, &member.0, member.1, 10 + number, &body);
    let mut answers = heard(mesh, &member.0, since).into_iter();
    let reply =
        answers.find_map(|body| if let Body::Answer(a) = body { Some(a.reply) } else { None });
    reply.expect("an answer")
}

#[test]
fn changes_of_one_node() {
    let (mut mesh, who, at) = with_member();
    let member = (who, at);
    let code =
        |reply: &Reply| if let Reply::Error(failure) = reply { Some(failure.code) } else { None };
    for number in 0..u64::from(CHANGES_PER_SECOND) {
        assert_eq!(code(&forget(&mut mesh, &member, number)), Some(ErrorCode::UnknownNode));
    }
    assert!(limit(&forget(&mut mesh, &member, 100)).contains("limit of 8 changes"));
    assert_eq!(ask(&mut mesh, &member, 200, 200), [Reply::Pong], "reading goes on");
    mesh.run_ms(1_000);
    assert_eq!(code(&forget(&mut mesh, &member, 300)), Some(ErrorCode::UnknownNode));
}

#[test]
fn of_other_nodes() {
    let (mut mesh, who, at) = with_member();
    let member = (who, at);
    for number in 0..REQUESTS as u64 {
        assert_eq!(ask(&mut mesh, &member, 10 + number, number), [Reply::Pong]);
    }
    let number = REQUESTS as u64;
    let refused = ask(&mut mesh, &member, 10 + number, number);
    assert!(limit(&refused[0]).contains("limit of 1024 requests"));
    assert_eq!(ask(&mut mesh, &member, 11 + number, 0), [Reply::Pong], "a repeat is answered");
    mesh.run_ms(ANSWER_MS + 1_000);
    assert_eq!(ask(&mut mesh, &member, 12 + number, number), [Reply::Pong], "later there is room");
}

/// Nothing is carried out twice as long as it is remembered.
#[test]
fn that_are_remembered() {
    let (mut mesh, who, at) = with_member();
    let member = (who, at);
    let mut counter = 10;
    let mut ask = |mesh: &mut Mesh, number: u64| {
        counter += 1;
        if counter % REQUESTS as u64 == 0 {
            mesh.run_ms(ANSWER_MS + 1_000);
            mesh.sent.clear();
        }
        ask(mesh, &member, counter, number)
    };
    for number in 0..REQUESTS_REMEMBERED as u64 {
        assert_eq!(ask(&mut mesh, number), [Reply::Pong], "{number}");
    }
    mesh.run_ms(ANSWER_MS + 1_000);
    assert_eq!(ask(&mut mesh, 0), [], "carried out long ago");
    assert_eq!(mesh.counter(VICTIM, "asks repeated too late"), 1);
    assert_eq!(ask(&mut mesh, REQUESTS_REMEMBERED as u64), [Reply::Pong]);
    assert_eq!(ask(&mut mesh, 0), [Reply::Pong], "the oldest made room, and is forgotten");
}

/// How long an answer is waited for at most, and unless something else is asked.
#[test]
fn that_nobody_answers() {
    for (timeout_ms, waited_ms) in [(ANSWER_MAX_MS, ANSWER_MAX_MS), (0, ANSWER_MS)] {
        let mut mesh = alone();
        let scope = Scope::Node(address(1, 4_040).to_string());
        let request = Request { number: 1, scope, command: Command::Ping, timeout_ms };
        mesh.turn(
            VICTIM,
            Some(Input::Request { client: ClientId(1), user: User::default(), request }),
        );
        mesh.run_ms(waited_ms - 1);
        assert!(mesh.parts(VICTIM, 1).is_empty());
        // The contact of a request gets half a second more.
        mesh.run_ms(502);
        let parts = mesh.parts(VICTIM, 1);
        assert!(parts.len() == 1 && parts[0].done, "{parts:?}");
    }
    let mut mesh = alone();
    let timeout_ms = ANSWER_MAX_MS + 1;
    let request = Request { number: 1, scope: Scope::Here, command: Command::Ping, timeout_ms };
    mesh.turn(VICTIM, Some(Input::Request { client: ClientId(1), user: User::default(), request }));
    let parts = mesh.parts(VICTIM, 1);
    assert!(limit(&parts[0].reply).contains("longest time-out is 600000 ms"));
}

#[test]
fn parts_of_one_answer() {
    let (mut mesh, member, at) = with_member();
    let since = mesh.sent.len();
    let asked = mesh.request(VICTIM, Scope::Node(member.id().to_string()), Command::Ping);
    mesh.run_ms(10);
    let number = heard(&mesh, &member, since)
        .into_iter()
        .find_map(|body| if let Body::Ask(ask) = body { Some(ask.number) } else { None })
        .expect("he is asked");
    for part in (0..=PARTS as u16).rev() {
        let answer = Answer { number, part, last: part == PARTS as u16 - 1, reply: Reply::Pong };
        say(&mut mesh, &member, at, 1_000 - u64::from(part), &Body::Answer(answer));
    }
    assert_eq!(mesh.counter(VICTIM, "answer parts over their limit"), 1);
    let parts = mesh.parts(VICTIM, asked);
    assert!(parts.len() == PARTS && parts[PARTS - 1].done, "{}", parts.len());
}

#[test]
fn hops_of_a_datagram() {
    let (mut mesh, member, at) = with_member();
    let (other, other_at) = (who(8), address(2, 4_040));
    join(&mut mesh, &other, other_at);
    for (hops, relayed) in [(HOPS - 1, true), (HOPS, false), (u8::MAX, false)] {
        let header = Header { hops, ..Header::new(Kind::Sealed, other.id(), member.id()) };
        let since = mesh.sent.len();
        give(&mut mesh, at, &[&header.to_bytes()[..], &[5; 60]].concat());
        let handed_on = |bytes: &[u8]| bytes[2] == hops.wrapping_add(1) && bytes[32..] == [5; 60];
        assert_eq!(mesh.sent[since..].iter().any(|s| handed_on(&s.bytes)), relayed, "{hops}");
    }
    assert_eq!(mesh.counter(VICTIM, "not relayed"), 2);
}

/// As many votes as may be asked for are enough; one more proves that somebody cheats.
#[test]
fn votes_of_a_verdict() {
    for (count, falls) in [(VOTERS, true), (VOTERS + 1, false)] {
        let mut mesh = Mesh::new();
        mesh.add("node1", &[]);
        mesh.add("node2", &[mesh::address_of(VICTIM)]);
        mesh.run_ms(1_500);
        let subject = mesh.members[1].who.id();
        let voters: Vec<Who> = (0..=count).map(who).collect();
        for (number, voter) in voters.iter().enumerate() {
            join(&mut mesh, voter, address(number, 4_040));
        }
        // Fresh word would outweigh a verdict that is told.
        mesh.vanish(1);
        mesh.run_ms(6_000);
        let subject = Subject { id: subject, generation: Generation::first(5) };
        let issuer = voters[count].id();
        let votes = voters[..count].iter();
        let votes: Vec<SignedVote> =
            votes.map(|voter| SignedVote::sign(&voter.identity, subject, 1, issuer)).collect();
        let (reason, answered) = (Reason::ProcessGone, count as u32);
        let verdict = Verdict {
            subject,
            ballot: 1,
            issuer,
            reason,
            answered,
            votes,
            signature: [0; 64],
            ending: None,
        };
        let rumor = Rumor::Verdict(verdict.sign(&voters[count].identity));
        say(&mut mesh, &voters[count], address(count, 4_040), 2, &Body::Tell(rumor));
        let down = mesh.state(VICTIM, subject.id) == Some(State::Down);
        assert_eq!(down, falls, "{count} votes");
    }
}

/// Two that wait for one address wait as long as each wants.
#[test]
fn waits_for_an_address_end_apart() {
    let mut mesh = alone();
    let nobody = || Scope::Node("10.9.9.9".to_string());
    for (number, timeout_ms) in [(901, 3_000), (902, 1_000)] {
        let request = Request { number, scope: nobody(), command: Command::Ping, timeout_ms };
        mesh.turn(
            VICTIM,
            Some(Input::Request { client: ClientId(1), user: User::default(), request }),
        );
    }
    mesh.run_ms(1_200);
    assert_eq!(mesh.parts(VICTIM, 902).len(), 1, "the short wait is over");
    assert!(mesh.parts(VICTIM, 901).is_empty(), "the long one goes on");
    mesh.run_ms(2_000);
    let Reply::Error(failure) = &mesh.parts(VICTIM, 901)[0].reply else { panic!("no failure") };
    assert!(failure.detail.starts_with("no daustd answers at 10.9.9.9:4040;"), "{failure:?}");
}

/// As many looks at once as the limit, and one more; each ends by itself.
#[test]
fn examinations() {
    let mut mesh = alone();
    let mut look = |number: usize| {
        let at = address(number, 4_040).to_string();
        let asked = mesh.request(VICTIM, Scope::Here, Command::Doctor(Some(at)));
        (asked, mesh.parts(VICTIM, asked).into_iter().cloned().collect::<Vec<_>>())
    };
    let open: Vec<u64> = (0..EXAMINATIONS).map(|number| look(number).0).collect();
    let (_, refused) = look(EXAMINATIONS);
    assert!(limit(&refused[0].reply).contains("limit of 16 examinations"), "{refused:?}");
    mesh.run_ms(2_000);
    for asked in open {
        let parts = mesh.parts(VICTIM, asked);
        assert!(parts.len() == 1 && parts[0].done, "{parts:?}");
        assert!(matches!(parts[0].reply, Reply::Findings(_)), "{parts:?}");
    }
    let asked = mesh.request(VICTIM, Scope::Here, Command::Doctor(Some("10.77.0.1".into())));
    mesh.run_ms(2_000);
    assert!(
        matches!(mesh.parts(VICTIM, asked)[0].reply, Reply::Findings(_)),
        "there is room again"
    );
    assert_eq!(mesh.list(VICTIM).len(), 1, "nobody joined");
}
