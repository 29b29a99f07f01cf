//! Datagrams: one socket of the loop, bound to the herd's port or to an ephemeral one.
//!
//! A wildcard socket is an IPv6 socket that takes IPv4 too (IPv4 alone where IPv6 is absent);
//! the core only ever sees plain IPv4 addresses. ICMP errors come back through the error queue.

use crate::node::{Input, Socket};
use crate::wire::limits::{DATAGRAM_BYTES, READS_PER_TURN};
use mio::event::Event;
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Type};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

/// Enough for the hellos of a herd that starts at once.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// How often a send is repeated that only reported the error of an earlier one.
const SEND_TRIES: usize = 3;

pub struct Udp {
    socket: UdpSocket,
    which: Socket,
    v6: bool,
    readable: bool,
    /// There may be something in the error queue.
    errors: bool,
}

impl Udp {
    /// `address` is `-b`; None binds everywhere.
    pub fn bind(which: Socket, address: Option<IpAddr>, port: u16) -> io::Result<Udp> {
        let socket = bind(Type::DGRAM, address, port)?;
        report_errors(&socket, address);
        enlarge_buffer(&socket);
        let v6 = socket.local_addr()?.is_ipv6();
        let socket = UdpSocket::from_std(socket.into());
        Ok(Udp { socket, which, v6, readable: true, errors: false })
    }

    pub fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    pub fn on_event(&mut self, event: &Event) {
        self.readable |= event.is_readable();
        self.errors |= event.is_error();
    }

    /// Readiness is told once: what was not read yet must be come back to without waiting.
    pub fn more(&self) -> bool {
        self.readable || self.errors
    }

    /// Hands on at most [`READS_PER_TURN`] datagrams and as many errors.
    pub fn receive(&mut self, feed: &mut dyn FnMut(Input)) {
        // One byte more than allowed, so that an oversized datagram shows itself.
        let mut buffer = [0; DATAGRAM_BYTES + 1];
        for _ in 0..READS_PER_TURN {
            if !self.readable {
                break;
            }
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) if length <= DATAGRAM_BYTES && from.port() != 0 => {
                    let (socket, from) = (self.which, plain(from));
                    feed(Input::Datagram { socket, from, bytes: &buffer[..length] });
                }
                Ok((_, from)) => {
                    log::debug!("datagram over {DATAGRAM_BYTES} bytes or without port from {from}");
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // The error of an earlier send, whose details are in the error queue.
                Err(_) => self.errors = true,
            }
        }
        for _ in 0..READS_PER_TURN {
            if !self.errors {
                break;
            }
            self.errors = self.receive_error(&mut buffer, feed);
        }
    }

    /// Takes one entry of the error queue; false when it is empty.
    fn receive_error(&self, buffer: &mut [u8], feed: &mut dyn FnMut(Input)) -> bool {
        let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let mut pieces = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let fd = self.socket.as_raw_fd();
        let received = recvmsg::<SockaddrStorage>(fd, &mut pieces, Some(&mut control), flags);
        let (to, refused, length) = match &received {
            Err(Errno::EINTR) => return true,
            Err(_) => return false,
            Ok(message) => {
                (message.address.as_ref().and_then(to_std), is_refusal(message), message.bytes)
            }
        };
        if let (Some(to), true) = (to, refused) {
            let quoted = &buffer[..length];
            feed(Input::Refused { to: plain(to), quoted });
        }
        true
    }

    /// Sends or drops: datagrams may get lost, and the loop may not wait.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(to) = self.reachable(to) else {
            log::debug!("no IPv6 here: nothing can be sent to {to}");
            return;
        };
        let mut last = None;
        for _ in 0..SEND_TRIES {
            match self.socket.send_to(bytes, to) {
                Ok(_) => return,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    last = Some(e);
                    break;
                }
                // Perhaps the error of an earlier datagram to somebody else, told once.
                Err(e) => last = Some(e),
            }
            self.errors = true;
        }
        log::debug!("datagram to {to} dropped: {}", last.map_or(String::new(), |e| e.to_string()));
    }

    /// The address as this socket takes it.
    fn reachable(&self, to: SocketAddr) -> Option<SocketAddr> {
        match to {
            SocketAddr::V4(v4) if self.v6 => {
                let mapped = v4.ip().to_ipv6_mapped();
                Some(SocketAddrV6::new(mapped, v4.port(), 0, 0).into())
            }
            SocketAddr::V6(_) if !self.v6 => None,
            _ => Some(to),
        }
    }
}

