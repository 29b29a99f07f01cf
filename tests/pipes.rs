//! `daust nc` and `daust ssh` to a VM behind NAT, whose sshd nothing else reaches. Root, namespaces and
//! sshd; says SKIPPED otherwise.

mod common;

use common::machine::{Machine, available, cable, plug, switch};
use common::wait_until;
use std::path::Path;

const SSHD: &str = "/usr/sbin/sshd";

/// What the VM's sshd needs, and who may enter: prints nothing.
const SERVER: &str = "set -e
    mkdir -p /run/sshd /run/ssh
    ssh-keygen -q -t ed25519 -N '' -f /run/ssh/host_key
    printf '%s\\n' 'HostKey /run/ssh/host_key' 'AuthorizedKeysFile /run/ssh/keys' 'StrictModes no' \
        'UsePAM no' 'PermitRootLogin yes' 'PidFile /run/ssh/pid' >/run/ssh/config";

/// The person's own ssh, whose files are the test's.
const PERSON: &str = "set -e
    mkdir -p /run/bin
    ssh-keygen -q -t ed25519 -N '' -f /run/id
    printf '%s\\n' 'IdentityFile /run/id' 'UserKnownHostsFile /run/known_hosts' 'User root' \
        'GlobalKnownHostsFile none' >/run/ssh_config
    printf '#!/bin/sh\\nexec /usr/bin/ssh -F /run/ssh_config \"$@\"\\n' >/run/bin/ssh
    chmod 755 /run/bin/ssh
    cat /run/id.pub";

struct World {
    outside: Machine,
    hypervisor: Machine,
    vm: Machine,
}

impl World {
    /// A host, a hypervisor, and behind its NAT a VM, all with a daustd.
    fn start(keyed: bool) -> World {
        let world = World {
            outside: Machine::new("outside"),
            hypervisor: Machine::new("hypervisor"),
            vm: Machine::new("vm1"),
        };
        let World { outside, hypervisor, vm } = &world;
        cable((outside, "eth0"), (hypervisor, "eth0"));
        outside.add_address("eth0", "10.0.0.1/24");
        hypervisor.add_address("eth0", "10.0.0.2/24");
        switch(hypervisor, "virbr0");
        hypervisor.add_address("virbr0", "192.168.122.1/24");
        hypervisor.masquerade("virbr0", "eth0");
        plug(vm, "eth0", "192.168.122.2/24", (hypervisor, "virbr0"));
        vm.must("ip route add default via 192.168.122.1");
        let key = keyed.then(|| outside.must("daust key new /run/key"));
        for machine in [outside, hypervisor, vm] {
            let option = if let Some(key) = &key {
                machine.must(&format!("umask 077; echo '{}' >/run/key", key.trim()));
                "--key-file /run/key"
            } else {
                ""
            };
            let name = if machine.name == "vm1" { "vm 1" } else { machine.name.as_str() };
            machine.start(&format!("-n '{name}' -k 10.0.0.1 {option}"));
        }
        let tree = "|__ outside\n|__ hypervisor\n|   |__ vm 1\n";
        outside.wait_says("trace all", tree);
        world
    }

    fn with_sshd() -> Option<World> {
        if !Path::new(SSHD).exists() {
            eprintln!("SKIPPED: pipes are tried with sshd: ./bootstrap as root installs it");
            return None;
        }
        let world = available().then(|| World::start(true))?;
        let key = world.outside.must(PERSON);
        world.vm.must(SERVER);
        world.vm.must(&format!("echo '{}' >/run/ssh/keys", key.trim()));
        world.vm.must(&format!("{SSHD} -f /run/ssh/config"));
        let host_key = world.vm.must("cat /run/ssh/host_key.pub");
        world.outside.must(&format!("echo 'vm-1 {}' >/run/known_hosts", host_key.trim()));
        Some(world)
    }
}

fn memory_kib(machine: &Machine) -> u64 {
    machine
        .must("awk '/^RssAnon/ { print $2 }' /proc/$(pidof daustd)/status")
        .trim()
        .parse()
        .unwrap()
}

const SSH: &str = "PATH=/run/bin:$PATH daust ssh";

