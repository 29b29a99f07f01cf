//! Real daemons behind real NAT, in namespaces: three levels deep, overlapping addresses, broken
//! and healed. Root only; says SKIPPED otherwise.

mod common;

use common::machine::{Machine, available, cable, plug, switch};
use common::wait_until;

/// A network 10.0.0.0/24 for all, with a router at .254 that runs no daustd.
struct World {
    /// Hypervisors and VMs forward for what is inside them, so the inner ones are dropped first.
    machines: Vec<Machine>,
}

impl World {
    fn new() -> World {
        let router = Machine::new("router");
        switch(&router, "wan");
        router.add_address("wan", "10.0.0.254/24");
        World { machines: vec![router] }
    }

    fn get(&self, name: &str) -> &Machine {
        self.machines.iter().find(|machine| machine.name == name).unwrap()
    }

    /// A host on the outer network.
    fn host(&mut self, name: &str, address: &str) {
        let machine = Machine::new(name);
        plug(&machine, "eth0", &format!("{address}/24"), (&self.machines[0], "wan"));
        machine.must("ip route add default via 10.0.0.254");
        self.machines.push(machine);
    }

    /// Makes `name` the gateway of a network of its own: a bridge, and NAT behind its eth0.
    fn gateway(&self, name: &str, bridge: &str, address: &str) {
        let machine = self.get(name);
        switch(machine, bridge);
        machine.add_address(bridge, address);
        machine.masquerade(bridge, "eth0");
    }

    /// A VM or container inside a gateway's network.
    fn inside(&mut self, name: &str, address: &str, gateway: &str, bridge: &str, via: &str) {
        let machine = Machine::new(name);
        plug(&machine, "eth0", address, (self.get(gateway), bridge));
        machine.must(&format!("ip route add default via {via}"));
        self.machines.push(machine);
    }

    fn hypervisor(&mut self, name: &str, address: &str) {
        self.host(name, address);
        self.gateway(name, "virbr0", "192.168.122.1/24");
    }

    fn vm(&mut self, name: &str, address: &str, hypervisor: &str) {
        self.inside(name, &format!("{address}/24"), hypervisor, "virbr0", "192.168.122.1");
    }

    fn container(&mut self, name: &str, vm: &str) {
        self.gateway(vm, "docker0", "172.17.0.1/16");
        self.inside(name, "172.17.0.2/16", vm, "docker0", "172.17.0.1");
    }

    /// Two hypervisors whose insides look alike, and a host that all phone.
    fn two_hypervisors() -> World {
        let mut world = World::new();
        world.host("outside", "10.0.0.9");
        world.hypervisor("hypervisor1", "10.0.0.1");
        world.hypervisor("hypervisor2", "10.0.0.2");
        world.vm("vm1", "192.168.122.2", "hypervisor1");
        world.vm("vm2", "192.168.122.3", "hypervisor1");
        world.vm("vm3", "192.168.122.2", "hypervisor2");
        world.container("container1", "vm1");
        world.container("container3", "vm3");
        world.get("outside").start("");
        for name in ["hypervisor1", "hypervisor2"] {
            world.get(name).start("-k 10.0.0.9");
        }
        for name in ["vm1", "vm2", "vm3", "container1", "container3"] {
            world.get(name).start("");
        }
        world.get("outside").wait_says("trace all", FROM_OUTSIDE);
        world
    }

    /// Everybody who runs a daustd.
    fn nodes(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.name != "router")
    }
}

const FROM_OUTSIDE: &str = "\
|__ outside
|__ hypervisor1
|   |__ vm1
|   |   |__ container1
|   |__ vm2
|__ hypervisor2
|   |__ vm3
|   |   |__ container3
";

/// The asked node, its ancestors, children and siblings are on top, as everybody unhidden is.
const FROM_VM1: &str = "\
|__ vm1
|__ container1
|__ hypervisor1
|__ hypervisor2
|   |__ vm3
|   |   |__ container3
|__ outside
|__ vm2
";

