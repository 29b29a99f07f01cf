//! One non-blocking byte stream that carries frames: what TCP streams and control clients share.

use crate::node::Closed;
use crate::wire::codec::{FrameReader, PREFIX_BYTES};
use mio::event::Event;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// Bytes read by one call.
const READ_BYTES: usize = 16 << 10;

/// What is to be had from a connection now.
#[derive(Debug, PartialEq)]
pub enum Next {
    Frame(Vec<u8>),
    /// Not before the kernel says that there is more.
    Nothing,
    /// The budget of this turn is spent: come back without waiting.
    Later,
    Closed(Closed),
}

pub struct Connection<S> {
    pub socket: S,
    reader: FrameReader,
    outgoing: VecDeque<u8>,
    readable: bool,
    writable: bool,
    later: bool,
}

impl<S: Read + Write> Connection<S> {
    pub fn new(socket: S) -> Connection<S> {
        Connection {
            socket,
            reader: FrameReader::default(),
            outgoing: VecDeque::new(),
            readable: true,
            writable: true,
            later: false,
        }
    }

    pub fn on_event(&mut self, event: &Event) {
        // An error or a hang-up shows itself in the next read.
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_error();
    }

    /// Whether there may be something to read without the kernel saying so again.
    pub fn active(&self) -> bool {
        self.readable || self.later
    }

    /// The caller has taken its share of frames for this turn.
    pub fn stop_for_now(&mut self) {
        self.later = true;
    }

    /// The next frame of at most `limit_bytes`. Reads take from `budget_bytes`.
    pub fn next_frame(&mut self, limit_bytes: usize, budget_bytes: &mut usize) -> Next {
        self.later = false;
        loop {
            match self.reader.next(limit_bytes) {
                Ok(Some(frame)) => return Next::Frame(frame),
                Ok(None) if !self.readable => return Next::Nothing,
                Ok(None) if *budget_bytes == 0 => {
                    self.later = true;
                    return Next::Later;
                }
                Ok(None) => {}
                Err(_) => return Next::Closed(Closed::Limit),
            }
            if let Some(closed) = self.read_some(budget_bytes) {
                return Next::Closed(closed);
            }
        }
    }

    /// Reads and throws away; true when the peer has closed its side.
    pub fn discard(&mut self) -> bool {
        self.later = false;
        let mut budget_bytes = READ_BYTES;
        while self.readable && budget_bytes > 0 {
            if self.read_some(&mut budget_bytes).is_some() {
                return true;
            }
            self.reader = FrameReader::default();
        }
        self.later = self.readable;
        false
    }

    fn read_some(&mut self, budget_bytes: &mut usize) -> Option<Closed> {
        let mut buffer = [0; READ_BYTES];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Some(Closed::Ended),
            Ok(length) => {
                *budget_bytes = budget_bytes.saturating_sub(length);
                self.reader.push(&buffer[..length]);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Some(reason(&e)),
        }
        None
    }

    /// Queues a frame; an error when more than `limit_bytes` would wait.
    pub fn queue(&mut self, frame: &[u8], limit_bytes: usize) -> Result<(), Closed> {
        if self.outgoing.len() + PREFIX_BYTES + frame.len() > limit_bytes {
            return Err(Closed::Limit);
        }
        self.outgoing.extend((frame.len() as u32).to_be_bytes());
        self.outgoing.extend(frame);
        Ok(())
    }

    pub fn queued_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Writes what the kernel takes.
    pub fn flush(&mut self) -> Result<(), Closed> {
        while self.writable && !self.outgoing.is_empty() {
            match self.socket.write(self.outgoing.as_slices().0) {
                Ok(0) => self.writable = false,
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(reason(&e)),
            }
        }
        self.forget_burst();
        Ok(())
    }

    /// Writes everything on a socket that was made to wait.
    pub fn flush_waiting(&mut self) -> std::io::Result<()> {
        self.socket.write_all(self.outgoing.make_contiguous())
    }

    /// A burst must not be paid for in memory for ever.
    fn forget_burst(&mut self) {
        if self.outgoing.is_empty() && self.outgoing.capacity() > READ_BYTES {
            self.outgoing = VecDeque::new();
        }
    }
}

/// What the kernel says of a connection, in the words of the core.
pub fn reason(e: &std::io::Error) -> Closed {
    match e.kind() {
        ErrorKind::ConnectionRefused => Closed::Refused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            Closed::Reset
        }
        _ => Closed::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::frame;
    use std::io;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Connection<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Connection::new(ours), theirs)
    }

    #[test]
    fn frames_then_the_end() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(&[frame(b"one"), frame(b"two")].concat()).unwrap();
        drop(theirs);
        let mut budget = 1_000;
        assert_eq!(ours.next_frame(10, &mut budget), Next::Frame(b"one".to_vec()));
        assert_eq!(ours.next_frame(10, &mut budget), Next::Frame(b"two".to_vec()));
        assert_eq!(ours.next_frame(10, &mut budget), Next::Closed(Closed::Ended));
    }

    #[test]
    fn budget_and_limit() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(&frame(&[1; 100])).unwrap();
        assert_eq!(ours.next_frame(100, &mut 0), Next::Later);
        assert!(ours.active());
        assert_eq!(ours.next_frame(99, &mut 1_000), Next::Closed(Closed::Limit));
        let (mut ours, _theirs) = pair();
        assert_eq!(ours.next_frame(99, &mut 1_000), Next::Nothing);
        assert!(!ours.active());
    }

    #[test]
    fn a_peer_that_does_not_read_meets_the_limit() {
        let (mut ours, mut theirs) = pair();
        let mut queued = 0;
        while ours.queue(&[0; 1_020], 100 << 10).is_ok() {
            queued += 1;
            if ours.queued_bytes() < 50 << 10 {
                ours.flush().unwrap();
            }
        }
        assert_eq!(ours.queued_bytes(), 100 << 10);
        let mut received = 0;
        let mut buffer = [0; 4_096];
        while received < queued * 1_024 {
            ours.writable = true;
            ours.flush().unwrap();
            received += theirs.read(&mut buffer).unwrap();
        }
        assert_eq!((ours.queued_bytes(), received), (0, queued * 1_024));
        drop(theirs);
        ours.queue(b"x", 100).unwrap();
        ours.writable = true;
        assert_eq!(ours.flush(), Err(Closed::Reset));
    }

    #[test]
    fn errors_in_the_words_of_the_core() {
        assert_eq!(reason(&io::Error::from_raw_os_error(111)), Closed::Refused);
        assert_eq!(reason(&io::Error::from_raw_os_error(104)), Closed::Reset);
        assert_eq!(reason(&io::Error::from_raw_os_error(113)), Closed::Unreachable);
        assert_eq!(reason(&io::Error::from_raw_os_error(110)), Closed::Unreachable);
    }
}
