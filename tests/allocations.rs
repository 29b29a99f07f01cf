//! Bytes that claim to be much make no reader ask for memory: what is asked of malloc is watched.

#[path = "mesh/mod.rs"]
mod mesh;

use herd::wire::codec::{FrameReader, decode, encode};
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::hello::Hello;
use herd::wire::ids::NodeId;
use herd::wire::info::NodeInfo;
use herd::wire::limits::FRAME_BYTES;
use herd::wire::message::{Body, Envelope};
use herd::wire::record::Record;
use herd::wire::reply::Reply;
use mesh::Who;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What may be asked of malloc at once while bytes of somebody unproved are read.
const LARGEST_BYTES: usize = 64 << 10;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's, which remembers the largest piece that this thread asked for.
struct Watching;

// SAFETY: all is handed on as it is; a cell without a destructor allocates nothing.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static WATCHING: Watching = Watching;

fn hello() -> Hello {
    let who = Who::new(7, 1);
    mesh::hello(mesh::record(&who, "node7", 7).sign(&who.identity))
}

/// One of each that a stranger, a member or a local program may send.
fn examples() -> Vec<Vec<u8>> {
    let body = encode(&hello());
    let list = Reply::Nodes { nodes: vec![NodeInfo::default(); 3], stale_ms: None };
    let part =
        Part { number: 1, node: "a".into(), id: NodeId(1), reply: list, last: true, done: true };
    let request = Request {
        number: 1,
        scope: Scope::All,
        command: Command::Forget("a".into()),
        timeout_ms: 0,
    };
    vec![
        body.clone(),
        hello().record,
        encode(&Envelope { number: 8, body, ages: vec![1; 9], digest: Some(3) }),
        encode(&part),
        encode(&request),
    ]
}

/// Gives it to everything that reads.
fn read(bytes: &[u8]) {
    for number in 0..128 {
        let _ = Body::decode(number, bytes);
    }
    let _ = decode::<Hello>(bytes);
    let _ = decode::<Envelope>(bytes);
    let _ = decode::<Part>(bytes);
    let _ = decode::<Request>(bytes);
    let _ = Record::peek(bytes);
}

/// Lengths of texts, bytes, arrays and maps, alone and two together, at every place of what nodes and
/// programs say.
#[test]
fn lengths_that_are_claimed_cost_nothing() {
    let mut claims = Vec::new();
    for kind in [0x40_u8, 0x60, 0x80, 0xa0] {
        for length in [1 << 16, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let claim = [&[kind | 26][..], &u32::to_be_bytes(length)].concat();
            claims.push([&claim[..], &claim].concat());
            claims.push(claim);
        }
        for length in [1 << 32, i64::MAX as u64, u64::MAX] {
            claims.push([&[kind | 27][..], &u64::to_be_bytes(length)].concat());
        }
    }
    for example in examples() {
        LARGEST.set(0);
        read(&example);
        assert!(LARGEST.get() > 0, "nothing is watched");
        for at in 0..=example.len() {
            for claim in &claims {
                let bytes = [&example[..at], claim, &example[at..]].concat();
                LARGEST.set(0);
                read(&bytes);
                let largest = LARGEST.get();
                assert!(
                    largest <= LARGEST_BYTES,
                    "{largest} bytes for {claim:x?} at {at} of {example:x?}"
                );
            }
        }
    }
    for length in [FRAME_BYTES as u32 + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let mut reader = FrameReader::default();
        LARGEST.set(0);
        reader.push(&[length.to_be_bytes(), length.to_be_bytes()].concat());
        assert!(reader.next(FRAME_BYTES).is_err(), "a frame of {length} bytes");
        assert!(LARGEST.get() <= LARGEST_BYTES);
    }
}
