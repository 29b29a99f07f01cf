//! The virtual network: segments joined by hosts that route with NAT, and links that delay, lose,
//! cut and split.
//!
//! The way of a packet is walked when it is sent: which hosts it crosses, under which address it
//! is seen, how long it takes. Packets to an address nobody bears are lost, as on a real LAN.

use crate::nat::{Kind, Nat};
use rand::{RngExt, rngs::SmallRng};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Hands an age passes through, and links between two of them.
const HANDS: u64 = 8;
const LEVELS: u64 = 4;

/// Number of a host; the world's machines live on hosts.
pub type HostId = usize;
type SegmentId = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Udp,
    Tcp,
}

/// What a directed link does to packets.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub delay_us: u64,
    pub jitter_us: u64,
    pub loss: f64,
    pub duplicate: f64,
    /// Share of packets that take up to a second longer.
    pub reorder: f64,
}

impl Link {
    pub const LAN: Link =
        Link { delay_us: 200, jitter_us: 200, loss: 0.0, duplicate: 0.0, reorder: 0.0 };
}

struct Segment {
    base: u32,
    bits: u32,
    members: BTreeMap<Ipv4Addr, HostId>,
    router: Option<HostId>,
    next: u32,
}

impl Segment {
    fn contains(&self, address: Ipv4Addr) -> bool {
        (u32::from(address) ^ self.base) >> (32 - self.bits) == 0
    }
}

pub struct Host {
    outer: SegmentId,
    pub address: Ipv4Addr,
    inner: Option<(SegmentId, Ipv4Addr)>,
    nat: Nat,
    /// Whether it lets those inside out; a host-only network goes no further.
    pub forwards: bool,
    pub up: bool,
    /// Side of a split; packets cross none.
    pub group: u32,
    /// Added to the delay of each link at this host.
    pub distance_us: u64,
}

/// Where a packet came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    pub host: HostId,
    /// The address and port of that host which it came to.
    pub local: SocketAddr,
    pub from: SocketAddr,
    pub delay_us: u64,
}

pub struct Net {
    pub hosts: Vec<Host>,
    segments: Vec<Segment>,
    pub link: Link,
    cuts: BTreeSet<(HostId, HostId)>,
    /// The links the last walk crossed.
    pub path: Vec<(HostId, HostId)>,
}

impl Net {
    /// A network of one segment, 10.0.0.0/8, called the top.
    pub fn new() -> Net {
        let top =
            Segment { base: 10 << 24, bits: 8, members: BTreeMap::new(), router: None, next: 2 };
        Net {
            hosts: Vec::new(),
            segments: vec![top],
            link: Link::LAN,
            cuts: BTreeSet::new(),
            path: Vec::new(),
        }
    }

    pub fn host(&mut self, segment: SegmentId) -> HostId {
        let host = self.hosts.len();
        let address = self.free_address(segment);
        self.segments[segment].members.insert(address, host);
        self.hosts.push(Host {
            outer: segment,
            address,
            inner: None,
            nat: Nat::new(Kind::LINUX),
            forwards: true,
            up: true,
            group: 0,
            distance_us: 0,
        });
        host
    }

    fn free_address(&mut self, segment: SegmentId) -> Ipv4Addr {
        let segment = &mut self.segments[segment];
        segment.next += 1;
        Ipv4Addr::from(segment.base + segment.next - 1)
    }

    /// Makes `host` the NAT router of a new segment behind it; the same prefix each time at the
    /// same depth, so that private addresses overlap everywhere.
    pub fn inside(&mut self, host: HostId, kind: Kind) -> SegmentId {
        let prefixes = [0xc0a8_7a00, 0xac11_0000, 0xac12_0000, 0xac13_0000];
        let depth = self.depth(host).min(3);
        let base = prefixes[depth];
        let bits = if depth == 0 { 24 } else { 16 };
        let gateway = Ipv4Addr::from(base + 1);
        let segment = self.segments.len();
        let members = BTreeMap::from([(gateway, host)]);
        self.segments.push(Segment { base, bits, members, router: Some(host), next: 2 });
        self.hosts[host].inner = Some((segment, gateway));
        self.hosts[host].nat = Nat::new(kind);
        segment
    }

