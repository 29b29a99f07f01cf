//! A newer program among older ones: fields this version does not know are skipped, bodies and
//! commands it does not know are answered `Unsupported`, and what it cannot read it hands on
//! untouched.

mod mesh;

use herd::node::{Input, Socket};
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent, Refusal};
use herd::wire::ids::NodeId;
use herd::wire::info::State;
use herd::wire::limits::HELLO_BYTES;
use herd::wire::message::{Answer, Ask, Body, Envelope, Unsupported};
use herd::wire::refusal::Outside;
use herd::wire::reply::{ErrorCode, Failure, Reply};
use herd::wire::seal::SIGNATURE_BYTES;
use mesh::{Mesh, Who, address_of};
use minicbor::Encoder;

const NEWER: usize = 200;

/// One more field at the end of an encoded structure that has so many (fewer than 23) today.
fn with_more(bytes: &[u8], fields: u8) -> Vec<u8> {
    let mut out = vec![0x80 + fields + 1];
    out.extend_from_slice(&bytes[1..]);
    // Empty fields at the end are left out.
    out.extend((bytes[0] & 0x1f..fields).map(|_| 0xf6));
    // A map of a string to a list, nested: nothing of today looks like it.
    let mut encoder = Encoder::new(&mut out);
    let map = encoder.map(1).and_then(|e| e.str("newer"));
    map.and_then(|e| e.array(2)).and_then(|e| e.u8(1)).and_then(|e| e.bytes(b"x")).expect("memory");
    out
}

fn envelope(number: u16, body: Vec<u8>) -> Vec<u8> {
    codec::encode(&Envelope { number, body, ages: Vec::new(), digest: None })
}

/// A signed record of `who` with one more field than this version knows.
fn newer_record(who: &Who, name: &str) -> Vec<u8> {
    let record = mesh::record(who, name, NEWER);
    let signed = record.sign(&who.identity);
    let mut body = with_more(&signed[..signed.len() - SIGNATURE_BYTES], 14);
    let signature = who.identity.sign(&[b"herd record v1", &body[..]].concat());
    body.extend_from_slice(&signature);
    body
}

fn hello(who: &Who, versions: (u8, u8)) -> Vec<u8> {
    let hello = Hello {
        version_min: versions.0,
        version_max: versions.1,
        intent: Intent::Join,
        nonce: 77,
        capabilities: u64::MAX,
        proof: Vec::new(),
        record: newer_record(who, "newer"),
        refused: None,
        known_generation: None,
    };
    let header = Header::new(Kind::HelloQuestion, NodeId::ANYBODY, who.id());
    let mut out = header.to_bytes().to_vec();
    out.extend(with_more(&codec::encode(&hello), 9));
    out.resize(herd::wire::limits::HELLO_BYTES, 0);
    out
}

/// A newer program that one node knows: what it says is made here.
struct Newer {
    mesh: Mesh,
    who: Who,
    counter: u64,
}

impl Newer {
    fn new() -> Newer {
        let mut mesh = Mesh::new();
        mesh.add("node1", &[]);
        mesh.add("node2", &[address_of(0)]);
        mesh.run_ms(1_000);
        let mut newer = Newer { mesh, who: Who::new(99, 3), counter: 0 };
        let question = hello(&newer.who, (1, 9));
        newer.give(&question);
        let answer = newer.hello_answer();
        assert_eq!((answer.nonce, answer.refused), (77, None));
        newer
    }

    fn give(&mut self, bytes: &[u8]) {
        let from = address_of(NEWER);
        self.mesh.sent.clear();
        self.mesh.turn(0, Some(Input::Datagram { socket: Socket::Main, from, bytes }));
    }

    fn hello_answer(&self) -> Hello {
        let to_us = self.mesh.sent.iter().filter(|sent| sent.to == address_of(NEWER));
        let mut parsed = to_us.filter_map(|sent| Header::parse(&sent.bytes).ok());
        let found = parsed.find(|(header, _)| header.kind == Kind::HelloAnswer);
        codec::decode(found.expect("an answer").1).expect("a hello")
    }

    /// Says this under seal; gives the bodies that came back.
    fn say(&mut self, plain: &[u8]) -> Vec<Body> {
        self.counter += 1;
        let node = self.mesh.members[0].who.clone();
        let sealed = self.who.seal(&node, self.counter, plain);
        self.give(&sealed);
        self.heard()
    }

