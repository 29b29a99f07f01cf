//! One NAT box: which port an inside address is seen under, who may answer, and for how long.

use rand::{RngExt, rngs::SmallRng};
use std::collections::BTreeMap;
use std::net::SocketAddr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mapping {
    /// One outside port for an inside address and port, whoever is spoken to.
    EndpointIndependent,
    /// Another outside port for each destination.
    Symmetric,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Anybody may send to an open port.
    Full,
    /// Only addresses that were sent to.
    Address,
    /// Only address and port that were sent to: what Linux does.
    AddressPort,
}

#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub mapping: Mapping,
    pub filter: Filter,
    pub expiry_ms: u64,
    /// Keep the inside port where it is free, as Linux does; else draw one.
    pub keeps_port: bool,
    /// Whether what comes in keeps a mapping alive too.
    pub inbound_refreshes: bool,
}

impl Kind {
    /// A Linux masquerade.
    pub const LINUX: Kind = Kind {
        mapping: Mapping::EndpointIndependent,
        filter: Filter::AddressPort,
        expiry_ms: 30_000,
        keeps_port: true,
        inbound_refreshes: true,
    };

    pub fn draw(rng: &mut SmallRng) -> Kind {
        let mappings = [Mapping::EndpointIndependent, Mapping::Symmetric];
        let filters = [Filter::Full, Filter::Address, Filter::AddressPort];
        Kind {
            mapping: mappings[rng.random_range(0..2)],
            filter: filters[rng.random_range(0..3)],
            expiry_ms: [20_000, 30_000, 60_000, 180_000][rng.random_range(0..4)],
            keeps_port: rng.random_bool(0.7),
            inbound_refreshes: rng.random_bool(0.7),
        }
    }
}

/// Mappings from which on expired ones are cleared away.
const MANY: usize = 1_000;

struct Open {
    outside_port: u16,
    used_us: u64,
    /// Who was sent to, and when last.
    sent_to: BTreeMap<SocketAddr, u64>,
}

type Key = (SocketAddr, Option<SocketAddr>);

pub struct Nat {
    pub kind: Kind,
    open: BTreeMap<Key, Open>,
    by_port: BTreeMap<u16, Key>,
}

impl Nat {
    pub fn new(kind: Kind) -> Nat {
        Nat { kind, open: BTreeMap::new(), by_port: BTreeMap::new() }
    }

    /// The outside port for a packet from `inside` to `to`.
    pub fn outward(
        &mut self,
        inside: SocketAddr,
        to: SocketAddr,
        now_us: u64,
        rng: &mut SmallRng,
    ) -> u16 {
        let key = (inside, (self.kind.mapping == Mapping::Symmetric).then_some(to));
        let expiry_us = self.kind.expiry_ms * 1_000;
        if self.open.get(&key).is_some_and(|open| open.used_us + expiry_us < now_us) {
            self.close(key);
        }
        if !self.open.contains_key(&key) {
            let outside_port = self.free_port(inside.port(), now_us, rng);
            self.by_port.insert(outside_port, key);
            self.open.insert(key, Open { outside_port, used_us: now_us, sent_to: BTreeMap::new() });
        }
        let open = self.open.get_mut(&key).expect("inserted above");
        open.used_us = now_us;
        open.sent_to.insert(to, now_us);
        open.outside_port
    }

    /// Whom inside a packet from `from` to this outside port is for.
    pub fn inward(&mut self, port: u16, from: SocketAddr, now_us: u64) -> Option<SocketAddr> {
        let key = *self.by_port.get(&port)?;
        let expiry_us = self.kind.expiry_ms * 1_000;
        let open = self.open.get_mut(&key)?;
        if open.used_us + expiry_us < now_us {
            self.close(key);
            return None;
        }
        let fresh = |used_us: &u64| *used_us + expiry_us >= now_us;
        let admitted = match self.kind.filter {
            Filter::Full => true,
            Filter::Address => {
                open.sent_to.iter().any(|(to, used_us)| to.ip() == from.ip() && fresh(used_us))
            }
            Filter::AddressPort => open.sent_to.get(&from).is_some_and(fresh),
        };
        if admitted && self.kind.inbound_refreshes {
            open.used_us = now_us;
            open.sent_to.insert(from, now_us);
        }
        admitted.then_some(key.0)
    }

    /// The box forgets everything, as after a restart.
    pub fn flush(&mut self) {
        self.open.clear();
        self.by_port.clear();
    }

    fn close(&mut self, key: Key) {
        if let Some(open) = self.open.remove(&key) {
            self.by_port.remove(&open.outside_port);
        }
    }

    fn free_port(&mut self, wanted: u16, now_us: u64, rng: &mut SmallRng) -> u16 {
        let expiry_us = self.kind.expiry_ms * 1_000;
        if self.open.len() > MANY {
            self.open.retain(|_, open| open.used_us + expiry_us >= now_us);
            let open = &self.open;
            self.by_port.retain(|_, key| open.contains_key(key));
            assert!(self.open.len() < 30_000, "the NAT box has no port left");
        }
        if self.kind.keeps_port {
            let holder = self.by_port.get(&wanted).copied();
            match holder {
                None => return wanted,
                Some(key) if self.open[&key].used_us + expiry_us < now_us => {
                    self.close(key);
                    return wanted;
                }
                Some(_) => {}
            }
        }
        loop {
            let port = rng.random_range(20_000..60_000);
            if !self.by_port.contains_key(&port) {
                return port;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ports(kind: Kind) -> (Nat, u16, u16) {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut nat = Nat::new(kind);
        let inside = address("172.17.0.2:5000");
        let one = nat.outward(inside, address("10.0.0.1:4040"), 0, &mut rng);
        let two = nat.outward(inside, address("10.0.0.2:4040"), 0, &mut rng);
        (nat, one, two)
    }

    #[test]
    fn mapping_and_filter_are_what_they_say() {
        let (mut nat, one, two) = ports(Kind::LINUX);
        assert_eq!((one, two), (5000, 5000));
        let inside = Some(address("172.17.0.2:5000"));
        assert_eq!(nat.inward(5000, address("10.0.0.1:4040"), 0), inside);
        assert_eq!(nat.inward(5000, address("10.0.0.1:4041"), 0), None);
        assert_eq!(nat.inward(5000, address("10.0.0.3:4040"), 0), None);
        let (mut nat, ..) = ports(Kind { filter: Filter::Address, ..Kind::LINUX });
        assert_eq!(nat.inward(5000, address("10.0.0.1:4041"), 0), inside);
        let (mut nat, ..) = ports(Kind { filter: Filter::Full, ..Kind::LINUX });
        assert_eq!(nat.inward(5000, address("10.0.0.3:1"), 0), inside);
        let (_, one, two) = ports(Kind { mapping: Mapping::Symmetric, ..Kind::LINUX });
        assert_ne!(one, two);
    }

    #[test]
    fn mappings_expire_and_are_flushed() {
        let from = address("10.0.0.1:4040");
        let (mut nat, ..) = ports(Kind::LINUX);
        assert!(nat.inward(5000, from, 29_000_000).is_some());
        assert!(nat.inward(5000, from, 58_000_000).is_some(), "refreshed by what came in");
        assert!(nat.inward(5000, from, 89_000_000).is_none());
        let (mut nat, ..) = ports(Kind::LINUX);
        nat.flush();
        assert!(nat.inward(5000, from, 0).is_none());
    }
}
