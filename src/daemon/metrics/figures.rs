//! The figures that are shown, and how they are called: herd(7) lists them.

use crate::daemon::metrics::http::Format;
use crate::daemon::metrics::process::Process;
use crate::daemon::udp::Traffic;
use crate::wire::info::{NodeInfo, State, VersionInfo};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric,
};
use prometheus_client::metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge};
use prometheus_client::{encoding::text, registry::Registry};
use std::fmt;

const STATES: [State; 4] = [State::Alive, State::Suspect, State::Down, State::Left];

/// What the daemon itself counts.
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    pub started_unix_s: u64,
    pub uptime_s: f64,
    pub traffic: Traffic,
    pub streams: u64,
    pub clients: u64,
    pub writes_waiting: u64,
    pub writes_failed: u64,
}

/// All of them, at one moment.
#[derive(Debug, Default)]
pub struct Figures {
    /// As `list` gives them, the own node first.
    pub nodes: Vec<NodeInfo>,
    pub stale: bool,
    pub version: VersionInfo,
    pub daemon: Daemon,
    pub process: Process,
}

impl Figures {
    pub fn text(self, format: Format) -> String {
        let (mut text, mut registry) = (String::new(), Registry::default());
        registry.register_collector(Box::new(self));
        // A String takes everything.
        let _ = text::encode(&mut text, &registry);
        match format {
            Format::OpenMetrics => text,
            Format::Classic => classic(&text),
        }
    }

    /// Dead ones whose name and address a live node took are nobody's business.
    fn shown(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.iter().filter(|node| !node.replaced)
    }

    fn own(&self, sheet: &mut Sheet) -> fmt::Result {
        let own = self.nodes.first();
        let labels = [
            ("node", own.map(|own| own.name.clone()).unwrap_or_default()),
            ("id", own.map(|own| own.id.to_string()).unwrap_or_default()),
            ("version", self.version.library.clone()),
        ];
        let daemon = &self.daemon;
        sheet.gauges("herd_info", "This node and its version.", [(labels, 1_u64)])?;
        sheet.gauge("herd_uptime_seconds", "Time since this daemon started.", daemon.uptime_s)?;
        let stale = u64::from(self.stale);
        sheet.gauge("herd_stale", "Whether this node believes itself cut off.", stale)?;
        let gauge = |name: &str| {
            let mut gauges = self.version.gauges.iter().flatten();
            gauges.find(|gauge| gauge.name == name).map_or(0, |gauge| gauge.value)
        };
        let requests = gauge("requests under way");
        sheet.gauge("herd_requests", "Requests of local programs under way.", requests)?;
        let entries = gauge("journal entries");
        sheet.gauge("herd_journal_entries", "Entries of the journal.", entries)?;
        let waiting = daemon.writes_waiting;
        sheet.gauge("herd_writes_waiting", "Writes to the disk under way.", waiting)?;
        let failed = daemon.writes_failed;
        sheet.counter("herd_writes_failed", "Writes to the disk that failed.", failed)?;
        sheet.gauge("herd_streams", "TCP streams to other nodes.", daemon.streams)?;
        sheet.gauge("herd_clients", "Programs at the control socket.", daemon.clients)?;
        let counters = &self.version.counters;
        let events = counters.iter().map(|one| ([("event", one.name.as_str())], one.value));
        sheet.counters("herd_events", "Seldom things, counted as `daust version -v` does.", events)
    }

    fn traffic(&self, sheet: &mut Sheet) -> fmt::Result {
        let Traffic { received, received_bytes, sent, sent_bytes } = self.daemon.traffic;
        for (name, help, value) in [
            ("herd_datagrams_received", "Datagrams received.", received),
            ("herd_datagrams_received_bytes", "Bytes of datagrams received.", received_bytes),
            ("herd_datagrams_sent", "Datagrams sent.", sent),
            ("herd_datagrams_sent_bytes", "Bytes of datagrams sent.", sent_bytes),
        ] {
            sheet.counter(name, help, value)?;
        }
        Ok(())
    }

    fn herd(&self, sheet: &mut Sheet) -> fmt::Result {
        let count = |state| self.shown().filter(|node| node.state == state).count() as u64;
        let counts = STATES.map(|state| ([("state", state.word())], count(state)));
        sheet.gauges("herd_nodes", "Known nodes by state, this one included.", counts)?;
        let ages = self.shown().map(|node| (labels(node), node.last_seen_ms as f64 / 1e3));
        let help = "Time since anybody in the herd heard the node.";
        sheet.gauges("herd_node_last_seen_seconds", help, ages)?;
        let states = self.shown().flat_map(|node| {
            STATES.map(|state| {
                let [name, id] = labels(node);
                ([name, id, ("state", state.word().into())], u64::from(node.state == state))
            })
        });
        sheet.gauges("herd_node_state", "1 for the state that the node is in.", states)
    }

