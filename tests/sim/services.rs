//! What pipes connect to: on port 7 of every machine a service that sends back what it gets, on 9 one
//! that takes nothing; on all others nobody listens.

use crate::machine::{MachineId, Stimulus};
use crate::world::{Event, World};
use herd::wire::ids::PipeId;
use herd::wire::limits::{PIPE_PIECE_BYTES, PIPE_WINDOW_BYTES};
use herd::wire::pipe::Piece;
use herd::wire::reply::{ErrorCode, Failure};
use std::collections::VecDeque;
use std::net::SocketAddr;

pub const ECHO: u16 = 7;
pub const DEAF: u16 = 9;
/// How long after its cause a service says something, microseconds.
const DELAY_US: u64 = 100;

/// One connection to a service.
#[derive(Default)]
pub struct Service {
    port: u16,
    life: u32,
    waiting: VecDeque<u8>,
    sent_bytes: usize,
    ended: bool,
    over: bool,
}

impl World {
    pub(crate) fn connect(&mut self, id: MachineId, pipe: PipeId, to: &[SocketAddr]) {
        let port = to[0].port();
        let own = self.address(id).ip();
        if to.iter().all(|address| address.ip() != own) {
            self.fail(format!("a pipe connects to {to:?} on the machine {own}"));
        }
        let life = self.machines[id].life;
        let piece = if [ECHO, DEAF].contains(&port) {
            self.services.insert((id, pipe), Service { port, life, ..Service::default() });
            Piece::Opened
        } else {
            Piece::Failed(Failure::new(ErrorCode::Unreachable, "nothing listens there"))
        };
        self.say(id, pipe, life, piece);
    }

    /// What a node hands to a service.
    pub(crate) fn piece(&mut self, id: MachineId, pipe: PipeId, piece: Piece) {
        let Some(mut service) = self.services.remove(&(id, pipe)) else { return };
        match piece {
            Piece::Bytes(bytes) => service.waiting.extend(bytes),
            Piece::Taken(bytes) => service.sent_bytes -= bytes as usize,
            Piece::End => service.ended = true,
            Piece::Failed(_) => return,
            piece => self.fail(format!("a service is told {piece:?}")),
        }
        if service.waiting.len() > PIPE_WINDOW_BYTES {
            self.fail(format!("{} bytes wait for a service", service.waiting.len()));
        }
        self.send_back(id, pipe, &mut service);
        if !service.over {
            self.services.insert((id, pipe), service);
        }
    }

    fn send_back(&mut self, id: MachineId, pipe: PipeId, service: &mut Service) {
        if service.port == DEAF {
            return;
        }
        let life = service.life;
        while !service.waiting.is_empty() && service.sent_bytes < PIPE_WINDOW_BYTES {
            let room = PIPE_PIECE_BYTES.min(PIPE_WINDOW_BYTES - service.sent_bytes);
            let length = service.waiting.len().min(room);
            let bytes: Vec<u8> = service.waiting.drain(..length).collect();
            service.sent_bytes += length;
            self.say(id, pipe, life, Piece::Taken(length as u32));
            self.say(id, pipe, life, Piece::Bytes(bytes));
        }
        if service.ended && service.waiting.is_empty() {
            service.over = true;
            self.say(id, pipe, life, Piece::End);
        }
    }

    fn say(&mut self, machine: MachineId, pipe: PipeId, life: u32, piece: Piece) {
        let stimulus = Stimulus::Piece { pipe, piece };
        let event = Event::Stimulus { machine, life, stimulus };
        self.events.push(self.now_us + DELAY_US, event);
    }
}
