//! `daust doctor` against real faults: without a daemon, with strangers of every kind, and, in
//! namespaces (root only; says SKIPPED otherwise), with UDP or TCP blocked in one direction and a path
//! that carries no full datagrams.

mod common;

use common::machine::{Machine, available, cable, plug, switch};
use common::{DAUST, Daemon, Said, wait_until};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a person waits at most, and some slack for a busy machine.
const SOON: Duration = Duration::from_millis(2_000 + 3_000);

fn has(said: &Said, line: &str) {
    assert!(said.out.lines().any(|found| found.starts_with(line)), "no line {line:?}: {said:#?}");
}

fn doctor(daemon: &Daemon, words: &[&str]) -> Said {
    let began = Instant::now();
    let said = daemon.daust(&[&["doctor"], words].concat());
    assert!(began.elapsed() < SOON, "{:?}: {said:?}", began.elapsed());
    assert_eq!(said.status, i32::from(said.out.contains("wrong: ")), "{said:?}");
    said
}

fn without_daemon(daemon: &Daemon) -> Said {
    let mut command = Command::new(DAUST);
    command.env("DAUST_STATE_DIR", &daemon.state).arg("-s").arg(&daemon.socket).arg("doctor");
    command.output().unwrap().into()
}

#[test]
fn without_a_daemon_it_says_so_and_looks_at_the_files() {
    let daemon = Daemon::prepared("node1");
    let said = without_daemon(&daemon);
    assert_eq!(said.status, 1, "{said:?}");
    has(&said, "wrong: the local daustd can not be asked: nobody listens on ");
    assert!(said.out.contains("start it: daustd -d") && said.err.is_empty(), "{said:?}");

    let key = daemon.state.join("key");
    assert!(Command::new(DAUST).args(["key", "new"]).arg(&key).output().unwrap().status.success());
    has(&without_daemon(&daemon), &format!("ok: {} is for its owner only", key.display()));
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    has(&without_daemon(&daemon), "wrong: others may read the herd key ");
    fs::remove_file(&key).unwrap();
    fs::write(daemon.state.join("keyed"), "x").unwrap();
    has(&without_daemon(&daemon), "wrong: this node is of a keyed herd and there is no key in ");
    fs::set_permissions(&daemon.state, Permissions::from_mode(0o755)).unwrap();
    has(&without_daemon(&daemon), "wrong: others may enter the state directory ");
}

#[test]
fn a_node_looks_at_itself_and_at_its_peers() {
    let (node1, mut node2) = (Daemon::start("node1"), Daemon::start("node2"));
    let address = node2.address.to_string();
    let alone = doctor(&node1, &[]);
    has(&alone, "ok: daustd runs since ");
    has(&alone, "ok: its herd is open");
    has(&alone, "note: it knows no other node");
    assert!(!alone.out.contains("others can start"), "nobody tried: {alone:?}");

    // A look joins nobody.
    let said = doctor(&node1, &[&address]);
    has(&said, "ok: node2 (");
    assert!(said.out.contains("would let this node in"), "{said:?}");
    assert_eq!(node1.daust(&["list"]).out.lines().count(), 1);
    assert_eq!(node2.daust(&["list"]).out.lines().count(), 1);

    node1.daust(&["remote", &address, "ping"]).expect_out("pong\n");
    let said = doctor(&node1, &["node2"]);
    for line in [
        "ok: node2 (",
        "ok: a small datagram comes back from node2 in ",
        "ok: so does a full one, of 1200 bytes",
        "ok: a stream gets through to node2",
    ] {
        has(&said, line);
    }
    assert_eq!(doctor(&node1, &[&address]).out.lines().count(), 4, "a known node by its address");
    has(&node1.daust(&["remote", "node2", "doctor"]), "ok: 1 other node is alive");
    let all = node1.daust(&["all", "doctor"]).out;
    assert!(all.contains("node1 responded:\n") && all.contains("node2 responded:\n"), "{all}");
    for (words, why) in [
        (&["doctor", "node1"][..], "that is the asked node itself"),
        (&["doctor", "0.0.0.0"], "that is the asked node itself"),
        (&["doctor", "[::]:4040"], "that is the asked node itself"),
        (&["doctor", "nobody"], "no node of this herd is called nobody"),
        (&["remote", "node2", "doctor", "node1"], "on its own machine only"),
    ] {
        let said = node1.daust(words);
        assert!(said.status == 1 && said.err.contains(why), "{said:?}");
    }

    node2.signal("-STOP");
    has(
        &doctor(&node1, &["node2"]),
        "wrong: the host of node2 takes connections on TCP port 4040,",
    );
    node2.kill();
    wait_until("node2 to be down", || {
        let said = doctor(&node1, &[]);
        let down = said.out.contains("note: node2 is down: `daust why node2`");
        down.then_some(()).ok_or(said.out)
    });
    let said = doctor(&node1, &["node2"]);
    has(&said, "wrong: the host of node2 is up, but nobody listens on its port 4040; start daustd");
    // By its address it is the same node.
    has(&doctor(&node1, &[&address]), "wrong: node2 (");
    let nobody = common::fresh_address();
    has(
        &doctor(&node1, &[&nobody.to_string()]),
        &format!("wrong: the host at {nobody}:4040 is up"),
    );
    let object: serde_json::Value =
        serde_json::from_str(node1.daust(&["-j", "doctor", "node2"]).out.lines().next().unwrap())
            .unwrap();
    assert_eq!((&object["type"], &object["verdict"]), (&"finding".into(), &"wrong".into()));
}

