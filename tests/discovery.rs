//! Real daemons that find each other by multicast DNS on networks without a router. Root only; says
//! SKIPPED otherwise.

mod common;

use common::machine::{Machine, available, plug, switch};
use common::wait_until;

const NETWORK: &str = "10.9.0";

/// Machines at .1, .2 and so on of one switch, which is the first of them all.
fn machines(names: &[&str]) -> Vec<Machine> {
    let mut machines = vec![Machine::new("switch")];
    switch(&machines[0], "lan");
    for (at, name) in names.iter().enumerate() {
        let machine = Machine::new(name);
        plug(&machine, "eth0", &format!("{NETWORK}.{}/24", at + 1), (&machines[0], "lan"));
        machine.must("ip route add default dev eth0");
        machines.push(machine);
    }
    machines
}

fn names(machine: &Machine) -> Vec<String> {
    let list = machine.run("daust list").out;
    let mut names: Vec<String> =
        list.lines().filter_map(|line| line.split(':').next().map(str::to_string)).collect();
    names.sort();
    names
}

fn wait_names(machine: &Machine, expected: &[&str]) {
    wait_until(&format!("{expected:?} on {}", machine.name), || {
        let found = names(machine);
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

fn configure(machine: &Machine, text: &str) {
    machine.must(&format!("printf '{text}\\n' >/run/daustd.toml"));
}

#[test]
fn lone_nodes_become_one_herd() {
    if !available() {
        return;
    }
    let machines = machines(&["a", "b", "c", "silent"]);
    machines[1..4].iter().for_each(|machine| machine.start(""));
    configure(&machines[4], "discovery = false");
    machines[4].start("-c /run/daustd.toml");
    machines[1..4].iter().for_each(|machine| wait_names(machine, &["a", "b", "c"]));
    assert_eq!(names(&machines[4]), ["silent"], "it neither finds nor is found");
    let well = machines[1].run("daust doctor");
    assert!(!well.out.contains("another herd"), "{well:?}");
}

#[test]
fn a_network_that_comes_after_the_daemon_is_looked_at() {
    if !available() {
        return;
    }
    let machines = machines(&["a", "b"]);
    for machine in &machines[1..] {
        machine.must("ip address flush dev eth0");
        machine.start("");
    }
    std::thread::sleep(std::time::Duration::from_secs(3));
    for (at, machine) in machines.iter().enumerate().skip(1) {
        machine.add_address("eth0", &format!("{NETWORK}.{at}/24"));
    }
    machines[1..].iter().for_each(|machine| wait_names(machine, &["a", "b"]));
}

#[test]
fn two_herds_stay_two_and_are_told_of_each_other() {
    if !available() {
        return;
    }
    let machines = machines(&["a", "b", "x", "y"]);
    let all_start = |options: &str| {
        for (at, home) in [(1, ""), (2, "-k 10.9.0.1"), (3, ""), (4, "-k 10.9.0.3")] {
            machines[at].start(&format!("{home} {options}"));
        }
        for machine in &machines[1..] {
            let herd = if machine.name.as_str() < "x" { ["a", "b"] } else { ["x", "y"] };
            wait_names(machine, &herd);
        }
    };
    machines[1..].iter().for_each(|machine| configure(machine, "discovery = false"));
    all_start("-c /run/daustd.toml");
    machines[1..].iter().for_each(|machine| drop(machine.must("daust stop")));
    all_start("");
    for (asked, others) in
        [(1, "10.9.0.3:4040, 10.9.0.4:4040"), (4, "10.9.0.1:4040, 10.9.0.2:4040")]
    {
        let sentence = format!("discovery shows what is of no node of this herd, at {others}");
        wait_until("doctor to tell of the others", || {
            let said = machines[asked].run("daust doctor").out;
            said.contains(&sentence).then_some(()).ok_or(said)
        });
    }
    assert_eq!((names(&machines[2]).len(), names(&machines[3]).len()), (2, 2));
    machines[1].must("daust remote 10.9.0.3 ping");
    machines[1..].iter().for_each(|machine| wait_names(machine, &["a", "b", "x", "y"]));
}

#[test]
fn a_keyed_herd_knows_its_own_and_tells_strangers_nothing() {
    if !available() {
        return;
    }
    let machines = machines(&["a", "b", "stranger"]);
    let key = machines[1].must("daust key new /run/key >/dev/null && cat /run/key");
    machines[2].must(&format!("umask 077; echo '{}' >/run/key", key.trim()));
    for machine in &machines[1..3] {
        machine.start("--key-file /run/key");
    }
    machines[3].start("");
    for machine in &machines[1..3] {
        wait_names(machine, &["a", "b"]);
    }
    wait_until("the stranger to see that somebody is there", || {
        let said = machines[3].run("daust doctor").out;
        let there = said.contains("discovery shows what is of no node of this herd, at 10.9.0.");
        there.then_some(()).ok_or(said)
    });
    assert_eq!(names(&machines[3]), ["stranger"]);
    let log = std::fs::read_to_string(machines[1].path("/run/log")).unwrap();
    assert!(!log.contains("without the key"), "nobody greeted it: {log}");
}
