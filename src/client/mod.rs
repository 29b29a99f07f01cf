//! Talks to the local daemon: connect, ask, collect answers, follow events. Prints nothing; the
//! command line and the C library are equal users of it.
//!
//! [`Connection`] carries requests and parts of answers, [`ask`] makes whole answers of them.
//! [`verbs`] is the table of what can be asked, [`words`] reads what a person typed, [`render`]
//! makes the text people read and [`json`] the objects programs read.

pub mod answers;
pub mod ask;
pub mod inventory;
pub mod json;
pub mod order;
pub mod past;
pub mod path;
pub mod render;
mod resolve;
pub mod table;
pub mod verbs;
mod why;
pub mod words;

use crate::wire::codec::{FrameReader, decode, encode, frame};
use crate::wire::command::{Command, Scope};
use crate::wire::control::{Part, Request};
use crate::wire::limits::{ANSWER_MS, FRAME_BYTES, GOODBYE_MS};
use crate::wire::pipe::Piece;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use answers::{Answer, Gathering};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much longer than the daemon we wait before we call it dead: a stopping node takes its
/// [`GOODBYE_MS`], and a busy machine some more.
const GRACE_MS: u64 = GOODBYE_MS + 1_000;
/// The same for who asks whether it hangs.
const HURRY_MS: u64 = 500;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 << 10;

/// Why the local daemon could not be asked.
#[derive(Debug)]
pub enum Error {
    /// Nobody listens: no socket, or one that a dead daemon left.
    NotRunning(PathBuf),
    /// The socket is there, and connecting to it failed.
    Connect(PathBuf, io::Error),
    /// No path was given and none follows from the environment.
    NoPath,
    /// The daemon closed the connection before the answer was complete.
    Gone,
    /// The daemon said nothing for this long, milliseconds.
    Silent(u64),
    /// The daemon sent what is no answer.
    Damaged(String),
    /// The daemon serves this connection no further (or would not), and says why.
    Refused(Failure),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotRunning(path) => write!(f, "nobody listens on {}", path.display()),
            Error::Connect(path, cause) if cause.kind() == ErrorKind::PermissionDenied => write!(
                f,
                "{}: permission denied: become its user, or join the group that owns it",
                path.display()
            ),
            Error::Connect(path, cause) => write!(f, "{}: {cause}", path.display()),
            Error::NoPath => {
                f.write_str("HOME is not set: name the socket with -s or DAUST_SOCKET")
            }
            Error::Gone => f.write_str("it closed the connection before the answer was complete"),
            Error::Silent(ms) if ms % 1_000 < 100 => {
                write!(f, "it said nothing for {} s", ms / 1_000)
            }
            Error::Silent(ms) => {
                write!(f, "it said nothing for {}.{} s", ms / 1_000, ms % 1_000 / 100)
            }
            Error::Damaged(why) => write!(f, "it sent what is no answer: {why}"),
            Error::Refused(failure) => f.write_str(&failure.detail),
        }
    }
}

/// A connection to the local daemon. Several requests may be under way on it; each has a number.
pub struct Connection {
    stream: UnixStream,
    reader: FrameReader,
    last_number: u64,
    grace_ms: u64,
}

