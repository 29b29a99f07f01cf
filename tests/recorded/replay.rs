//! The recorded datagrams once more, to a node that starts from what the recorded one was started
//! from: it must open them all and answer what the recorded one answered.

use crate::examples::swim_message;
use crate::exchange::Item;
use crate::mesh::{STARTED_UNIX_S, Who, socket_at};
use crate::say::{body, decode_hello, open};
use herd::node::{Input, Kept, Node, Options, Output, Socket, User};
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::Hello;
use herd::wire::ids::ClientId;
use herd::wire::message::Body;
use herd::wire::reply::Reply;
use herd::wire::time::Time;
use std::net::SocketAddr;

/// None of these may be counted when old datagrams are read.
const BAD: &[&str] = &[
    "forged",
    "malformed",
    "unknown sender",
    "replayed",
    "other protocol version",
    "bodies not understood",
    "records forged",
    "records not understood",
    "rumors not understood",
    "swim packets not taken",
    "votes forged",
    "verdicts without enough votes",
];

pub struct Replay {
    node: Node,
    whos: Vec<Who>,
    now: Time,
    outputs: Vec<(SocketAddr, Vec<u8>)>,
    parts: Vec<Part>,
}

impl Replay {
    /// The node of this item, restored. Its randomness is another: no answer may depend on it.
    pub fn new(item: &Item, whos: &[Who], start: Time) -> Replay {
        let at: u8 = item.words[1].parse().expect("a number");
        let entries = item.bytes.iter().cloned().collect();
        let kept = Kept { start_counter: whos[at as usize].start_counter, entries };
        let options = Options {
            addresses: vec![[192, 168, 1, at + 1].into()],
            started_unix_s: STARTED_UNIX_S,
            key: whos[at as usize].identity.herd().cloned(),
            ..Options::default()
        };
        let node = Node::new(options, kept, [0x99; 32], start);
        assert_eq!(node.id(), whos[at as usize].id());
        let (outputs, parts) = (Vec::new(), Vec::new());
        Replay { node, whos: whos.to_vec(), now: start, outputs, parts }
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll() {
            match output {
                Output::Datagram { to, bytes, .. } => self.outputs.push((to, bytes)),
                Output::Part { part, .. } => self.parts.push(part),
                _ => {}
            }
        }
    }

    pub fn run_until(&mut self, until: Time) {
        while let Some((at, _)) = self.node.deadline().filter(|(at, _)| *at <= until) {
            self.node.tick(at);
            self.drain();
        }
        self.now = until;
    }

    /// Gives one datagram; false if it is one that only the recorded instance can take.
    pub fn give(&mut self, item: &Item) -> bool {
        let sealed = item.get("sealed");
        let (header, rest) = Header::parse(sealed).expect("a header");
        if header.kind == Kind::HelloAnswer {
            return false; // It answers a nonce drawn then.
        }
        self.run_until(Time(item.words[1].parse().expect("a time")));
        let from: SocketAddr = item.words[2].parse().expect("an address");
        let to: SocketAddr = item.words[3].parse().expect("an address");
        self.outputs.clear();
        self.node.handle(self.now, Input::Datagram { socket: socket_at(to), from, bytes: sealed });
        self.drain();
        match item.find("plain") {
            Some(_) if header.destination != self.node.id() => self.require_relay(&header),
            Some(plain) => self.require_reaction(&header, &body(plain), to),
            None => self.require_hello_answer(from, &header, rest),
        }
        true
    }

    fn require_hello_answer(&self, from: SocketAddr, header: &Header, rest: &[u8]) {
        let key = self.whos[0].identity.herd();
        let question: Hello = decode_hello(header, rest, key);
        let sent = self.outputs.iter().filter(|(to, _)| *to == from);
        let answered = sent.map(|(_, bytes)| Header::parse(bytes).expect("a header"));
        let answered = answered.filter(|(reply, _)| reply.kind == Kind::HelloAnswer);
        let mut hellos = answered.map(|(reply, rest)| {
            assert_eq!(reply.destination, header.sender);
            decode_hello(&reply, rest, key)
        });
        assert!(
            hellos.any(|hello| hello.nonce == question.nonce && hello.refused.is_none()),
            "a hello of {:?} is not answered",
            header.sender
        );
    }

