//! Byte pipes: how many, how much may be under way, how large a piece is.

use crate::mesh::{Mesh, address_of};
use herd::node::{Input, User};
use herd::wire::command::{Command, Scope};
use herd::wire::control::Request;
use herd::wire::ids::{ClientId, PipeId};
use herd::wire::key::HerdKey;
use herd::wire::limits::*;
use herd::wire::pipe::Piece;
use herd::wire::reply::{ErrorCode, Failure, Reply};

const CALLER: usize = 0;
const CALLED: usize = 1;
const CLIENT: ClientId = ClientId(9);

/// Two nodes of a herd with a key.
fn two() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.key = Some(HerdKey::first(&[1; 40]));
    mesh.add("node1", &[]);
    mesh.add("node2", &[address_of(CALLER)]);
    mesh.run_ms(3_000);
    mesh
}

fn say(mesh: &mut Mesh, number: u64, piece: Piece) {
    say_to(mesh, "node2", number, piece);
}

fn say_to(mesh: &mut Mesh, node: &str, number: u64, piece: Piece) {
    let opens = matches!(piece, Piece::Open(_));
    let scope = if opens { Scope::Node(node.to_string()) } else { Scope::Here };
    let request = Request { number, scope, command: Command::Pipe(piece), timeout_ms: 0 };
    let user = User::default();
    mesh.turn(CALLER, Some(Input::Request { client: CLIENT, user, request }));
    mesh.run_ms(300);
}

/// What the client was told of the pipe of this number.
fn told(mesh: &Mesh, number: u64) -> Vec<Reply> {
    let parts = mesh.members[CALLER].parts.iter().filter(|part| part.number == number);
    parts.map(|part| part.reply.clone()).collect()
}

fn failure(mesh: &Mesh, number: u64) -> Option<(ErrorCode, String)> {
    told(mesh, number).into_iter().find_map(|reply| match reply {
        Reply::Error(failure) => Some((failure.code, failure.detail)),
        _ => None,
    })
}

/// Opens one, and its far end is connected.
fn open(mesh: &mut Mesh, number: u64) -> Option<PipeId> {
    let before = mesh.members[CALLED].pieces.len();
    say(mesh, number, Piece::Open(22));
    let (pipe, _) = *mesh.members[CALLED].pieces.get(before)?;
    there(mesh, pipe, Piece::Opened);
    Some(pipe)
}

fn there(mesh: &mut Mesh, pipe: PipeId, piece: Piece) {
    mesh.turn(CALLED, Some(Input::Piece { pipe, piece }));
    mesh.run_ms(300);
}

fn limit(mesh: &Mesh, number: u64) -> Option<String> {
    let (code, text) = failure(mesh, number)?;
    assert_eq!(code, ErrorCode::Limit);
    text.split(':').next().map(str::to_string)
}

#[test]
fn pipes_of_one_node() {
    let mut mesh = two();
    for number in 3..=6 {
        mesh.add(&format!("node{number}"), &[address_of(CALLER)]);
    }
    mesh.run_ms(3_000);
    let mut number = 0;
    for member in 1..=PIPES / PIPES_A_PEER {
        for _ in 0..PIPES_A_PEER {
            number += 1;
            say_to(&mut mesh, &format!("node{}", member + 1), number, Piece::Open(22));
            let (pipe, _) = *mesh.members[member].pieces.last().unwrap();
            mesh.turn(member, Some(Input::Piece { pipe, piece: Piece::Opened }));
            assert_eq!(failure(&mesh, number), None, "{number}");
        }
    }
    assert_eq!(number as usize, PIPES);
    say_to(&mut mesh, "node6", 100, Piece::Open(22));
    assert_eq!(limit(&mesh, 100), Some(format!("limit of {PIPES} pipes of one node reached")));
    // Whoever is full is so for others too; one that ends makes room.
    mesh.turn(CALLER, Some(Input::ClientGone { client: CLIENT }));
    mesh.run_ms(300);
    assert!(open(&mut mesh, 101).is_some());
}

