//! The service manager's watchdog, fed by the loop itself: a loop that does not turn is not fed, and
//! the manager starts the daemon anew.

use crate::wire::time::Time;
use sd_notify::NotifyState;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixDatagram;

/// Asks to be fed at half of the time after which the manager loses patience.
pub struct Watchdog(Option<Fed>);

struct Fed {
    manager: OsString,
    interval_ms: u64,
    next: Time,
}

impl Watchdog {
    /// What the environment asks for; nothing without a manager, or if it means another process.
    pub fn start(now: Time) -> Watchdog {
        let patience = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero());
        let manager = std::env::var_os("NOTIFY_SOCKET");
        Watchdog(patience.zip(manager).map(|(patience, manager)| {
            let interval_ms = (patience.as_millis() as u64 / 2).max(1);
            Fed { manager, interval_ms, next: now }
        }))
    }

    pub fn deadline(&self) -> Option<Time> {
        self.0.as_ref().map(|fed| fed.next)
    }

    /// At the end of each turn: when it is time, says that the loop turns.
    pub fn feed(&mut self, now: Time) {
        let Some(fed) = self.0.as_mut().filter(|fed| now >= fed.next) else { return };
        fed.next = now.plus_ms(fed.interval_ms);
        if let Err(e) = fed.tell() {
            log::warn!("the service manager's watchdog could not be told: {e}");
        }
    }
}

impl Fed {
    /// The crate's own way to send would wait for a manager that does not read; the loop may not.
    fn tell(&self) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.manager)?;
        socket.send(NotifyState::Watchdog.to_string().as_bytes()).map(drop)
    }
}
