//! Table: the node a person means by what was typed.

use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::record::Record;
use crate::wire::reply::{ErrorCode, Failure};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Digits that an id can be shortened to.
const PREFIX_DIGITS: usize = 4;

/// The node a person means: a shown name, a name, an id prefix, an address, or address:port.
/// Live nodes come before dead ones.
pub fn find(t: &Tables, text: &str) -> Result<NodeId, Failure> {
    let mut fits = fitting(t, text);
    let is_live =
        |id: &NodeId| *id == t.own.id || t.roster.get(*id).is_some_and(|peer| peer.is_live());
    if fits.iter().any(is_live) {
        fits.retain(is_live);
    }
    match fits[..] {
        [id] => Ok(id),
        [] => Err(unknown(text, t.own.record.port)),
        _ => {
            let names: Vec<String> =
                fits.iter().map(|id| format!("{} ({id})", t.name(*id))).collect();
            let text = format!("{text} fits several nodes: {}", names.join(", "));
            Err(Failure::new(ErrorCode::Ambiguous, text))
        }
    }
}

/// Says what is wrong with the text if that can be seen, else how to look further.
fn unknown(text: &str, port: u16) -> Failure {
    let last = text.rsplit_once(':').map_or("", |(_, port)| port);
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let more = if address_of(text, port).is_some() {
        format!("; `daust doctor {text}` says who is there")
    } else if digits && last.parse::<u16>().is_err() {
        format!(": {last} is no port, the last is 65535")
    } else if text.len() < PREFIX_DIGITS && is_hexadecimal(text) {
        format!("; an id can be shortened to its first {PREFIX_DIGITS} digits, not further")
    } else {
        "; `daust list` shows them, `daust -v list` with their ids".to_string()
    };
    Failure::new(ErrorCode::UnknownNode, format!("no node of this herd is called {text}{more}"))
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The same name as a shell takes it.
pub fn typed(name: &str) -> String {
    if name.contains(' ') { format!("'{name}'") } else { name.to_string() }
}

/// What is typed as an address.
pub fn address_of(text: &str, port: u16) -> Option<SocketAddr> {
    match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(address), _) => Some(address),
        (_, Ok(ip)) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Whether a node that is known to live, or this one, is meant by what a person typed.
pub fn is_alive(t: &Tables, text: &str) -> bool {
    let alive = |id: NodeId| t.roster.get(id).is_some_and(|peer| peer.state == State::Alive);
    fitting(t, text).into_iter().any(|id| id == t.own.id || alive(id))
}

fn fitting(t: &Tables, text: &str) -> Vec<NodeId> {
    let own = (t.own.id, &t.own.record.name);
    let all = || t.roster.iter().map(|(id, _)| id).chain([t.own.id]);
    // Names are whatever nodes call themselves: nobody's is to be taken for another's id or address.
    if let Some(id) = all().find(|id| id.to_string().eq_ignore_ascii_case(text)) {
        return vec![id];
    }
    let (address, port) = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(ip), _) => (Some(ip), None),
        (_, Ok(address)) => (Some(address.ip()), Some(address.port())),
        _ => (None, None),
    };
    let mut fits = address.map_or_else(Vec::new, |ip| at_address(t, ip, port));
    if fits.is_empty() {
        fits = t.roster.by_name(text);
        fits.extend(Some(t.own.id).filter(|_| own.1.as_str() == text));
    }
    if address.is_none() {
        let suffixed = text.rsplit_once('~').map(|(name, id)| (t.roster.by_name(name), id));
        let (among, prefix) = match suffixed {
            Some((among, prefix)) => (Some(among), prefix),
            None => (None, text),
        };
        let is_prefix = prefix.len() >= PREFIX_DIGITS && is_hexadecimal(prefix);
        let prefix = prefix.to_ascii_lowercase();
        let known = fits.clone();
        fits.extend(all().filter(|id| {
            is_prefix
                && !known.contains(id)
                && id.to_string().starts_with(&prefix)
                && among.as_ref().is_none_or(|among| among.contains(id))
        }));
    }
    fits
}

fn at_address(t: &Tables, ip: IpAddr, port: Option<u16>) -> Vec<NodeId> {
    let own_record = &t.own.record;
    let is_own = own_record.addresses.contains(&ip) || is_this_machine(ip, own_record);
    if is_own && port.is_none_or(|port| port == own_record.port) {
        return vec![t.own.id];
    }
    let is_port = |record: &Record| port.is_none_or(|port| port == record.port);
    let fits = |has: &dyn Fn(NodeId, &Record) -> bool| -> Vec<NodeId> {
        t.roster.iter().filter(|(id, peer)| has(*id, &peer.record)).map(|(id, _)| id).collect()
    };
    let bearers = fits(&|_, record| is_port(record) && record.addresses.contains(&ip));
    if !bearers.is_empty() {
        return bearers;
    }
    // Nobody's own: then whoever is behind it. A hypervisor that is asked by its address is meant
    // itself, and not the machines behind its NAT.
    let seen = |id: NodeId| {
        let at = t.routes.seen_directly(id, t.now);
        at.is_some_and(|at| at.ip() == ip && port.is_some_and(|port| port == at.port()))
    };
    fits(&|id, record| seen(id) || (is_port(record) && record.public_ip == Some(ip)))
}

/// Whether an address is this machine whichever machine that is. Where nodes live on loopback
/// addresses (`-b`) each is another's.
fn is_this_machine(ip: IpAddr, own: &Record) -> bool {
    let local = ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
    let shared = own.addresses.iter().any(|own| own.is_loopback());
    ip.is_unspecified() || (local && !shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_known_is_told_how_to_look_further() {
        for (text, part) in [
            ("10.0.0.1:65535", "; `daust doctor 10.0.0.1:65535` says"),
            ("::1", "; `daust doctor ::1` says"),
            ("10.0.0.1:99999", ": 99999 is no port"),
            ("[::1]:65536", ": 65536 is no port"),
            ("3", "first 4 digits"),
            ("ab1", "first 4 digits"),
            ("ab12", "`daust list`"),
            ("vm", "`daust list`"),
        ] {
            let said = unknown(text, 4040).detail;
            let rest = said.strip_prefix(&format!("no node of this herd is called {text}"));
            assert!(rest.is_some_and(|rest| rest.contains(part)), "{said}");
        }
    }
}
