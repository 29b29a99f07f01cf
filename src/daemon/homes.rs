//! Homes of the configuration: addresses at once, host names by a thread that may wait for DNS.

use crate::wire::PORT;
use crate::wire::limits::HOMES;
use mio::Waker;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// First and longest pause between two attempts to resolve what could not be resolved, seconds.
const PAUSE_S: u64 = 1;
const PAUSE_MAX_S: u64 = 60;

/// A node to phone, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    Address(SocketAddr),
    Host { name: String, port: u16 },
}

impl FromStr for Home {
    type Err = String;

    /// `ADDR[:PORT]`: an IPv6 address with a port stands in brackets; a host name is looked up.
    fn from_str(text: &str) -> Result<Home, String> {
        let text = text.trim();
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 {
                Err(wrong_port())
            } else {
                Ok(Home::Address(address))
            };
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Home::Address(SocketAddr::new(ip, PORT)));
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => {
                (name, port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong_port)?)
            }
            None => (text, PORT),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 253 || !name.chars().all(allowed) {
            return Err("neither an address nor a host name".to_string());
        }
        Ok(Home::Host { name: name.to_string(), port })
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Home::Address(address) => address.fmt(f),
            Home::Host { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

fn wrong_port() -> String {
    "a port is a number from 1 to 65535".to_string()
}

/// The homes that need no lookup.
pub fn addresses(homes: &[Home]) -> Vec<SocketAddr> {
    let address = |home: &Home| match home {
        Home::Address(address) => Some(*address),
        Home::Host { .. } => None,
    };
    homes.iter().filter_map(address).collect()
}

/// Looks host names up beside the loop. Dropping it ends its thread after the attempt under way.
pub struct Resolver {
    results: Receiver<Vec<SocketAddr>>,
}

impl Resolver {
    /// None when there is no host name among the homes.
    pub fn start(homes: Vec<Home>, waker: Arc<Waker>) -> Result<Option<Resolver>, String> {
        if homes.iter().all(|home| matches!(home, Home::Address(_))) {
            return Ok(None);
        }
        let (sender, results) = sync_channel(1);
        thread::Builder::new()
            .name("resolver".to_string())
            .spawn(move || resolve(&homes, &sender, &waker))
            .map_err(|e| format!("can not start the thread that looks host names up: {e}"))?;
        Ok(Some(Resolver { results }))
    }

    pub fn take(&self) -> Option<Vec<SocketAddr>> {
        self.results.try_recv().ok()
    }
}

/// Runs on its own thread until every name was found once or nobody listens any more.
fn resolve(homes: &[Home], sender: &SyncSender<Vec<SocketAddr>>, waker: &Waker) {
    let mut pause_s = PAUSE_S;
    loop {
        let (found, missing) = look_up(homes);
        log::info!("homes are {found:?}");
        if sender.send(found).is_err() || waker.wake().is_err() || missing == 0 {
            return;
        }
        thread::sleep(Duration::from_secs(pause_s));
        pause_s = (pause_s * 2).min(PAUSE_MAX_S);
    }
}

/// All homes' addresses, and how many names could not be resolved.
fn look_up(homes: &[Home]) -> (Vec<SocketAddr>, usize) {
    let mut found = Vec::new();
    let mut missing = 0;
    for home in homes {
        match home {
            Home::Address(address) => found.push(*address),
            Home::Host { name, port } => match (name.as_str(), *port).to_socket_addrs() {
                Ok(addresses) => found.extend(addresses),
                Err(error) => {
                    log::warn!("home {name} can not be looked up: {error}");
                    missing += 1;
                }
            },
        }
    }
    found.sort_unstable();
    found.dedup();
    if found.len() > HOMES {
        log::warn!("{} addresses of homes are over the limit of {HOMES}", found.len());
        found.truncate(HOMES);
    }
    (found, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_as_people_type_them() {
        let address = |text: &str| Ok(Home::Address(text.parse().unwrap()));
        assert_eq!("10.0.0.1".parse(), address("10.0.0.1:4040"));
        assert_eq!("10.0.0.1:7".parse(), address("10.0.0.1:7"));
        assert_eq!("fd00::1".parse(), address("[fd00::1]:4040"));
        assert_eq!("[fd00::1]".parse(), address("[fd00::1]:4040"));
        assert_eq!("[fd00::1]:7".parse(), address("[fd00::1]:7"));
        let host = |name: &str, port| Ok(Home::Host { name: name.to_string(), port });
        assert_eq!("box.example".parse(), host("box.example", 4040));
        assert_eq!("box:7".parse(), host("box", 7));
        for bad in ["", ":7", "box:", "box:0", "10.0.0.1:0", "a b", "box:70000", "fd00::1::2"] {
            assert!(bad.parse::<Home>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_need_no_lookup() {
        let homes = ["10.0.0.2", "10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let (found, missing) = look_up(&homes);
        assert_eq!((found.len(), missing), (2, 0));
    }
}
