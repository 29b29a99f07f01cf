//! Floods against a real daemon that also talks with an honest one: whatever comes, heartbeats go
//! on, the command line is answered, memory stays bounded, and the log says what it was.

mod common;

use common::Daemon;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Connections of one flood.
const CONNECTIONS: usize = 10_000;
/// Resident memory it may have at its worst, a debug build at that.
const MEMORY_KIB: u64 = 64 << 10;
/// Lines of log: some 50 of a subject in 10 s.
const LOG_LINES: usize = 1_000;

fn pair() -> (Daemon, Daemon) {
    met(Daemon::start("node1"), Daemon::start("node2"))
}

fn met(one: Daemon, two: Daemon) -> (Daemon, Daemon) {
    one.daust(&["remote", &two.address.to_string(), "ping"]).expect_out("pong\n");
    for (daemon, other) in [(&one, &two), (&two, &one)] {
        daemon.wait_listed(&line(other));
    }
    (one, two)
}

fn line(daemon: &Daemon) -> String {
    let Daemon { name, address, .. } = daemon;
    format!("{name}: internal ip {address}, public ip N/A, last seen N seconds ago")
}

/// While `flood` does its worst to the first, both answer each time they are asked, and each holds
/// the other for alive. Gives the log of the first.
fn endures(flood: impl FnOnce(&Daemon) + Send) -> String {
    endure(pair(), flood)
}

fn endure((victim, honest): (Daemon, Daemon), flood: impl FnOnce(&Daemon) + Send) -> String {
    let over = AtomicBool::new(false);
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            flood(&victim);
            over.store(true, Relaxed);
        });
        while !over.load(Relaxed) {
            for (asked, name) in [(&victim, "node1"), (&honest, "node2")] {
                let started = Instant::now();
                let said = asked.daust(&["list"]);
                slowest = slowest.max(started.elapsed());
                assert_eq!((said.status, said.err.as_str()), (0, ""), "{name}: {said:?}");
                let expected = format!("{}\n{}\n", line(&victim), line(&honest));
                let mut lines: Vec<String> = said.ageless().lines().map(String::from).collect();
                lines.sort();
                assert_eq!(lines.join("\n") + "\n", expected, "{name}");
            }
        }
    });
    let all = "node1 responded:\npong\n\nnode2 responded:\npong\n";
    victim.daust(&["all", "ping"]).expect_out(all);
    let status = fs::read_to_string(format!("/proc/{}/status", victim.pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = most.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib < MEMORY_KIB, "{kib} KiB of memory");
    let log = victim.log();
    let lines = log.lines().count();
    assert!(lines < LOG_LINES, "{lines} lines of log");
    eprintln!("{kib} KiB at most, {lines} lines of log, slowest list {slowest:?}");
    log
}

/// As many files as this process may have; fewer connections where that is less.
fn connections() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    // Two floods of one program may run at once.
    CONNECTIONS.min(hard as usize / 2 - 100)
}

#[test]
fn connections_to_the_control_socket() {
    let log = endures(|victim| {
        let mut held = Vec::new();
        for number in 0..connections() {
            // Where the daemon does not accept fast enough, connecting waits.
            let mut client = UnixStream::connect(&victim.socket).unwrap();
            // Nothing, half a frame, the beginning of a huge one.
            let bytes = [&[][..], &[0, 0, 0, 9, 1], &[0, 0x0f, 0xff, 0xff, 7, 7, 7]][number % 3];
            let _ = client.write_all(bytes);
            held.push(client);
        }
    });
    assert!(!log.contains("fault"), "{log}");
}

/// From many addresses: nothing, half a frame, a huge one, nonsense, one byte at a time.
#[test]
fn connections_to_the_port() {
    let log = endures(|victim| {
        let target = SocketAddr::from((victim.address, 4_040));
        let mut held = Vec::new();
        for number in 0..connections() {
            let [.., high, low] = (number / 16).to_be_bytes();
            let from = SocketAddr::from((Ipv4Addr::new(127, 99, high, low), 0));
            let Ok(mut stream) = connect(from, target) else { continue };
            let huge = [&[0, 0, 0xff, 0xff][..], &[7; 60_000]].concat();
            let bytes = [&[][..], &[0, 0, 0, 9, 1], &huge, &[0xff; 64]][number % 4];
            let _ = stream.write_all(bytes);
            held.push(stream);
        }
        for _ in 0..30 {
            for stream in held.iter_mut().rev().take(64) {
                let _ = stream.write_all(&[0]);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(log.contains("unproved streams") && log.contains("is the limit"), "{log}");
}

/// More connections than it may have files: both kinds at once, held and let go, again and again.
#[test]
fn files_that_run_out() {
    let mut victim = Daemon::prepared("node1");
    let command = victim.command();
    // The daemon cannot raise what the shell lowered for good.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args());
    victim.run(&mut limited);
    let log = endure(met(victim, Daemon::start("node2")), |victim| {
        let target = SocketAddr::from((victim.address, 4_040));
        for _ in 0..4 {
            let from = |number: u8| SocketAddr::from((Ipv4Addr::new(127, 97, 0, number / 8), 0));
            let _streams: Vec<_> = (0..200).map(|number| connect(from(number), target)).collect();
            let _clients: Vec<_> = (0..60).map(|_| UnixStream::connect(&victim.socket)).collect();
            std::thread::sleep(Duration::from_millis(700));
        }
    });
    assert!(log.contains("unproved streams, 16, is the limit"), "{log}");
}

fn connect(from: SocketAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), common::PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

#[test]
fn datagrams_of_garbage() {
    let log = endures(|victim| {
        let target = SocketAddr::from((victim.address, 4_040));
        let mut noise = 0x9e37_79b9_u32;
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        let mut bytes: Vec<u8> = (0..60_000).map(|_| next()).collect();
        for number in 0..20_000_usize {
            let [.., high, low] = (number / 100).to_be_bytes();
            // A new socket now and then is a new source.
            let udp = UdpSocket::bind((Ipv4Addr::new(127, 98, high, low), 0)).unwrap();
            // A sound beginning now and then, so that more than the header is looked at.
            bytes[..2].copy_from_slice(&[1, number as u8 % 6]);
            let length = [32, 100, 1_152, 1_200, 1_201, 9_000, 60_000][number % 7];
            let _ = udp.send_to(&bytes[number % 2..length], target);
        }
    });
    for what in ["oversized: 1000 so far", "malformed: 1000 so far", "foreign herd: 1000 so far"] {
        assert!(log.contains(what), "{what}:\n{log}");
    }
}

#[test]
fn garbage_of_every_length() {
    let (node1, node2) = pair();
    let target = (node1.address, 4040);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut noise = 0x9e37_79b9_u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    for length in (0..1_400).chain([9_000, 60_000]) {
        let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
        udp.send_to(&bytes, target).unwrap();
    }
    // Half-open, huge by its own word, and nonsense; held open meanwhile.
    let held: Vec<TcpStream> = (0..40).filter_map(|_| TcpStream::connect(target).ok()).collect();
    for (i, mut stream) in held.iter().enumerate() {
        let _ = stream.write_all(&[[0xff; 16], [0; 16], [i as u8; 16]][i % 3]);
    }
    let mut control = UnixStream::connect(&node1.socket).unwrap();
    control.write_all(&[0xff; 64]).unwrap();
    let mut answer = Vec::new();
    control.read_to_end(&mut answer).unwrap();
    node1.daust(&["all", "ping"]).expect_out("node1 responded:\npong\n\nnode2 responded:\npong\n");
    node2.wait_listed(&line(&node1));
}
