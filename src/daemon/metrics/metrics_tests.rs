//! Scrapers of every kind, behaved and not, on real sockets.

use super::*;
use crate::wire::ids::NodeId;
use crate::wire::reply::{ErrorCode, Failure};
use mio::{Events, Poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

const START: Time = Time::from_ms(1_000_000);

struct World {
    poll: Poll,
    metrics: Metrics,
    path: PathBuf,
    /// How often the node was asked something.
    asked: usize,
    answers: bool,
}

fn part(number: u64, reply: Reply, done: bool) -> Part {
    Part { number, node: "own".into(), id: NodeId(1), reply, last: done, done }
}

fn node(name: &str) -> NodeInfo {
    let internal_ip = Some([10, 0, 0, 1].into());
    NodeInfo { name: name.into(), internal_ip, ..NodeInfo::default() }
}

impl World {
    fn new(name: &str) -> World {
        let poll = Poll::new().unwrap();
        let name = format!("herd-metrics-{name}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let registry = poll.registry().try_clone().unwrap();
        let metrics = Metrics::listen(registry, &Place::Path(path.clone()), START).unwrap();
        World { poll, metrics, path, asked: 0, answers: true }
    }

    fn connect(&self) -> UnixStream {
        let client = UnixStream::connect(&self.path).unwrap();
        client.set_nonblocking(true).unwrap();
        client
    }

    fn turn(&mut self, now: Time) {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
        for event in &events {
            match Source::of(event.token()) {
                Source::MetricsListener => self.metrics.on_listener(),
                Source::Scraper(id) => self.metrics.on_event(id, event),
                other => panic!("{other:?}"),
            }
        }
        let mut asked = Vec::new();
        self.metrics.turn(now, &mut |input: Input| match input {
            Input::Request { client: CLIENT, user, request } if user.may == Rank::Read => {
                asked.push(request);
            }
            other => panic!("{other:?}"),
        });
        self.asked += asked.len();
        if self.answers {
            asked.into_iter().for_each(|request| self.reply(request));
        }
        if self.metrics.wants_figures() {
            self.metrics.answer(now, Daemon::default());
        }
        self.metrics.flush(now);
    }

    /// As a node would: a list in two parts.
    fn reply(&mut self, request: Request) {
        let nodes = |name| Reply::Nodes { nodes: vec![node(name)], stale_ms: None };
        match request.command {
            Command::List => {
                self.metrics.take(part(request.number, nodes("own"), false));
                self.metrics.take(part(request.number, nodes("vm 2"), true));
            }
            _ => {
                let version = Reply::Version(VersionInfo::default());
                self.metrics.take(part(request.number, version, true));
            }
        }
    }

    /// Turns until the other end has all that there is; gives it.
    fn answer(&mut self, client: &mut UnixStream) -> String {
        let mut text = Vec::new();
        for _ in 0..10_000 {
            self.turn(START);
            match client.read_to_end(&mut text) {
                Ok(_) => return String::from_utf8(text).unwrap(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => panic!("{e}"),
            }
        }
        panic!("no end of {text:?}");
    }
}

#[test]
fn a_question_gets_its_answer_and_the_end() {
    let mut world = World::new("answer");
    for (question, expected) in [
        ("GET /metrics HTTP/1.1\r\n\r\n", "herd_nodes{state=\"alive\"} 2\n"),
        ("GET /sd?port=7 HTTP/1.0\r\nHost: x\r\n\r\n", "\"10.0.0.1:7\""),
        ("GET /x HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("PUT /sd HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "405 Method Not Allowed"),
    ] {
        let mut client = world.connect();
        // In two pieces.
        let (first, rest) = question.split_at(7);
        client.write_all(first.as_bytes()).unwrap();
        world.turn(START);
        client.write_all(rest.as_bytes()).unwrap();
        let answer = world.answer(&mut client);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(answer.contains(expected), "{answer}");
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(head.contains(&length) && head.ends_with("Connection: close"), "{head}");
    }
    assert_eq!(world.asked, 3, "what is refused is not asked of the node");
    world.turn(START);
    world.turn(START);
    assert!(world.metrics.scrapers.is_empty());
}

#[test]
fn what_the_node_refuses_is_said() {
    let mut world = World::new("refused");
    world.answers = false;
    let mut client = world.connect();
    client.write_all(b"GET /sd HTTP/1.1\r\n\r\n").unwrap();
    while world.asked == 0 {
        world.turn(START);
    }
    let failure = Failure::new(ErrorCode::Stopping, "this node is stopping");
    world.metrics.take(part(1, Reply::Error(failure), true));
    // Nobody asked that.
    world.metrics.take(part(7, Reply::Pong, true));
    let answer = world.answer(&mut client);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthis node is stopping\n"), "{answer}");
}

#[test]
fn who_takes_too_long_is_dropped() {
    let mut world = World::new("late");
    let mut slow = world.connect();
    slow.write_all(b"GET /metrics HTT").unwrap();
    world.turn(START);
    world.turn(START.plus_ms(METRICS_REQUEST_MS - 1));
    assert_eq!(world.metrics.scrapers.len(), 1);
    assert_eq!(world.metrics.deadline(), Some(START.plus_ms(METRICS_REQUEST_MS)));
    world.turn(START.plus_ms(METRICS_REQUEST_MS));
    assert!(world.metrics.scrapers.is_empty());
    assert_eq!(slow.read(&mut [0; 9]).unwrap(), 0);
    // The answer waits for one who does not read it, and the others do not.
    let mut deaf = world.connect();
    world.turn(START);
    let id = *world.metrics.scrapers.keys().next().unwrap();
    world.metrics.scrapers.get_mut(&id).unwrap().say(START, vec![b'x'; 4 << 20]);
    let mut client = world.connect();
    client.write_all(b"GET /sd HTTP/1.1\r\n\r\n").unwrap();
    assert!(world.answer(&mut client).contains("10.0.0.1:9100"));
    world.turn(START.plus_ms(METRICS_ANSWER_MS - 1));
    assert!(world.metrics.scrapers.contains_key(&id));
    world.turn(START.plus_ms(METRICS_ANSWER_MS));
    assert!(!world.metrics.scrapers.contains_key(&id));
    drop(deaf.read(&mut [0; 9]));
}

#[test]
fn a_question_without_end_is_refused() {
    let mut world = World::new("endless");
    let mut client = world.connect();
    client.write_all(&[b'x'; METRICS_REQUEST_BYTES + 1_000]).unwrap();
    let answer = world.answer(&mut client);
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("8192 bytes"), "{answer}");
}

#[test]
fn as_many_at_once_as_the_limit() {
    let mut world = World::new("crowd");
    let mut crowd: Vec<UnixStream> = (0..=METRICS_CLIENTS).map(|_| world.connect()).collect();
    for _ in 0..10 {
        world.turn(START);
    }
    assert_eq!(world.metrics.scrapers.len(), METRICS_CLIENTS);
    assert!(!world.metrics.more(), "it does not spin while all places are taken");
    let mut last = crowd.pop().unwrap();
    last.write_all(b"GET /sd HTTP/1.1\r\n\r\n").unwrap();
    world.turn(START);
    assert_eq!(world.asked, 0);
    drop(crowd.pop());
    assert!(world.answer(&mut last).contains("own"));
}
