//! `show`: the herd as a table for people, as wide as their terminal.

use crate::client::render::escape;
use crate::wire::PORT;
use crate::wire::info::{NodeInfo, State};
use comfy_table::{ContentArrangement, Table, presets};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

const HEADINGS: [&str; 8] =
    ["NAME", "STATE", "ADDRESS", "PARENT", "ROUND TRIP", "LAST SEEN", "VERSION", "UPTIME"];
const NOTHING: &str = "-";

/// One line a node. Without a width no cell is ever broken: a program may read it.
pub fn text(nodes: &[NodeInfo], width: Option<u16>, now_unix_s: u64) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADINGS);
    table.add_rows(nodes.iter().map(|node| row(node, now_unix_s)));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    // A cell begins with a space, and a line ends with some.
    let cut = |line: &str| format!("{}\n", line.strip_prefix(' ').unwrap_or(line).trim_end());
    table.lines().map(|line| cut(&line)).collect()
}

fn row(node: &NodeInfo, now_unix_s: u64) -> [String; 8] {
    let is_live = matches!(node.state, State::Alive | State::Suspect);
    let uptime_s = now_unix_s.saturating_sub(node.started_unix_s);
    [
        escape(&node.name),
        node.state.word().to_string(),
        or_nothing(node.internal_ip.map(|ip| address(ip, node.port))),
        or_nothing(Some(escape(&node.parent)).filter(|name| !name.is_empty())),
        or_nothing(node.rtt_us.filter(|us| *us > 0).map(milliseconds)),
        format!("{} ago", duration(node.last_seen_ms / 1_000)),
        or_nothing(Some(escape(&node.version)).filter(|version| !version.is_empty())),
        or_nothing((is_live && node.started_unix_s > 0).then(|| duration(uptime_s))),
    ]
}

/// The port where it is not the usual one.
fn address(ip: IpAddr, port: u16) -> String {
    if [0, PORT].contains(&port) { ip.to_string() } else { SocketAddr::new(ip, port).to_string() }
}

fn or_nothing(value: Option<impl Display>) -> String {
    value.map_or_else(|| NOTHING.to_string(), |value| value.to_string())
}

fn milliseconds(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
}

/// In the largest two units.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<NodeInfo> {
        let alive = NodeInfo {
            name: "node1".into(),
            internal_ip: Some([192, 168, 1, 2].into()),
            version: "0.1.0".into(),
            started_unix_s: 1_000,
            ..NodeInfo::default()
        };
        let vm = NodeInfo {
            name: "vm 4\u{1b}".into(),
            state: State::Down,
            parent: "node1".into(),
            rtt_us: Some(1_234),
            last_seen_ms: 90_061_000,
            ..alive.clone()
        };
        vec![alive, vm]
    }

    #[test]
    fn a_line_a_node_in_columns() {
        let expected = "\
NAME        STATE  ADDRESS      PARENT  ROUND TRIP  LAST SEEN    VERSION  UPTIME
node1       alive  192.168.1.2  -       -           0 s ago      0.1.0    1 h 1 min
vm 4\\u{1b}  down   192.168.1.2  node1   1.2 ms      1 d 1 h ago  0.1.0    -
";
        assert_eq!(text(&nodes(), None, 4_660), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let narrow = text(&nodes(), Some(60), 4_660);
        assert!(narrow.lines().all(|line| line.len() <= 60), "{narrow}");
        assert!(narrow.lines().count() > 3, "{narrow}");
    }

    #[test]
    fn durations_in_two_units() {
        for (seconds, text) in [(59, "59 s"), (60, "1 min"), (3_600, "1 h 0 min")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
