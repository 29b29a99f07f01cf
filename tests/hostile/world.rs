//! A victim, an honest node, a member who lies, and a stranger who has no key.

use super::acts::{Act, Bend, Source};
use super::mesh::{self, Mesh, Sent, Who, address_of, socket_at};
use herd::node::{Closed, Input, User};
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::header::{Header, Kind};
use herd::wire::hello;
use herd::wire::ids::{ClientId, NodeId, StreamId};
use herd::wire::info::State;
use herd::wire::key::HerdKey;
use herd::wire::limits::PARTS;
use herd::wire::message::Envelope;
use herd::wire::reply::Reply;
use herd::wire::seal::Suite;
use std::net::SocketAddr;

pub const VICTIM: usize = 0;
pub const HONEST: usize = 1;
/// A member whose words are made here, and where strangers send from.
pub const INSIDER: usize = 60;
const STRANGER: [u8; 4] = [10, 9, 9, 9];
/// One input makes a node send at most so much: the parts of an answer, and what was due anyway.
const OUTPUTS: usize = PARTS;
/// What real traffic is replayed from.
const REMEMBERED: usize = 200;

pub struct World {
    pub mesh: Mesh,
    pub insider: Who,
    counter: u64,
    received_bytes: usize,
    next_number: u64,
}

pub fn stranger() -> SocketAddr {
    SocketAddr::from((STRANGER, 7_777))
}

impl World {
    pub fn new() -> World {
        World::in_herd(None)
    }

    /// All but the stranger hold this key.
    pub fn in_herd(key: Option<HerdKey>) -> World {
        let mut mesh = Mesh::new();
        mesh.key = key.clone();
        mesh.add("node1", &[]);
        mesh.add("node2", &[address_of(VICTIM)]);
        mesh.run_ms(1_500);
        let insider = Who::new(77, 3).in_herd(key);
        let mut world = World { mesh, insider, counter: 0, received_bytes: 0, next_number: 0 };
        let question = question(&world.insider);
        world.insider_sends(&question);
        world.lie(9, vec![0x81, 0x05], Vec::new());
        assert!(world.mesh.state(VICTIM, world.insider.id()).is_some());
        world.mesh.run_ms(100);
        world
    }

    /// One input from outside, and everything it may not do.
    pub fn give(&mut self, input: Input) {
        let input_is_request = matches!(input, Input::Request { .. });
        let sent_before = self.sent_to_stranger();
        self.mesh.turn(VICTIM, Some(input));
        let outputs = self.mesh.members[VICTIM].turn_outputs;
        assert!(outputs <= OUTPUTS, "{outputs} outputs of one input");
        if !input_is_request {
            let sent = self.sent_to_stranger();
            assert!(
                sent <= self.received_bytes || sent == sent_before,
                "{sent} bytes sent to a stranger for {}",
                self.received_bytes
            );
        }
    }

    pub fn sent_to_stranger(&self) -> usize {
        let sent = self.mesh.sent.iter().filter(|sent| sent.to.ip() == stranger().ip());
        sent.map(|sent| sent.bytes.len()).sum()
    }

