//! TCP between nodes: accepts and dials, cuts streams into frames, and keeps every limit.
//!
//! A stream is dialling, then unproved, then proved, and in the end hanging up. The core hears of
//! each opened stream, of its frames, and once of its end unless it hung up itself.

use crate::daemon::accept::Gate;
use crate::daemon::connection::{Connection, Next, reason};
use crate::daemon::tokens::Source;
use crate::daemon::udp::{bind, plain};
use crate::node::{Closed, Input};
use crate::wire::ids::StreamId;
use crate::wire::limits::{
    DIAL_MS, DIALS, DRAIN_MS, FRAME_BYTES, READ_BYTES_PER_TURN, READS_PER_TURN,
    STREAM_BUFFER_BYTES, STREAMS, UNPROVED_FRAME_BYTES, UNPROVED_MS, UNPROVED_STREAMS,
    UNPROVED_STREAMS_PER_SOURCE,
};
use crate::wire::time::Time;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use nix::libc::EINPROGRESS;
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

/// Connections the kernel may hold until the loop accepts them: a herd that starts at once.
const BACKLOG: i32 = 1_024;
/// A peer whose host vanished is noticed by its kernel's silence: after 30 s, 3 times 10 s.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);
/// What was sent and is acknowledged by nobody for so long ends the stream: the address at one end
/// may be gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Dialling,
    Unproved {
        accepted: bool,
    },
    Proved,
    /// What was queued goes out, then the peer's end is waited for.
    HangingUp {
        said: bool,
    },
}

struct Stream {
    connection: Connection<TcpStream>,
    peer: SocketAddr,
    phase: Phase,
    /// When the phase must be over.
    until: Option<Time>,
}

pub struct Streams {
    registry: Registry,
    listener: TcpListener,
    gate: Gate,
    /// `-b`: dials go out from there too, so that peers see one address.
    source: Option<IpAddr>,
    open: BTreeMap<StreamId, Stream>,
    /// Dials over the limit, in order.
    waiting: VecDeque<(StreamId, SocketAddr)>,
    /// Ends that the core has not heard of yet.
    closed: VecDeque<(StreamId, Closed)>,
    next_accepted: u64,
    /// [`STREAMS`], or less where file descriptors are few: local programs need some as well.
    limit: usize,
}