/// Nobody is asked for longer than two seconds, and what hangs is named.
#[test]
fn a_daemon_that_hangs_is_a_finding() {
    let node = Daemon::start("node1");
    node.signal("-STOP");
    for words in [&[][..], &["node1"]] {
        let said = doctor(&node, words);
        has(&said, "wrong: the local daustd can not be asked: it said nothing for ");
        assert!(said.out.contains("kill -CONT") && said.err.is_empty(), "{said:?}");
    }
    let said = node.daust(&["-t", "0.2", "doctor"]);
    has(&said, "wrong: the local daustd can not be asked: it said nothing for 0.7 s; it hangs");
    node.signal("-CONT");
    has(&doctor(&node, &[]), "ok: daustd runs since ");
}

/// Who asks why a first command failed is told more than that sentence again.
#[test]
fn a_look_after_a_failed_command_says_more() {
    let (node1, node2) = (Daemon::start("node1"), Daemon::start("node2"));
    let address = node2.address.to_string();
    node2.signal("-STOP");
    let said = node1.daust(&["-t", "1", "remote", &address, "ping"]);
    assert!(said.err.contains("`daust doctor "), "{said:?}");
    let said = doctor(&node1, &[&address]);
    has(&said, "wrong: no datagram comes back from ");
    assert!(said.out.contains("but its TCP port 4040 is open"), "{said:?}");
}

/// A node that has its name, its address and its identity still, and another key.
#[test]
fn a_known_node_with_another_key_is_no_hanging_one() {
    let (node1, mut node2) = (Daemon::start("node1"), Daemon::start("node2"));
    node1.daust(&["remote", &node2.address.to_string(), "ping"]).expect_out("pong\n");
    node2.kill();
    let key = node2.state.join("key");
    assert!(Command::new(DAUST).args(["key", "new"]).arg(&key).output().unwrap().status.success());
    node2.restart();
    let said = doctor(&node1, &["node2"]);
    has(&said, "wrong: node2 does not answer as one of this herd: ");
    assert!(said.out.contains("is in a keyed herd; this node has no key"), "{said:?}");
}

/// Who was shut out is told that, and not to see to its network.
#[test]
fn who_was_shut_out_is_told_so() {
    let (node1, node2) = Daemon::keyed_two();
    node1.daust(&["remote", &node2.address.to_string(), "ping"]).expect_out("pong\n");
    assert_eq!(node1.daust(&["key", "revoke", "node2"]).status, 0);
    wait_until("node2 to know it", || {
        let said = doctor(&node2, &[]);
        let told = "which shut this node out (`daust key revoke`)";
        let wrong = said.out.lines().any(|l| l.starts_with("wrong: ") && l.contains(told));
        (wrong && !said.out.contains("see to its network")).then_some(()).ok_or(said.out)
    });
    let said = node2.daust(&["why", "node1"]);
    assert!(said.out.contains("which shut this node out"), "{said:?}");
    let said = node1.daust(&["why", "node2"]);
    assert!(said.out.contains(": shut out of this herd\n"), "{said:?}");
}

