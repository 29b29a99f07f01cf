//! The herd as Prometheus' HTTP service discovery wants it: `GET /sd` of the daemon, and
//! `daust inventory --prometheus`.

use crate::wire::info::{NodeInfo, State};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Node exporter's port.
pub const EXPORTER: u16 = 9_100;

/// Those that have an address and did not leave: what other programs are to know of.
pub fn reachable(nodes: &[NodeInfo]) -> impl Iterator<Item = &NodeInfo> {
    let there = |node: &&NodeInfo| node.state != State::Left && !node.replaced;
    nodes.iter().filter(there).filter(|node| node.internal_ip.is_some())
}

/// A target a node, on this port. Prometheus dials by itself: who is hidden is in it all the same,
/// for a proxy to reach.
pub fn prometheus(nodes: &[NodeInfo], port: u16) -> Value {
    let target = |node: &NodeInfo| {
        let at = node.internal_ip.map(|ip| SocketAddr::new(ip, port).to_string());
        json!({
            "targets": [at],
            "labels": {
                "__meta_herd_name": node.name,
                "__meta_herd_id": node.id.to_string(),
                "__meta_herd_state": node.state.word(),
                "__meta_herd_hidden": node.hidden.to_string(),
                "__meta_herd_parent": node.parent,
                "__meta_herd_version": node.version,
            },
        })
    };
    reachable(nodes).map(target).collect()
}
