//! What is shown of a node: a line of `list`, a row of `trace`, an event of `watch`.

use crate::wire::ids::NodeId;
use crate::wire::record::Record;
use minicbor::{Decode, Encode};
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum State {
    #[default]
    #[n(0)]
    Alive,
    #[n(1)]
    Suspect,
    #[n(2)]
    Down,
    /// Said goodbye.
    #[n(3)]
    Left,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::Alive => "alive",
            State::Suspect => "suspect",
            State::Down => "down",
            State::Left => "left",
        }
    }
}

/// One line of `list`: a node as the answering node sees it.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct NodeInfo {
    #[n(0)]
    pub id: NodeId,
    /// As shown: `name`, or `name~ab12cd` where an older node bears the bare name.
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub internal_ip: Option<IpAddr>,
    #[n(3)]
    pub public_ip: Option<IpAddr>,
    /// Age of the last sealed word from it that reached anybody in the herd, milliseconds.
    #[n(4)]
    pub last_seen_ms: u64,
    #[n(5)]
    pub state: State,
    /// Why it is suspect or down, or a warning about a live one, for people; mostly empty.
    #[n(6)]
    pub reason: String,
    /// Others cannot start a conversation with it: it is reached through `parent`.
    #[n(7)]
    pub hidden: bool,
    /// The shown name of its parent; empty if it has none.
    #[n(8)]
    pub parent: String,
    /// How the answering node reaches it: `self`, an address, or `via NAME`; empty if unknown.
    #[n(9)]
    pub route: String,
    /// Round-trip time, microseconds, if measured.
    #[n(10)]
    pub rtt_us: Option<u64>,
    /// The shown name of the node that heard it last.
    #[n(11)]
    pub heard_by: String,
    #[n(12)]
    pub generation: u64,
    /// Dead, and a live node took both its name and its address: shown with `-v` only.
    #[n(13)]
    pub replaced: bool,
    /// UDP and TCP; 0 if the answering node is too old to say.
    #[cbor(n(14), default)]
    pub port: u16,
    /// What it runs, such as `0.1.0`; empty if it does not say.
    #[cbor(n(15), default)]
    pub version: String,
    /// When it started by its own clock, seconds since the epoch; 0 if that is not known.
    #[cbor(n(16), default)]
    pub started_unix_s: u64,
    /// What it lets other nodes do at most, where that is no more than to look.
    #[n(17)]
    pub accept: Option<String>,
    /// What kind of life it leads; None if the answering node is too old to say.
    #[n(18)]
    pub class: Option<String>,
}

impl NodeInfo {
    /// What a node says of itself.
    pub fn of(record: &Record) -> NodeInfo {
        NodeInfo {
            id: record.id(),
            name: record.name.to_string(),
            internal_ip: record.addresses.first().copied(),
            public_ip: record.public_ip,
            hidden: record.hidden,
            generation: record.generation.0,
            port: record.port,
            version: record.version().to_string(),
            started_unix_s: record.started_unix_s(),
            accept: record.told_accept().map(str::to_string),
            class: Some(record.class().to_string()),
            ..NodeInfo::default()
        }
    }
}

/// One row of the tree, in reading order.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct TraceRow {
    #[n(0)]
    pub depth: u32,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub id: NodeId,
    #[n(3)]
    pub state: State,
    #[n(4)]
    pub rtt_us: Option<u64>,
    /// Shown names of further homes (shown with `-v`).
    #[n(5)]
    pub homes: Vec<String>,
    /// Of the asked node: the containers there from which nobody phones home.
    #[n(6)]
    pub silent: Option<Silent>,
}

/// Containers that run and were never heard.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct Silent {
    #[n(0)]
    pub count: u64,
    /// The names of the first of them.
    #[n(1)]
    pub names: Vec<String>,
}

/// One hop of the path to a node.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Hop {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub id: NodeId,
    #[n(2)]
    pub address: Option<SocketAddr>,
    #[n(3)]
    pub rtt_us: Option<u64>,
}

/// What `version` says.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct VersionInfo {
    #[n(0)]
    pub program: String,
    #[n(1)]
    pub protocol: u8,
    #[n(2)]
    pub library: String,
    /// Target, profile and such, for `-v`.
    #[n(3)]
    pub build: String,
    /// Name, value, unit: for `-v`.
    #[n(4)]
    pub limits: Vec<Limit>,
    /// Counters since start (forged, replayed, foreign, ...): for `-v`.
    #[n(5)]
    pub counters: Vec<Counter>,
    /// What its owner should know, for `-v`.
    #[n(6)]
    pub warning: Option<String>,
    /// How much there is of something now; None: the answering node is too old to say.
    #[n(7)]
    pub gauges: Option<Vec<Counter>>,
    /// Whether it watches the containers of its machine, for `-v`.
    #[n(8)]
    pub guests: Option<String>,
}

/// A herd key as it may be shown.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct KeyInfo {
    #[n(0)]
    pub fingerprint: String,
    #[n(1)]
    pub herd: u64,
    #[n(2)]
    pub epoch: u32,
    /// The file it was read from, or how else it came.
    #[n(3)]
    pub source: String,
    /// Who does not hold it; None: everybody does.
    #[n(4)]
    pub lacking: Option<Lacking>,
}

/// Nodes that do not hold a key.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct Lacking {
    #[n(0)]
    pub count: u64,
    /// The shown names of the first of them.
    #[n(1)]
    pub names: Vec<String>,
    /// Those of the names that take no key from other nodes.
    #[n(2)]
    pub refusing: Option<Vec<String>>,
}

#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Limit {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub value: u64,
    #[n(2)]
    pub unit: String,
}

#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Counter {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub value: u64,
}

/// One thing that happened: a line of `watch`.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Event {
    #[n(0)]
    pub kind: EventKind,
    /// Shown name of the node it is about; empty for `stale`.
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub id: NodeId,
    /// `down`: the reason; `route`: the parent's shown name (empty: direct); `stale`: why.
    #[n(3)]
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum EventKind {
    #[n(0)]
    Up,
    #[n(1)]
    Suspect,
    #[n(2)]
    Down,
    #[n(3)]
    Left,
    #[n(4)]
    Route,
    /// The local node believes itself cut off.
    #[n(5)]
    Stale,
}

impl EventKind {
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Up => "up",
            EventKind::Suspect => "suspect",
            EventKind::Down => "down",
            EventKind::Left => "left",
            EventKind::Route => "route",
            EventKind::Stale => "stale",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    /// Who runs an older program sends six fields, and reads six.
    #[test]
    fn a_warning_is_on_the_wire_only_where_there_is_one() {
        let quiet = VersionInfo::default();
        assert_eq!(codec::encode(&quiet)[0], 0x86, "an array of six");
        let warned = VersionInfo { warning: Some("no key".into()), ..quiet };
        assert_eq!(codec::decode(&codec::encode(&warned)), Ok(warned));
    }
}
