//! Whatever arrives, in whatever order: a node that also talks with an honest one takes garbage,
//! bent, replayed and reflected datagrams, stream frames of strangers, lies of a member, and odd
//! requests. Nothing panics, what goes out is bounded, and the honest node stays alive in the list.

mod mesh;

use herd::node::{Closed, Input};
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent};
use herd::wire::ids::{ClientId, NodeId, StreamId};
use herd::wire::info::State;
use herd::wire::limits::{FRAME_BYTES, HELLO_BYTES, PARTS};
use herd::wire::message::{Body, Envelope};
use herd::wire::record::Record;
use herd::wire::reply::Reply;
use herd::wire::seal::{SIGNATURE_BYTES, Suite};
use mesh::{Mesh, Sent, Who, address_of, socket_at};
use proptest::prelude::*;
use std::net::SocketAddr;

const VICTIM: usize = 0;
const HONEST: usize = 1;
/// A member whose words are made here, and where strangers send from.
const INSIDER: usize = 60;
const STRANGER: [u8; 4] = [10, 9, 9, 9];
/// One input makes a node send at most so much: the parts of an answer, and what was due anyway.
const OUTPUTS: usize = PARTS;
/// What real traffic is replayed from.
const REMEMBERED: usize = 200;

#[derive(Clone, Debug)]
enum Act {
    Garbage(Vec<u8>),
    /// A sound header with garbage behind it.
    Headed {
        kind: u8,
        hops: u8,
        herd: u64,
        to: u8,
        from: u8,
        rest: Vec<u8>,
    },
    /// A datagram that was on its way before: bent, and from where.
    Again {
        which: u16,
        bend: Bend,
        from: Source,
    },
    /// A member says something under its seal.
    Lie {
        number: u16,
        body: Vec<u8>,
        ages: Vec<u8>,
    },
    /// The same, with what an honest node said, bent.
    Parrot {
        which: u16,
        bend: Bend,
    },
    Open(u8),
    Frame {
        stream: u8,
        kind: u8,
        channel: u8,
        payload: Vec<u8>,
    },
    /// The opening of a channel, as somebody may claim it.
    Call {
        stream: u8,
        channel: u8,
        hops: u8,
        to: u8,
        from: u8,
        payload: Vec<u8>,
    },
    End(u8, u8),
    Ask {
        scope: u8,
        verb: u8,
        text: String,
        timeout_ms: u64,
    },
    Refused {
        which: u16,
        bend: Bend,
    },
    /// What comes of the next datagrams between the honest.
    Weather(Vec<u8>),
    Wait(u16),
}

