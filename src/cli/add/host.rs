//! `[USER@]HOST[:PORT]`, as `add` and `remove` take it. It becomes words of ssh's command line, and
//! ssh's configuration may hand it to a shell: so only what names can consist of is let through.

use std::fmt;
use std::str::FromStr;

/// Longer than any name in DNS or any user's.
const HOST_BYTES: usize = 255;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// With the user, as ssh takes it.
    pub destination: String,
    pub port: Option<u16>,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Host, String> {
        let wrong = |why: &str| format!("`{text}` is not [USER@]HOST[:PORT]: {why}");
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (host, port) = split_port(place).ok_or_else(|| wrong("the port is no port"))?;
        let named = |name: &str, more: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            (1..=HOST_BYTES).contains(&name.len()) && name.chars().all(allowed)
        };
        for name in [user, Some(host)].into_iter().flatten() {
            if name.starts_with('-') {
                return Err(wrong("a name that begins with - is refused"));
            }
        }
        if !user.is_none_or(|user| named(user, "._-")) {
            return Err(wrong("a user is letters, digits and . _ -"));
        }
        if !named(host, "._-:%") {
            return Err(wrong("a host is a name, an IPv4 address or an [IPv6 address]"));
        }
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        Ok(Host { destination: format!("{user}{host}"), port })
    }
}

/// What has more than one colon and no brackets is an IPv6 address.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let number = |text: &str| text.parse().ok().filter(|port| *port > 0).map(Some);
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, number(port)?)),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match place.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, number(port)?)),
        _ => Some((place, None)),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.destination)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_users_and_ports() {
        for (text, destination, port) in [
            ("node1", "node1", None),
            ("me@192.168.1.4", "me@192.168.1.4", None),
            ("me@box.example:2222", "me@box.example", Some(2222)),
            ("root@[fd00::1]:22", "root@fd00::1", Some(22)),
            ("fd00::1", "fd00::1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.destination.as_str(), host.port), (destination, port), "{text}");
        }
    }

    #[test]
    fn nothing_that_ssh_or_a_shell_could_mistake() {
        for text in [
            "",
            "@",
            "me@",
            "@host",
            "-oProxyCommand=x",
            "-x@host",
            "me@-oProxyCommand=x",
            "host:0",
            "host:65536",
            "host:",
            "a b",
            "a;b",
            "$(x)",
            "`x`",
            "a'b",
            "me@ho\nst",
            "[::1]22",
            "me\\x@host",
            &"a".repeat(256),
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