impl Connection {
    pub fn open(path: &Path) -> Result<Connection, Error> {
        let stream = connect(path).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NotRunning(path.into()),
            _ => Error::Connect(path.into(), cause),
        })?;
        Ok(Connection::of(stream))
    }

    fn of(stream: UnixStream) -> Connection {
        Connection { stream, reader: FrameReader::default(), last_number: 0, grace_ms: GRACE_MS }
    }

    /// From now on a daemon that says nothing is called dead soon: whether it hangs is the question.
    pub fn hurry(&mut self) {
        self.grace_ms = HURRY_MS;
    }

    /// Sends a request and gives its number. A time-out of 0 is the daemon's default.
    pub fn send(&mut self, scope: Scope, command: Command, timeout_ms: u64) -> Result<u64, Error> {
        self.last_number += 1;
        let number = self.last_number;
        self.write_request(&Request { number, scope, command, timeout_ms })?;
        Ok(number)
    }

    /// Sends a further piece along the pipe that was asked for under this number.
    pub fn send_piece(&mut self, number: u64, piece: Piece) -> Result<(), Error> {
        let command = Command::Pipe(piece);
        self.write_request(&Request { number, scope: Scope::Here, command, timeout_ms: 0 })
    }

    fn write_request(&mut self, request: &Request) -> Result<(), Error> {
        let bytes = encode(request);
        if bytes.len() > FRAME_BYTES {
            let detail = format!("a request over {FRAME_BYTES} bytes is refused");
            return Err(Error::Refused(Failure::new(ErrorCode::Limit, detail)));
        }
        match self.write(&frame(&bytes)) {
            Ok(()) => Ok(()),
            Err(cause) if waited(&cause) => {
                // Half a frame may be out: nothing that follows would be understood.
                let _ = self.stream.shutdown(Shutdown::Both);
                Err(Error::Silent(ANSWER_MS))
            }
            Err(_) => Err(self.last_word()),
        }
    }

    /// Writes without raising SIGPIPE, which would end a C program.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        while !bytes.is_empty() {
            match SockRef::from(&self.stream).send_with_flags(bytes, libc::MSG_NOSIGNAL) {
                Ok(length) => bytes = &bytes[length..],
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    /// Why the daemon hung up, if it said so.
    fn last_word(&mut self) -> Error {
        loop {
            match self.next(Some(Duration::ZERO)) {
                Ok(Some(_)) => {}
                Ok(None) => return Error::Gone,
                Err(error) => return error,
            }
        }
    }

    /// Follows what happens: from now on parts with the number given back carry events.
    pub fn subscribe(&mut self) -> Result<u64, Error> {
        self.send(Scope::Here, Command::Watch, 0)
    }

    /// The next part, of whichever request. Waits for ever without `wait`, and not at all if it
    /// is zero; None says that nothing came in that time.
    pub fn next(&mut self, wait: Option<Duration>) -> Result<Option<Part>, Error> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            if let Some(bytes) = self.reader.next(FRAME_BYTES).map_err(Error::Damaged)? {
                return part(&bytes).map(Some);
            }
            let left = deadline.map(|time| time.saturating_duration_since(Instant::now()));
            let mut bytes = [0; READ_BYTES];
            match self.read(&mut bytes, left) {
                Ok(0) => return Err(Error::Gone),
                Ok(length) => self.reader.push(&bytes[..length]),
                Err(cause) if waited(&cause) => return Ok(None),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Error::Gone),
            }
        }
    }

    fn read(&mut self, bytes: &mut [u8], wait: Option<Duration>) -> io::Result<usize> {
        let at_once = wait == Some(Duration::ZERO);
        self.stream.set_nonblocking(at_once)?;
        if !at_once {
            self.stream.set_read_timeout(wait)?;
        }
        self.stream.read(bytes)
    }

    /// Waits until a daemon that was told to stop has gone, so that another can be started.
    pub fn wait_end(&mut self, most: Duration) {
        let end = Instant::now() + most;
        while let Ok(Some(_)) = self.next(Some(end.saturating_duration_since(Instant::now()))) {}
    }

    /// Asks, and hands over each node's whole answer as it arrives, until the last one is in or
    /// `on_answer` has had enough.
    pub fn call(
        &mut self,
        scope: Scope,
        command: Command,
        timeout_ms: u64,
        mut on_answer: impl FnMut(Answer) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let asked = Instant::now();
        let number = self.send(scope, command, timeout_ms)?;
        let wait_ms = if timeout_ms == 0 { ANSWER_MS } else { timeout_ms } + self.grace_ms;
        let mut gathering = Gathering::new(number);
        loop {
            let part = self.next(Some(Duration::from_millis(wait_ms)))?;
            let part = part.ok_or(Error::Silent(wait_ms))?;
            let elapsed_us = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
            let finished = part.number == number && part.done;
            for answer in gathering.take(part, elapsed_us) {
                if on_answer(answer).is_break() {
                    return Ok(());
                }
            }
            if finished {
                return Ok(());
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The send time-out bounds the connecting too: a daemon that is stopped by a signal and whose
/// queue is full would hold us for ever.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

/// What answers no request (its number is 0) says why the daemon hangs up.
fn part(bytes: &[u8]) -> Result<Part, Error> {
    match decode::<Part>(bytes).map_err(Error::Damaged)? {
        Part { number: 0, reply: Reply::Error(failure), .. } => Err(Error::Refused(failure)),
        part => Ok(part),
    }
}

fn waited(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_at_the_limit_and_over_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let drain = std::thread::spawn(move || io::copy(&mut theirs, &mut io::sink()).unwrap());
        let mut daemon = Connection::of(ours);
        // The number takes one byte in both; a name this long has a prefix of five.
        let bare = Request {
            number: 1,
            scope: Scope::Here,
            command: Command::Forget("x".repeat(1 << 16)),
            timeout_ms: 0,
        };
        let around = encode(&bare).len() - (1 << 16);
        let name = |length: usize| Command::Forget("x".repeat(length - around));
        assert!(daemon.send(Scope::Here, name(FRAME_BYTES), 0).is_ok());
        let refused = daemon.send(Scope::Here, name(FRAME_BYTES + 1), 0).unwrap_err();
        assert!(refused.to_string().contains(&FRAME_BYTES.to_string()), "{refused}");
        drop(daemon);
        let limit = (crate::wire::codec::PREFIX_BYTES + FRAME_BYTES) as u64;
        assert_eq!(drain.join().unwrap(), limit);
    }

    #[test]
    fn the_last_word_is_heard_even_if_the_request_finds_nobody() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let reply = Reply::Error(Failure::new(ErrorCode::Limit, "64 clients"));
        let (number, node, id) = (0, String::new(), crate::wire::ids::NodeId::ANYBODY);
        let part = Part { number, node, id, reply, last: true, done: true };
        let daemon = Connection::of(theirs);
        daemon.write(&frame(&encode(&part))).unwrap();
        drop(daemon);
        let mut daemon = Connection::of(ours);
        let error = daemon.call(Scope::Here, Command::Ping, 0, |_| ControlFlow::Continue(()));
        assert_eq!(error.unwrap_err().to_string(), "64 clients");
        assert!(matches!(daemon.send(Scope::Here, Command::Ping, 0), Err(Error::Gone)));
    }
}
