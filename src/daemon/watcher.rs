//! Notices when the own addresses change: the kernel tells on a netlink socket, and now and then
//! they are read anyway, because it does not tell of everything (and not at all in some sandboxes).

use crate::daemon::interfaces::{self, Addresses};
use crate::daemon::tokens::Source;
use crate::wire::limits::{ADDRESSES_MS, ADDRESSES_SETTLE_MS, ADDRESSES_UNTOLD_MS, READS_PER_TURN};
use crate::wire::time::Time;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

pub struct Watcher {
    /// None where the kernel does not tell.
    socket: Option<OwnedFd>,
    interface: Option<String>,
    bind: Option<IpAddr>,
    changed: bool,
    /// Not all messages were taken yet.
    more: bool,
    read_at: Time,
    current: Addresses,
}

impl Watcher {
    /// `interface` and `bind` are `-i` and `-b`.
    pub fn start(
        registry: &Registry,
        interface: Option<String>,
        bind: Option<IpAddr>,
        now: Time,
    ) -> Watcher {
        let current = interfaces::read(interface.as_deref(), bind);
        let socket = listen(registry)
            .inspect_err(|e| log::info!("address changes are looked for, not told: {e}"))
            .ok();
        Watcher { socket, interface, bind, changed: false, more: false, read_at: now, current }
    }

    pub fn current(&self) -> &Addresses {
        &self.current
    }

    pub fn on_event(&mut self) {
        self.changed = true;
        self.more = true;
    }

    /// The configuration was read again.
    pub fn use_interface(&mut self, interface: Option<String>) {
        self.interface = interface;
        self.changed = true;
    }

    pub fn more(&self) -> bool {
        self.more
    }

    pub fn deadline(&self) -> Time {
        self.read_at.plus_ms(match (self.changed, &self.socket) {
            (true, _) => ADDRESSES_SETTLE_MS,
            (false, Some(_)) => ADDRESSES_MS,
            (false, None) => ADDRESSES_UNTOLD_MS,
        })
    }

    /// What the addresses are now, if they are others than before.
    pub fn look(&mut self, now: Time) -> Option<Addresses> {
        self.take_messages();
        if now < self.deadline() {
            return None;
        }
        self.read_at = now;
        self.changed = false;
        let fresh = interfaces::read(self.interface.as_deref(), self.bind);
        if fresh == self.current {
            return None;
        }
        log::info!("own addresses are now {:?}, gateways {:?}", fresh.own, fresh.gateways);
        self.current = fresh.clone();
        Some(fresh)
    }

    /// The messages only say that something changed: what, is read as a whole.
    fn take_messages(&mut self) {
        let Some(socket) = self.socket.as_ref().filter(|_| self.more) else { return };
        let mut buffer = [0; 4_096];
        for _ in 0..READS_PER_TURN {
            let received = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT);
            // ENOBUFS: more changed than the kernel could remember, which is a change too.
            if !matches!(received, Ok(_) | Err(nix::Error::ENOBUFS | nix::Error::EINTR)) {
                self.more = false;
                return;
            }
        }
    }
}

fn listen(registry: &Registry) -> std::io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkRoute;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    let groups = libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups as u32))?;
    let token = Source::Addresses.token();
    registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
    Ok(socket)
}
