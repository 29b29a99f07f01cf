//! What a keyed node says on a stream to somebody who does not hold its key: that the stream ends.

mod mesh;

use herd::node::Input;
use herd::wire::header::{Header, Kind};
use herd::wire::ids::StreamId;
use herd::wire::key::HerdKey;
use herd::wire::noise::Session;
use mesh::{Mesh, Who};

const STREAM: StreamId = StreamId(2);
const OPEN: u8 = 1;
const DATA: u8 = 2;
const CLOSE: u8 = 4;

fn key(byte: u8) -> Option<HerdKey> {
    Some(HerdKey::first(&[byte; 40]))
}

/// The kinds of the frames with which a node of herd 1 answers the first message of a caller who
/// holds `key` and whose header says what one of `header`'s herd says.
fn answered(held: Option<HerdKey>, header: Option<HerdKey>) -> Vec<u8> {
    let mut mesh = Mesh::new();
    mesh.key = key(1);
    mesh.add("node1", &[]);
    let caller = Who::new(9, 3).in_herd(held);
    let (herd, epoch) = caller.identity.clone().in_herd(header).herd_and_epoch();
    let victim = mesh.members[0].who.id();
    let header = Header { herd, epoch, ..Header::new(Kind::Channel, victim, caller.id()) };
    let (_, first) =
        Session::open(&caller.identity, caller.identity.herd(), &header, [7; 32]).unwrap();
    let opened = Input::StreamOpened { stream: STREAM, peer: mesh::address_of(8) };
    mesh.turn(0, Some(opened));
    let frame = [&[OPEN][..], &1_u32.to_be_bytes(), &header.to_bytes(), &first].concat();
    mesh.turn(0, Some(Input::StreamFrame { stream: STREAM, bytes: &frame }));
    mesh.members[0].frames.iter().map(|(_, bytes)| bytes[0]).collect()
}

#[test]
fn only_who_holds_the_key_is_answered() {
    assert_eq!(answered(key(1), key(1)), [DATA]);
    for (held, header) in [
        (None, None),
        (None, key(1)),
        (key(2), key(2)),
        (key(2), key(1)),
        (key(1), None),
        (key(1), key(2)),
    ] {
        let name = format!("{held:?} behind the header of {header:?}");
        assert_eq!(answered(held, header), [CLOSE], "{name}");
    }
}