#[derive(Clone, Debug)]
enum Bend {
    Not,
    Flip(Vec<(u16, u8)>),
    Cut(u16),
    Grow(Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Stranger,
    Itself,
    Victim,
}

impl Bend {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        match self {
            Bend::Not => {}
            Bend::Flip(flips) => {
                for (at, mask) in flips {
                    let at = usize::from(*at) % out.len().max(1);
                    out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
                }
            }
            Bend::Cut(length) => out.truncate(usize::from(*length) % (bytes.len() + 1)),
            Bend::Grow(more) => out.extend_from_slice(more),
        }
        out
    }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

fn bend() -> impl Strategy<Value = Bend> {
    prop_oneof![
        2 => Just(Bend::Not),
        3 => proptest::collection::vec((any::<u16>(), 1u8..), 1..4).prop_map(Bend::Flip),
        1 => any::<u16>().prop_map(Bend::Cut),
        1 => bytes(400).prop_map(Bend::Grow),
    ]
}

fn datagram_act() -> impl Strategy<Value = Act> {
    let source = prop_oneof![Just(Source::Stranger), Just(Source::Itself), Just(Source::Victim)];
    prop_oneof![
        bytes(1_400).prop_map(Act::Garbage),
        (0u8..6, any::<u8>(), 0u64..2, 0u8..5, 0u8..5, bytes(1_200)).prop_map(
            |(kind, hops, herd, to, from, rest)| Act::Headed { kind, hops, herd, to, from, rest }
        ),
        (any::<u16>(), bend(), source).prop_map(|(which, bend, from)| Act::Again {
            which,
            bend,
            from
        }),
        (0u16..80, bytes(300), bytes(40)).prop_map(|(number, body, ages)| Act::Lie {
            number,
            body,
            ages
        }),
        (any::<u16>(), bend()).prop_map(|(which, bend)| Act::Parrot { which, bend }),
        (any::<u16>(), bend()).prop_map(|(which, bend)| Act::Refused { which, bend }),
    ]
}

fn stream_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any::<u8>().prop_map(Act::Open),
        (0u8..4, 0u8..6, 0u8..4, bytes(300)).prop_map(|(stream, kind, channel, payload)| {
            Act::Frame { stream, kind, channel, payload }
        }),
        (0u8..4, 0u8..4, any::<u8>(), 0u8..5, 0u8..5, bytes(120)).prop_map(
            |(stream, channel, hops, to, from, payload)| Act::Call {
                stream,
                channel,
                hops,
                to,
                from,
                payload
            }
        ),
        (0u8..4, 0u8..5).prop_map(|(stream, why)| Act::End(stream, why)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let text = prop_oneof![
        any::<String>(),
        Just("node2".to_string()),
        Just("node2~zz".to_string()),
        Just("\u{1b}[2J".to_string()),
        Just("x".repeat(300)),
        Just("4040:::".to_string()),
    ];
    prop_oneof![
        6 => datagram_act(),
        3 => stream_act(),
        2 => (0u8..3, 0u8..9, text, any::<u64>()).prop_map(|(scope, verb, text, timeout_ms)| {
            Act::Ask { scope, verb, text, timeout_ms }
        }),
        1 => proptest::collection::vec(0u8..6, 0..20).prop_map(Act::Weather),
        2 => (1u16..1_500).prop_map(Act::Wait),
    ]
}

struct World {
    mesh: Mesh,
    insider: Who,
    counter: u64,
    received_bytes: usize,
    next_number: u64,
}

fn stranger() -> SocketAddr {
    SocketAddr::from((STRANGER, 7_777))
}

impl World {
    fn new() -> World {
        let mut mesh = Mesh::new();
        mesh.add("node1", &[]);
        mesh.add("node2", &[address_of(VICTIM)]);
        mesh.run_ms(1_500);
        let insider = Who::new(77, 3);
        let mut world = World { mesh, insider, counter: 0, received_bytes: 0, next_number: 0 };
        let question = question(&world.insider);
        world.from_insider(&question);
        world.lie(9, vec![0x81, 0x05], Vec::new());
        assert!(world.mesh.state(VICTIM, world.insider.id()).is_some());
        world.mesh.run_ms(100);
        world
    }

    /// One input from outside, and everything it may not do.
    fn give(&mut self, input: Input) {
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

    fn sent_to_stranger(&self) -> usize {
        let sent = self.mesh.sent.iter().filter(|sent| sent.to.ip() == stranger().ip());
        sent.map(|sent| sent.bytes.len()).sum()
    }

    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if from.ip() == stranger().ip() {
            self.received_bytes += bytes.len();
        }
        self.give(Input::Datagram { socket: socket_at(to), from, bytes });
    }

    fn from_insider(&mut self, bytes: &[u8]) {
        self.datagram(address_of(INSIDER), address_of(VICTIM), bytes);
    }

