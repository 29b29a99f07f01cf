//! Everything that reads bytes of others. What was read is written and read again: it must be the
//! same, or a relay and its neighbour would mean different things.

use super::script::Script;
use herd::client::answers::Gathering;
use herd::client::{json, render};
use herd::wire::codec::{self, FrameReader};
use herd::wire::command::Scope;
use herd::wire::control::{Part, Request};
use herd::wire::header::{HEADER_BYTES, Header, Kind};
use herd::wire::hello::Hello;
use herd::wire::ids::NodeId;
use herd::wire::key::HerdKey;
use herd::wire::limits::{NAME_BYTES, RECORD_BYTES};
use herd::wire::message::{Ages, Body, Envelope};
use herd::wire::noise::{PLAIN_BYTES, Read, Session};
use herd::wire::record::Record;
use herd::wire::refusal::Outside;
use herd::wire::rumor::Rumor;
use herd::wire::seal::{Identity, Suite, counter_of};
use herd::wire::token::{self, Answer, Attempt, Token};
use minicbor::{Decode, Encode};
use std::fmt::Debug;

fn twice<T>(bytes: &[u8]) -> Option<T>
where
    T: PartialEq + Debug + Encode<()> + for<'b> Decode<'b, ()>,
{
    let value: T = codec::decode(bytes).ok()?;
    let read = codec::decode::<T>(&codec::encode(&value));
    assert_eq!(read.as_ref(), Ok(&value), "written and read it is another");
    Some(value)
}

/// The outer header, and what is in clear behind it.
pub fn header(bytes: &[u8]) {
    let _ = counter_of(bytes);
    if let Ok((header, rest)) = Header::parse(bytes) {
        let again = [&header.to_bytes()[..], rest].concat();
        assert_eq!(Header::parse(&again), Ok((header, rest)));
        let (own, peer) = identities();
        let key = own.pair_key(own.herd(), 1, &peer.public(), 1).expect("two sound keys");
        assert!(key.open(&header, rest).is_none(), "nobody sealed this");
        assert!(!Hello::answer_is_authentic(&header, rest, &key), "nobody proved this");
    }
}

pub fn hello(bytes: &[u8]) {
    if let Some(hello) = twice::<Hello>(bytes) {
        record(&hello.record);
    }
}

/// A key's text, and what a refusal says.
pub fn key(bytes: &[u8]) {
    if let Some((echo, why)) = Outside::read(bytes) {
        let again = why.refusal(&Header::new(Kind::HelloQuestion, NodeId(1), NodeId(2)), &echo);
        let again = again.expect("an echo is long enough");
        assert_eq!(Outside::read(&again[HEADER_BYTES..]), Some((echo, why)));
    }
    join(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<HerdKey>() {
        Ok(key) => {
            let again: HerdKey = key.to_text().parse().expect("its own text");
            assert_eq!(again.fingerprint(), key.fingerprint());
            assert!(key.herd() != 0 && key.epoch() != 0);
        }
        // Nothing of what may be half a secret comes back.
        Err(sentence) => assert!(sentence.len() > 20),
    }
}

/// A token's text, what is shown with it and what is answered: nothing made up ever fits.
fn join(bytes: &[u8]) {
    let token = Token::new(7, [9; 16]);
    if Header::parse(bytes).is_ok() {
        let mut attempt = Attempt::new(&token, [1; 32]).expect("an attempt");
        assert!(!matches!(attempt.read(bytes), Answer::Key(_)));
    }
    if let Some((name, message)) = token::read_question(bytes) {
        let herd = HerdKey::first(&[7; 40]);
        assert!(token::answer(&token.key(), name, message, &herd, [2; 32]).is_none());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.to_text().parse::<Token>().expect("its own text").name(), token.name());
    }
}

pub fn message(bytes: &[u8]) {
    if let Some(envelope) = twice::<Envelope>(bytes) {
        if let Some(ages) = Ages::read(&envelope.ages) {
            assert_eq!(ages.write(), envelope.ages);
            assert!(ages.iter().count() <= 2 * envelope.ages.len());
        }
        body(envelope.number, &envelope.body);
    }
    let mut script = Script(bytes);
    body(script.short(), script.0);
}

fn body(number: u16, bytes: &[u8]) {
    if let Some(Ok(body)) = Body::decode(number, bytes) {
        assert_eq!(body.number(), number);
        let again = Body::decode(number, &body.encode()).expect("a known number");
        assert_eq!(again.as_ref(), Ok(&body), "written and read it is another");
    }
}

