//! What nodes of each protocol version said to each other, kept for ever: every later program must
//! read it, say the same of it, and react to it in the same way.
//!
//! `HERD_RECORD=NAME cargo test --test recorded` records anew into NAME.txt, which must not exist
//! yet (a keyed herd's, if NAME begins with `keyed`): bytes that were ever sent are never given up. `HERD_RECORD=words` writes only the lines
//! behind `|` anew (a value got a new field): look at what changed before you commit it.

mod examples;
mod exchange;
#[path = "../mesh/mod.rs"]
mod mesh;
mod record;
mod replay;
mod say;
mod wiretap;

use exchange::{Item, directory, files, read, write};
use herd::wire::header::Header;
use herd::wire::key::HerdKey;
use herd::wire::noise::{Read, Session};
use herd::wire::seal::{Identity, Suite};
use herd::wire::time::Time;
use mesh::Who;
use replay::Replay;
use wiretap::{DATA, OPEN};

fn whos(items: &[Item]) -> Vec<Who> {
    let key = items.iter().find(|item| item.kind() == "key");
    let key: Option<HerdKey> = key.map(|item| item.words[1].parse().expect("a key's text"));
    let nodes = items.iter().filter(|item| item.kind() == "node");
    nodes
        .map(|item| {
            let secret = item.get("identity").try_into().expect("64 bytes");
            let start_counter = item.words[2].parse().expect("a number");
            let identity = Identity::from_secret(secret, Suite::Real);
            Who { identity, start_counter }.in_herd(key.clone())
        })
        .collect()
}

#[test]
fn every_byte_says_what_it_said() {
    let wish = std::env::var("HERD_RECORD").unwrap_or_default();
    if !["", "words"].contains(&&wish[..]) {
        let path = directory().join(format!("{wish}.txt"));
        assert!(!path.exists(), "{path:?} is there already: a recording is never replaced");
        let keyed = wish.starts_with("keyed").then(|| HerdKey::first(&[0x5a; 40]));
        write(&path, &record::record(keyed));
    }
    for path in files() {
        let mut items = read(&path);
        let whos = whos(&items);
        let mut said = 0;
        for item in &mut items {
            let now = say::say(item, &whos);
            if wish == "words" {
                item.said = now;
            } else {
                assert_eq!(now, item.said, "{path:?}: {:?}", item.words);
            }
            said += item.said.len();
        }
        assert!(said > 100, "{path:?} says next to nothing");
        if wish == "words" {
            write(&path, &items);
        }
    }
}

#[test]
fn every_kind_of_message_is_in_the_recording() {
    let items = read(&directory().join("version-1.txt"));
    let plain = items.iter().filter_map(|item| item.find("plain").filter(|_| is_body(item)));
    let numbers: std::collections::BTreeSet<u16> =
        plain.map(|plain| say::body(plain).number()).collect();
    assert_eq!(numbers, (1..=18).collect());
    // What real nodes said, not only what an example shows.
    let live = items.iter().filter(|item| ["datagram", "frame"].contains(&item.kind()));
    let live = live.filter_map(|item| item.find("plain"));
    let live: std::collections::BTreeSet<u16> =
        live.map(|plain| say::body(plain).number()).collect();
    let must = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17];
    assert!(must.iter().all(|number| live.contains(number)), "{live:?}");
}

fn is_body(item: &Item) -> bool {
    ["datagram", "frame", "envelope"].contains(&item.kind())
}

#[test]
fn datagrams_are_opened_and_answered_as_they_were() {
    for path in files() {
        let items = read(&path);
        let whos = whos(&items);
        for node in items.iter().filter(|item| item.kind() == "node") {
            replay(&items, node, &whos);
        }
    }
}