#[test]
fn ssh_to_a_hidden_node() {
    let Some(world) = World::with_sshd() else { return };
    let World { outside, hypervisor, vm } = &world;
    assert_eq!(outside.must(&format!("{SSH} 'vm 1' -- hostname")), "vm1\n");
    assert_eq!(outside.run(&format!("{SSH} 'root@vm 1' -- 'exit 7'")).status, 7);
    // The greeting of sshd comes though nothing is said to it, and the end comes through.
    let greeting = outside.must("daust nc 'vm 1' 22 </dev/null | head -c 8");
    assert_eq!(greeting, "SSH-2.0-");
    // Much more than any buffer, both ways, whole and without growth.
    let before_kib = [outside, hypervisor, vm].map(memory_kib);
    let line = format!(
        "head -c 100000000 /dev/zero | {SSH} 'vm 1' -- 'tee /dev/stderr' 2>/run/one >/run/other; \
         stat -c %s /run/one /run/other"
    );
    assert_eq!(outside.must(&line), "100000000\n100000000\n");
    let zeros = "cmp -n 100000000 /run/one /dev/zero && cmp -n 100000000 /run/other /dev/zero";
    outside.must(zeros);
    for (machine, before_kib) in [outside, hypervisor, vm].into_iter().zip(before_kib) {
        let grown_kib = memory_kib(machine).saturating_sub(before_kib);
        assert!(grown_kib < 4_096, "{} has grown by {grown_kib} KiB", machine.name);
    }
    // The server ends while our side stays open: whoever reads us learns it.
    outside.must(
        "mkfifo /run/fifo && { (echo garbage; sleep 300) >/run/fifo 2>/dev/null & } && \
         { (daust nc 'vm 1' 22 </run/fifo | { cat >/run/said; echo ended >>/run/said; }) \
           >/dev/null 2>&1 & }",
    );
    wait_until("the end of what the server says", || {
        let said = outside.must("cat /run/said");
        if said.ends_with("ended\n") { Ok(()) } else { Err(said) }
    });
    // Both sides send much before they read.
    let line = format!(
        "mkfifo /run/back && head -c 3000000 /dev/zero >/run/much && \
         cat /run/back /run/much | {SSH} 'vm 1' -- 'cat /dev/null; head -c 3000000 /dev/zero; cat >/dev/null' \
         | (exec 3>/run/back; exec 3>&-; wc -c)"
    );
    assert_eq!(outside.must(&line).trim(), "3000000");
    let said = outside.must("daust history");
    assert!(said.contains("remote vm 1 nc 22"), "{said}");
    let said = vm.must("daust history");
    assert!(said.contains("nc 22"), "{said}");
}

#[test]
fn a_pipe_that_cannot_be_or_breaks_says_why() {
    let Some(world) = World::with_sshd() else { return };
    let World { outside, vm, .. } = &world;
    let said = outside.run("daust nc 'vm 1' 23");
    let why = "can not reach port 23 of vm 1: nothing listens there on 192.168.122.2:23";
    assert!(said.status == 1 && said.err.contains(why), "{said:?}");
    for (words, status, why) in [
        ("nc nobody 22", 1, "no node of this herd is called nobody"),
        ("nc outside 22", 1, "that is this machine"),
        ("nc 'vm 1' ssh", 2, "`ssh` is no port: 1 to 65535"),
        ("nc 'vm 1' 65536", 2, "`65536` is no port: 1 to 65535"),
        ("nc 'vm 1'", 2, "`nc` wants a node and a port"),
        ("ssh", 2, "`ssh` wants a node"),
        ("ssh -- -oProxyCommand=x", 2, "is no node that ssh could go to"),
    ] {
        let said = outside.run(&format!("daust {words} </dev/null"));
        assert!(said.status == status && said.err.contains(why), "{words}: {said:?}");
    }
    // The daemon there dies under it.
    outside.must("(daust nc 'vm 1' 22 </dev/zero >/dev/null 2>/run/said; echo $? >>/run/said) &");
    wait_until("a pipe", || {
        let said = vm.must("daust history");
        if said.contains("nc 22") { Ok(()) } else { Err(said) }
    });
    vm.signal("KILL");
    wait_until("the end of it", || {
        let said = outside.must("cat /run/said");
        let told = said.contains("the stream to it broke") || said.contains("broke:");
        if told && said.ends_with("1\n") { Ok(()) } else { Err(said) }
    });
}

#[test]
fn in_an_open_herd_nobody_gets_a_pipe() {
    if !available() {
        return;
    }
    let world = World::start(false);
    let said = world.outside.run("daust nc 'vm 1' 22 </dev/null");
    assert!(said.status == 1 && said.err.contains("`daust key new` makes a herd key"), "{said:?}");
}
