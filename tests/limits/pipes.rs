//! Byte pipes: how many, how much may be under way, how large a piece is.

use crate::mesh::{Mesh, address_of};
use herd::node::{Input, User};
use herd::wire::command::{Command, Scope};
use herd::wire::control::Request;
use herd::wire::ids::{ClientId, PipeId};
use herd::wire::key::HerdKey;
use herd::wire::limits::*;
use herd::wire::pipe::Piece;
use herd::wire::reply::{ErrorCode, Reply};

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
    let opens = matches!(piece, Piece::Open(_));
    let scope = if opens { Scope::Node("node2".to_string()) } else { Scope::Here };
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

#[test]
fn pipes_of_one_node() {
    let mut mesh = two();
    for number in 1..=PIPES as u64 {
        assert!(open(&mut mesh, number).is_some(), "{number}");
        assert_eq!(told(&mesh, number), [Reply::Pipe(Piece::Opened)]);
    }
    let limit = Some((ErrorCode::Limit, format!("limit of {PIPES} pipes of one node reached")));
    let begins = |failure: Option<(ErrorCode, String)>| {
        failure.map(|(code, text)| (code, text.split(':').next().unwrap().to_string()))
    };
    assert!(open(&mut mesh, 100).is_none());
    assert_eq!(begins(failure(&mesh, 100)), limit);
    // The other node is full as well, and says so to a third.
    mesh.add("node3", &[address_of(CALLER)]);
    mesh.run_ms(3_000);
    let piece = Piece::Open(22);
    let scope = Scope::Node("node2".to_string());
    let number = mesh.request(2, scope, Command::Pipe(piece));
    mesh.run_ms(1_000);
    let answer = mesh.parts(2, number);
    assert!(matches!(&answer[0].reply, Reply::Error(failure) if failure.code == ErrorCode::Limit));
    // One that ends makes room.
    mesh.turn(CALLER, Some(Input::ClientGone { client: CLIENT }));
    mesh.run_ms(300);
    assert!(open(&mut mesh, 101).is_some());
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
