//! Signals as readiness in the loop: TERM and INT say goodbye, HUP rereads and reopens.
//!
//! SIGPIPE is ignored by Rust's start-up code; a write to a closed socket is an error instead.

use mio::{Interest, Registry, Token};
use nix::libc::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0;

/// What a person or a service manager wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    Leave,
    Reload,
}

pub struct Signals(v1_0::Signals);

impl Signals {
    pub fn listen(registry: &Registry, token: Token) -> Result<Signals, String> {
        let fail = |e: std::io::Error| format!("can not listen for signals: {e}");
        let mut signals = v1_0::Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(fail)?;
        registry.register(&mut signals, token, Interest::READABLE).map_err(fail)?;
        Ok(Signals(signals))
    }

    /// Those that came since the last call; the same signal sent twice meanwhile comes once.
    pub fn take(&mut self) -> Vec<Wish> {
        let wish = |signal| if signal == SIGHUP { Wish::Reload } else { Wish::Leave };
        self.0.pending().map(wish).collect()
    }
}
