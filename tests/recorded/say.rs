//! Bytes said in words: each value decoded and written down field by field.

use crate::exchange::{Item, hex};
use crate::mesh::Who;
use herd::wire::codec;
use herd::wire::control::{Part, Request};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{self, Hello};
use herd::wire::key::HerdKey;
use herd::wire::message::{Body, Envelope};
use herd::wire::record::Record;
use herd::wire::rumor::Rumor;
use herd::wire::seal::Suite;
use std::fmt::Debug;

/// What the item's bytes mean, a line a value. Fails where they cannot be read any more.
pub fn say(item: &Item, whos: &[Who]) -> Vec<String> {
    match item.kind() {
        "datagram" => datagram(item, whos),
        "frame" => item.find("plain").map(envelope).unwrap_or_default(),
        "envelope" => envelope(item.get("plain")),
        "request" => vec![words(&decoded::<Request>(item.get("plain")))],
        "part" => vec![words(&decoded::<Part>(item.get("plain")))],
        _ => item.said.clone(),
    }
}

fn decoded<T: for<'b> minicbor::Decode<'b, ()>>(bytes: &[u8]) -> T {
    codec::decode(bytes).unwrap_or_else(|why| panic!("{why}: {}", hex(bytes)))
}

fn datagram(item: &Item, whos: &[Who]) -> Vec<String> {
    let sealed = item.get("sealed");
    let (header, rest) = Header::parse(sealed).expect("a header");
    let mut said = vec![words(&header)];
    if header.kind == Kind::Sealed {
        let (_, plain) = open(sealed, whos).expect("authentic");
        assert_eq!(plain, item.get("plain"), "{:?}", item.words);
        said.extend(envelope(&plain));
    } else {
        said.extend(hello(&header, rest, whos));
    }
    said
}

/// The counter and plain text of a sealed datagram between these nodes.
pub fn open(sealed: &[u8], whos: &[Who]) -> Option<(u64, Vec<u8>)> {
    let (header, rest) = Header::parse(sealed).ok()?;
    let who = |id| whos.iter().find(|who| who.id() == id);
    who(header.destination)?.key_with(who(header.sender)?).open(&header, rest)
}

fn hello(header: &Header, rest: &[u8], whos: &[Who]) -> Vec<String> {
    let opened = whos[0].identity.herd().map(|key| opened(header, rest, key));
    let rest = opened.as_deref().unwrap_or(rest);
    let hello: Hello = decoded(rest);
    if header.kind == Kind::HelloAnswer {
        let who = |id| whos.iter().find(|who| who.id() == id).expect("a known node");
        let key = who(header.destination).key_with(who(header.sender));
        assert!(Hello::answer_is_authentic(header, rest, &key), "a forged answer");
    }
    let record = record(&hello.record);
    vec![words(&Hello { record: Vec::new(), ..hello }), record]
}

/// What follows the header of a hello in a keyed herd.
fn opened(header: &Header, rest: &[u8], key: &HerdKey) -> Vec<u8> {
    hello::open(header, rest, key, Suite::Real).expect("sealed by who holds the key")
}

pub fn decode_hello(header: &Header, rest: &[u8], key: Option<&HerdKey>) -> Hello {
    match key {
        Some(key) => decoded(&opened(header, rest, key)),
        None => decoded(rest),
    }
}

fn record(signed: &[u8]) -> String {
    words(&Record::open(Suite::Real, signed).expect("a signed record"))
}

pub fn body(plain: &[u8]) -> Body {
    let envelope: Envelope = decoded(plain);
    Body::decode(envelope.number, &envelope.body).expect("a known number").expect("a sound body")
}

fn envelope(plain: &[u8]) -> Vec<String> {
    let envelope: Envelope = decoded(plain);
    let body = body(plain);
    let records: Vec<&[u8]> = match &body {
        Body::Sync(sync) => sync.entries.iter().map(|entry| &entry.record[..]).collect(),
        Body::Taken(taken) => vec![&taken.record],
        Body::Tell(Rumor::Record(record)) => vec![record],
        _ => Vec::new(),
    };
    let mut said = vec![words(&Envelope { body: Vec::new(), ..envelope }), words(&body)];
    said.extend(records.into_iter().map(record));
    said
}

/// A value as its Debug form says it, with hexadecimal for bytes.
fn words(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let mut out = String::new();
    for (at, piece) in text.split('[').enumerate() {
        let (inside, rest) = piece.split_once(']').unwrap_or(("", piece));
        let bytes: Option<Vec<u8>> = inside.split(", ").map(|byte| byte.parse().ok()).collect();
        match bytes.filter(|_| at > 0 && piece.contains(']')) {
            Some(bytes) => out.push_str(&format!("x{}{rest}", hex(&bytes))),
            None => out.push_str(&format!("{}{piece}", if at > 0 { "[" } else { "" })),
        }
    }
    out
}
