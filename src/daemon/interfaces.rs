//! Own addresses and gateways, as the kernel has them now.
//!
//! The internal ip is the first address: that of `-b`, else of `-i IFACE`, else of the interface
//! that carries the default route, else the first that is not loopback, else 127.0.0.1.

use crate::wire::limits::ROUTE_TABLE_BYTES;
use nix::ifaddrs::getifaddrs;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where this machine can be reached, and where its packets for elsewhere go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The internal ip first.
    pub own: Vec<IpAddr>,
    pub gateways: Vec<IpAddr>,
}

/// One address of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    interface: String,
    ip: IpAddr,
}

/// A default route. `metric` orders them, the smallest first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    metric: u32,
    interface: String,
    gateway: Option<IpAddr>,
}

/// Reads everything again. `interface` and `bind` are `-i` and `-b`.
pub fn read(interface: Option<&str>, bind: Option<IpAddr>) -> Addresses {
    let mut routes = default_routes_v4(&table("/proc/net/route"));
    routes.extend(default_routes_v6(&table("/proc/net/ipv6_route")));
    choose(&held(), &routes, interface, bind)
}

/// A misspelt interface would otherwise show as a wrong internal ip, much later.
pub fn check(name: Option<&str>) -> Result<(), String> {
    match name {
        Some(name) if !exists(name) => {
            Err(format!("there is no interface `{name}`: `ip link` lists those there are"))
        }
        _ => Ok(()),
    }
}

/// Whether there is an interface of that name, with or without an address.
fn exists(interface: &str) -> bool {
    getifaddrs().is_ok_and(|mut all| all.any(|one| one.interface_name == interface))
}

fn choose(
    held: &[Held],
    routes: &[Route],
    interface: Option<&str>,
    bind: Option<IpAddr>,
) -> Addresses {
    let gateways = deduplicated(routes.iter().filter_map(|route| route.gateway));
    if let Some(ip) = bind.filter(|ip| !ip.is_unspecified()) {
        // From there only what is of its kind can be reached.
        let reached = |gateway: &IpAddr| !ip.is_loopback() && gateway.is_ipv4() == ip.is_ipv4();
        let gateways = gateways.into_iter().filter(reached).collect();
        return Addresses { own: vec![ip], gateways };
    }
    let preferred = interface.into_iter().chain(routes.iter().map(|r| r.interface.as_str()));
    let on_preferred =
        preferred.flat_map(|name| held.iter().filter(move |one| one.interface == name));
    let mut own = deduplicated(on_preferred.chain(held).map(|one| one.ip).filter(is_global));
    if own.is_empty() {
        own.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Addresses { own, gateways }
}

fn deduplicated(all: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for ip in all {
        if !kept.contains(&ip) {
            kept.push(ip);
        }
    }
    kept
}

/// An address that means the same to more than one machine. IPv6 link-local addresses mean
/// nothing without an interface, and the wire carries none.
fn is_global(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

fn held() -> Vec<Held> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    let held = all.filter_map(|one| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        let ip = v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))?;
        Some(Held { interface: one.interface_name, ip })
    });
    let mut held: Vec<Held> = held.collect();
    held.sort_by_key(|one| one.ip.is_ipv6());
    held
}

/// A table of /proc, the first part of it: the kernel lists default routes first.
fn table(path: &str) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(ROUTE_TABLE_BYTES).read_to_string(&mut text);
    }
    text
}

/// Iface Destination Gateway Flags RefCnt Use Metric Mask ...; addresses as the machine's own
/// words in hexadecimal, the metric decimal.
fn default_routes_v4(text: &str) -> Vec<Route> {
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [interface, "00000000", gateway, _, _, _, metric, "00000000", ..] = words[..] else {
            return None;
        };
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        Some(Route {
            metric: metric.parse().ok()?,
            interface: interface.to_string(),
            gateway: Some(IpAddr::V4(gateway)).filter(|ip| !ip.is_unspecified()),
        })
    };
    sorted(text.lines().filter_map(route).collect())
}