#[test]
fn pipes_between_two_nodes() {
    let mut mesh = two();
    for number in 1..=PIPES_A_PEER as u64 {
        assert!(open(&mut mesh, number).is_some(), "{number}");
        assert_eq!(told(&mesh, number), [Reply::Pipe(Piece::Opened)]);
    }
    assert!(open(&mut mesh, 100).is_none());
    let text = format!("limit of {PIPES_A_PEER} pipes between two nodes reached");
    assert_eq!(limit(&mesh, 100), Some(text));
    // A third has places of its own there.
    mesh.add("node3", &[address_of(CALLER)]);
    mesh.run_ms(3_000);
    let scope = Scope::Node("node2".to_string());
    let number = mesh.request(2, scope, Command::Pipe(Piece::Open(22)));
    mesh.run_ms(1_000);
    assert_eq!(mesh.parts(2, number).len(), 0);
    assert_eq!(mesh.members[CALLED].pieces.len(), PIPES_A_PEER + 1);
}

/// Whoever opens them without end is slowed down, and fills no journal.
#[test]
fn pipes_of_one_second() {
    let mut mesh = two();
    for number in 1..=CHANGES_PER_SECOND as u64 + 1 {
        let scope = Scope::Node("node2".to_string());
        let command = Command::Pipe(Piece::Open(22));
        let request = Request { number, scope, command, timeout_ms: 0 };
        let user = User::default();
        mesh.turn(CALLER, Some(Input::Request { client: CLIENT, user, request }));
        mesh.run_ms(30);
        if number <= CHANGES_PER_SECOND as u64 {
            let (pipe, _) = *mesh.members[CALLED].pieces.last().unwrap();
            mesh.turn(CALLER, Some(Input::ClientGone { client: CLIENT }));
            let gone = Piece::Failed(Failure::new(ErrorCode::Unreachable, "gone"));
            mesh.turn(CALLED, Some(Input::Piece { pipe, piece: gone }));
            mesh.run_ms(30);
        }
    }
    let text = format!("its limit of {CHANGES_PER_SECOND} changes a second is reached");
    let last = CHANGES_PER_SECOND as u64 + 1;
    assert_eq!(failure(&mesh, last), Some((ErrorCode::Limit, text)));
    let number = mesh.request(CALLED, Scope::Here, Command::History(None));
    let parts = mesh.parts(CALLED, number);
    let Reply::History(entries) = &parts[0].reply else { panic!("{parts:?}") };
    let pipes: Vec<_> = entries.iter().filter(|entry| entry.text == "nc 22").collect();
    assert_eq!(pipes.len(), 2, "{entries:?}");
}

#[test]
fn a_window_of_bytes_and_a_piece() {
    let piece = |length: usize| Piece::Bytes(vec![7; length]);
    let fill = |mesh: &mut Mesh, say: &dyn Fn(&mut Mesh, Piece)| {
        let mut left = PIPE_WINDOW_BYTES;
        while left > 0 {
            let length = left.min(PIPE_PIECE_BYTES);
            say(mesh, piece(length));
            left -= length;
        }
    };
    let window = format!("more than {PIPE_WINDOW_BYTES} bytes were sent that nobody took yet");
    let over = Some((ErrorCode::Limit, window));

    let mut mesh = two();
    let pipe = open(&mut mesh, 1).unwrap();
    fill(&mut mesh, &|mesh, piece| say(mesh, 1, piece));
    assert_eq!(failure(&mesh, 1), None);
    there(&mut mesh, pipe, Piece::Taken(1));
    say(&mut mesh, 1, piece(1));
    assert_eq!(failure(&mesh, 1), None);
    say(&mut mesh, 1, piece(1));
    assert_eq!(failure(&mesh, 1), over);

    let pipe = open(&mut mesh, 2).unwrap();
    fill(&mut mesh, &|mesh, piece| there(mesh, pipe, piece));
    let bytes = |mesh: &Mesh| -> usize {
        let lengths = told(mesh, 2).into_iter().map(|reply| match reply {
            Reply::Pipe(Piece::Bytes(bytes)) => bytes.len(),
            _ => 0,
        });
        lengths.sum()
    };
    assert_eq!((bytes(&mesh), failure(&mesh, 2)), (PIPE_WINDOW_BYTES, None));
    there(&mut mesh, pipe, piece(1));
    assert_eq!(failure(&mesh, 2), over);

    open(&mut mesh, 3).unwrap();
    say(&mut mesh, 3, piece(PIPE_PIECE_BYTES + 1));
    let text = format!("a piece of a pipe has {PIPE_PIECE_BYTES} bytes at most");
    assert_eq!(failure(&mesh, 3), Some((ErrorCode::Limit, text)));
}