    fn heard(&self) -> Vec<Body> {
        let key = self.who.key_with(&self.mesh.members[0].who);
        let sent = self.mesh.sent.iter().filter(|sent| sent.to == address_of(NEWER));
        let bodies = sent.filter_map(|sent| {
            let (header, rest) = Header::parse(&sent.bytes).ok()?;
            let envelope: Envelope = codec::decode(&key.open(&header, rest)?.1).ok()?;
            Body::decode(envelope.number, &envelope.body)?.ok()
        });
        bodies.collect()
    }
}

#[test]
fn a_newer_hello_is_answered_and_its_record_goes_on_untouched() {
    let mut newer = Newer::new();
    newer.say(&envelope(9, vec![0x81, 0x05]));
    newer.mesh.run_ms(3_000);
    let id = newer.who.id();
    assert!(newer.mesh.state(0, id).is_some(), "admitted");
    assert!(newer.mesh.state(1, id).is_some(), "and told to the other");
    let kept = &newer.mesh.members[1].kept[&format!("peer/{id}")];
    let signed = newer_record(&newer.who, "newer");
    assert!(
        kept.windows(signed.len()).any(|window| window == signed),
        "the other holds the very bytes that were signed"
    );
}

#[test]
fn another_range_of_versions_is_refused_in_words() {
    let mut newer = Newer::new();
    let stranger = Who::new(98, 3);
    newer.give(&hello(&stranger, (2, 9)));
    assert_eq!(newer.hello_answer().refused, Some(Refusal::Version));
    assert!(Refusal::Version.text().contains("another protocol version"));
}

#[test]
fn a_newer_outer_header_is_counted_and_answered_by_a_refusal_alone() {
    let mut newer = Newer::new();
    let mut question = hello(&newer.who, (1, 9));
    question[0] = 2;
    newer.give(&question);
    let answers = newer.mesh.sent.iter().filter(|sent| sent.to == address_of(NEWER));
    let kind = |bytes: &[u8]| Header::parse(bytes).expect("a header").0.kind;
    assert!(answers.map(|sent| kind(&sent.bytes)).eq([Kind::Refusal]));
    assert_eq!(newer.mesh.counter(0, "other protocol version"), 1);
}

#[test]
fn newer_fields_are_skipped_in_envelope_and_body() {
    let mut newer = Newer::new();
    let ask = Ask { number: 6, wait_ms: 1_000, command: Command::Ping };
    let body = with_more(&codec::encode(&ask), 3);
    let plain = with_more(&envelope(13, body), 4);
    let pong = Body::Answer(Answer { number: 6, part: 0, last: true, reply: Reply::Pong });
    assert!(newer.say(&plain).contains(&pong));
}

#[test]
fn unknown_bodies_are_answered_unsupported() {
    let mut newer = Newer::new();
    for number in [22, 63, 64, 80, 96, 114, 128, 65_535] {
        let heard = newer.say(&envelope(number, vec![0x81, 0x05]));
        let unsupported = Body::Unsupported(Unsupported { number, ask: None });
        assert!(heard.contains(&unsupported), "{number}: {heard:?}");
    }
    assert_eq!(newer.mesh.counter(0, "bodies not understood"), 8);
}

#[test]
fn an_unknown_command_is_answered_unsupported_with_its_number() {
    let mut newer = Newer::new();
    // Ask { number: 4321, wait_ms: 5000, command: variant 200 with one field }
    let mut body = Vec::new();
    let mut encoder = Encoder::new(&mut body);
    let ask = encoder.array(3).and_then(|e| e.u64(4_321)).and_then(|e| e.u64(5_000));
    let command = ask.and_then(|e| e.array(2)).and_then(|e| e.u32(200)).and_then(|e| e.array(1));
    command.and_then(|e| e.str("best")).expect("memory");
    let heard = newer.say(&envelope(13, body));
    let unsupported = Body::Unsupported(Unsupported { number: 13, ask: Some(4_321) });
    assert!(heard.contains(&unsupported), "{heard:?}");
}

