//! Real daemons on loopback: the sessions of the README, exit statuses, starts, deaths, returns.

mod common;

use common::{DAUST, Daemon, Said, daust, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};

fn line(daemon: &Daemon, mark: &str) -> String {
    let Daemon { name, address, .. } = daemon;
    format!("{name}: internal ip {address}, public ip N/A, last seen N seconds ago{mark}")
}

/// `one` typed the other's address; both list both.
fn join(one: &Daemon, other: &Daemon) {
    one.daust(&["remote", &other.address.to_string(), "ping"]).expect_out("pong\n");
    one.wait_listed(&line(other, ""));
    other.wait_listed(&line(one, ""));
}

fn pair() -> (Daemon, Daemon) {
    let (one, two) = (Daemon::start("node1"), Daemon::start("node2"));
    join(&one, &two);
    (one, two)
}

#[test]
fn the_quick_start_as_it_is_written() {
    let (mut node1, mut node2) = pair();
    let (line1, line2) = (line(&node1, ""), line(&node2, ""));
    let address2 = node2.address.to_string();
    node1.daust(&["list"]).expect_out(&format!("{line1}\n{line2}\n"));
    for words in [["list", "remote", &address2], ["remote", "node2", "list"]] {
        node1.daust(&words).expect_out(&format!("{line2}\n{line1}\n"));
    }
    let all = format!("node1 responded:\n{line1}\n{line2}\n\nnode2 responded:\n{line2}\n{line1}\n");
    node1.daust(&["all", "list"]).expect_out(&all);
    node1.daust(&["list", "all"]).expect_out(&all);
    node1.daust(&["ping", "all"]).expect_out("node1 responded:\npong\n\nnode2 responded:\npong\n");
    node1.daust(&["trace", "all"]).expect_out("|__ node1\n|__ node2\n");
    node2.daust(&["trace", "all"]).expect_out("|__ node2\n|__ node1\n");
    node1.daust(&["trace"]).expect_out("|__ node1\n");
    let said = node1.daust(&["all", "stop"]);
    let mut blocks: Vec<&str> = said.out.trim_end().split("\n\n").collect();
    blocks.sort_unstable();
    assert_eq!(blocks, ["node1 responded:\nstopped", "node2 responded:\nstopped"], "{said:?}");
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    assert_eq!((node1.wait_end(), node2.wait_end()), (0, 0));
}

#[test]
fn a_node_alone_answers() {
    let node = Daemon::start("alone");
    node.daust(&["list"]).expect_out(&format!("{}\n", line(&node, "")));
    node.daust(&["all", "ping"]).expect_out("alone responded:\npong\n");
    node.daust(&["trace", "all"]).expect_out("|__ alone\n");
    let version = node.daust(&["version"]);
    assert!(version.out.contains(env!("CARGO_PKG_VERSION")) && version.status == 0, "{version:?}");
}

#[test]
fn exit_statuses_tell_what_went_wrong() {
    let mut node = Daemon::start("node1");
    let wrong = node.daust(&["no-such-verb"]);
    assert_eq!((wrong.status, wrong.out.as_str()), (2, ""), "{wrong:?}");
    assert!(wrong.err.contains("no-such-verb") && wrong.err.contains("Usage"), "{wrong:?}");

    // Nobody answers at that address: refused at once, and named.
    let nobody = common::fresh_address().to_string();
    let silent = node.daust(&["-t", "2", "remote", &nobody, "ping"]);
    assert_eq!((silent.status, silent.out.as_str()), (1, ""), "{silent:?}");
    assert!(silent.err.contains(&nobody), "{silent:?}");

    node.daust(&["stop"]).expect_out("stopped\n");
    assert_eq!(node.wait_end(), 0);
    let expected = "Can't reach the local daustd socket.\nAre you sure daustd is running?\n";
    assert_eq!(
        node.daust(&["list"]),
        Said { status: 3, out: String::new(), err: expected.to_string() }
    );
}

#[test]
fn a_second_start_is_refused() {
    let node = Daemon::start("node1");
    let (mut same_state, mut same_socket) = (Daemon::prepared("node1"), Daemon::prepared("node1"));
    same_state.state = node.state.clone();
    same_socket.socket = node.socket.clone();
    for second in [same_state, same_socket] {
        for detach in [&[][..], &["-d"]] {
            let said = Said::from(second.command().args(detach).output().unwrap());
            assert_eq!(said.status, 1, "{said:?}");
            assert!(said.err.contains("daustd is already running"), "{said:?}");
        }
    }
    node.daust(&["ping"]).expect_out("pong\n");
}

#[test]
fn stopped_and_started_again_at_once() {
    let node = Daemon::start("node1");
    for _ in 0..3 {
        node.daust(&["stop"]).expect_out("stopped\n");
        let log = node.path("log");
        let started = Said::from(node.command().arg("-d").arg("-l").arg(log).output().unwrap());
        assert_eq!(started, Said { status: 0, out: String::new(), err: String::new() });
        node.daust(&["ping"]).expect_out("pong\n");
    }
}

#[test]
fn detached_means_ready_and_a_failure_is_told() {
    let node = Daemon::prepared("node1");
    let log = node.path("log");
    let started = Said::from(node.command().arg("-d").arg("-l").arg(log).output().unwrap());
    assert_eq!(started, Said { status: 0, out: String::new(), err: String::new() });
    // Not waited for: the first command finds it ready.
    node.daust(&["ping"]).expect_out("pong\n");

    let mut taken = Daemon::prepared("node2");
    taken.address = node.address;
    let failed = Said::from(taken.command().arg("-d").output().unwrap());
    assert_eq!((failed.status, failed.out.as_str()), (1, ""), "{failed:?}");
    assert!(failed.err.contains("4040"), "the port is not named: {failed:?}");

    node.daust(&["stop"]).expect_out("stopped\n");
    wait_until("the socket to close", || match node.daust(&["ping"]) {
        said if said.status == 3 => Ok(()),
        said => Err(format!("{said:?}")),
    });
}