#[test]
fn strangers_are_told_apart() {
    let open = Daemon::start("open");
    let keyed = |name: &str| {
        let mut daemon = Daemon::prepared_keyed(name);
        daemon.restart();
        daemon
    };
    let (one, other) = (keyed("one"), keyed("other"));
    for (from, to, why) in [
        (&open, &one, "is in a keyed herd; this node has no key: "),
        (&one, &open, "is in an open herd, and this node has a herd key: "),
        (&one, &other, "is in another keyed herd than this node: "),
    ] {
        let address = to.address.to_string();
        has(&doctor(from, &[&address]), &format!("wrong: {address}:4040 {why}"));
        // The other end has it in its journal and says so when it is looked at.
        let journal = to.daust(&["history"]).out;
        assert!(journal.contains(&format!(" {}:", from.address)), "{journal}");
        has(&doctor(to, &[]), "note: datagrams of other herds came (");
    }
    assert_eq!(open.daust(&["list"]).out.lines().count(), 1);
}

#[test]
fn two_nodes_of_one_name_are_named() {
    let (one, two) = (Daemon::start("twin"), Daemon::start("twin"));
    one.daust(&["remote", &two.address.to_string(), "ping"]).expect_out("pong\n");
    for daemon in [&one, &two] {
        wait_until("the names to be told", || {
            let said = doctor(daemon, &[]);
            let told = said.out.contains("note: 2 nodes are called twin: ");
            told.then_some(()).ok_or(said.out)
        });
    }
    let said = one.daust(&["history", "twin"]);
    assert!(said.status == 1 && said.err.contains("twin fits several nodes: "), "{said:?}");
}

#[test]
fn a_cloned_machine_is_named() {
    let (one, mut two) = (Daemon::start("one"), Daemon::start("two"));
    one.daust(&["remote", &two.address.to_string(), "ping"]).expect_out("pong\n");
    two.wait_kept(&one);
    two.kill();
    let mut copy = Daemon::prepared("copy");
    let copied = Command::new("cp").arg("-r").args([&two.state, &copy.state]).status().unwrap();
    assert!(copied.success());
    two.restart();
    copy.restart();
    wait_until("the copy to be named", || {
        let said = doctor(&one, &[]);
        let named = said.out.lines().any(|line| {
            line.starts_with("wrong: ") && line.contains(" started with the identity of another")
        });
        named.then_some(()).ok_or(said.out)
    });
}

/// Two machines on one cable, 10.0.0.1 and 10.0.0.2.
fn two_machines() -> (Machine, Machine) {
    let (one, two) = (Machine::new("one"), Machine::new("two"));
    cable((&one, "eth0"), (&two, "eth0"));
    one.add_address("eth0", "10.0.0.1/24");
    two.add_address("eth0", "10.0.0.2/24");
    for machine in [&one, &two] {
        machine.start("");
    }
    (one, two)
}

fn examine(machine: &Machine, node: &str) -> Said {
    let began = Instant::now();
    let said = machine.run(&format!("daust doctor {node}"));
    assert!(began.elapsed() < SOON, "{:?}: {said:?}", began.elapsed());
    assert_eq!(said.status, 1, "{said:?}");
    said
}

fn meet(one: &Machine) {
    assert_eq!(one.must("daust remote 10.0.0.2 ping"), "pong\n");
    wait_until("all to be well", || {
        let said = one.run("daust doctor two");
        (said.status == 0).then_some(()).ok_or(format!("{said:?}"))
    });
}

#[test]
fn udp_blocked_in_one_direction_is_explained_on_both_ends() {
    if !available() {
        return;
    }
    let (one, two) = two_machines();
    meet(&one);
    one.disturb("eth0", "ip daddr 10.0.0.2 udp dport != 1 drop");
    has(
        &examine(&one, "two"),
        "wrong: no datagram of ours arrives at two, but a stream gets through",
    );
    has(&examine(&two, "one"), "wrong: our datagrams arrive at one and its do not arrive here");
    one.undisturb();
    one.wait_says("remote two ping", "pong\n");
    two.disturb("eth0", "ip daddr 10.0.0.1 udp dport != 1 drop");
    has(&examine(&one, "two"), "wrong: our datagrams arrive at two and its do not arrive here");
    has(
        &examine(&two, "one"),
        "wrong: no datagram of ours arrives at one, but a stream gets through",
    );
}