    fn lie(&mut self, number: u16, body: Vec<u8>, ages: Vec<u8>) {
        self.counter += 1;
        let plain = codec::encode(&Envelope { number, body, ages, digest: Some(7) });
        let victim = self.mesh.members[VICTIM].who.clone();
        let sealed = self.insider.seal(&victim, self.counter, &plain);
        self.from_insider(&sealed);
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

    fn act(&mut self, act: &Act) {
        match act {
            Act::Garbage(bytes) => self.datagram(stranger(), address_of(VICTIM), bytes),
            Act::Headed { kind, hops, herd, to, from, rest } => {
                let mut header = Header::new(Kind::Sealed, self.id(*to), self.id(*from));
                (header.hops, header.herd) = (*hops, *herd);
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
                let mut header = Header::new(Kind::Channel, self.id(*to), self.id(*from));
                header.hops = *hops;
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
        self.give(Input::Request { client: ClientId(9), request });
    }

    /// After the storm: the honest know each other as before.
    fn settle(&mut self) {
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

fn question(who: &Who) -> Vec<u8> {
    hello_with(who, mesh::record(who, "insider", INSIDER).sign(&who.identity))
}

fn hello_with(who: &Who, record: Vec<u8>) -> Vec<u8> {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        intent: Intent::Join,
        nonce: 5,
        capabilities: 0,
        proof: Vec::new(),
        record,
        refused: None,
        known_generation: None,
    };
    hello.question(&Header::new(Kind::HelloQuestion, NodeId::ANYBODY, who.id()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_from_outside_harms(acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_decoder_minds_garbage(bytes in bytes(400), number in 0u16..20) {
        let _ = Header::parse(&bytes);
        let _ = codec::decode::<Hello>(&bytes);
        let _ = codec::decode::<Envelope>(&bytes);
        let _ = codec::decode::<Request>(&bytes);
        let _ = codec::decode::<Part>(&bytes);
        let _ = Body::decode(number, &bytes);
        prop_assert!(Record::open(Suite::Real, &bytes).is_err());
        let mut reader = codec::FrameReader::default();
        reader.push(&bytes);
        while let Ok(Some(frame)) = reader.next(FRAME_BYTES) {
            prop_assert!(frame.len() <= bytes.len());
        }
        prop_assert!(reader.pending_bytes() <= bytes.len());
    }
}

/// Few bytes that claim to be much, or to nest without end.
#[test]
fn claims_of_size_cost_nothing() {
    let huge_array = [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
    let huge_bytes = [0x82, 0x01, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
    let nested = [0x81; 60_000];
    let nested_behind = [&[0x83, 0x01, 0x40][..], &nested].concat();
    for bytes in [&huge_array[..], &huge_bytes, &nested, &nested_behind] {
        for number in 0..20 {
            let _ = Body::decode(number, bytes);
        }
        assert!(codec::decode::<Envelope>(bytes).is_err());
        assert!(codec::decode::<Hello>(bytes).is_err());
        assert!(codec::decode::<Part>(bytes).is_err());
    }
    let mut reader = codec::FrameReader::default();
    reader.push(&u32::MAX.to_be_bytes());
    assert!(reader.next(FRAME_BYTES).unwrap_err().contains("over the limit of 1048576"));
}

/// A record whose name was bent after encoding, signed as it is.
fn named(who: &Who, name: &[u8]) -> Vec<u8> {
    let signed = mesh::record(who, "placeholder", INSIDER).sign(&who.identity);
    let body = &signed[..signed.len() - SIGNATURE_BYTES];
    let at = body.windows(11).position(|window| window == b"placeholder").expect("the name");
    let length = u16::try_from(name.len()).expect("a short name").to_be_bytes();
    // The text's own length byte stands before it: another, of three bytes, takes its place.
    let text = [&[0x79], &length[..], name].concat();
    let mut body = [&body[..at - 1], &text, &body[at + 11..]].concat();
    let signature = who.identity.sign(&[b"herd record v1", &body[..]].concat());
    body.extend_from_slice(&signature);
    body
}

#[test]
fn names_that_are_none_are_refused() {
    let who = Who::new(88, 1);
    let good = named(&who, b"placeholder");
    assert!(Record::open(Suite::Real, &good).is_ok(), "the bending itself is sound");
    let long = [b'x'; 300];
    for name in [&b"a\x1b[2Jb"[..], b"a\nb", b"a\0b", b"", b" a", b"a/b", &long, &long[..64]] {
        let signed = named(&who, name);
        assert!(Record::open(Suite::Real, &signed).is_err(), "{name:?}");
        let mut world = World::new();
        let before = world.mesh.list(VICTIM).len();
        let question = hello_with(&who, signed.clone());
        world.datagram(stranger(), address_of(VICTIM), &question);
        assert_eq!(world.sent_to_stranger(), 0, "{name:?} is answered");
        let rumor = herd::wire::rumor::Rumor::Record(signed);
        world.lie(17, codec::encode(&rumor), Vec::new());
        world.mesh.run_ms(1_000);
        assert_eq!(world.mesh.list(VICTIM).len(), before, "{name:?} is listed");
        let counters = world.mesh.counters(VICTIM);
        assert_eq!(counters.get("records not understood"), Some(&1), "{counters:?}");
        assert_eq!(counters.get("forged"), Some(&1), "{counters:?}");
    }
    assert_eq!(HELLO_BYTES, question(&who).len());
}