    /// How many NAT boxes stand between this host and the top.
    pub fn depth(&self, host: HostId) -> usize {
        match self.segments[self.hosts[host].outer].router {
            None => 0,
            Some(router) => 1 + self.depth(router),
        }
    }

    pub fn router_of(&self, host: HostId) -> Option<HostId> {
        self.segments[self.hosts[host].outer].router
    }

    /// Whether no NAT keeps packets of `from` away from `to`.
    pub fn is_outward(&self, from: HostId, to: HostId) -> bool {
        let mut at = Some(from);
        while let Some(host) = at {
            if self.hosts[host].outer == self.hosts[to].outer || host == to {
                return true;
            }
            at = self.router_of(host);
        }
        false
    }

    pub fn is_router(&self, host: HostId) -> bool {
        self.hosts[host].inner.is_some()
    }

    pub fn addresses(&self, host: HostId) -> Vec<IpAddr> {
        let host = &self.hosts[host];
        let gateway = host.inner.map(|(_, gateway)| gateway);
        [Some(host.address), gateway].into_iter().flatten().map(IpAddr::V4).collect()
    }

    pub fn gateways(&self, host: HostId) -> Vec<IpAddr> {
        let router = self.router_of(host);
        let gateway =
            router.and_then(|router| self.hosts[router].inner).map(|(_, gateway)| gateway);
        gateway.into_iter().map(IpAddr::V4).collect()
    }

    /// A new lease: the host moves to a free address of its segment.
    pub fn move_host(&mut self, host: HostId) -> Ipv4Addr {
        let segment = self.hosts[host].outer;
        let old = self.hosts[host].address;
        self.segments[segment].members.remove(&old);
        let address = self.free_address(segment);
        self.segments[segment].members.insert(address, host);
        self.hosts[host].address = address;
        address
    }

    pub fn flush_nat(&mut self, host: HostId) {
        self.hosts[host].nat.flush();
    }

