//! `daust nc NODE PORT`: standard input and output become a connection to a port of another node.

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::cli::{no_daemon, wrong_words};
use crate::client::{Connection, Error, path};
use crate::wire::command::{Command, Scope};
use crate::wire::limits::{ANSWER_MS, GOODBYE_MS, PIPE_PIECE_BYTES, PIPE_WINDOW_BYTES};
use crate::wire::pipe::Piece;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Bytes that a pipe takes at once where poll says that it takes any.
const WRITE_BYTES: usize = 4_096;
/// How long the daemon may take to say whether there is a pipe.
const OPEN: Duration = Duration::from_millis(ANSWER_MS + GOODBYE_MS);

/// Why a pipe is no more.
enum Broken {
    Daemon(Error),
    Pipe(Failure),
    /// Standard input or output.
    Here(io::Error),
}

struct Pipe {
    daemon: Connection,
    number: u64,
    begun: Instant,
    is_open: bool,
    /// Sent and not taken at the other end yet.
    sent_bytes: usize,
    read_all: bool,
    /// Came, and not written yet: never more than the window.
    outgoing: VecDeque<u8>,
    /// Written, and not said yet.
    taken_bytes: usize,
    other_ended: bool,
    said_end: bool,
    over: bool,
}

/// What can be done without waiting.
struct Ready {
    read: bool,
    write: bool,
}

/// Gives the exit status.
pub fn run(arguments: &[String], options: &Options, screen: &mut Screen) -> i32 {
    let [node, port] = arguments else {
        return wrong_words(screen, "`nc` wants a node and a port");
    };
    let Some(port) = port.parse().ok().filter(|port| *port > 0) else {
        return wrong_words(screen, &format!("`{port}` is no port: 1 to 65535"));
    };
    match open(node, port, options).map_err(Broken::Daemon).and_then(Pipe::run) {
        Ok(()) => screen.status(),
        Err(Broken::Daemon(error)) => no_daemon(screen, &error),
        Err(Broken::Pipe(failure)) => {
            let why = match failure.code {
                ErrorCode::UnknownNode | ErrorCode::Ambiguous => failure.detail,
                _ => format!("can not reach port {port} of {node}: {}", failure.detail),
            };
            screen.fail(failure.code.word(), &why);
            screen.status()
        }
        // Whoever read what we wrote is gone: that is how a pipe ends.
        Err(Broken::Here(e)) if e.kind() == io::ErrorKind::BrokenPipe => screen.status(),
        Err(Broken::Here(e)) => {
            screen.fail("internal", &format!("standard input or output: {e}"));
            screen.status()
        }
    }
}

fn open(node: &str, port: u16, options: &Options) -> Result<Pipe, Error> {
    let path = options.socket.clone().map_or_else(path::socket, Ok)?;
    let mut daemon = Connection::open(&path)?;
    let command = Command::Pipe(Piece::Open(port));
    let number = daemon.send(Scope::Node(node.to_string()), command, 0)?;
    Ok(Pipe {
        daemon,
        number,
        begun: Instant::now(),
        is_open: false,
        sent_bytes: 0,
        read_all: false,
        outgoing: VecDeque::new(),
        taken_bytes: 0,
        other_ended: false,
        said_end: false,
        over: false,
    })
}

impl Pipe {
    /// Carries bytes both ways until both sides have ended. Neither side holds the other up.
    fn run(mut self) -> Result<(), Broken> {
        loop {
            self.listen()?;
            if self.over && self.outgoing.is_empty() {
                return Ok(());
            }
            let ready = self.wait()?;
            if ready.write {
                self.write()?;
            }
            if ready.read {
                self.send()?;
            }
        }
    }

    fn listen(&mut self) -> Result<(), Broken> {
        while let Some(part) = self.daemon.next(Some(Duration::ZERO)).map_err(Broken::Daemon)? {
            if part.number == self.number {
                self.over |= part.done;
                self.take(part.reply)?;
            }
            if self.over {
                break;
            }
        }
        Ok(())
    }