    pub fn datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if from.ip() == stranger().ip() {
            self.received_bytes += bytes.len();
        }
        self.give(Input::Datagram { socket: socket_at(to), from, bytes });
    }

    fn insider_sends(&mut self, bytes: &[u8]) {
        self.datagram(address_of(INSIDER), address_of(VICTIM), bytes);
    }

    pub fn lie(&mut self, number: u16, body: Vec<u8>, ages: Vec<u8>) {
        self.counter += 1;
        let plain = codec::encode(&Envelope { number, body, ages, digest: Some(7) });
        let victim = self.mesh.members[VICTIM].who.clone();
        let sealed = self.insider.seal(&victim, self.counter, &plain);
        self.insider_sends(&sealed);
    }

    /// A datagram that has arrived already, if there is one.
    fn earlier(&self, which: u16) -> Option<Sent> {
        let over = self.mesh.now.minus_ms(100);
        let done = self.mesh.sent.iter().take_while(|sent| sent.at < over);
        let honest = done
            .filter(|sent| sent.from.ip() != stranger().ip() && sent.to.ip() != stranger().ip());
        let honest: Vec<&Sent> = honest.collect();
        let last = &honest[honest.len().saturating_sub(REMEMBERED)..];
        last.get(usize::from(which) % last.len().max(1)).copied().cloned()
    }

    fn id(&self, which: u8) -> NodeId {
        match which {
            0 => self.mesh.members[VICTIM].who.id(),
            1 => self.mesh.members[HONEST].who.id(),
            2 => self.insider.id(),
            3 => NodeId::ANYBODY,
            _ => NodeId(0x0bad_0bad_0bad_0bad),
        }
    }

    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Garbage(bytes) => self.datagram(stranger(), address_of(VICTIM), bytes),
            Act::Headed { kind, hops, herd, to, from, rest } => {
                let own = self.insider.header(Kind::Sealed, self.id(*to));
                let herd = if *herd == 0 { own.herd } else { *herd };
                let header = Header { hops: *hops, herd, sender: self.id(*from), ..own };
                let mut bytes = header.to_bytes().to_vec();
                bytes[1] = *kind;
                bytes.extend_from_slice(rest);
                self.datagram(stranger(), address_of(VICTIM), &bytes);
            }
            Act::Again { which, bend, from } => self.again(*which, bend, *from),
            Act::Lie { number, body, ages } => self.lie(*number, body.clone(), ages.clone()),
            Act::Parrot { which, bend } => self.parrot(*which, bend),
            Act::Refused { which, bend } => {
                if let Some(sent) = self.earlier(*which) {
                    let quoted = bend.apply(&sent.bytes);
                    self.give(Input::Refused { to: sent.to, quoted: &quoted });
                }
            }
            Act::Ask { scope, verb, text, timeout_ms } => {
                self.ask(*scope, *verb, text, *timeout_ms);
            }
            Act::Weather(fates) => self.mesh.fates = fates.iter().copied().collect(),
            Act::Wait(ms) => self.mesh.run_ms(u64::from(*ms)),
            stream => self.stream_act(stream),
        }
    }

    fn again(&mut self, which: u16, bend: &Bend, from: Source) {
        let Some(sent) = self.earlier(which) else { return };
        let from = match from {
            Source::Stranger => stranger(),
            Source::Itself => sent.from,
            Source::Victim => address_of(VICTIM),
        };
        let bytes = bend.apply(&sent.bytes);
        self.datagram(from, address_of(VICTIM), &bytes);
    }

    fn parrot(&mut self, which: u16, bend: &Bend) {
        let Some(sent) = self.earlier(which) else { return };
        if let Some((_, envelope)) = self.mesh.open(&sent.bytes) {
            self.lie(envelope.number, bend.apply(&envelope.body), bend.apply(&envelope.ages));
        }
    }

    fn stream_act(&mut self, act: &Act) {
        // Numbers that no accepted stream of the honest has.
        let number = |stream: u8| StreamId(1_000_000 + u64::from(stream % 4) * 2);
        let frame = |kind: u8, channel: u8, payload: &[u8]| {
            [&[kind, 0, 0, 0, channel][..], payload].concat()
        };
        match act {
            Act::Open(stream) => {
                self.give(Input::StreamOpened { stream: number(*stream), peer: stranger() });
            }
            Act::Frame { stream, kind, channel, payload } => {
                let bytes = frame(*kind, *channel, payload);
                let bytes = &bytes[..bytes.len() - usize::from(payload.len() == 7) * 8];
                self.give(Input::StreamFrame { stream: number(*stream), bytes });
            }
            Act::Call { stream, channel, hops, to, from, payload } => {
                let own = self.insider.header(Kind::Channel, self.id(*to));
                let header = Header { hops: *hops, sender: self.id(*from), ..own };
                let payload = [&header.to_bytes()[..], payload].concat();
                let bytes = frame(1, *channel, &payload);
                self.give(Input::StreamFrame { stream: number(*stream), bytes: &bytes });
            }
            Act::End(stream, why) => {
                let all = [
                    Closed::Refused,
                    Closed::Reset,
                    Closed::Ended,
                    Closed::Unreachable,
                    Closed::Limit,
                ];
                let closed = all[usize::from(*why) % all.len()];
                self.give(Input::StreamClosed { stream: number(*stream), closed });
            }
            other => panic!("{other:?} is no act on streams"),
        }
    }

    fn ask(&mut self, scope: u8, verb: u8, text: &str, timeout_ms: u64) {
        let scope = match scope {
            0 => Scope::Here,
            1 => Scope::Node(text.to_string()),
            _ => Scope::All,
        };
        let text = text.to_string();
        let command = match verb {
            0 => Command::Ping,
            1 => Command::List,
            2 => Command::Trace,
            3 => Command::TraceAll,
            4 => Command::TraceNode(text),
            5 => Command::Version,
            6 => Command::Watch,
            _ => Command::Forget(text),
        };
        self.next_number += 1;
        let number = 1_000_000 + self.next_number;
        let request = Request { number, scope, command, timeout_ms };
        self.give(Input::Request { client: ClientId(9), user: User::default(), request });
    }

    /// After the storm: the honest know each other as before.
    pub fn settle(&mut self) {
        self.mesh.fates.clear();
        self.mesh.run_ms(20_000);
        let ids = [VICTIM, HONEST].map(|at| self.mesh.members[at].who.id());
        assert_eq!(self.mesh.state(VICTIM, ids[1]), Some(State::Alive));
        assert_eq!(self.mesh.state(HONEST, ids[0]), Some(State::Alive));
        assert!(self.mesh.list(VICTIM).len() <= 4, "{:?}", self.mesh.list(VICTIM));
        let number = self.mesh.request(VICTIM, Scope::Node(ids[1].to_string()), Command::Ping);
        self.mesh.run_ms(1_000);
        let parts = self.mesh.parts(VICTIM, number);
        assert!(matches!(parts[..], [Part { reply: Reply::Pong, .. }]), "{parts:?}");
    }
}

pub fn question(who: &Who) -> Vec<u8> {
    hello_with(who, mesh::record(who, "insider", INSIDER).sign(&who.identity))
}

pub fn hello_with(who: &Who, record: Vec<u8>) -> Vec<u8> {
    let hello = mesh::hello(record);
    let question = hello.question(&who.header(Kind::HelloQuestion, NodeId::ANYBODY));
    match who.identity.herd() {
        Some(key) => hello::seal(&question, key, Suite::Real, 1, [9; 16]),
        None => question,
    }
}
