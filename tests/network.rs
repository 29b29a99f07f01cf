//! Real daemons on networks without NAT that change under them: a new address, IPv6 alone, an island
//! that comes back, a dead end. Root only; says SKIPPED otherwise.

mod common;

use common::machine::{Machine, available, cable, plug, switch};
use common::wait_until;

/// Two switches and the trunk between them, in a machine that runs no daustd.
fn switches() -> Machine {
    let machine = Machine::new("switches");
    for name in ["left", "right"] {
        switch(&machine, name);
    }
    cable((&machine, "trunk1"), (&machine, "trunk2"));
    machine.must("ip link set trunk1 master left && ip link set trunk2 master right");
    machine
}

/// Machines of these names at 10.0.0.1, .2, ..., half on either side, all members of one herd.
fn herd(names: &[&str], switches: &Machine) -> Vec<Machine> {
    let mut machines = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let machine = Machine::new(name);
        let side = if at < names.len() / 2 { "left" } else { "right" };
        plug(&machine, "eth0", &format!("10.0.0.{}/24", at + 1), (switches, side));
        machine.start("");
        machines.push(machine);
    }
    for at in 2..=names.len() {
        machines[0].must(&format!("daust remote 10.0.0.{at} ping"));
    }
    for machine in &machines {
        wait_marks(machine, names, "");
    }
    machines
}

/// These nodes are listed with this mark, the others without one, sooner or later.
fn wait_marks(machine: &Machine, marked: &[&str], mark: &str) {
    wait_until(&format!("{marked:?} to be listed on {}{mark}", machine.name), || {
        let list = machine.run("daust list").out;
        let named = |name: &&str| {
            let line = list.lines().find(|line| line.starts_with(&format!("{name}: ")));
            line.is_some_and(|line| line.ends_with(&format!("seconds ago{mark}")))
        };
        let all = marked.iter().all(named);
        let others = list.lines().filter(|line| line.ends_with(')')).count();
        let right = all && others == if mark.is_empty() { 0 } else { marked.len() };
        right.then_some(()).ok_or(list)
    });
}

#[test]
fn a_new_address_is_known_everywhere() {
    if !available() {
        return;
    }
    let switches = switches();
    let machines = herd(&["a", "b", "c"], &switches);
    machines[1].must("ip address flush dev eth0");
    machines[1].add_address("eth0", "10.0.0.77/24");
    for machine in &machines {
        wait_until(&format!("{} to list the new address", machine.name), || {
            let list = machine.run("daust list").out;
            let known = list.contains("b: internal ip 10.0.0.77, public ip N/A, last seen ");
            (known && !list.contains('(')).then_some(()).ok_or(list)
        });
        machine.wait_says("remote b ping", "pong\n");
    }
}

#[test]
fn ipv6_alone_is_enough() {
    if !available() {
        return;
    }
    let (one, two) = (Machine::new("one"), Machine::new("two"));
    cable((&one, "eth0"), (&two, "eth0"));
    one.must("ip address add fd00::1/64 dev eth0 nodad");
    two.must("ip address add fd00::2/64 dev eth0 nodad");
    one.start("");
    two.start("");
    assert_eq!(one.must("daust remote fd00::2 ping"), "pong\n");
    let lines = ["one: internal ip fd00::1", "two: internal ip fd00::2"]
        .map(|start| format!("{start}, public ip N/A, last seen N seconds ago\n"));
    one.wait_says("list", &lines.concat());
    two.wait_says("list remote fd00::1", &lines.concat());
    two.signal("KILL");
    one.wait_says("list", &format!("{}{}", lines[0], lines[1].replace(" ago", " ago (down)")));
    two.start("");
    one.wait_says("list", &lines.concat());
}

#[test]
fn islands_declare_each_other_down_and_become_one_again() {
    if !available() {
        return;
    }
    let switches = switches();
    let names = ["a", "b", "c", "d", "e", "f"];
    let machines = herd(&names, &switches);
    let (left, right) = names.split_at(3);
    switches.must("ip link set trunk1 down");
    for (at, machine) in machines.iter().enumerate() {
        wait_marks(machine, if at < 3 { right } else { left }, " (down)");
    }
    switches.must("ip link set trunk1 up");
    for machine in &machines {
        wait_marks(machine, &names, "");
    }
}

#[test]
fn a_dead_end_answers_and_relays_for_nobody() {
    if !available() {
        return;
    }
    let (gateway, inside) = (Machine::new("gateway"), Machine::new("inside"));
    let outside = Machine::new("outside");
    cable((&gateway, "eth0"), (&outside, "eth0"));
    cable((&gateway, "eth1"), (&inside, "eth0"));
    gateway.add_address("eth0", "10.0.0.1/24");
    outside.add_address("eth0", "10.0.0.9/24");
    gateway.add_address("eth1", "192.168.7.1/24");
    inside.add_address("eth0", "192.168.7.2/24");
    inside.must("ip route add default via 192.168.7.1");
    gateway.masquerade("eth1", "eth0");
    outside.start("");
    gateway.start("-e -k 10.0.0.9");
    inside.start("");
    outside.wait_says("remote gateway ping", "pong\n");
    // The gateway would be its parent, and is not: it hangs under the one who relays.
    gateway.wait_says("trace all", "|__ gateway\n|__ outside\n|   |__ inside\n");
    gateway.wait_says("remote inside ping", "pong\n");
    outside.wait_says("remote inside ping", "pong\n");
}