fn is_refusal(message: &nix::sys::socket::RecvMsg<SockaddrStorage>) -> bool {
    let from_icmp = |e: &libc::sock_extended_err| {
        e.ee_errno == libc::ECONNREFUSED as u32
            && matches!(e.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6)
    };
    message.cmsgs().is_ok_and(|mut all| {
        all.any(|one| match one {
            ControlMessageOwned::Ipv4RecvErr(e, _) => from_icmp(&e),
            ControlMessageOwned::Ipv6RecvErr(e, _) => from_icmp(&e),
            _ => false,
        })
    })
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::new(a.ip().into(), a.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddrV6::from(*a).into()))
}

/// An IPv4 address in IPv6 clothes as what it is. Flow labels are dropped, scopes kept.
pub fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
    }
}

/// A non-blocking socket of this kind on this port, everywhere or on one address.
pub fn bind(kind: Type, address: Option<IpAddr>, port: u16) -> io::Result<socket2::Socket> {
    match address {
        Some(ip) => bind_to(kind, ip, port),
        None => match bind_to(kind, Ipv6Addr::UNSPECIFIED.into(), port) {
            Err(e) if has_no_ipv6(&e) => bind_to(kind, Ipv4Addr::UNSPECIFIED.into(), port),
            result => result,
        },
    }
}

fn has_no_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn bind_to(kind: Type, ip: IpAddr, port: u16) -> io::Result<socket2::Socket> {
    let address = SocketAddr::new(ip, port);
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if ip.is_ipv6() {
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    // With TCP this only allows a restart while old connections linger; with UDP two daemons
    // could share a port unnoticed.
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Asks for ICMP errors, of both families on a socket that serves both. Without them a dead
/// process is noticed by its silence only, so a failure here stops nothing.
fn report_errors(socket: &socket2::Socket, address: Option<IpAddr>) {
    let v4 = setsockopt(socket, sockopt::Ipv4RecvErr, &true);
    let v6 = match address {
        Some(IpAddr::V4(_)) => Ok(()),
        _ => setsockopt(socket, sockopt::Ipv6RecvErr, &true),
    };
    if let Err(e) = v4.and(v6) {
        log::info!("refused datagrams will not be noticed: {e}");
    }
}

fn enlarge_buffer(socket: &socket2::Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        let cases = [
            ("[::ffff:10.0.0.1]:7", "10.0.0.1:7"),
            ("10.0.0.1:7", "10.0.0.1:7"),
            ("[fd00::1]:7", "[fd00::1]:7"),
            ("[fe80::1%3]:7", "[fe80::1%3]:7"),
        ];
        for (given, expected) in cases {
            assert_eq!(plain(given.parse().unwrap()).to_string(), expected);
        }
    }

    /// Waits for the kernel, which delivers on loopback at once or almost.
    fn collect(udp: &mut Udp, wanted: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..500 {
            (udp.readable, udp.errors) = (true, true);
            udp.receive(&mut |input| match input {
                Input::Datagram { from, bytes, .. } => {
                    seen.push(format!("{} from {}", bytes.len(), from.ip()))
                }
                Input::Refused { to, quoted } => {
                    seen.push(format!("{to} refused {}", quoted.escape_ascii()))
                }
                other => panic!("{other:?}"),
            });
            if seen.len() >= wanted {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        seen
    }

    #[test]
    fn datagrams_come_with_plain_addresses_and_large_ones_do_not_come() {
        let mut receiver = Udp::bind(Socket::Main, None, 0).unwrap();
        let port = receiver.socket.local_addr().unwrap().port();
        let mut sender = Udp::bind(Socket::Ephemeral, None, 0).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        sender.send(to, &[7; DATAGRAM_BYTES + 1]);
        sender.send(to, &[7; DATAGRAM_BYTES]);
        assert_eq!(collect(&mut receiver, 1), [format!("{DATAGRAM_BYTES} from 127.0.0.1")]);
    }

    #[test]
    fn a_refusal_is_told_and_spoils_no_datagram_to_others() {
        let closed = Udp::bind(Socket::Main, Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let nobody = closed.socket.local_addr().unwrap();
        drop(closed);
        let mut receiver = Udp::bind(Socket::Main, None, 0).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], receiver.socket.local_addr().unwrap().port()));
        let mut sender = Udp::bind(Socket::Ephemeral, None, 0).unwrap();
        sender.send(nobody, b"anybody?");
        sender.send(to, b"hello");
        assert_eq!(collect(&mut receiver, 1), ["5 from 127.0.0.1"]);
        assert_eq!(collect(&mut sender, 1), [format!("{nobody} refused anybody?")]);
    }
}
