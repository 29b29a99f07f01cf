//! Host names that no node bears: looked up in DNS here, in the process of whoever asks for
//! them, never in the daemon, which must not wait.

use crate::wire::PORT;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// The addresses of `host` or `host:port`; None if it is no host name or DNS does not know it.
pub fn addresses(host: &str) -> Option<Vec<SocketAddr>> {
    let (name, port) = split(host)?;
    let found: Vec<SocketAddr> = (name, port).to_socket_addrs().ok()?.take(ADDRESSES).collect();
    (!found.is_empty()).then_some(found)
}

/// Name and port, if this looks like a host name and not like an address. An IPv6 address with
/// the name of an interface counts as one: only this machine knows what `%eth0` means.
fn split(host: &str) -> Option<(&str, u16)> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match (bracketed, host.rsplit_once(':')) {
        (Some((name, "")), _) => (name, PORT),
        (Some((name, port)), _) => (name, port.strip_prefix(':')?.parse().ok()?),
        (None, Some((name, port))) if !host.contains('%') => (name, port.parse().ok()?),
        (None, _) => (host, PORT),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let (first, scope) = name.split_once('%').unwrap_or((name, "none"));
    let scoped = name != first && first.parse::<Ipv6Addr>().is_ok();
    let named = name == first && first.chars().all(allowed) && first.parse::<IpAddr>().is_err();
    let short = !first.is_empty() && !scope.is_empty() && name.len() <= 255;
    (short && scope.chars().all(allowed) && (named || scoped)).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_host_name() {
        assert_eq!(split("db.example.com"), Some(("db.example.com", 4040)));
        assert_eq!(split("node3:5000"), Some(("node3", 5000)));
        for no in ["", ":4040", "192.168.1.3", "192.168.1.3:1", "fe80::1", "[::1]:4040", "vm 4"] {
            assert_eq!(split(no), None, "{no}");
        }
        assert_eq!(split("fe80::1%eth0"), Some(("fe80::1%eth0", 4040)));
        assert_eq!(split("[fe80::1%br-0.7]:5000"), Some(("fe80::1%br-0.7", 5000)));
        for no in ["fe80::1%", "[fe80::1%eth0]5000", "[fe80::1%eth0", "10.0.0.1%eth0", "%eth0"] {
            assert_eq!(split(no), None, "{no}");
        }
        assert_eq!(split("host:99999"), None);
        assert_eq!(split(&"a".repeat(256)), None);
    }

    #[test]
    fn localhost_is_known_everywhere() {
        let found = addresses("localhost:4041").expect("localhost has an address");
        assert!(found.iter().all(|at| at.ip().is_loopback() && at.port() == 4041));
    }
}