impl Streams {
    /// `files` is how many descriptors the process may have.
    pub fn listen(
        registry: Registry,
        address: Option<IpAddr>,
        port: u16,
        files: u64,
    ) -> io::Result<Streams> {
        let socket = bind(Type::STREAM, address, port)?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let token = Source::StreamListener.token();
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Streams {
            registry,
            listener,
            gate: Gate::default(),
            source: address.filter(|ip| !ip.is_unspecified()),
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            closed: VecDeque::new(),
            next_accepted: 2,
            limit: STREAMS.min(files as usize / 2),
        })
    }

    pub fn on_listener(&mut self) {
        self.gate.on_event();
    }

    pub fn on_event(
        &mut self,
        now: Time,
        id: StreamId,
        event: &Event,
        feed: &mut dyn FnMut(Input),
    ) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        stream.connection.on_event(event);
        if stream.phase != Phase::Dialling {
            return;
        }
        match dialled(&stream.connection.socket) {
            Ok(false) => {}
            Ok(true) => {
                stream.phase = Phase::Unproved { accepted: false };
                stream.until = Some(now.plus_ms(UNPROVED_MS));
                feed(Input::StreamOpened { stream: id, peer: stream.peer });
            }
            Err(e) => self.close(id, reason(&e)),
        }
    }

    /// Whether there is something to do without waiting for the kernel.
    pub fn more(&self) -> bool {
        let active = |s: &Stream| s.phase != Phase::Dialling && s.connection.active();
        self.gate.more() || !self.closed.is_empty() || self.open.values().any(active)
    }

    pub fn deadline(&self) -> Option<Time> {
        let phases = self.open.values().filter_map(|stream| stream.until);
        phases.chain(self.gate.deadline()).min()
    }

    /// One turn: accepts, closes what is overdue, and hands on what has arrived.
    pub fn turn(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        self.accept(now, feed);
        self.expire(now);
        let active = |s: &Stream| s.phase != Phase::Dialling && s.connection.active();
        let ids: Vec<StreamId> =
            self.open.iter().filter(|(_, stream)| active(stream)).map(|(id, _)| *id).collect();
        for id in ids {
            self.read(id, feed);
        }
        while let Some((stream, closed)) = self.closed.pop_front() {
            feed(Input::StreamClosed { stream, closed });
        }
    }

    /// Sends what the outputs of this turn queued, and starts dials that have waited.
    pub fn flush(&mut self, now: Time) {
        let failed = |(id, stream): (&StreamId, &mut Stream)| {
            let quiet = stream.phase == Phase::Dialling || stream.connection.queued_bytes() == 0;
            let result = if quiet { Ok(()) } else { stream.connection.flush() };
            result.err().map(|closed| (*id, closed))
        };
        let failed: Vec<(StreamId, Closed)> = self.open.iter_mut().filter_map(failed).collect();
        for (id, closed) in failed {
            self.close(id, closed);
        }
        self.say_goodbye();
        while self.dials() < DIALS
            && let Some((id, to)) = self.waiting.pop_front()
        {
            self.start_dial(now, id, to);
        }
    }

    pub fn dial(&mut self, now: Time, id: StreamId, to: SocketAddr) {
        if self.open.len() + self.waiting.len() >= self.limit {
            log::warn!("{to} is not dialled: {} streams are the limit", self.limit);
            self.closed.push_back((id, Closed::Limit));
        } else if self.dials() >= DIALS {
            self.waiting.push_back((id, to));
        } else {
            self.start_dial(now, id, to);
        }
    }

    pub fn send(&mut self, id: StreamId, frame: &[u8]) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        if matches!(stream.phase, Phase::HangingUp { .. }) {
            return;
        }
        if let Err(closed) = stream.connection.queue(frame, STREAM_BUFFER_BYTES) {
            log::warn!("{} does not read: {STREAM_BUFFER_BYTES} bytes wait for it", stream.peer);
            self.close(id, closed);
        }
    }

    pub fn proved(&mut self, id: StreamId) {
        if let Some(stream) = self.open.get_mut(&id)
            && matches!(stream.phase, Phase::Unproved { .. })
        {
            stream.phase = Phase::Proved;
            stream.until = None;
        }
    }

    /// The core has done with it: it hears no more of this stream.
    pub fn hang_up(&mut self, now: Time, id: StreamId) {
        self.waiting.retain(|(waiting, _)| *waiting != id);
        self.closed.retain(|(closed, _)| *closed != id);
        match self.open.get_mut(&id) {
            Some(stream) if stream.phase == Phase::Dialling => self.remove(id),
            Some(stream) => {
                stream.phase = Phase::HangingUp { said: false };
                stream.until = Some(now.plus_ms(DRAIN_MS));
            }
            None => {}
        }
    }

    /// How many are open, dials under way included.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    fn dials(&self) -> usize {
        self.open.values().filter(|stream| stream.phase == Phase::Dialling).count()
    }

    fn accept(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        for _ in 0..READS_PER_TURN {
            if !self.gate.open(now) {
                return;
            }
            if let Some((socket, from)) = self.gate.accepted(now, self.listener.accept())
                && let Some(input) = self.admit(now, socket, plain(from))
            {
                feed(input);
            }
        }
    }

    /// Takes a stranger in, or drops it where it passes a limit.
    fn admit<'a>(&mut self, now: Time, socket: TcpStream, peer: SocketAddr) -> Option<Input<'a>> {
        let strangers =
            self.open.values().filter(|stream| stream.phase == Phase::Unproved { accepted: true });
        let of_source = strangers.clone().filter(|stream| stream.peer.ip() == peer.ip()).count();
        let unproved = UNPROVED_STREAMS.min(self.limit / 2);
        let limit = if self.open.len() >= self.limit {
            Some(("streams", self.limit))
        } else if strangers.count() >= unproved {
            Some(("unproved streams", unproved))
        } else if of_source >= UNPROVED_STREAMS_PER_SOURCE {
            Some(("unproved streams a source", UNPROVED_STREAMS_PER_SOURCE))
        } else {
            None
        };
        if let Some((name, limit)) = limit {
            log::warn!("stream from {peer} not taken: {name}, {limit}, is the limit");
            return None;
        }
        let id = StreamId(self.next_accepted);
        self.next_accepted += 2;
        let until = now.plus_ms(UNPROVED_MS);
        match self.insert(id, socket, peer, Phase::Unproved { accepted: true }, until) {
            Ok(()) => Some(Input::StreamOpened { stream: id, peer }),
            Err(e) => {
                log::warn!("stream from {peer} not taken: {e}");
                None
            }
        }
    }

    fn start_dial(&mut self, now: Time, id: StreamId, to: SocketAddr) {
        let started = self
            .connect(to)
            .and_then(|socket| self.insert(id, socket, to, Phase::Dialling, now.plus_ms(DIAL_MS)));
        if let Err(e) = started {
            log::debug!("dial to {to} failed: {e}");
            self.closed.push_back((id, reason(&e)));
        }
    }

    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket =
            socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if let Some(ip) = self.source {
            socket.bind(&SocketAddr::new(ip, 0).into())?;
        }
        match socket.connect(&to.into()) {
            Err(e) if e.raw_os_error() != Some(EINPROGRESS) => Err(e),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    fn insert(
        &mut self,
        id: StreamId,
        mut socket: TcpStream,
        peer: SocketAddr,
        phase: Phase,
        until: Time,
    ) -> io::Result<()> {
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_tcp_keepalive(&KEEPALIVE)?;
        SockRef::from(&socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut socket, Source::Stream(id).token(), interests)?;
        let connection = Connection::new(socket);
        self.open.insert(id, Stream { connection, peer, phase, until: Some(until) });
        Ok(())
    }

    fn read(&mut self, id: StreamId, feed: &mut dyn FnMut(Input)) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        // Before proof one frame a turn: the answer to it may be `Proved`, which lifts limits.
        let (frames, limit_bytes) = match stream.phase {
            Phase::HangingUp { .. } => {
                if stream.connection.discard() {
                    self.remove(id);
                }
                return;
            }
            Phase::Proved => (READS_PER_TURN, FRAME_BYTES),
            _ => (1, UNPROVED_FRAME_BYTES),
        };
        let mut budget_bytes = READ_BYTES_PER_TURN;
        for _ in 0..frames {
            match stream.connection.next_frame(limit_bytes, &mut budget_bytes) {
                Next::Frame(bytes) => feed(Input::StreamFrame { stream: id, bytes: &bytes }),
                Next::Nothing | Next::Later => return,
                Next::Closed(closed) => return self.close(id, closed),
            }
        }
        stream.connection.stop_for_now();
    }

    fn expire(&mut self, now: Time) {
        let overdue = self.open.iter().filter(|(_, s)| s.until.is_some_and(|until| until <= now));
        let overdue: Vec<(StreamId, Phase)> = overdue.map(|(id, s)| (*id, s.phase)).collect();
        for (id, phase) in overdue {
            match phase {
                Phase::Dialling => self.close(id, Closed::Unreachable),
                _ => self.close(id, Closed::Limit),
            }
        }
    }

    /// Streams hanging up whose last byte is written tell the peer so.
    fn say_goodbye(&mut self) {
        for stream in self.open.values_mut() {
            if stream.phase == (Phase::HangingUp { said: false })
                && stream.connection.queued_bytes() == 0
            {
                let _ = stream.connection.socket.shutdown(Shutdown::Write);
                stream.phase = Phase::HangingUp { said: true };
            }
        }
    }

    /// Ends a stream; the core hears of it unless it hung up itself.
    fn close(&mut self, id: StreamId, closed: Closed) {
        let hanging_up = |s: &Stream| matches!(s.phase, Phase::HangingUp { .. });
        if !self.open.get(&id).is_none_or(hanging_up) {
            self.closed.push_back((id, closed));
        }
        self.remove(id);
    }

    fn remove(&mut self, id: StreamId) {
        if let Some(mut stream) = self.open.remove(&id) {
            let _ = self.registry.deregister(&mut stream.connection.socket);
        }
    }
}

/// Whether a dial has succeeded; an error when it has failed.
pub fn dialled(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
