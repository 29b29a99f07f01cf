//! `daust nc NODE PORT`: standard input and output become a connection to a port of another node.

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::cli::{no_daemon, wrong_words};
use crate::client::{Connection, Error, path};
use crate::wire::command::{Command, Scope};
use crate::wire::limits::{PIPE_PIECE_BYTES, PIPE_WINDOW_BYTES};
use crate::wire::pipe::Piece;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

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
    is_open: bool,
    /// Sent and not taken at the other end yet.
    sent_bytes: usize,
    read_all: bool,
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
    Ok(Pipe { daemon, number, is_open: false, sent_bytes: 0, read_all: false })
}

impl Pipe {
    /// Carries bytes both ways until both sides have ended.
    fn run(mut self) -> Result<(), Broken> {
        loop {
            while let Some(part) = self.daemon.next(Some(Duration::ZERO)).map_err(Broken::Daemon)? {
                if part.number == self.number {
                    self.take(part.reply)?;
                    if part.done {
                        return Ok(());
                    }
                }
            }
            if self.wait()? {
                self.send()?;
            }
        }
    }

    /// Waits for either side; true when there is something to read here.
    fn wait(&self) -> Result<bool, Broken> {
        let input = io::stdin();
        let daemon = PollFd::new(self.daemon.as_fd(), PollFlags::POLLIN);
        let mut both = [daemon, PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        let wants = self.is_open && !self.read_all && self.sent_bytes < PIPE_WINDOW_BYTES;
        let waited = if wants { &mut both[..] } else { &mut both[..1] };
        match poll(waited, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {
                Ok(wants && both[1].revents().is_some_and(|events| !events.is_empty()))
            }
            Err(e) => Err(Broken::Here(e.into())),
        }
    }

    fn send(&mut self) -> Result<(), Broken> {
        let most = PIPE_PIECE_BYTES.min(PIPE_WINDOW_BYTES - self.sent_bytes);
        let mut bytes = vec![0; most];
        // Past the buffer of the library: what waits in that would not be seen by poll.
        let input = io::stdin();
        let length = match nix::unistd::read(input.as_fd(), &mut bytes) {
            Ok(length) => length,
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => return Ok(()),
            Err(e) => return Err(Broken::Here(e.into())),
        };
        bytes.truncate(length);
        self.sent_bytes += length;
        self.read_all = length == 0;
        let piece = if self.read_all { Piece::End } else { Piece::Bytes(bytes) };
        self.say(piece)
    }

    fn say(&mut self, piece: Piece) -> Result<(), Broken> {
        self.daemon.send_piece(self.number, piece).map_err(Broken::Daemon)
    }

    fn take(&mut self, reply: Reply) -> Result<(), Broken> {
        match reply {
            Reply::Pipe(Piece::Opened) => self.is_open = true,
            Reply::Pipe(Piece::Bytes(bytes)) => {
                let mut output = io::stdout().lock();
                output.write_all(&bytes).and_then(|()| output.flush()).map_err(Broken::Here)?;
                return self.say(Piece::Taken(bytes.len() as u32));
            }
            Reply::Pipe(Piece::Taken(bytes)) => {
                self.sent_bytes = self.sent_bytes.saturating_sub(bytes as usize);
            }
            Reply::Error(failure) => return Err(Broken::Pipe(failure)),
            _ => {}
        }
        Ok(())
    }
}