/// A record as it came, and signed as its node would.
pub fn record(bytes: &[u8]) {
    let _ = Record::open(Suite::Real, bytes);
    if let Ok(record) = Record::peek(bytes) {
        assert!(bytes.len() <= RECORD_BYTES && record.name.as_str().len() <= NAME_BYTES);
        let (own, _) = identities();
        let keys = own.public();
        let mine =
            Record { agreement_key: keys.agreement, signing_key: keys.signing, ..record.clone() };
        let signed = mine.sign(&own);
        if signed.len() <= RECORD_BYTES {
            assert_eq!(Record::open(Suite::Real, &signed).as_ref(), Ok(&mine));
        }
    }
}

pub fn rumor(bytes: &[u8]) {
    let (own, _) = identities();
    let keys = own.public();
    match twice::<Rumor>(bytes) {
        Some(Rumor::Record(signed)) => record(&signed),
        Some(Rumor::Verdict(verdict)) => {
            assert!(!verdict.is_authentic(Suite::Real, &keys), "nobody signed this");
            for vote in &verdict.votes {
                let (ballot, issuer) = (verdict.ballot, verdict.issuer);
                assert!(!vote.is_authentic(Suite::Real, &keys, verdict.subject, ballot, issuer));
            }
        }
        Some(Rumor::Left(left)) => assert!(!left.is_authentic(Suite::Real, &keys)),
        Some(Rumor::Forget { .. }) | None => {}
    }
}

/// Frames on the control socket, in both directions: what a daemon reads, and what a client reads
/// and prints.
pub fn control(bytes: &[u8]) {
    let limit_bytes = 4_096;
    let mut reader = FrameReader::default();
    reader.push(bytes);
    let mut gathering = Gathering::new(1);
    while let Ok(Some(frame)) = reader.next(limit_bytes) {
        assert!(frame.len() <= limit_bytes);
        let _ = twice::<Request>(&frame);
        if let Some(part) = twice::<Part>(&frame) {
            print(&mut gathering, Part { number: 1, ..part });
        }
    }
    assert!(reader.pending_bytes() <= bytes.len());
}

fn print(gathering: &mut Gathering, part: Part) {
    for answer in gathering.take(part, 1) {
        for verbose in [false, true] {
            let text = render::text(&answer, verbose) + &render::heading(&answer);
            let bad = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(bad, None, "text of others reaches the terminal: {text:?}");
            for line in json::lines(&answer, verbose).lines() {
                serde_json::from_str::<serde_json::Value>(line).expect("one object a line");
            }
        }
        for complaint in render::complaints(&Scope::All, &answer) {
            assert!(!complaint.chars().any(char::is_control), "{complaint:?}");
        }
    }
}

/// The messages of a handshake, and what follows, to both ends: as they are, or a bent true one.
pub fn noise(bytes: &[u8]) {
    let (own, peer) = identities();
    let header = Header::new(Kind::Channel, own.id(), peer.id());
    let mut script = Script(bytes);
    let Ok((mut caller, mut said)) = Session::open(&peer, peer.herd(), &header, [1; 32]) else {
        return;
    };
    let mut called = Session::accept(&own, own.herd(), &header, [2; 32]).expect("a session");
    let mut turn = 0;
    while !script.is_over() {
        let bend = script.bytes();
        let honest = bend.iter().all(|byte| *byte == 0);
        let message = bent(&said, bend);
        let end = if turn % 2 == 0 { &mut called } else { &mut caller };
        match end.read(&message) {
            Ok(Read::Step { reply: Some(reply) } | Read::Opened { reply: Some(reply), .. }) => {
                said = reply;
            }
            Ok(Read::Opened { agreement_key, reply: None }) => {
                assert_eq!(agreement_key, peer.public().agreement);
                said = called.write(&vec![7; PLAIN_BYTES]).expect("the longest plain text");
            }
            Ok(Read::Plain(plain)) => {
                assert!(honest && plain.iter().all(|byte| *byte == 7));
                said = end.write(b"\x07").expect("an open session");
            }
            Ok(Read::Step { reply: None }) | Err(_) => return,
        }
        turn += 1;
    }
}

fn bent(message: &[u8], bend: &[u8]) -> Vec<u8> {
    let mut out = message.to_vec();
    for (at, mask) in bend.iter().enumerate() {
        match out.get_mut(at) {
            Some(byte) => *byte ^= mask,
            None => out.push(*mask),
        }
    }
    out
}

/// None of those who speak in the corpus.
fn identities() -> (Identity, Identity) {
    (Identity::from_secret(&[101; 64], Suite::Real), Identity::from_secret(&[102; 64], Suite::Real))
}
