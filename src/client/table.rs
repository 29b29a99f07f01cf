//! `show` and `top`: the herd in columns for people, as many as their terminal has room for.

use crate::client::render::escape;
use crate::wire::PORT;
use crate::wire::info::{NodeInfo, State};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

/// What a column is about. In this order they stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    Name,
    State,
    Address,
    Parent,
    RoundTrip,
    LastSeen,
    Version,
    Uptime,
}

pub const COLUMNS: [Column; 8] = [
    Column::Name,
    Column::State,
    Column::Address,
    Column::Parent,
    Column::RoundTrip,
    Column::LastSeen,
    Column::Version,
    Column::Uptime,
];
/// Those that a narrow terminal goes without, the first of them first.
const DROPPED: [Column; 6] = [
    Column::Version,
    Column::Uptime,
    Column::RoundTrip,
    Column::Parent,
    Column::Address,
    Column::LastSeen,
];
/// Between two columns.
pub const GAP: usize = 2;
const NOTHING: &str = "-";

impl Column {
    pub fn heading(self) -> &'static str {
        match self {
            Column::Name => "NAME",
            Column::State => "STATE",
            Column::Address => "ADDRESS",
            Column::Parent => "PARENT",
            Column::RoundTrip => "ROUND TRIP",
            Column::LastSeen => "LAST SEEN",
            Column::Version => "VERSION",
            Column::Uptime => "UPTIME",
        }
    }

    /// What stands there of a node, nothing in it that a terminal would obey.
    pub fn cell(self, node: &NodeInfo, now_unix_s: u64) -> String {
        let filled = |text: &str| Some(escape(text)).filter(|text| !text.is_empty());
        match self {
            Column::Name => escape(&node.name),
            Column::State => node.state.word().to_string(),
            Column::Address => or_nothing(node.internal_ip.map(|ip| address(ip, node.port))),
            Column::Parent => or_nothing(filled(&node.parent)),
            Column::RoundTrip => or_nothing(node.rtt_us.filter(|us| *us > 0).map(milliseconds)),
            Column::LastSeen => format!("{} ago", duration(node.last_seen_ms / 1_000)),
            Column::Version => or_nothing(filled(&node.version)),
            Column::Uptime => {
                let is_live = matches!(node.state, State::Alive | State::Suspect);
                let since = Some(node.started_unix_s).filter(|since| is_live && *since > 0);
                or_nothing(since.map(|since| duration(now_unix_s.saturating_sub(since))))
            }
        }
    }
}

/// Columns and how wide they are, so that no line of these cells is wider than `width`: no cell is
/// ever broken, whole columns are left out. Without a width none is: a program may read it. Name and
/// state always stay.
pub fn fitting(rows: &[[String; 8]], width: Option<usize>) -> Vec<(Column, usize)> {
    let wide = |(at, column): (usize, &Column)| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        (*column, cells.max().unwrap_or(0).max(column.heading().len()))
    };
    let mut columns: Vec<(Column, usize)> = COLUMNS.iter().enumerate().map(wide).collect();
    for dropped in DROPPED {
        let line = columns.iter().map(|(_, wide)| wide + GAP).sum::<usize>() - GAP;
        if width.is_none_or(|width| line <= width) {
            break;
        }
        columns.retain(|(column, _)| *column != dropped);
    }
    columns
}

pub fn row(node: &NodeInfo, now_unix_s: u64) -> [String; 8] {
    COLUMNS.map(|column| column.cell(node, now_unix_s))
}

/// One line a node.
pub fn text(nodes: &[NodeInfo], width: Option<usize>, now_unix_s: u64) -> String {
    let rows: Vec<_> = nodes.iter().map(|node| row(node, now_unix_s)).collect();
    let columns = fitting(&rows, width);
    let headings = COLUMNS.map(|column| column.heading().to_string());
    let line = |row: &[String; 8]| {
        let cells = columns.iter().map(|(column, wide)| {
            let cell = &row[*column as usize];
            format!("{cell:wide$}{:GAP$}", "")
        });
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    [&headings].into_iter().chain(&rows).map(line).collect()
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
pub fn duration(seconds: u64) -> String {
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
    fn a_narrow_terminal_has_fewer_columns_and_no_broken_cell() {
        let whole = text(&nodes(), None, 4_660);
        let widest = whole.lines().map(str::len).max().unwrap();
        let mut last = 8;
        for width in (1..=widest + 1).rev() {
            let narrow = text(&nodes(), Some(width), 4_660);
            let rows: Vec<_> = nodes().iter().map(|node| row(node, 4_660)).collect();
            let columns = fitting(&rows, Some(width)).len();
            assert_eq!(narrow.lines().count(), 3, "{narrow}");
            let fits = narrow.lines().all(|line| line.len() <= width);
            assert!(fits || columns == 2, "{width}: {narrow}");
            assert!(columns <= last, "{width}");
            last = columns;
        }
        assert_eq!(
            text(&nodes(), Some(9), 0),
            "NAME        STATE\nnode1       alive\nvm 4\\u{1b}  down\n"
        );
    }

    #[test]
    fn durations_in_two_units() {
        for (seconds, text) in [(59, "59 s"), (60, "1 min"), (3_600, "1 h 0 min")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
