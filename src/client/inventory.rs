//! The herd as other programs want it: a configuration of ssh, an inventory of Ansible, targets of
//! Prometheus. A node that is hidden is reached through its parents, as daustd reaches it.

use crate::wire::ids::NodeId;
use crate::wire::info::{NodeInfo, State};
use crate::wire::targets;
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ssh,
    Ansible,
    Prometheus,
}

/// Of what `list` says, the asked node first. Who left is not in it. Prometheus' targets are on this
/// port.
pub fn text(kind: Kind, nodes: &[NodeInfo], port: u16) -> String {
    let herd = Herd { nodes };
    match kind {
        Kind::Ssh => herd.reachable().map(|node| herd.ssh(node)).collect(),
        Kind::Ansible => format!("{:#}\n", herd.ansible()),
        Kind::Prometheus => format!("{:#}\n", targets::prometheus(nodes, port)),
    }
}

struct Herd<'a> {
    nodes: &'a [NodeInfo],
}

impl<'a> Herd<'a> {
    fn reachable(&self) -> impl Iterator<Item = &'a NodeInfo> {
        targets::reachable(self.nodes)
    }

    /// No program takes a name with a space; a list has each shown name once.
    fn alias(node: &NodeInfo) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-~".contains(c);
        node.name.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
    }

    /// The parents on the way, the nearest to us first. None where the node can be dialled: it is not
    /// hidden, or it is behind this very node, or beside it.
    fn jumps(&self, node: &NodeInfo) -> Vec<&'a NodeInfo> {
        let Some(own) = self.nodes.first() else { return Vec::new() };
        let (mut jumps, mut at) = (Vec::<&NodeInfo>::new(), node);
        while at.hidden && at.id != own.id && at.parent != own.name {
            if own.hidden && at.parent == own.parent {
                break;
            }
            let parent = self.reachable().find(|parent| parent.name == at.parent);
            // Records that contradict each other may make a circle.
            let known = |id: NodeId| id == node.id || jumps.iter().any(|jump| jump.id == id);
            let Some(parent) = parent.filter(|parent| !known(parent.id)) else { break };
            jumps.insert(0, parent);
            at = parent;
        }
        jumps
    }

    /// ssh looks up each jump in its turn: the last one is enough.
    fn ssh(&self, node: &NodeInfo) -> String {
        let ip = node.internal_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let jump = self.jumps(node).last().map(|jump| Self::alias(jump));
        let jump = jump.map(|jump| format!("    ProxyJump {jump}\n")).unwrap_or_default();
        format!("Host {}\n    HostName {ip}\n{jump}", Self::alias(node))
    }

    fn ansible(&self) -> Value {
        let mut variables = Map::new();
        for node in self.reachable() {
            let mut of = json!({
                "ansible_host": node.internal_ip,
                "herd_id": node.id.to_string(),
                "herd_state": node.state.word(),
            });
            let jumps = self.jumps(node);
            let jumps: Vec<String> =
                jumps.iter().filter_map(|jump| jump.internal_ip).map(|ip| ip.to_string()).collect();
            if !jumps.is_empty() {
                let through = format!("-o ProxyJump={}", jumps.join(","));
                of["ansible_ssh_common_args"] = through.into();
            }
            variables.insert(Self::alias(node), of);
        }
        let of = |live: bool| -> Vec<String> {
            let is_live = |node: &&NodeInfo| node.state == State::Down;
            let nodes = self.reachable().filter(|node| is_live(node) != live);
            nodes.map(Self::alias).collect()
        };
        json!({
            "_meta": { "hostvars": variables },
            "herd": { "hosts": of(true) },
            "herd_down": { "hosts": of(false) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, name: &str, last: u8, parent: &str) -> NodeInfo {
        NodeInfo {
            id: NodeId(id),
            name: name.into(),
            internal_ip: Some([10, 0, 0, last].into()),
            parent: parent.into(),
            hidden: !parent.is_empty(),
            ..NodeInfo::default()
        }
    }

    fn herd() -> Vec<NodeInfo> {
        let gone = NodeInfo { state: State::Left, ..node(9, "gone", 9, "") };
        vec![
            node(1, "own", 1, ""),
            node(2, "hypervisor", 2, ""),
            node(3, "vm 3", 3, "hypervisor"),
            NodeInfo { state: State::Down, ..node(4, "container", 4, "vm 3") },
            node(5, "mine", 5, "own"),
            gone,
        ]
    }

    #[test]
    fn ssh_goes_through_the_parents() {
        let expected = "\
Host own
    HostName 10.0.0.1
Host hypervisor
    HostName 10.0.0.2
Host vm_3
    HostName 10.0.0.3
    ProxyJump hypervisor
Host container
    HostName 10.0.0.4
    ProxyJump vm_3
Host mine
    HostName 10.0.0.5
";
        assert_eq!(text(Kind::Ssh, &herd(), 0), expected);
    }

    #[test]
    fn from_inside_what_is_beside_is_dialled() {
        let mut nodes = herd();
        nodes.swap(0, 2);
        nodes.push(node(6, "beside", 6, "hypervisor"));
        let jumps = |id| {
            let herd = Herd { nodes: &nodes };
            let node = nodes.iter().find(|node| node.id == NodeId(id)).unwrap();
            herd.jumps(node).iter().map(|jump| jump.id.0).collect::<Vec<_>>()
        };
        assert_eq!((jumps(6), jumps(4), jumps(2)), (vec![], vec![], vec![]));
        assert_eq!(jumps(5), [1]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let nodes = [node(1, "own", 1, ""), node(2, "a", 2, "b"), node(3, "b", 3, "a")];
        let jumps = Herd { nodes: &nodes }.jumps(&nodes[1]);
        assert_eq!(jumps.iter().map(|jump| jump.id.0).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn ansible_has_all_jumps_in_one_line() {
        let object: Value = serde_json::from_str(&text(Kind::Ansible, &herd(), 0)).unwrap();
        let of = &object["_meta"]["hostvars"]["container"];
        assert_eq!(of["ansible_host"], "10.0.0.4");
        assert_eq!(of["ansible_ssh_common_args"], "-o ProxyJump=10.0.0.2,10.0.0.3");
        assert_eq!(object["herd"]["hosts"], json!(["own", "hypervisor", "vm_3", "mine"]));
        assert_eq!(object["herd_down"]["hosts"], json!(["container"]));
    }

    #[test]
    fn prometheus_gets_a_target_a_node() {
        let object: Value = serde_json::from_str(&text(Kind::Prometheus, &herd(), 9_256)).unwrap();
        assert_eq!(object[2]["targets"], json!(["10.0.0.3:9256"]));
        assert_eq!(object[2]["labels"]["__meta_herd_parent"], "hypervisor");
        assert_eq!(object.as_array().map(Vec::len), Some(5));
    }
}
