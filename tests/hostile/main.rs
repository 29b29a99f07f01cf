//! Whatever arrives, in whatever order: a node that also talks with an honest one takes garbage,
//! bent, replayed and reflected datagrams, stream frames of strangers, lies of a member, and odd
//! requests. Nothing panics, what goes out is bounded, and the honest node stays alive in the list.

mod acts;
mod draw;
mod lies;
#[path = "../mesh/mod.rs"]
mod mesh;
mod world;

use draw::{act, bytes};
use herd::wire::codec;
use herd::wire::control::{Part, Request};
use herd::wire::header::Header;
use herd::wire::hello::Hello;
use herd::wire::key::HerdKey;
use herd::wire::limits::{FRAME_BYTES, HELLO_BYTES};
use herd::wire::message::{Body, Envelope};
use herd::wire::record::Record;
use herd::wire::seal::{SIGNATURE_BYTES, Suite};
use mesh::{Who, address_of};
use proptest::prelude::*;
use world::{INSIDER, VICTIM, World, hello_with, question, stranger};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_from_outside_harms(acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.settle();
    }

    #[test]
    fn nothing_from_outside_harms_a_keyed_herd(acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World::in_herd(Some(HerdKey::first(&[5; 40])));
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