/// Destination length source length next-hop metric refcount use flags device; all hexadecimal.
fn default_routes_v6(text: &str) -> Vec<Route> {
    const NOWHERE: &str = "00000000000000000000000000000000";
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [NOWHERE, "00", _, _, gateway, metric, _, _, _, interface] = words[..] else {
            return None;
        };
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        Some(Route {
            metric: u32::from_str_radix(metric, 16).ok()?,
            interface: interface.to_string(),
            gateway: Some(IpAddr::V6(gateway)).filter(is_global),
        })
    };
    // The kernel lists "unreachable" as a default route over loopback.
    sorted(text.lines().filter_map(route).filter(|route| route.interface != "lo").collect())
}

fn sorted(mut routes: Vec<Route>) -> Vec<Route> {
    routes.sort_by_key(|route| route.metric);
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t700\t00000000\t0\t0\t0
";

    fn held(list: &[(&str, &str)]) -> Vec<Held> {
        let one = |(name, ip): &(&str, &str)| Held {
            interface: name.to_string(),
            ip: ip.parse().unwrap(),
        };
        list.iter().map(one).collect()
    }

    fn texts(list: &[IpAddr]) -> Vec<String> {
        list.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn default_routes_by_metric() {
        let routes = default_routes_v4(V4);
        let names: Vec<&str> = routes.iter().map(|route| route.interface.as_str()).collect();
        assert_eq!(names, ["eth0", "wlan0", "ppp0"]);
        assert_eq!(routes[0].gateway, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(routes[2].gateway, None, "a route without a next hop has no gateway");
    }

    #[test]
    fn ipv6_default_routes() {
        let zero = "0".repeat(32);
        let via = |hop: &str, name: &str| {
            format!("{zero} 00 {zero} 00 {hop} 00000400 00000001 00000000 00000003 {name}\n")
        };
        let text = via("fd000000000000000000000000000001", "eth0")
            + &via("fe800000000000000000000000000001", "eth1")
            + &via(&zero, "lo");
        let routes = default_routes_v6(&text);
        assert_eq!(routes.len(), 2);
        assert_eq!(routes[0].gateway, Some("fd00::1".parse().unwrap()));
        assert_eq!(routes[1].gateway, None, "link-local next hops need an interface");
    }

    #[test]
    fn garbage_tables_give_no_route() {
        for text in ["", "\n\n", "a b c", "eth0 00000000 XYZ 0 0 0 0 00000000", &"0 ".repeat(10)] {
            assert!(default_routes_v4(text).is_empty() && default_routes_v6(text).is_empty());
        }
    }

    #[test]
    fn the_internal_ip_is_the_first() {
        let all = held(&[
            ("lo", "127.0.0.1"),
            ("docker0", "172.17.0.1"),
            ("eth0", "10.0.0.2"),
            ("eth0", "fd00::2"),
            ("eth0", "fe80::1"),
            ("eth1", "10.1.0.2"),
        ]);
        let default = Route {
            metric: 0,
            interface: "eth0".to_string(),
            gateway: Some("10.0.0.1".parse().unwrap()),
        };
        let routes = std::slice::from_ref(&default);
        let got = choose(&all, routes, None, None);
        assert_eq!(texts(&got.own), ["10.0.0.2", "fd00::2", "172.17.0.1", "10.1.0.2"]);
        assert_eq!(texts(&got.gateways), ["10.0.0.1"]);
        assert_eq!(texts(&choose(&all, routes, Some("eth1"), None).own[..1]), ["10.1.0.2"]);
        assert_eq!(texts(&choose(&all, &[], None, None).own[..1]), ["172.17.0.1"]);
        let bound = choose(&all, routes, None, Some("127.0.0.2".parse().unwrap()));
        assert_eq!(texts(&bound.own), ["127.0.0.2"]);
        assert!(bound.gateways.is_empty(), "nothing but this machine is reached from loopback");
        let wildcard = choose(&all, routes, None, Some("0.0.0.0".parse().unwrap()));
        assert_eq!(texts(&wildcard.own[..1]), ["10.0.0.2"]);
        assert_eq!(texts(&choose(&all[..1], &[], None, None).own), ["127.0.0.1"]);
    }

    #[test]
    fn a_huge_table_is_read_in_part() {
        let path = std::env::temp_dir().join(format!("herd-routes-{}", std::process::id()));
        for more in [0, 1] {
            std::fs::write(&path, "x".repeat(ROUTE_TABLE_BYTES as usize + more)).unwrap();
            assert_eq!(table(path.to_str().unwrap()).len() as u64, ROUTE_TABLE_BYTES);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
