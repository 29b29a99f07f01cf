//! Real daemons on loopback: the sessions of the README, exit statuses, deaths, returns. (How a
//! daemon starts, stops and treats its files: citizen.rs.)

mod common;

use common::{DAUST, Daemon, Said, daust, wait_until};
use std::fs;
use std::io::{BufRead, BufReader};
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
    // Whoever starts one next must not take the one that goes for one that runs.
    assert_eq!(node1.daust(&["ping"]).status, 3);
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
fn a_node_that_accepts_reading_only_is_not_stopped_from_elsewhere() {
    let (node1, mut guarded) = (Daemon::start("node1"), Daemon::prepared("guarded"));
    let configuration = guarded.path("daustd.toml");
    fs::write(&configuration, "accept = 'read'\n").unwrap();
    let mut command = guarded.command();
    guarded.run(command.arg("-c").arg(&configuration));
    join(&node1, &guarded);
    for words in [&["remote", "guarded", "stop"][..], &["remote", "guarded", "forget", "x"]] {
        let said = node1.daust(words);
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
        assert!(said.err.contains("accept = \"read\" in its configuration"), "{said:?}");
    }
    node1.daust(&["remote", "guarded", "ping"]).expect_out("pong\n");
    assert!(guarded.log().contains("Stop asked by node1"), "{}", guarded.log());
    guarded.daust(&["stop"]).expect_out("stopped\n");
    assert_eq!(guarded.wait_end(), 0);
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