const LIST_FROM_OUTSIDE: &str = "\
outside: internal ip 10.0.0.9, public ip N/A, last seen N seconds ago
container1: internal ip 172.17.0.2, public ip 10.0.0.1, last seen N seconds ago
container3: internal ip 172.17.0.2, public ip 10.0.0.2, last seen N seconds ago
hypervisor1: internal ip 10.0.0.1, public ip N/A, last seen N seconds ago
hypervisor2: internal ip 10.0.0.2, public ip N/A, last seen N seconds ago
vm1: internal ip 192.168.122.2, public ip 10.0.0.1, last seen N seconds ago
vm2: internal ip 192.168.122.3, public ip 10.0.0.1, last seen N seconds ago
vm3: internal ip 192.168.122.2, public ip 10.0.0.2, last seen N seconds ago
";

/// `daust all ping` on this machine is answered by `count` nodes, and all is well.
fn all_answer(machine: &Machine, count: usize) {
    let said = machine.run("daust all ping");
    assert_eq!(said.out.matches(" responded:\npong\n").count(), count, "{said:#?}");
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{said:#?}");
}

#[test]
fn three_levels_of_nat_are_reached_from_everywhere() {
    if !available() {
        return;
    }
    let world = World::two_hypervisors();
    let get = |name| world.get(name);
    get("outside").wait_says("list", LIST_FROM_OUTSIDE);
    get("vm1").wait_says("trace all", FROM_VM1);
    get("container3").wait_says("remote outside trace all", FROM_OUTSIDE);
    get("container3").wait_says("remote vm1 trace all", FROM_VM1);
    let count = world.nodes().count();
    for from in world.nodes() {
        wait_until(&format!("{} to list all", from.name), || {
            let said = from.run("daust list");
            (said.out.lines().count() == count).then_some(()).ok_or(said.out)
        });
        for to in world.nodes() {
            let said = from.run(&format!("daust remote {} ping", to.name));
            assert_eq!(said.out, "pong\n", "{} to {}: {said:#?}", from.name, to.name);
        }
        all_answer(from, count);
    }
    for (from, to) in [("outside", "container1"), ("container1", "container3"), ("vm1", "vm2")] {
        let said = get(from).run(&format!("daust doctor {to}"));
        assert_eq!((said.status, said.out.lines().count()), (0, 4), "{from} to {to}: {said:#?}");
    }
    let why = get("outside").must("daust why container1");
    assert!(
        why.contains("it is hidden: who has not talked to it begins through its parent, vm1\n")
    );
    // A way that was punched open is none that anybody could begin with.
    let direct = why.contains("it is reached directly, at ");
    assert_eq!(direct, why.contains(": its own datagrams keep that way open\n"), "{why}");
    // Everybody's whole list, asked for by the innermost of the innermost.
    let said = get("container1").run("daust all list");
    assert_eq!(said.status, 0, "{said:#?}");
    assert_eq!(said.out.lines().filter(|line| line.contains("last seen")).count(), count * count);
}

#[test]
fn alike_addresses_confuse_nobody_and_neighbours_talk_directly() {
    if !available() {
        return;
    }
    let world = World::two_hypervisors();
    for address in ["172.17.0.2", "192.168.122.2"] {
        let said = world.get("outside").run(&format!("daust remote {address} ping"));
        assert_eq!(said.status, 1, "{said:#?}");
        let named = said.err.contains("container1") && said.err.contains("container3")
            || said.err.contains("vm1") && said.err.contains("vm3");
        assert!(named, "both nodes at {address} must be named: {said:#?}");
    }
    // Four nodes are seen at this address, and one has it.
    let meant = world.get("outside").must("daust remote 10.0.0.1 trace");
    assert_eq!(meant, "|__ hypervisor1\n");
    wait_until("vm1 to reach vm2 directly", || {
        let path = world.get("vm1").run("daust trace vm2");
        let direct = path.out.lines().any(|line| line.starts_with("vm2 192.168.122.3"));
        let through = path.out.contains("hypervisor1");
        (direct && !through).then_some(()).ok_or(path.out)
    });
    let path = world.get("container3").must("daust trace container1");
    let hops: Vec<_> = path.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!((hops.first(), hops.last()), (Some(&"container3"), Some(&"container1")), "{path}");
    eprintln!("{path}");
}

#[test]
fn a_killed_a_stopped_and_a_cut_off_node_are_told_apart_and_healed() {
    if !available() {
        return;
    }
    let world = World::two_hypervisors();
    let (outside, vm1) = (world.get("outside"), world.get("vm1"));
    outside.must("daust watch >/run/watch 2>&1 &");
    let watched = |line: &str| {
        wait_until(&format!("'{line}' from watch"), || {
            let seen = outside.run("cat /run/watch").out;
            seen.lines().any(|found| found == line).then_some(()).ok_or(seen)
        });
    };
    wait_until("watch to listen", || {
        match outside.run("ss -xH state connected | grep -c daust").out {
            count if count.trim() != "0" => Ok(()),
            count => Err(count),
        }
    });

    world.get("vm2").signal("KILL");
    watched("down vm2 (process gone)");
    vm1.wait_says("remote outside trace all", &FROM_OUTSIDE.replace("vm2", "vm2 (down)"));
    world.get("vm2").start("");
    watched("up vm2");
    outside.wait_says("trace all", FROM_OUTSIDE);

    world.get("hypervisor1").signal("STOP");
    let stopped = wait_until("hypervisor1 to be noticed", || {
        let said = outside.run("daust list").out;
        let line = said.lines().find(|line| line.starts_with("hypervisor1:")).unwrap_or("");
        line.ends_with(" (down)").then(|| line.to_string()).ok_or(said)
    });
    assert!(stopped.starts_with("hypervisor1: internal ip 10.0.0.1"), "{stopped}");
    world.get("hypervisor1").signal("CONT");
    outside.wait_says("trace all", FROM_OUTSIDE);

    world.get("container3").disturb("eth0", "drop");
    wait_until("container3 to be noticed", || {
        let said = outside.run("daust list").out;
        let down = |line: &str| line.starts_with("container3:") && line.ends_with(" (down)");
        said.lines().any(down).then_some(()).ok_or(said)
    });
    world.get("container3").undisturb();
    outside.wait_says("trace all", FROM_OUTSIDE);
    all_answer(world.get("container3"), 8);
}

#[test]
fn a_lossy_network_costs_no_answer_and_no_life() {
    if !available() {
        return;
    }
    let world = World::two_hypervisors();
    let outside = world.get("outside");
    for machine in world.nodes() {
        machine.disturb("eth0", "ip protocol udp numgen random mod 10 0 drop");
        machine.must("daust watch >/run/watch 2>&1 &");
    }
    for _ in 0..20 {
        all_answer(outside, 8);
        all_answer(world.get("container1"), 8);
    }
    for machine in world.nodes() {
        let seen = machine.must("cat /run/watch");
        assert!(!seen.lines().any(|line| line.starts_with("down ")), "{}: {seen}", machine.name);
    }
}

#[test]
fn children_of_a_dead_parent_find_another_and_come_back() {
    if !available() {
        return;
    }
    let mut world = World::new();
    world.host("outside", "10.0.0.9");
    world.hypervisor("hypervisor", "10.0.0.1");
    world.vm("vm", "192.168.122.2", "hypervisor");
    world.container("container", "vm");
    let get = |name| world.get(name);
    get("outside").start("");
    get("hypervisor").start("-k 10.0.0.9");
    get("vm").start("-k 10.0.0.9");
    get("container").start("");
    let whole = "|__ outside\n|__ hypervisor\n|   |__ vm\n|   |   |__ container\n";
    get("outside").wait_says("trace all", whole);

    // The machine goes on forwarding; its daustd is gone.
    get("hypervisor").signal("KILL");
    let adopted = "|__ outside\n|__ hypervisor (down)\n|__ vm\n|   |__ container\n";
    get("outside").wait_says("trace all", adopted);
    get("outside").wait_says("remote container ping", "pong\n");
    get("container").wait_says("remote outside ping", "pong\n");

    get("hypervisor").start("-k 10.0.0.9");
    get("outside").wait_says("trace all", whole);
}

/// The NAT lets nothing through that comes from another address than the one that was phoned.
#[test]
fn a_second_address_is_phoned_and_answers() {
    if !available() {
        return;
    }
    let mut world = World::new();
    world.host("outside", "10.0.0.9");
    world.get("outside").must("ip address add 10.0.0.50/24 dev eth0");
    world.hypervisor("hypervisor", "10.0.0.1");
    world.vm("vm", "192.168.122.2", "hypervisor");
    world.get("outside").start("");
    world.get("vm").start("-k 10.0.0.50");
    world.get("outside").wait_says("remote vm trace", "|__ vm\n");
    world.get("vm").wait_says("remote outside trace", "|__ outside\n");
}

/// The session of the README, word for word, on the two machines that it speaks of.
#[test]
fn the_quick_start_of_the_readme() {
    if !available() {
        return;
    }
    let (node1, node2) = (Machine::new("node1"), Machine::new("node2"));
    cable((&node1, "eth0"), (&node2, "eth0"));
    node1.add_address("eth0", "192.168.1.2/24");
    node2.add_address("eth0", "192.168.1.3/24");
    let readme = include_str!("../README.md");
    let quick_start = readme.split("## Quick start").nth(1).unwrap().split("\n## ").next().unwrap();
    let sessions: Vec<&str> = quick_start.split("```\n").skip(1).step_by(2).collect();
    assert!(sessions.len() >= 6, "{sessions:?}");
    for session in sessions {
        let (typed, expected) = session.split_once('\n').unwrap();
        let line = typed.strip_prefix("$ ").unwrap();
        if line.starts_with("daustd") {
            for machine in [&node1, &node2] {
                assert_eq!(machine.must(line), expected);
            }
        } else if expected.is_empty() {
            node1.must(line);
        } else if !expected.contains("hypervisor") {
            node1.wait_says(line.strip_prefix("daust ").unwrap(), &common::ageless(expected));
        }
    }
    for machine in [&node1, &node2] {
        wait_until("the daemons to end", || match machine.run("pidof daustd").status {
            0 => Err("one still runs"),
            _ => Ok(()),
        });
    }
}

/// From a container in a VM, with commands all the while; and a machine behind NAT that comes later.
#[test]
fn a_herd_behind_nat_is_given_a_key_and_a_token_lets_one_more_in() {
    if !available() {
        return;
    }
    let mut world = World::two_hypervisors();
    let asker = world.get("container1");
    asker.wait_says("key list", "no herd key: this herd is open\n");
    asker.must("daust key adopt --yes");
    wait_until("all have the key, and open is over", || {
        all_answer(world.get("vm3"), 8);
        let said = asker.run("daust all key list").out;
        let over = said.matches(", from adoption\n").count();
        if over == 8 { Ok(()) } else { Err(said) }
    });
    for node in world.nodes() {
        let log = node.must("cat /run/log");
        assert!(!log.contains("watch: down"), "{}: {log}", node.name);
        node.must("test -f /var/lib/daust/key -a -f /var/lib/daust/keyed");
    }
    world.vm("vm4", "192.168.122.4", "hypervisor2");
    let token = world.get("outside").must("daust token 2>/dev/null");
    let late = world.get("vm4");
    late.must(&format!("echo '{}' | daustd -d -v -l /run/log --join -", token.trim()));
    wait_until("vm4 is in", || {
        let said = late.run("daust all ping");
        let answered = said.out.matches(" responded:\npong\n").count();
        if answered == 9 { Ok(()) } else { Err(format!("{said:#?}")) }
    });
    // Killed and started as ever, all find the key.
    for name in ["container1", "vm3", "hypervisor1"] {
        world.get(name).signal("KILL");
        world.get(name).start("");
    }
    wait_until("all are back", || {
        let said = world.get("outside").run("daust all ping");
        let answered = said.out.matches(" responded:\npong\n").count();
        if answered == 9 { Ok(()) } else { Err(format!("{said:#?}")) }
    });
}
