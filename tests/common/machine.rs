//! Machines made of Linux namespaces: each with its own network, host name, processes, /run and
//! /var/lib, so that daustd and daust are typed there without options. They have no names outside
//! and end with the test, however it ends, so nothing is left behind and no two runs collide.

use super::{Said, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Whether this process may make machines. If not, says loudly what is passed by.
pub fn available() -> bool {
    let tool = |name: &str| Command::new(name).arg("-V").output().is_ok();
    // Root in a container may not be root enough.
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--uts", "--mount", "--pid", "--fork", "true"]);
    let may = tool("ip") && tool("nft") && unshare.output().is_ok_and(|end| end.status.success());
    if !may {
        eprintln!("SKIPPED: machines of namespaces need root, ip (iproute2), nft and unshare");
    }
    may
}

/// One machine; ends with all that runs in it when dropped.
pub struct Machine {
    pub name: String,
    holder: Child,
    /// Its first process, seen from outside: what names its namespaces.
    pid: u32,
}

impl Machine {
    /// Up, with loopback, and connected to nothing.
    pub fn new(name: &str) -> Machine {
        // The chain of deaths: this test ends, unshare ends, the first process inside ends, and
        // with it every process of its namespace.
        let script = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && \
            mkdir -p /run/empty && hostname \"$0\" && ip link set lo up && exec sleep infinity";
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount", "--pid"])
            .args(["--fork", "--kill-child=KILL", "--mount-proc", "sh", "-c", script, name])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = wait_until(&format!("machine {name}"), || {
            if let Some(end) = holder.try_wait().unwrap() {
                panic!("machine {name} could not be made: {end}");
            }
            ready_child(holder.id()).ok_or("it is not ready")
        });
        Machine { name: name.to_string(), holder, pid }
    }

    /// A file of this machine, seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "--net", "--uts", "--mount", "--pid"]);
        let programs = Path::new(super::DAUST).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{programs}:{path}:/usr/sbin:/sbin"));
        command
            .env_remove("NOTIFY_SOCKET")
            .env_remove("DAUST_SOCKET")
            .env_remove("DAUST_STATE_DIR");
        command.stdin(Stdio::null());
        command
    }

    /// Types a line into its shell.
    pub fn run(&self, line: &str) -> Said {
        self.enter().args(["sh", "-c", line]).output().unwrap().into()
    }

    /// The same, where only success is any use.
    pub fn must(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.status, 0, "{}: {line}: {said:#?}", self.name);
        said.out
    }

    /// Starts its daustd, with these options if any; its log goes to /run/log.
    pub fn start(&self, options: &str) {
        self.must(&format!("daustd -d -v -l /run/log {options}"));
    }

    /// `daust WORDS` printed exactly this, ages aside, sooner or later.
    pub fn wait_says(&self, words: &str, expected: &str) {
        wait_until(&format!("daust {words} on {}", self.name), || {
            let said = self.run(&format!("daust {words}"));
            match said.ageless() == expected {
                true => Ok(()),
                false => Err(format!("\n{}{}instead of\n{expected}", said.out, said.err)),
            }
        });
    }

    /// KILL, STOP, CONT or TERM to its daustd. It is the only one its processes can see.
    pub fn signal(&self, signal: &str) {
        self.must(&format!("kill -{signal} $(pidof daustd)"));
    }

    pub fn add_address(&self, interface: &str, address: &str) {
        self.must(&format!(
            "ip address add {address} dev {interface} && ip link set {interface} up"
        ));
    }

    /// Forwards what comes by `inside`, hidden behind its own address on `outside`.
    pub fn masquerade(&self, inside: &str, outside: &str) {
        self.must(&format!(
            "echo 1 >/proc/sys/net/ipv4/ip_forward
            nft -f - <<'END'
            table ip nat {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat
                    iifname \"{inside}\" oifname \"{outside}\" masquerade
                }}
            }}
            table ip filter {{
                chain forward {{
                    type filter hook forward priority filter
                    iifname \"{outside}\" ct state new drop
                }}
            }}\nEND"
        ));
    }

    /// Drops what goes in and out by a rule of nft's, such as `drop` or `numgen random mod 5 0 drop`.
    pub fn disturb(&self, interface: &str, rule: &str) {
        self.must(&format!(
            "nft -f - <<'END'
            table netdev disturb {{
                chain in {{ type filter hook ingress device {interface} priority 0; {rule}; }}
            }}
            table ip disturb {{
                chain out {{ type filter hook output priority 0; oifname {interface} {rule}; }}
            }}\nEND"
        ));
    }

    pub fn undisturb(&self) {
        self.must("nft delete table netdev disturb; nft delete table ip disturb");
    }
}

/// The first process of the new namespace, once it has become the sleep that says all is set up.
fn ready_child(holder: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children")).ok()?;
    let child: u32 = children.split_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "sleep").then_some(child)
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.run("cat /run/log 2>/dev/null | tail -n 40");
            eprintln!("--- log of {}:\n{}", self.name, log.out);
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A cable between an interface of one machine and one of another; both are up.
pub fn cable(one: (&Machine, &str), other: (&Machine, &str)) {
    let ends = [one, other].map(|(machine, interface)| (machine.pid.to_string(), interface));
    let [(pid, interface), (other_pid, other_interface)] = &ends;
    let status = Command::new("ip")
        .args(["link", "add", interface, "netns", pid, "type", "veth"])
        .args(["peer", "name", other_interface, "netns", other_pid])
        .status();
    assert!(status.unwrap().success(), "no cable {interface} - {other_interface}");
    for (machine, interface) in [one, other] {
        machine.must(&format!("ip link set {interface} up"));
    }
}

/// A switch as an interface of a machine: a bridge. Its machine may have an address on it.
pub fn switch(machine: &Machine, name: &str) {
    machine.must(&format!("ip link add {name} type bridge && ip link set {name} up"));
}

/// Plugs `interface` of a machine, with this address, into a switch.
pub fn plug(machine: &Machine, interface: &str, address: &str, switch: (&Machine, &str)) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let port = format!("port{}", COUNT.fetch_add(1, Relaxed));
    cable((machine, interface), (switch.0, &port));
    switch.0.must(&format!("ip link set {port} master {}", switch.1));
    machine.add_address(interface, address);
}
