//! Streams against plain sockets on loopback: every limit at its edge, every way to end.

use super::*;
use crate::wire::codec::{FrameReader, frame};
use mio::{Events, Poll};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener as StdListener, TcpStream as StdStream};

const START: Time = Time::from_ms(1_000_000);

struct World {
    poll: Poll,
    streams: Streams,
    /// What the core heard, as text.
    heard: Vec<String>,
}

fn said(input: Input) -> String {
    match input {
        Input::StreamOpened { stream, .. } => format!("{} opened", stream.0),
        Input::StreamFrame { stream, bytes } => format!("{} frame {}", stream.0, bytes.len()),
        Input::StreamClosed { stream, closed } => format!("{} {closed:?}", stream.0),
        other => panic!("{other:?}"),
    }
}

impl World {
    fn new() -> World {
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let local = Some(Ipv4Addr::LOCALHOST.into());
        let streams = Streams::listen(registry, local, 0, 1_024).unwrap();
        World { poll, streams, heard: Vec::new() }
    }

    fn address(&self) -> SocketAddr {
        self.streams.listener.local_addr().unwrap()
    }

    fn connect(&self) -> StdStream {
        StdStream::connect(self.address()).unwrap()
    }

    fn turn(&mut self, now: Time) {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
        let heard = &mut self.heard;
        let mut feed = |input: Input| heard.push(said(input));
        for event in &events {
            match Source::of(event.token()) {
                Source::StreamListener => self.streams.on_listener(),
                Source::Stream(id) => self.streams.on_event(now, id, event, &mut feed),
                other => panic!("{other:?}"),
            }
        }
        self.streams.turn(now, &mut feed);
        self.streams.flush(now);
    }

    /// Turns until the core has heard this; what it heard up to then.
    fn until(&mut self, expected: &str) -> Vec<String> {
        for _ in 0..1_000 {
            if let Some(position) = self.heard.iter().position(|heard| heard == expected) {
                return self.heard.drain(..=position).collect();
            }
            self.turn(START);
        }
        panic!("no `{expected}` in {:?}", self.heard);
    }
}

#[test]
fn frames_arrive_and_the_end_is_told_once() {
    let mut world = World::new();
    let mut peer = world.connect();
    peer.write_all(&[frame(b"one"), frame(b"three")].concat()).unwrap();
    assert_eq!(world.until("2 frame 5"), ["2 opened", "2 frame 3", "2 frame 5"]);
    world.streams.send(StreamId(2), b"four");
    world.turn(START);
    let mut answer = [0; 8];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], *b"four");
    drop(peer);
    world.until("2 Ended");
    assert!(world.streams.open.is_empty());
}

#[test]
fn a_stranger_s_limits_are_small_and_lifted_by_proof() {
    let mut world = World::new();
    let mut peer = world.connect();
    let large = frame(&vec![0; UNPROVED_FRAME_BYTES + 1]);
    // What arrives with the frame that proves the peer must not be measured by the old limit.
    let writer = std::thread::spawn(move || {
        peer.write_all(&[frame(b"proof"), large].concat()).unwrap();
        peer
    });
    world.until("2 frame 5");
    world.streams.proved(StreamId(2));
    world.until(&format!("2 frame {}", UNPROVED_FRAME_BYTES + 1));
    assert_eq!(world.streams.open[&StreamId(2)].until, None);
    let mut peer = writer.join().unwrap();
    peer.write_all(&(FRAME_BYTES as u32 + 1).to_be_bytes()).unwrap();
    world.until("2 Limit");

    let mut stranger = world.connect();
    stranger.write_all(&(UNPROVED_FRAME_BYTES as u32 + 1).to_be_bytes()).unwrap();
    world.until("4 Limit");
}

#[test]
fn strangers_without_proof_are_few_and_short() {
    let mut world = World::new();
    let peers: Vec<StdStream> =
        (0..UNPROVED_STREAMS_PER_SOURCE + 1).map(|_| world.connect()).collect();
    world.until(&format!("{} opened", 2 * UNPROVED_STREAMS_PER_SOURCE));
    let mut refused = peers.last().unwrap();
    world.turn(START);
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0, "over the limit: closed at once");
    assert_eq!(world.streams.open.len(), UNPROVED_STREAMS_PER_SOURCE);
    world.streams.proved(StreamId(2));
    assert_eq!(world.streams.deadline(), Some(START.plus_ms(UNPROVED_MS)));
    world.turn(START.plus_ms(UNPROVED_MS));
    world.until(&format!("{} Limit", 2 * UNPROVED_STREAMS_PER_SOURCE));
    let left: Vec<&StreamId> = world.streams.open.keys().collect();
    assert_eq!(left, [&StreamId(2)], "who proved himself stays");
}

