//! Containers of a real Docker Engine phone home to a node on this host, and end, freeze, move and
//! return; the node reads that Engine, and says how they ended. Skipped loudly where there is no Engine whose networks this host is on.

mod common;

use common::{DAUSTD, Daemon, Said, wait_until};
use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;

/// Not 4040: a herd that runs on this machine has nothing to do with this.
const PORT: &str = "4141";

fn docker(words: &[&str]) -> Said {
    let none = |why| panic!("docker {words:?}: {why}");
    Command::new("docker").args(words).output().unwrap_or_else(none).into()
}

fn must(words: &[&str]) -> String {
    let said = docker(words);
    assert_eq!(said.status, 0, "docker {words:?}: {said:?}");
    said.out.trim().to_string()
}

fn available() -> bool {
    let answers = Command::new("docker").arg("info").output();
    let may = answers.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("SKIPPED: no Docker Engine answers here");
    }
    may
}

/// An image, a network and what runs in it, all of one name; gone when dropped.
struct Fleet {
    name: String,
    home: Daemon,
}

impl Fleet {
    /// With a node on this host, if the host is on the Engine's networks.
    fn new() -> Option<Fleet> {
        let name = format!("herd-test-{}", std::process::id());
        let mut fleet = Fleet { name: name.clone(), home: Daemon::prepared("host") };
        fleet.make_image();
        let gateway = fleet.make_network();
        if UdpSocket::bind((gateway, 0)).is_err() {
            eprintln!("SKIPPED: the Engine's network {gateway} is not this host's");
            return None;
        }
        fleet.home.address = gateway;
        fleet.home.run(fleet.home.command().args(["-P", PORT]));
        Some(fleet)
    }

    /// A free one, as the Engine chooses, but of our own naming: only there addresses may be chosen.
    /// Gives the host's address on it.
    fn make_network(&self) -> Ipv4Addr {
        let inspect = |field: &str| {
            let format = format!("{{{{(index .IPAM.Config 0).{field}}}}}");
            must(&["network", "inspect", "-f", &format, &self.name])
        };
        must(&["network", "create", &self.name]);
        let (subnet, gateway) = (inspect("Subnet"), inspect("Gateway"));
        must(&["network", "rm", &self.name]);
        let chosen = ["--subnet", &subnet, "--gateway", &gateway, &self.name];
        must(&[&["network", "create"][..], &chosen].concat());
        gateway.parse().unwrap()
    }

    /// Of the program under test and the libraries it asks for, and nothing else.
    fn make_image(&self) {
        let root = self.home.path("image");
        std::fs::create_dir_all(&root).unwrap();
        let script = "cp \"$0\" . && ldd \"$0\" | grep -o '/[^ ]*' | while read -r library; do \
            mkdir -p \".${library%/*}\" && cp -L \"$library\" \".$library\" || exit 1; done && \
            tar -c . | docker import - \"$1\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, DAUSTD, &self.name]).current_dir(&root);
        let said = Said::from(shell.output().unwrap());
        assert_eq!(said.status, 0, "{said:?}");
    }

    fn start(&self, name: &str) {
        let home = format!("{}:{PORT}", self.home.address);
        self.start_with(name, &["-P", PORT, "-k", &home]);
    }

    fn start_with(&self, name: &str, arguments: &[&str]) {
        let full_name = self.container(name);
        let options = ["run", "-d", "--label", &self.name, "--network", &self.name];
        let program = Path::new("/").join(Path::new(DAUSTD).file_name().unwrap());
        let program = program.to_str().unwrap();
        let named = ["--hostname", name, "--name", &full_name, &self.name];
        must(&[&options[..], &named, &[program], arguments].concat());
    }

    fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    fn run(&self, verb: &str, name: &str) {
        must(&[verb, &self.container(name)]);
    }

    /// What the host lists under this name: one line, for nobody may come back as another.
    fn listed(&self, name: &str) -> Result<Value, String> {
        let said = self.home.daust(&["-j", "list"]);
        let nodes = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found: Vec<Value> = nodes.filter(|node| node["name"] == name).collect();
        match &found[..] {
            [one] => Ok(one.clone()),
            _ => Err(format!("{} lines of {name}: {said:?}", found.len())),
        }
    }

    /// How another node than the host says that this one is down.
    fn wait_reason(&self, name: &str, reason: &str) {
        wait_until(&format!("{name} to be down: {reason}"), || {
            let said = self.home.daust(&["-j", "remote", "steady", "list"]);
            let nodes = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let is_so = |node: Value| {
                node["name"] == name && node["state"] == "down" && node["reason"] == reason
            };
            nodes.into_iter().any(is_so).then_some(()).ok_or(said.out)
        });
    }

