//! Datagrams: one socket of the loop, bound to the herd's port or to an ephemeral one.
//!
//! A wildcard socket is an IPv6 socket that takes IPv4 too (IPv4 alone where IPv6 is absent);
//! the core only ever sees plain IPv4 addresses. ICMP errors come back through the error queue.

use crate::daemon::local_addresses::LocalAddresses;
use crate::node::{Input, Socket};
use crate::wire::limits::{DATAGRAM_BYTES, READS_PER_TURN};
use crate::wire::time::Time;
use mio::event::Event;
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

/// Enough for the hellos of a herd that starts at once.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// How often a send is repeated that only reported the error of an earlier one.
const SEND_TRIES: usize = 3;

/// What went through a socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub received: u64,
    pub received_bytes: u64,
    pub sent: u64,
    pub sent_bytes: u64,
}

impl Traffic {
    pub fn plus(&self, other: &Traffic) -> Traffic {
        Traffic {
            received: self.received + other.received,
            received_bytes: self.received_bytes + other.received_bytes,
            sent: self.sent + other.sent,
            sent_bytes: self.sent_bytes + other.sent_bytes,
        }
    }
}

pub struct Udp {
    socket: UdpSocket,
    pub traffic: Traffic,
    which: Socket,
    v6: bool,
    readable: bool,
    /// There may be something in the error queue.
    errors: bool,
    /// Empty for a socket bound to one address.
    locals: LocalAddresses,
}

