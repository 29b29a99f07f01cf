//! A few whole nodes in one process with real seals, fixed seeds and virtual time: enough network
//! to let them meet, small enough to reach into. (The simulator under tests/sim is the big one.)
#![allow(dead_code)] // Each test program uses its part.

use herd::node::{Closed, Input, Kept, Node, Options, Output, Socket, User};
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent};
use herd::wire::ids::{ClientId, Generation, NodeId, PipeId, StreamId};
use herd::wire::info::{NodeInfo, State};
use herd::wire::key::HerdKey;
use herd::wire::message::Envelope;
use herd::wire::pipe::Piece;
use herd::wire::record::Record;
use herd::wire::reply::Reply;
use herd::wire::seal::{Identity, SealKey, Suite};
use herd::wire::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

pub const MAIN_PORT: u16 = 4040;
pub const EPHEMERAL_PORT: u16 = 50_000;
pub const STARTED_UNIX_S: u64 = 1_700_000_000;
const LATENCY_MS: u64 = 1;

/// What a node is known by: enough to seal and open in its name.
#[derive(Clone)]
pub struct Who {
    pub identity: Identity,
    pub start_counter: u64,
}

impl Who {
    pub fn new(secret: u8, start_counter: u64) -> Who {
        Who { identity: Identity::from_secret(&[secret; 64], Suite::Real), start_counter }
    }

    /// The same in the herd of this key.
    pub fn in_herd(self, key: Option<HerdKey>) -> Who {
        Who { identity: self.identity.in_herd(key), ..self }
    }

    pub fn id(&self) -> NodeId {
        self.identity.id()
    }

    /// Names the herd that it is in.
    pub fn header(&self, kind: Kind, destination: NodeId) -> Header {
        let (herd, epoch) = self.identity.herd_and_epoch();
        Header { herd, epoch, ..Header::new(kind, destination, self.id()) }
    }

    pub fn key_with(&self, other: &Who) -> SealKey {
        let keys = other.identity.public();
        self.identity
            .pair_key(self.identity.herd(), self.start_counter, &keys, other.start_counter)
            .expect("a key")
    }

    /// A whole sealed datagram with this plain text.
    pub fn seal(&self, to: &Who, counter: u64, plain: &[u8]) -> Vec<u8> {
        let header = self.header(Kind::Sealed, to.id());
        self.key_with(to).seal(&header, counter, [counter as u8; 16], plain)
    }
}

/// A record of somebody who is no node here, at the address of this number.
pub fn record(who: &Who, name: &str, member: usize) -> Record {
    Record {
        agreement_key: who.identity.public().agreement,
        signing_key: who.identity.public().signing,
        generation: Generation::first(who.start_counter),
        sequence: 0,
        name: name.parse().expect("a valid name"),
        addresses: vec![address_of(member).ip()],
        port: MAIN_PORT,
        parent: None,
        hidden: false,
        instance: 1,
        public_ip: None,
        deadend: false,
        homes: Vec::new(),
        attributes: Vec::new(),
    }
}

pub struct Member {
    pub who: Who,
    pub node: Node,
    pub alive: bool,
    pub kept: BTreeMap<String, Vec<u8>>,
    pub parts: Vec<Part>,
    /// What pipes want of its ports: first, to be connected.
    pub pieces: Vec<(PipeId, Option<Piece>)>,
    /// Outputs of the last turn.
    pub turn_outputs: usize,
    pub address: SocketAddr,
    next_accepted: u64,
    /// Frames on streams at whose other end no member is.
    pub frames: Vec<(StreamId, Vec<u8>)>,
    /// The other ends of its streams: member, its number there, and whether it dialled.
    ends: BTreeMap<StreamId, (usize, StreamId, bool)>,
}

/// A datagram as it was sent.
#[derive(Clone)]
pub struct Sent {
    pub at: Time,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
    pub lost: bool,
}

/// One frame on its way: who sent it, who is to get it, on which stream of the one that dialled.
pub struct Passing<'a> {
    pub at: Time,
    pub from: usize,
    pub to: usize,
    pub line: (usize, StreamId),
    pub bytes: &'a [u8],
}

