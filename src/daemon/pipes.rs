//! The far ends of byte pipes: connections to ports of this machine, for other nodes' programs.
//!
//! The core says what to connect to and hands on bytes; each connection reads no more than the other
//! end takes, and holds no more than a window of what it could not write yet.

use crate::daemon::streams::dialled;
use crate::daemon::tokens::Source;
use crate::node::Input;
use crate::wire::ids::PipeId;
use crate::wire::limits::{DIAL_MS, PIPE_PIECE_BYTES, PIPE_WINDOW_BYTES, PIPES};
use crate::wire::pipe::Piece;
use crate::wire::reply::{ErrorCode, Failure};
use crate::wire::time::Time;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

struct Connection {
    socket: TcpStream,
    peer: SocketAddr,
    /// Where to dial next if this address does not answer.
    others: Vec<SocketAddr>,
    /// While it is dialled: until when.
    dialling: Option<Time>,
    readable: bool,
    writable: bool,
    outgoing: VecDeque<u8>,
    /// Read and handed on, and not taken at the other end yet.
    sent_bytes: usize,
    /// Its side said that no more follows, and so did the other.
    read_all: bool,
    other_ended: bool,
    /// It has ended both ways, or failed.
    over: bool,
}

pub struct Pipes {
    registry: Registry,
    connections: BTreeMap<PipeId, Connection>,
    /// What the core has to hear.
    news: VecDeque<(PipeId, Piece)>,
}

impl Pipes {
    pub fn new(registry: Registry) -> Pipes {
        Pipes { registry, connections: BTreeMap::new(), news: VecDeque::new() }
    }

    pub fn on_event(&mut self, id: PipeId, event: &Event) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.readable |=
                event.is_readable() || event.is_read_closed() || event.is_error();
            connection.writable |= event.is_writable() || event.is_error();
        }
    }

    pub fn more(&self) -> bool {
        !self.news.is_empty() || self.connections.values().any(Connection::is_busy)
    }

    pub fn deadline(&self) -> Option<Time> {
        self.connections.values().filter_map(|connection| connection.dialling).min()
    }

    /// Dials the first of these addresses, and the next where that one does not answer.
    pub fn connect(&mut self, now: Time, id: PipeId, mut to: Vec<SocketAddr>) {
        if self.connections.len() >= 2 * PIPES {
            let text = format!("{} connections of earlier pipes have not ended", 2 * PIPES);
            return self.failed(id, ErrorCode::Limit, text);
        }
        while !to.is_empty() {
            let address = to.remove(0);
            match self.dial(id, address) {
                Ok(socket) => {
                    let connection = Connection::new(socket, address, to, now.plus_ms(DIAL_MS));
                    self.connections.insert(id, connection);
                    return;
                }
                Err(e) if to.is_empty() => {
                    return self.failed(id, ErrorCode::Unreachable, refusal(address, &e));
                }
                Err(_) => {}
            }
        }
    }

    fn dial(&self, id: PipeId, to: SocketAddr) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(to)?;
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut socket, Source::Pipe(id).token(), interests)?;
        Ok(socket)
    }

    /// What the core has for a connection.
    pub fn carry_out(&mut self, id: PipeId, piece: Piece) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match piece {
            Piece::Bytes(bytes) => connection.outgoing.extend(bytes),
            Piece::Taken(bytes) => {
                connection.sent_bytes = connection.sent_bytes.saturating_sub(bytes as usize);
            }
            Piece::End => connection.other_ended = true,
            Piece::Failed(_) => {
                // The program here is to see that this is no proper end.
                let _ =
                    socket2::SockRef::from(&connection.socket).set_linger(Some(Default::default()));
                connection.over = true;
            }
            Piece::Open(_) | Piece::Opened => {}
        }
    }

    /// One turn: finishes dials, hands on what was read and what became of what was to be written.
    pub fn turn(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.look_at_dial(now, id);
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            while let Some(piece) = connection.read() {
                self.news.push_back((id, piece));
            }
        }
        while let Some((pipe, piece)) = self.news.pop_front() {
            feed(Input::Piece { pipe, piece });
        }
    }

    fn look_at_dial(&mut self, now: Time, id: PipeId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(until) = connection.dialling else { return };
        let outcome = match connection.writable {
            true => dialled(&connection.socket),
            false if until <= now => Err(ErrorKind::TimedOut.into()),
            false => Ok(false),
        };
        match outcome {
            Ok(true) => {
                connection.dialling = None;
                self.news.push_back((id, Piece::Opened));
            }
            Ok(false) => {}
            Err(e) => {
                let others = std::mem::take(&mut connection.others);
                let at = connection.peer;
                self.remove(id);
                if others.is_empty() {
                    self.failed(id, ErrorCode::Unreachable, refusal(at, &e));
                } else {
                    self.connect(now, id, others);
                }
            }
        }
    }

    /// Writes what the outputs of this turn queued.
    pub fn flush(&mut self) {
        for (id, connection) in &mut self.connections {
            if let Some(piece) = connection.write() {
                self.news.push_back((*id, piece));
            }
        }
        let over = self.connections.iter().filter(|(_, connection)| connection.over);
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove(id);
        }
    }

    fn failed(&mut self, id: PipeId, code: ErrorCode, text: String) {
        self.news.push_back((id, Piece::Failed(Failure::new(code, text))));
    }

    fn remove(&mut self, id: PipeId) {
        if let Some(mut connection) = self.connections.remove(&id) {
            let _ = self.registry.deregister(&mut connection.socket);
        }
    }
}

