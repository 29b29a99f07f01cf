//! When to accept: not before the kernel says so, and after running out of file descriptors not
//! before a pause, because the waiting connection would otherwise wake the loop for ever.

use crate::wire::limits::ACCEPT_AGAIN_MS;
use crate::wire::time::Time;
use std::io::{self, ErrorKind};

#[derive(Debug)]
pub struct Gate {
    ready: bool,
    not_before: Option<Time>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { ready: true, not_before: None }
    }
}

impl Gate {
    pub fn on_event(&mut self) {
        self.ready = true;
    }

    /// Whether to call accept (again) now.
    pub fn open(&mut self, now: Time) -> bool {
        if self.not_before.is_some_and(|time| now < time) {
            return false;
        }
        self.not_before = None;
        self.ready
    }

    /// Nothing is accepted before `time`; whoever waits keeps waiting.
    pub fn close_until(&mut self, time: Time) {
        self.not_before = Some(time);
    }

    /// Something may be waiting, and nothing forbids to take it.
    pub fn more(&self) -> bool {
        self.ready && self.not_before.is_none()
    }

    pub fn deadline(&self) -> Option<Time> {
        self.not_before
    }

    /// What accept gave, if it gave something; else when to call it again.
    pub fn accepted<T>(&mut self, now: Time, result: io::Result<T>) -> Option<T> {
        let error = match result {
            Ok(connection) => return Some(connection),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::WouldBlock => self.ready = false,
            // The peer gave up while it waited in the queue.
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
            _ => {
                log::warn!("no connection can be accepted for {ACCEPT_AGAIN_MS} ms: {error}");
                self.not_before = Some(now.plus_ms(ACCEPT_AGAIN_MS));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_descriptors_pauses_and_nothing_is_forgotten() {
        let emfile = || Err::<(), _>(io::Error::from_raw_os_error(nix::libc::EMFILE));
        let mut gate = Gate::default();
        let now = Time::from_ms(1_000);
        assert!(gate.open(now) && gate.more());
        assert!(gate.accepted(now, emfile()).is_none());
        assert!(!gate.open(now) && !gate.more());
        let later = now.plus_ms(ACCEPT_AGAIN_MS);
        assert_eq!(gate.deadline(), Some(later));
        assert!(gate.open(later) && gate.more());
        assert_eq!(gate.accepted(later, Ok(5)), Some(5));
        let empty = Err::<(), _>(ErrorKind::WouldBlock.into());
        assert!(gate.accepted(later, empty).is_none() && !gate.more());
        gate.on_event();
        assert!(gate.open(later));
    }
}