    fn wait(&self) -> Result<Ready, Broken> {
        let (input, output) = (io::stdin(), io::stdout());
        let reads = self.is_open && !self.read_all && self.sent_bytes < PIPE_WINDOW_BYTES;
        let writes = !self.outgoing.is_empty();
        let none = PollFlags::empty();
        let mut all = [
            PollFd::new(self.daemon.as_fd(), if self.over { none } else { PollFlags::POLLIN }),
            PollFd::new(output.as_fd(), if writes { PollFlags::POLLOUT } else { none }),
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
        ];
        // Where nothing is read a hang-up of that side is no news either.
        let waited = if reads { &mut all[..] } else { &mut all[..2] };
        let wait = match self.is_open {
            true => PollTimeout::NONE,
            false => {
                let left = OPEN.checked_sub(self.begun.elapsed()).ok_or_else(silent)?;
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(waited, wait) {
            Err(e) if e != Errno::EINTR => return Err(Broken::Here(e.into())),
            _ => {}
        }
        let is_ready = |at: usize| all[at].revents().is_some_and(|events| !events.is_empty());
        Ok(Ready { read: reads && is_ready(2), write: is_ready(1) })
    }

    fn send(&mut self) -> Result<(), Broken> {
        let most = PIPE_PIECE_BYTES.min(PIPE_WINDOW_BYTES - self.sent_bytes);
        let mut bytes = vec![0; most];
        // Past the buffer of the library: what waits in that would not be seen by poll.
        let input = io::stdin();
        let length = match nix::unistd::read(input.as_fd(), &mut bytes) {
            Ok(length) => length,
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(()),
            Err(e) => return Err(Broken::Here(e.into())),
        };
        bytes.truncate(length);
        self.sent_bytes += length;
        self.read_all = length == 0;
        self.say(if self.read_all { Piece::End } else { Piece::Bytes(bytes) })
    }

    /// Writes what is taken at once, and says so: as much may follow.
    fn write(&mut self) -> Result<(), Broken> {
        let output = io::stdout();
        let (bytes, _) = self.outgoing.as_slices();
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES)];
        if bytes.is_empty() {
            // Nobody reads any more what may still come.
            return Err(Broken::Here(io::ErrorKind::BrokenPipe.into()));
        }
        let length = match nix::unistd::write(output.as_fd(), bytes) {
            Ok(length) => length,
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(()),
            Err(e) => return Err(Broken::Here(e.into())),
        };
        self.outgoing.drain(..length);
        self.taken_bytes += length;
        let many = self.taken_bytes >= PIPE_WINDOW_BYTES / 4;
        if !self.over && (many || self.outgoing.is_empty()) {
            let taken_bytes = std::mem::take(&mut self.taken_bytes) as u32;
            self.say(Piece::Taken(taken_bytes))?;
        }
        self.end_output()
    }

    /// Whoever reads what we write learns that no more comes.
    fn end_output(&mut self) -> Result<(), Broken> {
        if self.other_ended && self.outgoing.is_empty() && !self.said_end {
            self.said_end = true;
            let nowhere = OpenOptions::new().write(true).open("/dev/null");
            let closed = nowhere.and_then(|file| Ok(nix::unistd::dup2_stdout(&file)?));
            closed.map_err(Broken::Here)?;
        }
        Ok(())
    }

    fn say(&mut self, piece: Piece) -> Result<(), Broken> {
        self.daemon.send_piece(self.number, piece).map_err(Broken::Daemon)
    }

    fn take(&mut self, reply: Reply) -> Result<(), Broken> {
        match reply {
            Reply::Pipe(Piece::Opened) => self.is_open = true,
            Reply::Pipe(Piece::Bytes(bytes)) => self.outgoing.extend(bytes),
            Reply::Pipe(Piece::Taken(bytes)) => {
                self.sent_bytes = self.sent_bytes.saturating_sub(bytes as usize);
            }
            Reply::Pipe(Piece::End) => {
                self.other_ended = true;
                self.end_output()?;
            }
            Reply::Error(failure) => return Err(Broken::Pipe(failure)),
            _ => {}
        }
        Ok(())
    }
}

fn silent() -> Broken {
    Broken::Daemon(Error::Silent(OPEN.as_millis() as u64))
}