#[test]
fn who_asked_an_older_node_is_told_that_it_is_older() {
    let mut newer = Newer::new();
    newer.say(&envelope(9, vec![0x81, 0x05]));
    let scope = Scope::Node(newer.who.id().to_string());
    newer.mesh.sent.clear();
    let number = newer.mesh.request(0, scope, Command::Ping);
    let asked = newer.heard().into_iter().find_map(|body| match body {
        Body::Ask(ask) => Some(ask.number),
        _ => None,
    });
    let unsupported = Unsupported { number: 13, ask: Some(asked.expect("an ask")) };
    newer.say(&envelope(18, codec::encode(&unsupported)));
    let parts = newer.mesh.parts(0, number);
    let Reply::Error(Failure { code, detail }) = &parts[0].reply else { panic!("{parts:?}") };
    assert_eq!(*code, ErrorCode::Unsupported);
    assert!(detail.contains("older"), "{detail}");
}

/// An error code or a refusal that a newer program invents is still an error and a refusal.
#[test]
fn newer_codes_are_errors_still() {
    let failure = Failure::new(ErrorCode::Internal, "its quota is used up");
    let mut bytes = codec::encode(&failure);
    let code = bytes.iter().position(|byte| *byte == 9).expect("the number of Internal");
    bytes[code] = 23;
    assert_eq!(codec::decode::<Failure>(&bytes), Ok(failure));
    assert_eq!(codec::decode::<Refusal>(&[23]), Ok(Refusal::Other));
    assert_eq!(codec::decode::<State>(&[2]), Ok(State::Down));
}

/// A datagram of a protocol to come is refused where somebody greets by it, seldom and never longer.
#[test]
fn a_greeter_of_another_protocol_version_is_told_so() {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    let who = Who::new(9, 3);
    let from = address_of(NEWER);
    let mut bytes = who.header(Kind::HelloQuestion, NodeId::ANYBODY).to_bytes().to_vec();
    bytes[0] = 2;
    bytes.extend(0..=255);
    for (length, refused) in [(HELLO_BYTES - 1, false), (HELLO_BYTES, true), (HELLO_BYTES, false)] {
        bytes.resize(length, 7);
        let before = mesh.sent.len();
        mesh.turn(0, Some(Input::Datagram { socket: Socket::Main, from, bytes: &bytes }));
        let answers: Vec<_> = mesh.sent[before..].iter().filter(|sent| sent.to == from).collect();
        assert_eq!(answers.len(), usize::from(refused), "{length}");
        for answer in answers {
            let (header, rest) = Header::parse(&answer.bytes).expect("a header of today");
            assert_eq!((header.kind, header.destination), (Kind::Refusal, who.id()));
            let echo = bytes[32..56].try_into().expect("so many");
            assert_eq!(Outside::read(rest), Some((echo, Outside::Version)));
        }
    }
    let asked = mesh.request(0, Scope::Here, Command::History(None));
    let Reply::History(entries) = &mesh.parts(0, asked)[0].reply else { panic!("no history") };
    let said =
        entries.iter().filter(|entry| entry.text.contains("another version of the protocol"));
    assert_eq!(said.count(), 1, "{entries:?}");
}

/// Who waits for a node of another version is told so at once, by a refusal of that version that
/// repeats what only the asked can know.
#[test]
fn who_greets_another_protocol_version_is_told_so() {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    let from = address_of(NEWER);
    let scope = Scope::Node(from.to_string());
    let asked = mesh.request(0, scope, Command::Ping);
    let looked = mesh.request(0, Scope::Here, Command::Doctor(Some(address_of(77).to_string())));
    let question = |mesh: &Mesh, to| {
        mesh.sent.iter().rev().find(|sent| sent.to == to).expect("a question").clone()
    };
    for (to, asked) in [(from, asked), (address_of(77), looked)] {
        for (echoes, ends) in [(false, false), (true, true)] {
            let mut bytes = question(&mesh, to).bytes[..57].to_vec();
            (bytes[0], bytes[1]) = (2, 5);
            bytes[40] ^= u8::from(!echoes);
            mesh.turn(0, Some(Input::Datagram { socket: Socket::Main, from: to, bytes: &bytes }));
            let parts = mesh.parts(0, asked);
            assert_eq!(parts.len(), usize::from(ends), "{parts:?}");
            let text = format!("{parts:?}");
            assert!(!ends || text.contains("speaks another version of the protocol"), "{text}");
        }
    }
}