/// Sits on every stream and says what arrives where.
pub type Tap = Box<dyn FnMut(&Passing) -> Vec<(usize, Vec<u8>)>>;

enum Event {
    Datagram(Sent),
    Opened { stream: StreamId, peer: SocketAddr },
    Frame { stream: StreamId, bytes: Vec<u8> },
    Closed { stream: StreamId, closed: Closed },
    Kept { ticket: u64 },
}

pub struct Mesh {
    pub now: Time,
    pub members: Vec<Member>,
    /// Every datagram, in the order it was sent.
    pub sent: Vec<Sent>,
    /// What comes of the next datagrams: 0 lost, 1 twice, 2 late. Empty: all arrive in order.
    pub fates: VecDeque<u8>,
    pub tap: Option<Tap>,
    /// The herd key of members added from now on.
    pub key: Option<HerdKey>,
    queue: BTreeMap<(Time, u64), (usize, Event)>,
    next_event: u64,
    next_request: u64,
}

/// A question of somebody with this record, as signed.
pub fn hello(record: Vec<u8>) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        intent: Intent::Join,
        nonce: 5,
        capabilities: 0,
        proof: Vec::new(),
        record,
        refused: None,
        known_generation: None,
    }
}

pub fn address_of(member: usize) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, member as u8 + 1], MAIN_PORT))
}

pub fn options(name: &str, member: usize, homes: &[SocketAddr]) -> Options {
    Options {
        name: Some(name.parse().expect("a valid name")),
        addresses: vec![address_of(member).ip()],
        homes: homes.to_vec(),
        started_unix_s: STARTED_UNIX_S,
        program: "daustd test".to_string(),
        ..Options::default()
    }
}

impl Mesh {
    pub fn new() -> Mesh {
        Mesh {
            now: Time::from_ms(1_000_000),
            members: Vec::new(),
            sent: Vec::new(),
            fates: VecDeque::new(),
            tap: None,
            key: None,
            queue: BTreeMap::new(),
            next_event: 0,
            next_request: 0,
        }
    }

    /// Starts a node now. Its secret, seed and address come from its number.
    pub fn add(&mut self, name: &str, homes: &[SocketAddr]) -> usize {
        let member = self.members.len();
        let options = Options { key: self.key.clone(), ..options(name, member, homes) };
        self.add_with(options, BTreeMap::new())
    }

    pub fn add_with(&mut self, options: Options, mut kept: BTreeMap<String, Vec<u8>>) -> usize {
        let member = self.members.len();
        let who = Who::new(member as u8 + 1, 5).in_herd(options.key.clone());
        kept.insert("identity".to_string(), who.identity.to_secret().to_vec());
        let entries = Kept { start_counter: who.start_counter, entries: kept.clone() };
        let node = Node::new(options, entries, [member as u8 + 1; 32], self.now);
        assert_eq!(node.id(), who.id());
        self.members.push(Member {
            who,
            node,
            alive: true,
            kept,
            parts: Vec::new(),
            pieces: Vec::new(),
            turn_outputs: 0,
            address: address_of(member),
            next_accepted: 0,
            frames: Vec::new(),
            ends: BTreeMap::new(),
        });
        self.turn(member, None);
        member
    }

