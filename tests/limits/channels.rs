//! Streams between nodes: channels, windows, queues.

use crate::crowd::{VICTIM, address, alone, join, who};
use crate::mesh::{Mesh, Who};
use herd::node::Input;
use herd::wire::codec;
use herd::wire::command::Command;
use herd::wire::header::{HEADER_BYTES, Header, Kind};
use herd::wire::ids::StreamId;
use herd::wire::limits::*;
use herd::wire::message::{Ask, Body, Envelope, Pull};
use herd::wire::noise::{Read, Session};

const STREAM: StreamId = StreamId(2);
const OPEN: u8 = 1;
const DATA: u8 = 2;
const CREDIT: u8 = 3;

/// A member's end of a stream, made by hand.
struct Neighbour {
    mesh: Mesh,
    who: Who,
}

impl Neighbour {
    fn new() -> Neighbour {
        let (mut mesh, who) = (alone(), who(7));
        join(&mut mesh, &who, address(1, 4_040));
        let opened = Input::StreamOpened { stream: STREAM, peer: address(1, 5_000) };
        mesh.turn(VICTIM, Some(opened));
        Neighbour { mesh, who }
    }

    /// Sends a frame; gives kind and payload of those that come back on this channel.
    fn frame(&mut self, kind: u8, channel: u32, payload: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let before = self.mesh.members[VICTIM].frames.len();
        let bytes = [&[kind][..], &channel.to_be_bytes(), payload].concat();
        self.mesh.turn(VICTIM, Some(Input::StreamFrame { stream: STREAM, bytes: &bytes }));
        let frames = self.mesh.members[VICTIM].frames.split_off(before);
        let here = frames.into_iter().filter(|(_, bytes)| bytes[1..5] == channel.to_be_bytes());
        here.map(|(_, bytes)| (bytes[0], bytes[5..].to_vec())).collect()
    }

    fn open(&mut self, channel: u32) -> Option<Session> {
        let victim = self.mesh.members[VICTIM].who.id();
        let header = Header::new(Kind::Channel, victim, self.who.id());
        let seed = [channel as u8; 32];
        let (mut session, first) =
            Session::open(&self.who.identity, self.who.identity.herd(), &header, seed).unwrap();
        let answer = self.frame(OPEN, channel, &[&header.to_bytes()[..], &first].concat());
        let second = answer.iter().find(|(kind, _)| *kind == DATA)?;
        let Ok(Read::Opened { reply: Some(third), .. }) = session.read(&second.1) else {
            panic!("no session")
        };
        self.frame(DATA, channel, &third);
        Some(session)
    }

    fn say(&mut self, session: &mut Session, channel: u32, body: &Body) -> Vec<(u8, Vec<u8>)> {
        let (number, body) = (body.number(), body.encode());
        let envelope = Envelope { number, body, ages: Vec::new(), digest: None };
        let sealed = session.write(&codec::encode(&envelope)).unwrap();
        self.frame(DATA, channel, &sealed)
    }
}

#[test]
fn channels_of_a_stream() {
    let mut neighbour = Neighbour::new();
    for number in 0..CHANNELS_PER_STREAM as u32 {
        assert!(neighbour.open(1 + 2 * number).is_some(), "{number}");
    }
    assert!(neighbour.open(9_001).is_none());
    assert_eq!(neighbour.mesh.counter(VICTIM, "channels refused at their limit"), 1);
}

#[test]
fn a_frame_as_wide_as_the_window() {
    let mut neighbour = Neighbour::new();
    let most = HEADER_BYTES + CHANNEL_WINDOW_BYTES as usize;
    let count =
        |neighbour: &mut Neighbour| neighbour.mesh.counter(VICTIM, "stream frames over the window");
    neighbour.frame(9, 1, &vec![0; most]);
    assert_eq!(count(&mut neighbour), 0);
    neighbour.frame(9, 1, &vec![0; most + 1]);
    assert_eq!(count(&mut neighbour), 1);
}

/// Who asks much and grants no credit is sent the window and not a byte more; the rest waits, up to
/// its own limit.
#[test]
fn the_window_and_the_queue_behind_it() {
    let mut neighbour = Neighbour::new();
    let mut session = neighbour.open(1).expect("a channel");
    let dropped = "messages dropped at the limit of a channel's queue";
    let (mut received, mut asked) = (0, 0);
    while neighbour.mesh.counter(VICTIM, dropped) == 0 {
        asked += 1;
        assert!(asked < 5_000, "the queue has no end");
        let ask = Ask { number: asked, wait_ms: 0, command: Command::Version };
        let frames = neighbour.say(&mut session, 1, &Body::Ask(ask));
        received += frames.iter().filter(|f| f.0 == DATA).map(|f| f.1.len()).sum::<usize>();
    }
    let window = CHANNEL_WINDOW_BYTES as usize;
    assert!((window / 2..=window).contains(&received), "{received} bytes without credit");
    let mut queued = 0;
    loop {
        let frames = neighbour.frame(CREDIT, 1, &CHANNEL_WINDOW_BYTES.to_be_bytes());
        let data = frames.iter().filter(|f| f.0 == DATA).map(|f| f.1.len()).sum::<usize>();
        assert!(data <= window, "{data} bytes for one window of credit");
        if data == 0 {
            break;
        }
        queued += data;
    }
    assert!(
        (CHANNEL_QUEUE_BYTES / 2..=CHANNEL_QUEUE_BYTES * 11 / 10).contains(&queued),
        "{queued}"
    );
}

/// The whole list goes out in parts of this size, whatever is asked at once.
#[test]
fn parts_of_a_long_reply() {
    let mut neighbour = Neighbour::new();
    for number in 100..220 {
        join(&mut neighbour.mesh, &who(number), address(number / 40, number as u16));
        neighbour.mesh.run_ms(5);
    }
    let mut session = neighbour.open(1).expect("a channel");
    let frames = neighbour.say(&mut session, 1, &Body::Pull(Pull { have: Vec::new() }));
    let mut sizes = Vec::new();
    for (kind, bytes) in frames {
        if kind == DATA
            && let Ok(Read::Plain(plain)) = session.read(&bytes)
        {
            sizes.push(plain.len());
        }
    }
    // The envelope around a part adds a little.
    assert!(sizes.iter().all(|size| *size <= PART_BYTES + 100), "{sizes:?}");
    assert!(sizes.len() > 1 && sizes[0] > PART_BYTES / 2, "{sizes:?}");
}