impl Connection {
    fn new(
        socket: TcpStream,
        peer: SocketAddr,
        others: Vec<SocketAddr>,
        until: Time,
    ) -> Connection {
        Connection {
            socket,
            peer,
            others,
            dialling: Some(until),
            readable: false,
            writable: false,
            outgoing: VecDeque::new(),
            sent_bytes: 0,
            read_all: false,
            other_ended: false,
            over: false,
        }
    }

    /// Whether there is something to do without waiting for the kernel.
    fn is_busy(&self) -> bool {
        self.dialling.is_none() && self.may_read_bytes() > 0
    }

    fn may_read_bytes(&self) -> usize {
        let window_bytes = PIPE_WINDOW_BYTES.saturating_sub(self.sent_bytes);
        let closed = self.read_all || self.over || !self.readable;
        if closed { 0 } else { window_bytes.min(PIPE_PIECE_BYTES) }
    }

    /// The next bytes, as long as the other end takes them.
    fn read(&mut self) -> Option<Piece> {
        let most = self.may_read_bytes();
        if most == 0 || self.dialling.is_some() {
            return None;
        }
        let mut bytes = vec![0; most];
        match self.socket.read(&mut bytes) {
            Ok(0) => {
                self.read_all = true;
                Some(Piece::End)
            }
            Ok(length) => {
                bytes.truncate(length);
                self.sent_bytes += length;
                Some(Piece::Bytes(bytes))
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => None,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                None
            }
            Err(e) => Some(self.broke(&e)),
        }
    }

    /// Writes what the kernel takes and says how much that was.
    fn write(&mut self) -> Option<Piece> {
        let mut taken_bytes = 0;
        while self.writable && !self.outgoing.is_empty() && !self.over {
            match self.socket.write(self.outgoing.as_slices().0) {
                Ok(length) => {
                    taken_bytes += length as u32;
                    self.outgoing.drain(..length);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(e) => return Some(self.broke(&e)),
            }
        }
        if self.other_ended && self.outgoing.is_empty() && self.dialling.is_none() {
            let _ = self.socket.shutdown(Shutdown::Write);
            self.over |= self.read_all;
        }
        (taken_bytes > 0).then_some(Piece::Taken(taken_bytes))
    }

    fn broke(&mut self, e: &io::Error) -> Piece {
        self.over = true;
        let text = format!("its connection to {} broke: {e}", self.peer);
        Piece::Failed(Failure::new(ErrorCode::Unreachable, text))
    }
}

/// The sentence for who wanted that connection.
fn refusal(at: SocketAddr, e: &io::Error) -> String {
    match e.kind() {
        ErrorKind::ConnectionRefused => format!(
            "nothing listens there on {at} (what listens on 127.0.0.1 alone is for its own machine)"
        ),
        ErrorKind::TimedOut => format!("nothing answers there on {at}"),
        _ => format!("{at} can not be connected to there: {e}"),
    }
}
