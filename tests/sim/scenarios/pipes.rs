//! A byte pipe through parents carries every byte in order, stops for who does not take, blocks no
//! command, and one that breaks says so.

use super::{herd, keyed, phone, require_ping};
use crate::machine::{MachineId, Stimulus};
use crate::nat::Kind;
use crate::services::{DEAF, ECHO};
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::control::Request;
use herd::wire::ids::ClientId;
use herd::wire::limits::{PIPE_PIECE_BYTES, PIPE_WINDOW_BYTES};
use herd::wire::pipe::Piece;
use herd::wire::reply::{ErrorCode, Reply};
use rand::RngExt;

const CLIENT: ClientId = ClientId(3);

/// A program at one end of a pipe.
struct Program {
    at: MachineId,
    number: u64,
    sent: Vec<u8>,
    /// Of those taken at the other end.
    taken: usize,
    got: Vec<u8>,
    opened: bool,
    ended: bool,
    error: Option<ErrorCode>,
}

impl Program {
    fn open(world: &mut World, at: MachineId, to: MachineId, port: u16) -> Program {
        let number = world.next_pipe(at);
        let node = Scope::Node(world.machines[to].spec.name.clone());
        say(world, at, number, node, Piece::Open(port));
        let (sent, got) = (Vec::new(), Vec::new());
        Program { at, number, sent, taken: 0, got, opened: false, ended: false, error: None }
    }

    /// Takes what came; true when the pipe is over.
    fn listen(&mut self, world: &mut World) -> bool {
        let parts = world.take_pieces(self.at, self.number);
        for part in &parts {
            match &part.reply {
                Reply::Pipe(Piece::Opened) => self.opened = true,
                Reply::Pipe(Piece::Bytes(bytes)) => {
                    self.got.extend(bytes);
                    let taken = Piece::Taken(bytes.len() as u32);
                    say(world, self.at, self.number, Scope::Here, taken);
                }
                Reply::Pipe(Piece::Taken(bytes)) => self.taken += *bytes as usize,
                Reply::Pipe(Piece::End) => self.ended = true,
                Reply::Error(failure) => self.error = Some(failure.code),
                other => world.fail(format!("a pipe says {other:?}")),
            }
        }
        parts.last().is_some_and(|part| part.done)
    }

    /// Sends as much as may be under way, up to `total` in all, and then the end.
    fn send(&mut self, world: &mut World, total: usize) {
        while self.sent.len() < total && self.sent.len() - self.taken < PIPE_WINDOW_BYTES {
            let room = PIPE_WINDOW_BYTES - (self.sent.len() - self.taken);
            let length = room.min(PIPE_PIECE_BYTES).min(total - self.sent.len());
            let mut bytes = vec![0; length];
            world.rng.fill(&mut bytes[..]);
            self.sent.extend(&bytes);
            say(world, self.at, self.number, Scope::Here, Piece::Bytes(bytes));
            if self.sent.len() == total {
                say(world, self.at, self.number, Scope::Here, Piece::End);
            }
        }
    }

    fn require_open(&mut self, world: &mut World) {
        let open = world.run_until(6_000, |world| {
            self.listen(world);
            self.opened || self.error.is_some()
        });
        if !open || !self.opened {
            world.fail(format!("no pipe: {:?}", self.error));
        }
    }
}

fn say(world: &mut World, at: MachineId, number: u64, scope: Scope, piece: Piece) {
    let request = Request { number, scope, command: Command::Pipe(piece), timeout_ms: 0 };
    world.stimulate(at, Stimulus::Request { client: CLIENT, request });
}

/// Two hypervisors with a VM each, in a herd with a key.
fn nested(world: &mut World) -> (Vec<MachineId>, Vec<MachineId>) {
    world.key = keyed::key(1, 1);
    let top = world.machines(3);
    let mut vms = world.behind(top[0], Kind::LINUX, &["vm a"]);
    vms.extend(world.behind(top[1], Kind::LINUX, &["vm b"]));
    phone(world, top[2]);
    world.start_all();
    world.require_agreement(30_000);
    world.run_ms(20_000);
    (top, vms)
}

/// From one hidden node to another, each behind a hypervisor of its own, and a command beside it.
pub fn through_parents(world: &mut World) {
    let (_, vms) = nested(world);
    let mut program = Program::open(world, vms[0], vms[1], ECHO);
    program.require_open(world);
    let total = world.rng.random_range(1..600_000);
    let mut pinged = false;
    let over = world.run_until(60_000, |world| {
        program.send(world, total);
        if !pinged && program.got.len() > total / 2 {
            pinged = true;
            require_ping(world, vms[0], vms[1]);
        }
        program.listen(world)
    });
    if !over || !program.ended || program.got != program.sent || program.sent.len() != total {
        let (sent, got) = (program.sent.len(), program.got.len());
        let why = program.error;
        world.fail(format!("over: {over}; {sent} of {total} bytes sent, {got} came back; {why:?}"));
    }
}

/// A pipe that nobody uses for minutes is still there; then a parent on its way dies.
pub fn idle_and_broken(world: &mut World) {
    let (top, vms) = nested(world);
    let mut program = Program::open(world, vms[0], vms[1], ECHO);
    program.require_open(world);
    world.run_ms(200_000);
    program.send(world, 10);
    let back = world.run_until(1_000, |world| {
        program.listen(world);
        program.got == program.sent
    });
    if !back {
        world.fail(format!("an idle pipe lost its bytes: {:?}", program.error));
    }
    let mut program = Program::open(world, vms[0], vms[1], ECHO);
    program.require_open(world);
    program.send(world, 200_000);
    world.kill(top[1]);
    let over = world.run_until(5_000, |world| program.listen(world));
    if !over || program.error.is_none() || !program.sent.starts_with(&program.got) {
        world.fail(format!("of a broken pipe is said: {over} {:?}", program.error));
    }
}

/// Who takes nothing stops the sender, and holds up nothing else.
pub fn not_taken(world: &mut World) {
    world.key = keyed::key(1, 1);
    let ids = herd(world, 3);
    let mut deaf = Program::open(world, ids[0], ids[1], DEAF);
    deaf.require_open(world);
    deaf.send(world, 10 * PIPE_WINDOW_BYTES);
    world.run_ms(5_000);
    deaf.listen(world);
    if deaf.taken != 0 || deaf.sent.len() != PIPE_WINDOW_BYTES || deaf.error.is_some() {
        world.fail(format!("{} taken of {}: {:?}", deaf.taken, deaf.sent.len(), deaf.error));
    }
    require_ping(world, ids[0], ids[1]);
    // One piece more than the window, and the pipe is no more.
    say(world, ids[0], deaf.number, Scope::Here, Piece::Bytes(vec![0]));
    if !world.run_until(100, |world| deaf.listen(world)) || deaf.error != Some(ErrorCode::Limit) {
        world.fail(format!("over the window: {:?}", deaf.error));
    }
    refused(world, ids[0], ids[1], 22, ErrorCode::Unreachable);
}

/// In an open herd nobody gets a pipe.
pub fn open_herd(world: &mut World) {
    let ids = herd(world, 3);
    refused(world, ids[0], ids[1], ECHO, ErrorCode::Refused);
}

fn refused(world: &mut World, from: MachineId, to: MachineId, port: u16, code: ErrorCode) {
    let mut program = Program::open(world, from, to, port);
    if !world.run_until(6_000, |world| program.listen(world)) || program.error != Some(code) {
        world.fail(format!("port {port}: {:?}", program.error));
    }
}
