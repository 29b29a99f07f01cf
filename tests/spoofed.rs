//! Somebody on the wire who records, and writes datagrams with whatever source address he likes: two
//! real daemons, a raw socket. Root only; says SKIPPED otherwise.

mod common;

use common::{Daemon, wait_until};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
/// The outer header, which is in clear.
const HEADER_BYTES: usize = 32;
const FORGED: usize = 20_000;
/// Longer than a node's heartbeat and its engine's probe take to come round.
const RECORDED: Duration = Duration::from_secs(4);

/// A datagram as it was on the wire.
#[derive(Clone)]
struct Datagram {
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    bytes: Vec<u8>,
}

impl Datagram {
    /// From an IP packet without options, as Linux sends its own.
    fn read(packet: &[u8]) -> Datagram {
        let ip = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
        let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let bytes = packet[IP_BYTES + UDP_BYTES..].to_vec();
        Datagram { from: (ip(12), port(20)), to: (ip(16), port(22)), bytes }
    }

    /// With the source that it says; the kernel fills in length and checksum of IP.
    fn packet(&self) -> Vec<u8> {
        let length = (UDP_BYTES + self.bytes.len()) as u16;
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend_from_slice(&self.from.0.octets());
        packet.extend_from_slice(&self.to.0.octets());
        for field in [self.from.1, self.to.1, length, 0] {
            packet.extend_from_slice(&field.to_be_bytes());
        }
        packet.extend_from_slice(&self.bytes);
        packet
    }
}

/// None, loudly, where raw sockets are not for us.
fn raw() -> Option<Socket> {
    let made = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).and_then(|socket| {
        socket.set_header_included_v4(true)?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(socket)
    });
    made.map_err(|error| eprintln!("SKIPPED: a raw socket needs root: {error}")).ok()
}

fn send(socket: &Socket, datagram: &Datagram) {
    let to = SocketAddr::from(datagram.to);
    // A buffer may be full: what is lost on the wire is lost.
    let _ = socket.send_to(&datagram.packet(), &to.into());
}

/// All that these nodes send each other while `acts` runs, and a while longer.
fn record(socket: &mut Socket, nodes: &[&Daemon], acts: impl FnOnce() + Send) -> Vec<Datagram> {
    let over = AtomicBool::new(false);
    let ours = |address| nodes.iter().any(|node| node.address == address);
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            acts();
            std::thread::sleep(RECORDED);
            over.store(true, Relaxed);
        });
        let mut buffer = [0; 2_048];
        while !over.load(Relaxed) {
            let Ok(length) = socket.read(&mut buffer) else { continue };
            let datagram = Datagram::read(&buffer[..length]);
            if ours(datagram.from.0) && ours(datagram.to.0) {
                found.push(datagram);
            }
        }
    });
    found
}

/// How often a node counted this.
fn count(node: &Daemon, what: &str) -> u64 {
    let said = node.daust(&["-j", "version", "-v"]);
    let version: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let counters = version["counters"].as_array().unwrap().iter();
    let found = counters.filter(|counter| counter["name"] == what);
    found.map(|counter| counter["value"].as_u64().unwrap()).sum()
}

/// `daust watch` on a node, into a file.
struct Watch(Child, std::path::PathBuf);

impl Watch {
    fn new(node: &Daemon) -> Watch {
        let path = node.path("watched");
        let mut command = Command::new(common::DAUST);
        command.arg("-s").arg(&node.socket).arg("watch");
        let out = Stdio::from(File::create(&path).unwrap());
        Watch(command.stdout(out).stderr(Stdio::null()).spawn().unwrap(), path)
    }

    /// What became of nodes, but of this one; ways to them are found at any time.
    fn changes(&self, but: &str) -> Vec<String> {
        let said = std::fs::read_to_string(&self.1).unwrap();
        let changes =
            said.lines().filter(|line| !line.starts_with("route ") && !line.contains(but));
        changes.map(str::to_string).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn herd() -> [Daemon; 3] {
    let nodes = ["node1", "node2", "node3"].map(Daemon::start);
    for other in &nodes[1..] {
        other.daust(&["remote", &nodes[0].address.to_string(), "ping"]).expect_out("pong\n");
    }
    require_whole(&nodes);
    nodes
}

/// Each lists all for alive: no mark stands behind any line.
fn require_whole(nodes: &[Daemon]) {
    for node in nodes {
        for other in nodes {
            node.wait_listed(&format!(
                "{}: internal ip {}, public ip N/A, last seen N seconds ago",
                other.name, other.address
            ));
        }
    }
}

/// What was said once is carried out once, however and whenever it comes again: to the same life, in
/// the other order, and to the next life.
#[test]
fn what_was_recorded_is_worth_nothing() {
    let Some(mut socket) = raw() else { return };
    let mut nodes = herd();
    let [node1, node2, _] = &nodes;
    let recorded = record(&mut socket, &[node1, node2, &nodes[2]], || {
        node1.daust(&["all", "ping"]);
        node1.daust(&["remote", "node3", "stop"]);
    });
    assert!(recorded.len() > 20, "{}", recorded.len());
    assert_eq!(nodes[2].wait_end(), 0);
    nodes[2].restart();
    require_whole(&nodes);
    let watch = Watch::new(&nodes[0]);
    let before = nodes.each_ref().map(|node| count(node, "replayed"));
    recorded.iter().chain(recorded.iter().rev()).for_each(|datagram| send(&socket, datagram));
    for (node, before) in nodes[..2].iter().zip(before) {
        wait_until("replays to be counted", || {
            let counted = count(node, "replayed") - before;
            (counted > 10).then_some(()).ok_or(format!("{counted} replays"))
        });
    }
    std::thread::sleep(RECORDED);
    require_whole(&nodes);
    nodes[1].kill();
    nodes[1].restart();
    recorded.iter().for_each(|datagram| send(&socket, datagram));
    std::thread::sleep(RECORDED);
    require_whole(&nodes);
    assert_eq!(watch.changes("node2"), [""; 0]);
}

/// Datagrams in a member's name, from its address, with its header, and no key.
#[test]
fn what_is_forged_is_worth_nothing() {
    let Some(mut socket) = raw() else { return };
    let nodes = herd();
    let [node1, node2, node3] = &nodes;
    let watches = nodes.each_ref().map(Watch::new);
    let recorded = record(&mut socket, &[node1, node2, node3], || {});
    let from_node2 = |datagram: &&Datagram| datagram.from.0 == node2.address;
    let samples: Vec<&Datagram> = recorded.iter().filter(from_node2).collect();
    let before = count(node1, "forged");
    let mut noise = 0x9e37_79b9_u32;
    for (number, sample) in samples.iter().cycle().take(FORGED).enumerate() {
        let mut datagram = (*sample).clone();
        let to = [node1, node3][number % 2];
        // Bent anywhere behind the header; now and then something else altogether.
        for byte in &mut datagram.bytes[HEADER_BYTES..] {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = if number % 3 == 0 { (noise >> 24) as u8 } else { *byte ^ (noise >> 31) as u8 };
        }
        if datagram.to.0 == to.address {
            send(&socket, &datagram);
        }
    }
    wait_until("forgeries to be counted", || {
        let counted = count(node1, "forged") - before;
        (counted > 1_000).then_some(()).ok_or(format!("{counted} forgeries"))
    });
    std::thread::sleep(RECORDED);
    require_whole(&nodes);
    for watch in &watches {
        assert_eq!(watch.changes("nobody"), [""; 0]);
    }
}
