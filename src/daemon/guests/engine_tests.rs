//! Against an Engine made by hand: what it says, what it says wrongly, and the limits at their edges.

use super::*;
use crate::daemon::guests::{Follower, Over};
use crate::wire::guest::Guests;
use crate::wire::limits::GUESTS;
use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

/// Answers of an Engine by the beginning of the path; each connection is closed behind its answer.
fn engine(answers: Vec<(&'static str, Vec<u8>)>) -> Engine {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
    let socket = std::env::temp_dir().join(format!("herd-engine-{process}-{number}"));
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let mut reader = BufReader::new(stream);
            let mut asked = String::new();
            while reader.read_line(&mut asked).unwrap() > 2 {}
            let path = asked.strip_prefix("GET ").expect("it only reads");
            let answer = answers.iter().find(|(start, _)| path.starts_with(start));
            // Who asked may have heard enough.
            let _ = reader.get_mut().write_all(answer.map_or(NOT_FOUND, |(_, bytes)| bytes));
        }
    });
    Engine { socket }
}

const NOT_FOUND: &[u8] = b"HTTP/1.0 404 Not Found\r\n\r\n{}";

fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    [b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", body.as_ref()].concat()
}

fn listed(id: &str, state: &str) -> String {
    format!(
        r#"{{"Id":"{id}","Names":["/other/link","/web"],"State":"{state}","NetworkSettings":{{
        "Networks":{{"a":{{"IPAddress":"172.17.0.2","GlobalIPv6Address":""}},
        "b":{{"IPAddress":"10.9.0.3","GlobalIPv6Address":"fd00::3"}}}}}}}}"#
    )
}

#[test]
fn a_list_names_who_runs_and_where() {
    let list = [listed("aa", "running"), listed("bb", "paused"), listed("cc", "restarting")];
    let engine = engine(vec![("/containers/json ", ok(format!("[{}]", list.join(","))))]);
    let all = engine.containers(None).unwrap();
    let states: Vec<(&str, GuestState)> = all.iter().map(|g| (g.id.as_str(), g.state)).collect();
    assert_eq!(states, [("aa", GuestState::Running), ("bb", GuestState::Paused)]);
    assert_eq!(all[0].name, "web");
    let expected: Vec<IpAddr> =
        ["172.17.0.2", "10.9.0.3", "fd00::3"].map(|ip| ip.parse().unwrap()).to_vec();
    assert_eq!(all[0].addresses, expected);
}