#[test]
fn dials_succeed_are_refused_or_wait() {
    let mut world = World::new();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    world.streams.dial(START, StreamId(1), there);
    world.streams.send(StreamId(1), b"early");
    world.until("1 opened");
    world.turn(START);
    let (mut peer, _) = listener.accept().unwrap();
    let mut bytes = [0; 9];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[4..], *b"early");
    drop(listener);
    world.streams.dial(START, StreamId(3), there);
    world.until("3 Refused");
    // From a source that is bound to loopback no other machine can be reached.
    world.streams.dial(START, StreamId(5), "[fd00::1]:9".parse().unwrap());
    world.until("5 Unreachable");
    for id in 0..STREAMS as u64 {
        world.streams.waiting.push_back((StreamId(101 + 2 * id), there));
    }
    world.streams.dial(START, StreamId(7), there);
    assert_eq!(world.streams.closed.pop_back(), Some((StreamId(7), Closed::Limit)));
    world.streams.flush(START);
    assert!(world.streams.dials() <= DIALS);
    world.until(&format!("{} Refused", 101 + 2 * (STREAMS - 1)));
}

#[test]
fn a_hang_up_sends_what_was_queued_and_tells_nothing() {
    let mut world = World::new();
    let mut peer = world.connect();
    world.until("2 opened");
    for _ in 0..30 {
        world.streams.send(StreamId(2), &[7; 64 << 10]);
    }
    world.streams.hang_up(START, StreamId(2));
    let reader = std::thread::spawn(move || {
        // Unread bytes on the other side must not turn the end into a reset.
        peer.write_all(&frame(b"too late")).unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    for _ in 0..1_000 {
        world.turn(START);
        if world.streams.open.is_empty() {
            break;
        }
    }
    let mut frames = FrameReader::default();
    frames.push(&reader.join().unwrap());
    let count = std::iter::from_fn(|| frames.next(FRAME_BYTES).unwrap()).count();
    assert_eq!(count, 30);
    assert!(world.streams.open.is_empty() && world.heard.is_empty(), "{:?}", world.heard);
}

#[test]
fn a_peer_that_does_not_read_is_dropped_at_the_limit() {
    let mut world = World::new();
    let _peer = world.connect();
    world.until("2 opened");
    for _ in 0..STREAM_BUFFER_BYTES / (64 << 10) {
        world.streams.send(StreamId(2), &[7; 64 << 10]);
    }
    world.until("2 Limit");
}

#[test]
fn a_reset_is_told_apart_from_an_end() {
    let mut world = World::new();
    let peer = world.connect();
    world.until("2 opened");
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    world.until("2 Reset");
}

#[test]
fn strangers_of_many_sources_are_few_too() {
    let mut world = World::new();
    let there = world.address();
    let from = |network: usize| {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 1, network as u8], 0)).into()).unwrap();
        socket.connect(&there.into()).unwrap();
        socket
    };
    let peers: Vec<_> =
        (0..UNPROVED_STREAMS + 1).map(|n| from(n / UNPROVED_STREAMS_PER_SOURCE)).collect();
    world.until(&format!("{} opened", 2 * UNPROVED_STREAMS));
    world.turn(START);
    assert_eq!(world.streams.open.len(), UNPROVED_STREAMS);
    world.streams.proved(StreamId(2));
    let _more = from(99);
    world.until(&format!("{} opened", 2 * UNPROVED_STREAMS + 2));
    drop(peers);
}

#[test]
fn dials_and_drains_end_in_time() {
    let mut world = World::new();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    world.streams.dial(START, StreamId(1), listener.local_addr().unwrap());
    world.streams.flush(START);
    // What the kernel says of it is not looked at: it is as if nobody answered.
    let heard = &mut world.heard;
    world.streams.turn(START.plus_ms(DIAL_MS - 1), &mut |input: Input| heard.push(said(input)));
    assert_eq!(world.streams.dials(), 1);
    world.streams.turn(START.plus_ms(DIAL_MS), &mut |input: Input| heard.push(said(input)));
    world.until("1 Unreachable");

    let _peer = world.connect();
    world.until("2 opened");
    for _ in 0..STREAM_BUFFER_BYTES / (64 << 10) - 1 {
        world.streams.send(StreamId(2), &[7; 64 << 10]);
        world.turn(START);
    }
    // The peer reads nothing: what the kernel did not take stays.
    while world.streams.open[&StreamId(2)].connection.queued_bytes() < 64 << 10 {
        world.streams.send(StreamId(2), &[7; 64 << 10]);
        world.turn(START);
    }
    world.streams.hang_up(START, StreamId(2));
    world.turn(START.plus_ms(DRAIN_MS - 1));
    assert_eq!(world.streams.open.len(), 1);
    world.turn(START.plus_ms(DRAIN_MS));
    assert!(world.streams.open.is_empty());
}

#[test]
fn one_stream_gets_its_share_of_a_turn_and_no_more() {
    let mut world = World::new();
    let mut peer = world.connect();
    world.until("2 opened");
    world.streams.proved(StreamId(2));
    let bytes = frame(&[7; 15 << 10]).repeat(2 * READ_BYTES_PER_TURN / (15 << 10));
    let length = bytes.len();
    let writer = std::thread::spawn(move || peer.write_all(&bytes).map(|()| peer));
    let mut total = 0;
    while total < length {
        world.turn(START);
        let frames = world.heard.drain(..).count();
        assert!(frames * (15 << 10) <= READ_BYTES_PER_TURN + (32 << 10), "{frames} frames");
        total += frames * ((15 << 10) + 4);
    }
    let _peer = writer.join().unwrap().unwrap();
}