fn replay(items: &[Item], node: &Item, whos: &[Who]) {
    let own = format!("192.168.1.{}:", node.words[1].parse::<u8>().expect("a number") + 1);
    let datagrams = items.iter().filter(|item| item.kind() == "datagram");
    let datagrams: Vec<&Item> = datagrams.filter(|item| item.words[3].starts_with(&own)).collect();
    let start = Time(datagrams[0].words[1].parse().expect("a time"));
    let mut restored = Replay::new(node, whos, start);
    let given = datagrams.iter().filter(|item| restored.give(item)).count();
    assert!(given > 20, "only {given} datagrams to {own}");
    restored.require_nothing_bad();
    let listed = restored.listed();
    assert_eq!(listed.len(), whos.len() - 1, "{listed:?}");
    // The last that the first one heard is the goodbye of the second.
    let second = listed.iter().find(|(name, _)| name == "node2");
    assert!(node.words[1] != "0" || second.is_some_and(|(_, state)| state == "left"), "{listed:?}");
}

/// Names that cross the wire in clear, datagrams and frames together.
fn names_in_clear(recording: &str) -> usize {
    let items = read(&directory().join(recording));
    let sent = items.iter().filter_map(|item| match item.kind() {
        "datagram" => item.find("sealed"),
        "frame" => item.find("bytes"),
        _ => None,
    });
    let has = |bytes: &&[u8]| {
        let bytes = String::from_utf8_lossy(bytes);
        ["node1", "node2", "vm 3"].iter().any(|name| bytes.contains(name))
    };
    sent.filter(has).count()
}

#[test]
fn a_keyed_herd_says_no_name_in_clear() {
    assert_eq!(names_in_clear("keyed-1.txt"), 0);
    assert!(names_in_clear("version-1.txt") > 0, "open hellos have some");
}

/// The end that the recording plays, once more: it must read what the real end wrote then, and
/// write what it wrote then.
#[test]
fn streams_read_and_write_as_they_did() {
    for path in files() {
        let items = read(&path);
        let whos = whos(&items);
        let streams: Vec<&Item> = items.iter().filter(|item| item.kind() == "stream").collect();
        assert!(!streams.is_empty(), "{path:?} has no stream");
        for stream in streams {
            let frames = items.iter().filter(|item| item.kind() == "frame");
            let frames: Vec<&Item> =
                frames.filter(|item| item.words[1] == stream.words[1]).collect();
            assert!(frames.len() >= 4, "{:?} is too short", stream.words);
            replay_stream(stream, &frames, &whos);
        }
    }
}

fn replay_stream(stream: &Item, frames: &[&Item], whos: &[Who]) {
    let (header, _) = Header::parse(stream.get("header")).expect("a header");
    let seed: [u8; 32] = stream.get("seed").try_into().expect("32 bytes");
    let who = |id| whos.iter().find(|who| who.id() == id).expect("a known node");
    let mut to_write: Vec<Vec<u8>> = Vec::new();
    let mut session = if stream.words[2] == "called" {
        Session::accept(
            &who(header.destination).identity,
            who(header.destination).identity.herd(),
            &header,
            seed,
        )
        .expect("a session")
    } else {
        let opened = Session::open(
            &who(header.sender).identity,
            who(header.sender).identity.herd(),
            &header,
            seed,
        );
        let (session, first) = opened.expect("a session");
        to_write.push(first);
        session
    };
    let peer = if stream.words[2] == "called" { header.sender } else { header.destination };
    for item in frames {
        let bytes = item.get("bytes");
        let payload = match bytes[0] {
            OPEN => Header::parse(&bytes[5..]).expect("a header").1,
            DATA => &bytes[5..],
            other => panic!("frame kind {other}"),
        };
        if item.words[2] == "played" {
            let written = match item.find("plain") {
                Some(plain) => session.write(plain).expect("an open session"),
                None => to_write.remove(0),
            };
            assert_eq!(written, payload, "{:?}", item.words);
            continue;
        }
        match session.read(payload).expect("a message that can be read") {
            Read::Plain(plain) => assert_eq!(plain, item.get("plain"), "{:?}", item.words),
            Read::Step { reply } => to_write.extend(reply),
            Read::Opened { agreement_key, reply } => {
                assert_eq!(agreement_key, who(peer).identity.public().agreement);
                to_write.extend(reply);
            }
        }
    }
    assert!(to_write.is_empty());
}