    fn wait_state(&self, name: &str, state: &str) -> Value {
        wait_until(&format!("{name} to be {state}"), || {
            self.listed(name).and_then(|node| match node["state"] == state {
                true => Ok(node),
                false => Err(node.to_string()),
            })
        })
    }

    fn wait_address(&self, name: &str, address: &str) -> Value {
        wait_until(&format!("{name} at {address}"), || {
            let node = self.listed(name)?;
            let there = node["internal_ip"] == address && node["state"] == "alive";
            there.then_some(node.clone()).ok_or(node.to_string())
        })
    }

    /// An address of this network that the Engine hands out last.
    fn far_address(&self, host: u8) -> String {
        let [one, two, three, _] = self.home.address.octets();
        Ipv4Addr::new(one, two, three, host).to_string()
    }

    /// To another address, as the Engine does it: off the network and on again.
    fn plug_elsewhere(&self, name: &str, address: &str) {
        let container = self.container(name);
        must(&["network", "disconnect", &self.name, &container]);
        must(&["network", "connect", "--ip", address, &self.name, &container]);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let filter = format!("label={}", self.name);
        let all = docker(&["ps", "-aq", "--filter", &filter]).out;
        for container in all.split_whitespace() {
            docker(&["rm", "-f", container]);
        }
        docker(&["network", "rm", &self.name]);
        docker(&["image", "rm", "-f", &self.name]);
    }
}

/// Each container told all who its host is: before that its end is nobody's word but the herd's.
fn wait_host(fleet: &Fleet, names: &[&str]) {
    for name in names {
        let class = fleet.listed(name).unwrap()["class"].clone();
        assert_eq!(class, "ephemeral", "{name}");
    }
    wait_until("the containers to be known by the Engine's word", || {
        let drawn = fleet.home.daust(&["-v", "trace"]).out;
        (!drawn.contains("silent")).then_some(()).ok_or(drawn)
    });
}

#[test]
fn containers_end_freeze_move_and_return() {
    if !available() {
        return;
    }
    let Some(fleet) = Fleet::new() else { return };
    let names = ["killed", "paused", "removed", "stopped", "moved", "restarted", "steady"];
    names.iter().for_each(|name| fleet.start(name));
    let id = |name: &str| fleet.wait_state(name, "alive")["id"].clone();
    let ids = names.map(id);
    let life = |name: &str| fleet.listed(name).unwrap()["generation"].as_u64().unwrap();
    let first_life = life("killed");
    wait_host(&fleet, &names);
    // It runs, and phones nobody.
    fleet.start_with("silent", &["-b", "127.0.0.1"]);
    let silent = format!("\n|   |__ {} (silent)\n", fleet.container("silent"));
    wait_until("the silent container", || {
        let drawn = fleet.home.daust(&["-v", "trace"]).out;
        (drawn.contains(&silent) && drawn.lines().count() == 2).then_some(()).ok_or(drawn)
    });
    let version = fleet.home.daust(&["-v", "version"]).out;
    assert!(version.contains(" containers are watched\n"), "{version}");

    fleet.run("kill", "killed");
    fleet.run("pause", "paused");
    must(&["rm", "-f", &fleet.container("removed")]);
    fleet.run("stop", "stopped");
    fleet.wait_state("killed", "down");
    // Its kernel still answers: only that it says nothing is known.
    assert_eq!(fleet.wait_state("paused", "down")["reason"], "silent");
    for name in ["killed", "removed"] {
        fleet.wait_reason(name, "container ended: exit status 137");
    }
    fleet.wait_state("stopped", "left");

    fleet.run("unpause", "paused");
    fleet.run("start", "killed");
    let (moved, restarted) = (fleet.far_address(201), fleet.far_address(202));
    fleet.plug_elsewhere("moved", &moved);
    fleet.run("stop", "restarted");
    fleet.plug_elsewhere("restarted", &restarted);
    fleet.run("start", "restarted");
    fleet.wait_address("moved", &moved);
    fleet.wait_address("restarted", &restarted);
    for (name, state) in names.iter().zip(["alive", "alive", "down", "left", "alive", "alive"]) {
        fleet.wait_state(name, state);
    }
    // Whoever came back is who it was.
    for (name, id) in names.iter().zip(&ids) {
        assert_eq!(&fleet.listed(name).unwrap()["id"], id, "{name}");
    }
    assert!(life("killed") > first_life, "a new life");
    assert_eq!(fleet.listed("steady").unwrap()["state"], "alive");
}