#[test]
fn what_is_wrong_is_said_and_no_more() {
    let wrong: [(&[u8], &str); 6] = [
        (b"HTTP/1.0 500 Oh\r\n\r\n{}", "HTTP status 500"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "in chunks"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.0 200 OK\r\n", "unexpected end"),
        (b"HTTP/1.0 200 OK\r\n\r\n{\"a\":", "EOF"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "is none"),
    ];
    for (bytes, part) in wrong {
        let said = engine(vec![("/", bytes.to_vec())]).containers(None).unwrap_err();
        assert!(said.contains(part), "{part}: {said}");
    }
    let head = [&b"HTTP/1.0 200 OK\r\nA: "[..], &vec![b'x'; HEAD_BYTES]].concat();
    assert!(engine(vec![("/", head)]).containers(None).is_err());
    let nobody = Engine { socket: "/nonexistent/docker.sock".into() };
    assert!(nobody.containers(None).unwrap_err().contains("/nonexistent/docker.sock: No such"));
}

#[test]
fn limits_of_an_answer_and_an_event() {
    for (length, fits) in [(ENGINE_ANSWER_BYTES, true), (ENGINE_ANSWER_BYTES + 1, false)] {
        let body = format!("[{}]", " ".repeat(length - 2));
        let said = engine(vec![("/", ok(body))]).containers(None);
        assert_eq!(said.is_ok(), fits, "{length}");
        assert!(fits || said.unwrap_err().contains("limit of 4194304 bytes"));
    }
    let removed = r#"{"Type":"container","Action":"destroy","Actor":{"ID":"aa"}}"#;
    for (length, fits) in [(ENGINE_EVENT_BYTES, true), (ENGINE_EVENT_BYTES + 1, false)] {
        let line = format!("{removed}{}\n", " ".repeat(length - 1 - removed.len()));
        let mut events = engine(vec![("/events", ok(line))]).events().unwrap();
        match events.next().unwrap() {
            Ok(event) => assert_eq!((event, fits), (Event::Removed("aa".into()), true)),
            Err(said) => assert!(!fits && said.contains("limit of 65536 bytes"), "{said}"),
        }
    }
}

#[test]
fn events_that_matter() {
    let lines = r#"{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"../x"}}
{"Type":"image","Action":"pull","Actor":{"ID":"aa"}}
{"Type":"container","Action":"die","Actor":{"ID":"aa","Attributes":{"exitCode":"137"}}}
{"Type":"container","Action":"die","Actor":{"ID":"bb","Attributes":{}}}
{"Type":"network","Action":"connect","Actor":{"ID":"net","Attributes":{"container":"cc"}}}
{"Type":"container","Action":"pause","Actor":{"ID":"dd"}}
"#;
    let events = engine(vec![("/events?filters=%7B", ok(lines))]).events().unwrap();
    let (told, last): (Vec<_>, Vec<_>) = events.take(5).partition(Result::is_ok);
    let told: Vec<Event> = told.into_iter().map(Result::unwrap).collect();
    let expected = [
        Event::Ended("aa".into(), Ending { exit_status: Some(137) }),
        Event::Ended("bb".into(), Ending { exit_status: None }),
        Event::Changed("cc".into()),
        Event::Changed("dd".into()),
    ];
    assert_eq!(told, expected);
    assert!(last[0].as_ref().is_err_and(|why| why.contains("events ended")));
}

/// All that is told until the Engine is lost.
fn follow(follower: &mut Follower) -> Vec<Vec<Guest>> {
    let mut all = Vec::new();
    let mut tell = |told: Guests| {
        all.push(told.unwrap());
        Ok::<(), Over>(())
    };
    let _ = follower.follow(&mut tell, &mut false);
    all
}

fn follower(engine: Engine) -> Follower {
    Follower { engine, there: BTreeMap::new(), over: false }
}

#[test]
fn who_ended_is_told_once_and_as_it_was() {
    let died =
        r#"{"Type":"container","Action":"die","Actor":{"ID":"aa","Attributes":{"exitCode":"3"}}}"#;
    let gone = r#"{"Type":"container","Action":"destroy","Actor":{"ID":"aa"}}"#;
    let events = ok(format!("{died}\n{gone}\n"));
    let list = ok(format!("[{}]", listed("aa", "running")));
    let mut one = follower(engine(vec![("/events", events), ("/containers/json ", list)]));
    let all = follow(&mut one);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[1][0].state, GuestState::Ended(Ending { exit_status: Some(3) }));
    assert_eq!(all[1][0].addresses, all[0][0].addresses);
    assert!(one.there.is_empty());
}

/// The Engine was away: who ran before and does not now ended, as it says or is not known any more.
#[test]
fn who_ended_while_the_engine_was_away() {
    let list = ok(format!("[{},{}]", listed("aa", "running"), listed("bb", "running")));
    let mut one = follower(engine(vec![("/events", ok("")), ("/containers/json ", list)]));
    follow(&mut one);
    let state = ok(r#"{"State":{"Running":false,"ExitCode":9}}"#);
    let answers =
        vec![("/events", ok("")), ("/containers/json ", ok("[]")), ("/containers/aa/json", state)];
    one.engine = engine(answers);
    let all = follow(&mut one);
    let endings: Vec<GuestState> = all[0].iter().map(|guest| guest.state).collect();
    let ended = |exit_status| GuestState::Ended(Ending { exit_status });
    assert_eq!(endings, [ended(Some(9)), ended(None)]);
}

#[test]
fn no_more_are_watched_than_the_limit() {
    let all: Vec<String> = (0..=GUESTS).map(|n| listed(&format!("a{n}"), "running")).collect();
    let list = ok(format!("[{}]", all.join(",")));
    let mut one = follower(engine(vec![("/events", ok("")), ("/containers/json ", list)]));
    assert_eq!(follow(&mut one)[0].len(), GUESTS);
    assert!(one.over);
}
