//! Clients of every kind, behaved and not, on a real socket.

use super::*;
use crate::daemon::control_path;
use crate::wire::codec::{FrameReader, frame};
use crate::wire::command::{Command, Scope};
use mio::{Events, Poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;

const START: Time = Time::from_ms(1_000_000);

struct World {
    poll: Poll,
    control: Control,
    path: PathBuf,
    heard: Vec<String>,
}

fn said(input: Input) -> String {
    match input {
        Input::Request { client, request, .. } => format!("{} asks {}", client.0, request.number),
        Input::ClientGone { client } => format!("{} gone", client.0),
        other => panic!("{other:?}"),
    }
}

fn request(number: u64) -> Vec<u8> {
    frame(&encode(&Request { number, scope: Scope::Here, command: Command::Ping, timeout_ms: 0 }))
}

fn part(number: u64, text: &str) -> Part {
    Part {
        number,
        node: text.to_string(),
        id: NodeId(1),
        reply: Reply::Pong,
        last: true,
        done: true,
    }
}

/// The parts that arrive until the daemon hangs up.
fn parts(mut client: StdStream) -> Vec<Part> {
    let mut all = Vec::new();
    let _ = client.read_to_end(&mut all);
    let mut frames = FrameReader::default();
    frames.push(&all);
    std::iter::from_fn(|| frames.next(FRAME_BYTES).unwrap())
        .map(|bytes| decode(&bytes).unwrap())
        .collect()
}

impl World {
    fn new(name: &str) -> World {
        let poll = Poll::new().unwrap();
        let name = format!("herd-{name}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (listener, file) = control_path::bind(&path, &control_path::CONTROL).unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let control = Control::listen(registry, listener, file, Users::new(None).unwrap()).unwrap();
        World { poll, control, path, heard: Vec::new() }
    }

    fn connect(&self) -> StdStream {
        StdStream::connect(&self.path).unwrap()
    }

    fn turn(&mut self, now: Time) {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
        for event in &events {
            match Source::of(event.token()) {
                Source::ClientListener => self.control.on_listener(),
                Source::Client(id) => self.control.on_event(id, event),
                other => panic!("{other:?}"),
            }
        }
        let heard = &mut self.heard;
        self.control.turn(now, &mut |input: Input| heard.push(said(input)));
        self.control.flush();
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
fn requests_are_answered_and_the_end_is_told() {
    let mut world = World::new("answered");
    let mut client = world.connect();
    client.write_all(&[request(7), request(8)].concat()).unwrap();
    assert_eq!(world.until("1 asks 8"), ["1 asks 7", "1 asks 8"]);
    world.control.send(ClientId(1), &part(7, "node1"));
    world.turn(START);
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut body).unwrap();
    assert_eq!(decode::<Part>(&body).unwrap(), part(7, "node1"));
    drop(client);
    world.until("1 gone");
    assert!(world.control.clients.is_empty());
}

#[test]
fn nonsense_is_told_so_and_hung_up_on() {
    let mut world = World::new("nonsense");
    let cases = [
        (frame(b"\xff\xff"), "not understood"),
        ((FRAME_BYTES as u32 + 1).to_be_bytes().to_vec(), "1048576 bytes"),
        (b"GET / HTTP/1.0\r\n\r\n".to_vec(), "1048576 bytes"),
    ];
    for (number, (bytes, expected)) in cases.into_iter().enumerate() {
        let mut client = world.connect();
        client.write_all(&bytes).unwrap();
        world.until(&format!("{} gone", number + 1));
        let parts = parts(client);
        assert_eq!(parts.len(), 1);
        let Reply::Error(failure) = &parts[0].reply else { panic!("{parts:?}") };
        assert!(failure.detail.contains(expected) && parts[0].done, "{failure:?}");
    }
    assert!(world.control.clients.is_empty());
}

#[test]
fn one_client_over_the_limit_is_told_the_limit() {
    let mut world = World::new("limit");
    let mut clients: Vec<StdStream> = Vec::new();
    for number in 0..CLIENTS {
        let mut client = world.connect();
        client.write_all(&request(number as u64)).unwrap();
        clients.push(client);
        world.until(&format!("{} asks {number}", number + 1));
    }
    let late = world.connect();
    world.turn(START.plus_ms(CLIENT_SILENT_MS));
    world.until(&format!("{} gone", CLIENTS + 1));
    let Reply::Error(failure) = &parts(late)[0].reply else { panic!() };
    assert_eq!(failure.code, ErrorCode::Limit);
    drop(clients.pop());
    world.until(&format!("{CLIENTS} gone"));
    let mut next = world.connect();
    next.write_all(&request(99)).unwrap();
    world.until(&format!("{} asks 99", CLIENTS + 2));
}

#[test]
fn who_never_asks_makes_room_for_who_does() {
    let mut world = World::new("silent");
    let mut clients: Vec<StdStream> = (0..CLIENTS).map(|_| world.connect()).collect();
    clients[0].write_all(&request(1)).unwrap();
    world.until("1 asks 1");
    let mut late = world.connect();
    late.write_all(&request(2)).unwrap();
    world.turn(START.plus_ms(CLIENT_SILENT_MS - 1));
    assert_eq!(world.control.clients.len(), CLIENTS, "they get their time to ask");
    assert_eq!(world.control.deadline(), Some(START.plus_ms(CLIENT_SILENT_MS)));
    // The first of those who asked nothing.
    for _ in 0..1_000 {
        world.turn(START.plus_ms(CLIENT_SILENT_MS));
        if world.heard.len() == 2 {
            break;
        }
    }
    assert_eq!(world.heard, ["2 gone".to_string(), format!("{} asks 2", CLIENTS + 1)]);
    let Reply::Error(failure) = &parts(clients.remove(1))[0].reply else { panic!() };
    assert_eq!(failure.code, ErrorCode::Limit);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let mut world = World::new("slow");
    let mut client = world.connect();
    client.write_all(&request(1)).unwrap();
    world.until("1 asks 1");
    let large = part(1, &"x".repeat(64 << 10));
    for _ in 0..CLIENT_BUFFER_BYTES / (64 << 10) + 1 {
        world.control.send(ClientId(1), &large);
    }
    world.until("1 gone");
    assert!(world.control.clients.is_empty());
}

#[test]
fn the_last_answers_are_taken_along() {
    let mut world = World::new("last");
    let mut client = world.connect();
    client.write_all(&request(1)).unwrap();
    world.until("1 asks 1");
    for _ in 0..20 {
        world.control.send(ClientId(1), &part(1, &"x".repeat(64 << 10)));
    }
    let reader = std::thread::spawn(move || parts(client).len());
    world.control.finish();
    assert_eq!(reader.join().unwrap(), 20);
    assert!(!world.path.exists());
}