    /// Cuts one direction between two hosts of one segment.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.cuts.insert((from, to));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        for host in &mut self.hosts {
            host.group = 0;
        }
    }

    pub fn is_split(&self) -> bool {
        !self.cuts.is_empty() || self.hosts.iter().any(|host| host.group != self.hosts[0].group)
    }

    /// What an age may lose on its ways: it passes through some hands, each as far away as can be.
    pub fn longest_ways_ms(&self) -> u64 {
        let distance_us = self.hosts.iter().map(|host| host.distance_us).max().unwrap_or(0);
        let link_us = self.link.delay_us + self.link.jitter_us + 2 * distance_us;
        let late_ms = if self.link.reorder > 0.0 { 3_000 } else { 0 };
        HANDS * LEVELS * link_us / 1_000 + late_ms
    }

    /// Whether a packet could cross this link, loss aside.
    pub fn is_open(&self, from: HostId, to: HostId) -> bool {
        self.hosts[from].group == self.hosts[to].group
            && self.hosts[to].up
            && self.hosts[from].up
            && (self.cuts.is_empty() || !self.cuts.contains(&(from, to)))
    }

    /// Crosses one link: the delay, or None if the packet is lost.
    fn cross(
        &mut self,
        from: HostId,
        to: HostId,
        protocol: Protocol,
        rng: &mut SmallRng,
    ) -> Option<u64> {
        self.path.push((from, to));
        if !self.is_open(from, to) {
            return None;
        }
        let link = self.link;
        if protocol == Protocol::Udp && link.loss > 0.0 && rng.random_bool(link.loss) {
            return None;
        }
        let mut delay_us =
            link.delay_us + self.hosts[from].distance_us + self.hosts[to].distance_us;
        if link.jitter_us > 0 {
            delay_us += rng.random_range(0..link.jitter_us);
        }
        if link.reorder > 0.0 && rng.random_bool(link.reorder) {
            delay_us += rng.random_range(0..1_000_000);
        }
        Some(delay_us)
    }

    /// Walks a packet from a socket on `host` to where it comes out. None: it is lost. An answer
    /// keeps the address that was asked, where it stays inside.
    pub fn walk(
        &mut self,
        host: HostId,
        (port, answering_as): (u16, Option<IpAddr>),
        to: SocketAddr,
        protocol: Protocol,
        now_us: u64,
        rng: &mut SmallRng,
    ) -> Option<Arrival> {
        self.path.clear();
        let IpAddr::V4(to_address) = to.ip() else { return None };
        if !self.hosts[host].up {
            return None;
        }
        let mut at = host;
        let mut from: Option<SocketAddr> = None;
        let mut delay_us = 0;
        loop {
            let here = &self.hosts[at];
            let own_inner = here.inner.map(|(_, gateway)| gateway);
            if to_address == here.address
                || Some(to_address) == own_inner
                || to_address.is_loopback()
            {
                let from = from.unwrap_or(SocketAddr::new(to_address.into(), port));
                let delay_us = delay_us + 20;
                return Some(Arrival { host: at, local: to, from, delay_us });
            }
            if let Some((segment, gateway)) = here.inner
                && self.segments[segment].contains(to_address)
            {
                let next = *self.segments[segment].members.get(&to_address)?;
                let own = answering_as.unwrap_or(gateway.into());
                let from = from.unwrap_or(SocketAddr::new(own, port));
                delay_us += self.cross(at, next, protocol, rng)?;
                return self.enter(next, from, to, delay_us, protocol, now_us, rng);
            }
            if from.is_some() && !here.forwards {
                return None;
            }
            let (outer, own_address) = (here.outer, here.address);
            from = Some(match from {
                None => SocketAddr::new(own_address.into(), port),
                Some(inside) => {
                    let port = self.hosts[at].nat.outward(inside, to, now_us, rng);
                    SocketAddr::new(own_address.into(), port)
                }
            });
            if self.segments[outer].contains(to_address) {
                let next = *self.segments[outer].members.get(&to_address)?;
                delay_us += self.cross(at, next, protocol, rng)?;
                if self.segments[outer].router == Some(next) {
                    let from = from.expect("set above");
                    return Some(Arrival { host: next, local: to, from, delay_us });
                }
                return self.enter(
                    next,
                    from.expect("set above"),
                    to,
                    delay_us,
                    protocol,
                    now_us,
                    rng,
                );
            }
            let router = self.segments[outer].router?;
            delay_us += self.cross(at, router, protocol, rng)?;
            at = router;
        }
    }

    /// A packet comes to a host's outer address: for somebody inside, or for the host itself.
    #[allow(clippy::too_many_arguments)]
    fn enter(
        &mut self,
        host: HostId,
        from: SocketAddr,
        to: SocketAddr,
        mut delay_us: u64,
        protocol: Protocol,
        now_us: u64,
        rng: &mut SmallRng,
    ) -> Option<Arrival> {
        let mut at = host;
        let mut to = to;
        while let (Protocol::Udp, Some((segment, _))) = (protocol, self.hosts[at].inner) {
            let Some(inside) = self.hosts[at].nat.inward(to.port(), from, now_us) else { break };
            let IpAddr::V4(address) = inside.ip() else { return None };
            let next = *self.segments[segment].members.get(&address)?;
            delay_us += self.cross(at, next, protocol, rng)?;
            at = next;
            to = inside;
        }
        Some(Arrival { host: at, local: to, from, delay_us }).filter(|_| self.hosts[at].up)
    }
}
