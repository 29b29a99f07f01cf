//! The hot paths of the core, timed by criterion: `cargo bench --bench core`.
//!
//! The roster's digest is private to the core: it is a part of the turn.

mod invented;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use herd::client::answers::Answer;
use herd::client::render;
use herd::node::{Input, Kept, Node, Options, Output, Socket};
use herd::wire::codec;
use herd::wire::header::{Header, Kind};
use herd::wire::ids::NodeId;
use herd::wire::info::NodeInfo;
use herd::wire::message::Envelope;
use herd::wire::record::Record;
use herd::wire::reply::Reply;
use herd::wire::seal::{Identity, SealKey, Suite};
use herd::wire::time::Time;
use invented::{Invented, Met};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const HEARTBEAT: u16 = 2;
/// A heartbeat's only field is a stamp.
const STAMP: [u8; 2] = [0x81, 0x05];
/// Fewer than the hellos a node answers in a second.
const GREETED_A_SECOND: usize = 200;
const SIZES: [usize; 2] = [100, 1_000];

fn address(number: usize) -> SocketAddr {
    let [.., high, low] = (number as u32).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, 1, high, low), 4040))
}

fn pair_key() -> SealKey {
    let one = Identity::from_secret(&[1; 64], Suite::Real);
    let other = Identity::from_secret(&[2; 64], Suite::Real);
    one.pair_key(one.herd(), 1, &other.public(), 1).expect("a key")
}

fn seals(criterion: &mut Criterion) {
    let (key, header) = (pair_key(), Header::new(Kind::Sealed, NodeId(1), NodeId(2)));
    for bytes in [64, 200, 1_000] {
        let plain = vec![5; bytes];
        let sealed = key.seal(&header, 1, [1; 16], &plain);
        let (parsed, rest) = Header::parse(&sealed).expect("just sealed");
        criterion.bench_function(&format!("seal {bytes} bytes"), |bencher| {
            bencher.iter(|| key.seal(&header, 1, [1; 16], black_box(&plain)));
        });
        criterion.bench_function(&format!("open {bytes} bytes"), |bencher| {
            bencher.iter(|| key.open(&parsed, black_box(rest)));
        });
    }
}

/// What each node does once for each other: the price of a join.
fn meeting(criterion: &mut Criterion) {
    let other = Invented::new(1, address(1).ip());
    let signed = other.record();
    let own = Identity::from_secret(&[9; 64], Suite::Real);
    criterion.bench_function("check a signed record", |bencher| {
        bencher.iter(|| Record::open(Suite::Real, black_box(&signed)));
    });
    criterion.bench_function("derive the key of a pair", |bencher| {
        bencher.iter(|| own.pair_key(own.herd(), 1, black_box(&other.identity.public()), 1));
    });
}

fn decoding(criterion: &mut Criterion) {
    let (body, ages) = (STAMP.to_vec(), vec![7; 102]);
    let bytes = codec::encode(&Envelope { number: HEARTBEAT, body, ages, digest: Some(7) });
    criterion.bench_function("decode a message", |bencher| {
        bencher.iter(|| codec::decode::<Envelope>(black_box(&bytes)));
    });
}

fn drain(node: &mut Node) -> Vec<Output> {
    std::iter::from_fn(|| node.poll()).collect()
}

fn give(node: &mut Node, now: Time, from: SocketAddr, bytes: &[u8]) -> Vec<Output> {
    node.handle(now, Input::Datagram { socket: Socket::Main, from, bytes });
    node.tick(now);
    drain(node)
}

/// A node that knows so many, the first of them, and what o'clock it is.
fn acquainted(count: usize) -> (Node, Invented, Met, Time) {
    let own: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let options = Options { addresses: vec![own], ..Options::default() };
    let kept = Kept { start_counter: 1, ..Kept::default() };
    let mut now = Time(1_000_000_000);
    let mut node = Node::new(options, kept, [3; 32], now);
    drain(&mut node);
    let mut first = None;
    for number in 1..=count {
        if number % GREETED_A_SECOND == 0 {
            now = now.plus_ms(1_000);
        }
        let from = address(number);
        let other = Invented::new(number as u64, from.ip());
        let said = give(&mut node, now, from, &other.question());
        let met = said.iter().find_map(|output| match output {
            Output::Datagram { to, bytes, .. } if *to == from => other.met(bytes),
            _ => None,
        });
        let met = met.expect("it is answered and not refused");
        give(&mut node, now, from, &other.sealed(&met, 1, HEARTBEAT, STAMP.to_vec()));
        first.get_or_insert((other, met));
    }
    let (first, met) = first.expect("at least one");
    (node, first, met, now)
}

/// A heartbeat comes in, and its answer goes out.
fn turns(criterion: &mut Criterion) {
    for count in SIZES {
        let (mut node, other, met, mut now) = acquainted(count);
        let mut counter = 1;
        criterion.bench_function(&format!("a turn with {count} known"), |bencher| {
            let next = || {
                counter += 1;
                other.sealed(&met, counter, HEARTBEAT, STAMP.to_vec())
            };
            let turn = |bytes: Vec<u8>| {
                now = Time(now.0 + 1);
                give(&mut node, now, address(1), &bytes)
            };
            bencher.iter_batched(next, turn, BatchSize::PerIteration);
        });
    }
}

/// `daust all list` in a herd of a hundred: a hundred such answers.
fn rendering(criterion: &mut Criterion) {
    let row = |number: usize| NodeInfo {
        id: NodeId(number as u64),
        name: format!("node{number}"),
        internal_ip: Some(address(number).ip()),
        last_seen_ms: 900,
        ..NodeInfo::default()
    };
    let nodes: Vec<NodeInfo> = (0..100).map(row).collect();
    let replies = vec![Reply::Nodes { nodes, stale_ms: None }];
    let answer = Answer { node: "node1".into(), id: NodeId(1), replies, elapsed_us: 1 };
    criterion.bench_function("render all list of 100", |bencher| {
        bencher.iter(|| -> usize {
            (0..100)
                .map(|_| {
                    render::heading(&answer).len() + render::text(black_box(&answer), false).len()
                })
                .sum()
        });
    });
}

criterion_group!(core, seals, meeting, decoding, turns, rendering);
criterion_main!(core);