impl Udp {
    /// `address` is `-b`; None binds everywhere.
    pub fn bind(which: Socket, address: Option<IpAddr>, port: u16) -> io::Result<Udp> {
        let socket = bind(Type::DGRAM, address, port)?;
        report_errors(&socket, address);
        if address.is_none_or(|ip| ip.is_unspecified()) {
            report_destinations(&socket);
        }
        enlarge_buffer(&socket);
        let v6 = socket.local_addr()?.is_ipv6();
        let socket = UdpSocket::from_std(socket.into());
        Ok(Udp {
            socket,
            traffic: Traffic::default(),
            which,
            v6,
            readable: true,
            errors: false,
            locals: LocalAddresses::default(),
        })
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
    pub fn receive(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        // One byte more than allowed, so that an oversized datagram shows itself.
        let mut buffer = [0; DATAGRAM_BYTES + 1];
        let mut control = nix::cmsg_space!(libc::in6_pktinfo);
        for _ in 0..READS_PER_TURN {
            if !self.readable {
                break;
            }
            self.receive_one(now, &mut buffer, &mut control, feed);
        }
        for _ in 0..READS_PER_TURN {
            if !self.errors {
                break;
            }
            self.errors = self.receive_error(&mut buffer, feed);
        }
    }

    // recvmsg takes the vector itself: it sets its length.
    #[allow(clippy::ptr_arg)]
    fn receive_one(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        control: &mut Vec<u8>,
        feed: &mut dyn FnMut(Input),
    ) {
        let mut pieces = [IoSliceMut::new(buffer)];
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let received = recvmsg::<SockaddrStorage>(fd, &mut pieces, Some(control), flags);
        let (length, from, local) = match &received {
            Ok(message) => {
                (message.bytes, message.address.as_ref().and_then(to_std), destination(message))
            }
            Err(Errno::EAGAIN) => {
                self.readable = false;
                return;
            }
            Err(Errno::EINTR) => return,
            // The error of an earlier send, whose details are in the error queue.
            Err(_) => {
                self.errors = true;
                return;
            }
        };
        self.traffic.received += 1;
        self.traffic.received_bytes += length as u64;
        match from.map(plain).filter(|from| from.port() != 0) {
            Some(from) => {
                if let Some(local) = local {
                    self.locals.note(from, local, now);
                }
                // One byte too many is enough for the core to see, and count, an oversized one.
                feed(Input::Datagram { socket: self.which, from, bytes: &buffer[..length] });
            }
            None => log::debug!("a datagram that nobody can answer"),
        }
    }

    /// Takes one entry of the error queue; false when it is empty.
    fn receive_error(&self, buffer: &mut [u8], feed: &mut dyn FnMut(Input)) -> bool {
        let mut control =
            nix::cmsg_space!((libc::sock_extended_err, libc::sockaddr_in6), libc::in6_pktinfo);
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
    pub fn send(&mut self, now: Time, to: SocketAddr, bytes: &[u8]) {
        let Some(reachable) = self.reachable(to) else {
            log::debug!("no IPv6 here: nothing can be sent to {to}");
            return;
        };
        let mut last = Errno::UnknownErrno;
        for _ in 0..SEND_TRIES {
            match self.send_once(reachable, self.locals.of(to, now), bytes) {
                Ok(length) => {
                    self.traffic.sent += 1;
                    self.traffic.sent_bytes += length as u64;
                    return;
                }
                Err(Errno::EAGAIN) => {
                    last = Errno::EAGAIN;
                    break;
                }
                // Perhaps the error of an earlier datagram to somebody else, told once; perhaps
                // the address that this peer talked to is ours no more.
                Err(e) => last = e,
            }
            self.locals.forget(to);
            self.errors = true;
        }
        log::debug!("datagram to {to} dropped: {last}");
    }

    fn send_once(&self, to: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> nix::Result<usize> {
        let (v4, v6);
        let control = match local {
            None => None,
            Some(IpAddr::V4(ip)) if !self.v6 => {
                v4 = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(ip).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                Some(ControlMessage::Ipv4PacketInfo(&v4))
            }
            Some(ip) => {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
                v6 = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                Some(ControlMessage::Ipv6PacketInfo(&v6))
            }
        };
        let (fd, to) = (self.socket.as_raw_fd(), SockaddrStorage::from(to));
        sendmsg(fd, &[IoSlice::new(bytes)], control.as_slice(), MsgFlags::MSG_DONTWAIT, Some(&to))
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

/// The address of this machine that a datagram was sent to, where the kernel was asked to tell.
fn destination(message: &RecvMsg<SockaddrStorage>) -> Option<IpAddr> {
    message.cmsgs().ok()?.find_map(|one| match one {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).to_canonical())
        }
        _ => None,
    })
}

fn is_refusal(message: &RecvMsg<SockaddrStorage>) -> bool {
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

/// Asks for the address each datagram was sent to. Without it the kernel chooses what answers
/// come from, which on most machines is right.
fn report_destinations(socket: &socket2::Socket) {
    let v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
    let asked = if v6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)
    };
    if let Err(e) = asked {
        log::info!("answers may come from another address than the one asked: {e}");
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
            udp.receive(Time(0), &mut |input| match input {
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
    fn datagrams_come_with_plain_addresses_and_large_ones_are_seen_to_be_so() {
        let mut receiver = Udp::bind(Socket::Main, None, 0).unwrap();
        let port = receiver.socket.local_addr().unwrap().port();
        let mut sender = Udp::bind(Socket::Ephemeral, None, 0).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let come = |length: usize| format!("{length} from 127.0.0.1");
        for (sent, seen) in [(0, 0), (1_200, 1_200), (1_201, 1_201), (9_000, 1_201)] {
            sender.send(Time(0), to, &vec![7; sent]);
            assert_eq!(collect(&mut receiver, 1), [come(seen)]);
        }
    }

    /// All of 127.0.0.0/8 is ours, and the kernel likes 127.0.0.1 best.
    #[test]
    fn answers_come_from_the_address_that_was_asked() {
        for everywhere in [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()] {
            let mut asked = Udp::bind(Socket::Main, Some(everywhere), 0).unwrap();
            let port = asked.socket.local_addr().unwrap().port();
            let asker = Some(Ipv4Addr::new(127, 0, 0, 9).into());
            let mut asker = Udp::bind(Socket::Main, asker, 0).unwrap();
            let asker_address = asker.socket.local_addr().unwrap();
            asker.send(Time(0), SocketAddr::from(([127, 0, 0, 7], port)), b"question");
            assert_eq!(collect(&mut asked, 1), ["8 from 127.0.0.9"]);
            asked.send(Time(0), asker_address, b"answer");
            assert_eq!(collect(&mut asker, 1), ["6 from 127.0.0.7"]);
            // An address that is not ours any more is no reason not to answer.
            asked.locals.note(asker_address, Ipv4Addr::new(192, 0, 2, 1).into(), Time(0));
            asked.send(Time(0), asker_address, b"again");
            assert_eq!(collect(&mut asker, 1), ["5 from 127.0.0.1"]);
        }
    }

    #[test]
    fn a_refusal_is_told_and_spoils_no_datagram_to_others() {
        let closed = Udp::bind(Socket::Main, Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let nobody = closed.socket.local_addr().unwrap();
        drop(closed);
        let mut receiver = Udp::bind(Socket::Main, None, 0).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], receiver.socket.local_addr().unwrap().port()));
        let mut sender = Udp::bind(Socket::Ephemeral, None, 0).unwrap();
        sender.send(Time(0), nobody, b"anybody?");
        sender.send(Time(0), to, b"hello");
        assert_eq!(collect(&mut receiver, 1), ["5 from 127.0.0.1"]);
        assert_eq!(collect(&mut sender, 1), [format!("{nobody} refused anybody?")]);
    }

    #[test]
    fn one_turn_reads_its_share_and_comes_back_for_the_rest() {
        let mut receiver = Udp::bind(Socket::Main, None, 0).unwrap();
        let port = receiver.socket.local_addr().unwrap().port();
        let mut sender = Udp::bind(Socket::Ephemeral, None, 0).unwrap();
        for _ in 0..READS_PER_TURN + 1 {
            sender.send(Time(0), SocketAddr::from(([127, 0, 0, 1], port)), b"x");
        }
        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < READS_PER_TURN + 1 {
            receiver.readable = true;
            let mut count = 0;
            receiver.receive(Time(0), &mut |_| count += 1);
            assert!(count < READS_PER_TURN || receiver.more());
            turns.push(count);
        }
        assert_eq!(turns.iter().max(), Some(&READS_PER_TURN));
    }
}