#[test]
fn the_service_manager_is_told() {
    let mut node = Daemon::prepared("node1");
    let path = node.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let heard = |wanted: &str| {
        let mut buffer = [0; 512];
        loop {
            let length = manager.recv(&mut buffer).unwrap_or_else(|e| panic!("no {wanted}: {e}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    let mut command = node.command();
    node.run(command.env("NOTIFY_SOCKET", &path));
    heard("READY=1");
    node.signal("-TERM");
    heard("STOPPING=1");
    assert_eq!(node.wait_end(), 0);
}

#[test]
fn a_killed_node_is_noticed_and_returns_by_itself() {
    let (node1, mut node2) = pair();
    let mut watch = Watch::start(&node1);
    node2.kill();
    watch.wait_for("down node2 (process gone)");
    node1.wait_listed(&line(&node2, " (down)"));
    let said = node1.daust(&["all", "ping"]);
    assert_eq!((said.status, said.out.as_str()), (1, "node1 responded:\npong\n"), "{said:?}");
    assert!(said.err.starts_with("node2 did not answer: down for "), "{said:?}");

    node2.restart();
    watch.wait_for("up node2");
    node1.wait_listed(&line(&node2, ""));
    node2.wait_listed(&line(&node1, ""));
    assert_eq!(node1.daust(&["list"]).out.lines().count(), 2, "it came back under another id");
}

#[test]
fn both_killed_return_by_themselves() {
    let (mut node1, mut node2) = pair();
    node1.wait_kept(&node2);
    node2.wait_kept(&node1);
    node1.kill();
    node2.kill();
    node1.restart();
    node2.restart();
    node1.wait_listed(&line(&node2, ""));
    node2.wait_listed(&line(&node1, ""));
}

#[test]
fn goodbye_is_no_death() {
    let (mut node1, node2) = pair();
    let mut watch = Watch::start(&node2);
    node1.signal("-TERM");
    assert_eq!(node1.wait_end(), 0);
    assert!(!node1.socket.exists(), "the socket is left behind");
    watch.wait_for("left node1");
    node2.wait_listed(&line(&node1, " (left)"));
    let forgotten = node2.daust(&["forget", "node1"]);
    forgotten.expect_out("node1 forgotten\n");
    node2.daust(&["list"]).expect_out(&format!("{}\n", line(&node2, "")));
}

#[test]
fn a_live_node_is_not_forgotten() {
    let (node1, node2) = pair();
    let said = node1.daust(&["forget", "node2"]);
    assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
    assert!(!said.err.is_empty());
    node1.wait_listed(&line(&node2, ""));
}

#[test]
fn json_is_one_object_a_line() {
    let (node1, _node2) = pair();
    let said = node1.daust(&["-j", "list"]);
    let rows: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["node1", "node2"], "{said:?}");
    assert_eq!(rows[1]["state"], "alive");
}

#[test]
fn hangup_reopens_the_logfile() {
    let mut node = Daemon::prepared("node1");
    let log = node.path("log");
    let mut command = node.command();
    node.run(command.arg("-l").arg(&log));
    fs::rename(&log, node.path("log.1")).unwrap();
    node.signal("-HUP");
    wait_until("a new logfile", || log.exists().then_some(()).ok_or("it is not there"));
    node.daust(&["ping"]).expect_out("pong\n");
}

#[test]
fn without_a_state_directory_it_runs_and_says_so() {
    let mut node = Daemon::prepared("node1");
    fs::write(node.path("file"), "").unwrap();
    // Nobody can make a directory below a file, root neither.
    node.state = node.path("file/state");
    node.restart();
    assert!(node.log().contains("file/state"), "{}", node.log());
}

#[test]
fn garbage_is_survived() {
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
    node2.wait_listed(&line(&node1, ""));
}

#[test]
fn a_command_whose_reader_is_gone_ends_quietly() {
    let node = Daemon::start("node1");
    let script = format!("{DAUST} -s {} list | true", node.socket.display());
    let said = Said::from(Command::new("sh").args(["-c", &script]).output().unwrap());
    assert_eq!(said, Said { status: 0, out: String::new(), err: String::new() });
    assert_eq!(daust(&node.socket, &["ping"]).out, "pong\n");
}

/// A `daust watch` under way.
struct Watch {
    child: std::process::Child,
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Watch {
    fn start(daemon: &Daemon) -> Watch {
        let mut command = Command::new(DAUST);
        command.arg("-s").arg(&daemon.socket).arg("watch").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            reader.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        // It listens once it has connected and sleeps on the answer; what the daemon is asked
        // after that, it hears after that.
        wait_until("watch to listen", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            let connected = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().any(|file| {
                fs::read_link(file.unwrap().path())
                    .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
            });
            (connected && stat.contains(") S ")).then_some(()).ok_or(stat)
        });
        daemon.daust(&["ping"]).expect_out("pong\n");
        Watch { child, lines, seen: Vec::new() }
    }

    fn wait_for(&mut self, line: &str) {
        wait_until(&format!("'{line}' from watch"), || {
            self.seen.extend(self.lines.try_iter());
            self.seen.iter().any(|seen| seen == line).then_some(()).ok_or(self.seen.join("\n"))
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