#[test]
fn strangers_between_whom_udp_is_blocked_are_told_on_both_ends() {
    if !available() {
        return;
    }
    let (one, two) = two_machines();
    two.disturb("eth0", "ip daddr 10.0.0.1 udp dport != 1 drop");
    let said = examine(&one, "10.0.0.2");
    has(&said, "wrong: no datagram comes back from 10.0.0.2:4040, but its TCP port 4040 is open");
    let said = one.run("daust remote 10.0.0.2 ping");
    let expected = "no daustd answers at 10.0.0.2:4040; `daust doctor 10.0.0.2:4040` says";
    assert!(said.status == 1 && said.err.contains(expected), "{said:?}");
    wait_until("the other end to say so", || {
        let said = two.run("daust history");
        let told = said.out.contains("greeted more than once and did not go on");
        told.then_some(()).ok_or(said.out)
    });
}

#[test]
fn a_path_for_small_datagrams_only_and_blocked_streams() {
    if !available() {
        return;
    }
    let (one, _two) = two_machines();
    meet(&one);
    one.disturb("eth0", "udp length > 1000 drop");
    let said = examine(&one, "two");
    has(&said, "ok: a small datagram comes back from two");
    has(
        &said,
        "wrong: small datagrams come back from two, full ones (1200 bytes) do not: the path",
    );
    assert!(said.out.contains("raise the MTU"), "{said:?}");
    one.undisturb();
    one.disturb("eth0", "meta l4proto tcp drop");
    has(&examine(&one, "two"), "wrong: datagrams come back from two, but no stream gets through");
    one.undisturb();
    one.disturb("eth0", "drop");
    has(
        &examine(&one, "two"),
        "wrong: nothing comes back from two, neither a datagram nor a stream",
    );
    has(
        &examine(&one, "10.0.0.77"),
        "wrong: nothing answers at 10.0.0.77:4040, neither by UDP nor",
    );
}

/// Three on one switch, and no datagram leaves one of them: it is told where to look closer, and
/// there that it is UDP, on the way out.
#[test]
fn a_node_whose_datagrams_go_nowhere_is_told_that_it_is_udp() {
    if !available() {
        return;
    }
    let (_hub, machines) = three_machines();
    let one = &machines[0];
    one.disturb("eth0", "ip saddr 10.0.0.1 udp dport != 1 drop");
    wait_until("one to lose the others", || {
        let said = one.run("daust doctor");
        let told = |line: &str| line.starts_with("wrong: ") && line.contains("`daust doctor t");
        said.out.lines().any(told).then_some(()).ok_or(said.out)
    });
    has(&examine(one, "two"), "wrong: two (");
    let told = "wrong: no datagram of ours arrives at two, but a stream gets through";
    has(&examine(one, "two"), told);
}

/// A hub, and three that know each other.
fn three_machines() -> (Machine, Vec<Machine>) {
    let hub = Machine::new("hub");
    switch(&hub, "lan");
    let machines: Vec<Machine> = ["one", "two", "three"].map(Machine::new).into();
    for (number, machine) in machines.iter().enumerate() {
        plug(machine, "eth0", &format!("10.0.0.{}/24", number + 1), (&hub, "lan"));
        machine.start("");
    }
    for address in ["10.0.0.2", "10.0.0.3"] {
        assert_eq!(machines[0].must(&format!("daust remote {address} ping")), "pong\n");
    }
    machines[1].wait_says("trace all", "|__ two\n|__ one\n|__ three\n");
    (hub, machines)
}

/// Three on one switch, and one direction between two of them blocked: the third hears both.
#[test]
fn a_path_that_works_one_way_is_seen_by_who_hears_nothing_on_it() {
    if !available() {
        return;
    }
    let (_hub, machines) = three_machines();
    let (one, two) = (&machines[0], &machines[1]);
    one.disturb("eth0", "ip daddr 10.0.0.2 udp dport != 1 drop");
    wait_until("two to miss the datagrams of one", || {
        let said = two.run("daust doctor");
        let told = "wrong: no datagram of one came here in ";
        said.out.lines().any(|line| line.starts_with(told)).then_some(()).ok_or(said.out)
    });
    let three = machines[2].run("daust doctor");
    assert_eq!(three.status, 0, "{three:?}");
}