    fn process(&self, sheet: &mut Sheet) -> fmt::Result {
        let process = &self.process;
        let cpu_s = process.cpu_s;
        sheet.counter("process_cpu_seconds", "Time of the processor used.", cpu_s)?;
        let started = self.daemon.started_unix_s;
        sheet.gauge("process_start_time_seconds", "Start, since the epoch.", started)?;
        for (name, help, value) in [
            ("process_open_fds", "Open file descriptors.", process.files),
            ("process_max_fds", "Most file descriptors.", process.files_max),
            ("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes),
            ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes),
        ] {
            sheet.gauge(name, help, value)?;
        }
        Ok(())
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.own(&mut sheet)?;
        self.traffic(&mut sheet)?;
        self.herd(&mut sheet)?;
        self.process(&mut sheet)
    }
}

fn labels(node: &NodeInfo) -> [(&'static str, std::borrow::Cow<'_, str>); 2] {
    [("node", node.name.as_str().into()), ("id", node.id.to_string().into())]
}

/// Writes one family after the other.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(family)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(family)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The format that Prometheus had before. Its counters bear `_total` in their family's name too.
fn classic(text: &str) -> String {
    let counter = |line: &str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.into());
    let counters: Vec<String> = text.lines().filter_map(counter).collect();
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest))
                if counters.iter().any(|counter| counter == name) =>
            {
                format!("# {what} {name}_total {rest}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().filter(|line| *line != "# EOF").map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ids::NodeId;
    use crate::wire::info::Counter;
    use crate::wire::limits::{CLIENT_BUFFER_BYTES, NAME_BYTES, NODES};

    fn figures() -> Figures {
        let node = |id, name: &str, state| NodeInfo {
            id: NodeId(id),
            name: name.into(),
            state,
            last_seen_ms: id * 1_500,
            ..NodeInfo::default()
        };
        let replaced = NodeInfo { replaced: true, ..node(9, "old", State::Down) };
        let one = |name: &str, value| Counter { name: name.into(), value };
        Figures {
            nodes: vec![
                node(0, "node1", State::Alive),
                node(1, "vm 2", State::Alive),
                node(2, "a\"b\\c\nd", State::Down),
                replaced,
            ],
            version: VersionInfo {
                library: "0.1.0".into(),
                counters: vec![one("votes forged", 3)],
                gauges: Some(vec![one("journal entries", 7)]),
                ..VersionInfo::default()
            },
            ..Figures::default()
        }
    }

    fn has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn open_metrics() {
        let text = figures().text(Format::OpenMetrics);
        has(
            &text,
            &[
                "# TYPE herd_nodes gauge",
                "herd_nodes{state=\"alive\"} 2",
                "herd_nodes{state=\"down\"} 1",
                "herd_info{node=\"node1\",id=\"0000000000000000\",version=\"0.1.0\"} 1",
                "herd_node_last_seen_seconds{node=\"vm 2\",id=\"0000000000000001\"} 1.5",
                "herd_node_state{node=\"vm 2\",id=\"0000000000000001\",state=\"alive\"} 1",
                "herd_node_state{node=\"vm 2\",id=\"0000000000000001\",state=\"down\"} 0",
                "herd_node_last_seen_seconds{node=\"a\\\"b\\\\c\\nd\",id=\"0000000000000002\"} 3.0",
                "# TYPE herd_events counter",
                "herd_events_total{event=\"votes forged\"} 3",
                "herd_journal_entries 7",
            ],
        );
        assert!(text.ends_with("# EOF\n") && !text.contains("old"), "{text}");
    }

    #[test]
    fn the_classic_format_names_counters_in_full() {
        let text = figures().text(Format::Classic);
        let counters =
            ["# TYPE herd_events_total counter", "# TYPE process_cpu_seconds_total counter"];
        has(&text, &counters);
        has(&text, &["herd_events_total{event=\"votes forged\"} 3", "# TYPE herd_nodes gauge"]);
        has(&text, &["# HELP herd_datagrams_sent_total Datagrams sent."]);
        assert!(!text.contains("EOF"), "{text}");
    }

    #[test]
    fn a_full_herd_fits_what_a_client_may_have_waiting() {
        let node = |id| NodeInfo {
            id: NodeId(u64::MAX - id),
            name: "x".repeat(NAME_BYTES),
            last_seen_ms: u64::MAX / 7,
            ..NodeInfo::default()
        };
        let nodes = (0..=NODES as u64).map(node).collect();
        let text = Figures { nodes, ..figures() }.text(Format::Classic);
        assert!(text.len() < CLIENT_BUFFER_BYTES, "{}", text.len());
    }
}