    /// What is for somebody else is handed on as it is.
    fn require_relay(&self, header: &Header) {
        let mut on = self.outputs.iter().filter_map(|(_, bytes)| Header::parse(bytes).ok());
        let hops = header.hops + 1;
        assert!(on.any(|(on, _)| on == Header { hops, ..*header }), "{header:?} is not relayed");
    }

    /// What a question must be answered with, whatever the program's version.
    fn require_reaction(&self, header: &Header, asked: &Body, at: SocketAddr) {
        let answers = |answer: &Body| match (asked, answer) {
            (Body::Heartbeat(a), Body::HeartbeatAnswer(b)) => a.stamp_us == b.stamp_us,
            (Body::Probe(a), Body::ProbeAnswer(b)) => a == b,
            (Body::Pull(_), Body::Sync(_)) => true,
            (Body::Test(a), Body::Saw(b)) => b.nonce == Some(a.nonce),
            (Body::Ask(a), Body::Answer(b)) => {
                a.number == b.number && !matches!(b.reply, Reply::Error(_))
            }
            (Body::Swim(a), Body::Swim(b)) => acknowledges(a, b),
            _ => false,
        };
        let is_ping = |packet| swim_message(packet).is_some_and(|(kind, _)| kind == PING);
        let is_question = match asked {
            Body::Swim(packet) => is_ping(packet),
            Body::Heartbeat(_) | Body::Probe(_) | Body::Pull(_) | Body::Ask(_) => true,
            // Only who has another socket to knock from can be a witness.
            Body::Test(_) => socket_at(at) == Socket::Main,
            _ => false,
        };
        let mut answered = self.said_to(header).into_iter();
        assert!(!is_question || answered.any(|body| answers(&body)), "no answer to {asked:?}");
    }

    fn said_to(&self, header: &Header) -> Vec<Body> {
        let opened = self.outputs.iter().filter(|(_, bytes)| {
            Header::parse(bytes).is_ok_and(|(reply, _)| reply.destination == header.sender)
        });
        opened.filter_map(|(_, bytes)| Some(body(&open(bytes, &self.whos)?.1))).collect()
    }

    pub fn ask(&mut self, command: Command) -> Vec<Reply> {
        let request = Request { number: 1, scope: Scope::Here, command, timeout_ms: 0 };
        self.node.handle(
            self.now,
            Input::Request { client: ClientId(1), user: User::default(), request },
        );
        self.drain();
        std::mem::take(&mut self.parts).into_iter().map(|part| part.reply).collect()
    }

    /// Name and state of all others it knows.
    pub fn listed(&mut self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for reply in self.ask(Command::List) {
            let Reply::Nodes { nodes, .. } = reply else { panic!("a list, not {reply:?}") };
            rows.extend(nodes.into_iter().map(|row| (row.name, row.state.word().to_string())));
        }
        rows.split_off(1)
    }

    pub fn require_nothing_bad(&mut self) {
        let replies = self.ask(Command::Version);
        let Some(Reply::Version(version)) = replies.first() else { panic!("{replies:?}") };
        let is_bad = |name: &str| BAD.contains(&name);
        let bad: Vec<_> = version.counters.iter().filter(|c| is_bad(&c.name)).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}

const PING: u8 = 1;
const ACK: u8 = 2;

fn acknowledges(ping: &[u8], ack: &[u8]) -> bool {
    let (Some((_, asked)), Some((kind, answered))) = (swim_message(ping), swim_message(ack)) else {
        return false;
    };
    kind == ACK && asked == answered
}