    pub fn run_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while let Some((at, member)) = self.next_turn().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            match self.queue.first_entry().filter(|entry| entry.key().0 <= at) {
                Some(entry) => {
                    let (member, event) = entry.remove();
                    self.happen(member, event);
                }
                None => self.turn(member, None),
            }
        }
        self.now = end;
    }

    fn next_turn(&self) -> Option<(Time, usize)> {
        let event = self.queue.iter().next().map(|((at, _), (member, _))| (*at, *member));
        let due = self.members.iter().enumerate().filter(|(_, member)| member.alive);
        let due = due.filter_map(|(at, member)| Some((member.node.deadline()?.0, at)));
        event.into_iter().chain(due).min_by_key(|(at, _)| *at)
    }

    fn happen(&mut self, member: usize, event: Event) {
        if !self.members[member].alive {
            return;
        }
        match event {
            Event::Datagram(sent) => {
                let socket = socket_at(sent.to);
                let from = sent.from;
                self.turn(member, Some(Input::Datagram { socket, from, bytes: &sent.bytes }));
            }
            Event::Opened { stream, peer } => {
                self.turn(member, Some(Input::StreamOpened { stream, peer }));
            }
            Event::Frame { stream, bytes } => {
                if self.members[member].ends.contains_key(&stream) {
                    self.turn(member, Some(Input::StreamFrame { stream, bytes: &bytes }));
                }
            }
            Event::Closed { stream, closed } => {
                self.turn(member, Some(Input::StreamClosed { stream, closed }));
            }
            Event::Kept { ticket } => {
                self.turn(member, Some(Input::Kept { ticket, result: Ok(()) }));
            }
        }
    }

    /// One turn of a member's loop: an input, what is due, what comes out.
    pub fn turn(&mut self, member: usize, input: Option<Input>) {
        let now = self.now;
        if let Some(input) = input {
            self.members[member].node.handle(now, input);
        }
        self.members[member].node.tick(now);
        let mut outputs = 0;
        while let Some(output) = self.members[member].node.poll() {
            outputs += 1;
            self.carry_out(member, output);
        }
        self.members[member].turn_outputs = outputs;
    }

    fn carry_out(&mut self, member: usize, output: Output) {
        match output {
            Output::Datagram { socket, to, bytes } => self.datagram(member, socket, to, bytes),
            Output::Dial { stream, to } => self.dial(member, stream, to),
            Output::Frame { stream, bytes } => self.frame(member, stream, &bytes),
            Output::Hangup { stream } => self.hang_up(member, stream, Closed::Ended),
            Output::Part { part, .. } => self.members[member].parts.push(part),
            Output::Connect { pipe, .. } => self.members[member].pieces.push((pipe, None)),
            Output::Piece { pipe, piece } => {
                self.members[member].pieces.push((pipe, Some(piece)));
            }
            Output::Keep { ticket, entries } => {
                for (key, value) in entries {
                    match value {
                        Some(value) => self.members[member].kept.insert(key, value),
                        None => self.members[member].kept.remove(&key),
                    };
                }
                self.later(LATENCY_MS, member, Event::Kept { ticket });
            }
            Output::Stopped => self.end(member, Closed::Ended),
            Output::Proved { .. } => {}
        }
    }

    fn datagram(&mut self, member: usize, socket: Socket, to: SocketAddr, bytes: Vec<u8>) {
        let port = if socket == Socket::Main { MAIN_PORT } else { EPHEMERAL_PORT };
        let from = SocketAddr::new(self.members[member].address.ip(), port);
        let target = self.at(to);
        let fate = target.and_then(|_| self.fates.pop_front());
        let sent = Sent { at: self.now, from, to, bytes, lost: fate == Some(0) };
        self.sent.push(sent.clone());
        let Some(target) = target.filter(|_| !sent.lost) else { return };
        match fate {
            Some(1) => {
                self.later(LATENCY_MS, target, Event::Datagram(sent.clone()));
                self.later(2 * LATENCY_MS, target, Event::Datagram(sent));
            }
            Some(2) => self.later(50, target, Event::Datagram(sent)),
            _ => self.later(LATENCY_MS, target, Event::Datagram(sent)),
        }
    }

    fn at(&self, address: SocketAddr) -> Option<usize> {
        let known_port = [MAIN_PORT, EPHEMERAL_PORT].contains(&address.port());
        self.members.iter().position(|member| known_port && member.address.ip() == address.ip())
    }

    fn dial(&mut self, member: usize, stream: StreamId, to: SocketAddr) {
        let target = self.at(to).filter(|target| self.members[*target].alive);
        let Some(target) = target else {
            self.later(LATENCY_MS, member, Event::Closed { stream, closed: Closed::Refused });
            return;
        };
        let accepted = StreamId(self.members[target].next_accepted * 2);
        self.members[target].next_accepted += 1;
        self.members[member].ends.insert(stream, (target, accepted, true));
        self.members[target].ends.insert(accepted, (member, stream, false));
        let peer = SocketAddr::new(self.members[member].address.ip(), 40_000);
        self.later(LATENCY_MS, target, Event::Opened { stream: accepted, peer });
        self.later(LATENCY_MS, member, Event::Opened { stream, peer: to });
    }

    fn frame(&mut self, member: usize, stream: StreamId, bytes: &[u8]) {
        let Some((other, there, dialled)) = self.members[member].ends.get(&stream).copied() else {
            self.members[member].frames.push((stream, bytes.to_vec()));
            return;
        };
        let line = if dialled { (member, stream) } else { (other, there) };
        let passing = Passing { at: self.now, from: member, to: other, line, bytes };
        let arriving = match &mut self.tap {
            Some(tap) => tap(&passing),
            None => vec![(other, bytes.to_vec())],
        };
        for (to, bytes) in arriving {
            let stream = if to == other { there } else { stream };
            self.later(LATENCY_MS, to, Event::Frame { stream, bytes });
        }
    }

    fn hang_up(&mut self, member: usize, stream: StreamId, closed: Closed) {
        if let Some((other, there, _)) = self.members[member].ends.remove(&stream) {
            // After what was sent before.
            self.later(LATENCY_MS, other, Event::Closed { stream: there, closed });
        }
    }

    /// Ends a process. Its streams break as its kernel does it.
    pub fn end(&mut self, member: usize, closed: Closed) {
        self.members[member].alive = false;
        for stream in self.members[member].ends.keys().copied().collect::<Vec<_>>() {
            self.hang_up(member, stream, closed);
        }
    }

    /// Ends a host: nothing comes from it any more, and nothing says so.
    pub fn vanish(&mut self, member: usize) {
        self.members[member].alive = false;
    }

    fn later(&mut self, ms: u64, member: usize, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now.plus_ms(ms), self.next_event), (member, event));
    }

    pub fn request(&mut self, member: usize, scope: Scope, command: Command) -> u64 {
        self.next_request += 1;
        let number = self.next_request;
        let request = Request { number, scope, command, timeout_ms: 0 };
        self.turn(
            member,
            Some(Input::Request { client: ClientId(1), user: User::default(), request }),
        );
        number
    }

    /// The parts a request got so far.
    pub fn parts(&self, member: usize, number: u64) -> Vec<&Part> {
        self.members[member].parts.iter().filter(|part| part.number == number).collect()
    }

    pub fn list(&mut self, member: usize) -> Vec<NodeInfo> {
        let number = self.request(member, Scope::Here, Command::List);
        let mut rows = Vec::new();
        for part in self.parts(member, number) {
            match &part.reply {
                Reply::Nodes { nodes, .. } => rows.extend(nodes.clone()),
                other => panic!("a list, not {other:?}"),
            }
        }
        rows
    }

    pub fn state(&mut self, member: usize, of: NodeId) -> Option<State> {
        self.list(member).into_iter().find(|row| row.id == of).map(|row| row.state)
    }

    pub fn counters(&mut self, member: usize) -> BTreeMap<String, u64> {
        let number = self.request(member, Scope::Here, Command::Version);
        let parts = self.parts(member, number);
        let Some(Part { reply: Reply::Version(version), .. }) = parts.first() else {
            panic!("a version, not {parts:?}");
        };
        version.counters.iter().map(|c| (c.name.clone(), c.value)).collect()
    }

    pub fn counter(&mut self, member: usize, name: &str) -> u64 {
        self.counters(member).get(name).copied().unwrap_or(0)
    }

    /// Who bears this id.
    pub fn who(&self, id: NodeId) -> Option<&Who> {
        self.members.iter().map(|member| &member.who).find(|who| who.id() == id)
    }

    /// The envelope inside a sealed datagram between members.
    pub fn open(&self, bytes: &[u8]) -> Option<(Header, Envelope)> {
        let (header, rest) = Header::parse(bytes).ok()?;
        let (to, from) = (self.who(header.destination)?, self.who(header.sender)?);
        let (_, plain) = to.key_with(from).open(&header, rest)?;
        Some((header, codec::decode(&plain).ok()?))
    }
}

pub fn socket_at(address: SocketAddr) -> Socket {
    if address.port() == MAIN_PORT { Socket::Main } else { Socket::Ephemeral }
}
