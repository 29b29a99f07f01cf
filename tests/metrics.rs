//! A real daemon that is scraped: over TCP and a Unix socket, by well-behaved programs and others.

mod common;

use common::{DAUSTD, Daemon, wait_until};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const OPEN: &str = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";

/// One that runs with this as its `metrics`.
fn started(name: &str, metrics: impl Fn(&mut Daemon) -> String) -> Daemon {
    let mut daemon = Daemon::prepared(name);
    let path = daemon.path("daustd.toml");
    fs::write(&path, format!("metrics = '{}'\n", metrics(&mut daemon))).unwrap();
    let mut command = daemon.command();
    command.arg("-c").arg(path);
    daemon.run(&mut command);
    daemon
}

fn at(daemon: &Daemon) -> SocketAddr {
    SocketAddr::new(daemon.address.into(), 4041)
}

fn asked(mut stream: impl Read + Write, path: &str, headers: &str) -> (String, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_string(), body.to_string())
}

fn get(daemon: &Daemon, path: &str, headers: &str) -> (String, String) {
    asked(TcpStream::connect(at(daemon)).unwrap(), path, headers)
}

/// What promtool says of the classic text: nothing, where all is as it should be.
fn promtool(text: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        eprintln!("SKIPPED: promtool (Debian's prometheus) is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    Some(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn figures_of_a_herd_as_prometheus_wants_them() {
    let (node1, node2) = (started("node 1", |node| at(node).to_string()), Daemon::start("vm-2"));
    let said = node1.daust(&["remote", &node2.address.to_string(), "ping"]);
    assert_eq!(said.out, "pong\n", "{said:?}");
    let text = wait_until("both to be alive", || {
        let (head, body) = get(&node1, "/metrics", OPEN);
        assert!(head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0"));
        body.contains("herd_nodes{state=\"alive\"} 2\n").then_some(body.clone()).ok_or(body)
    });
    let list = node1.daust(&["-j", "list"]).out;
    for line in list.lines() {
        let node: Value = serde_json::from_str(line).unwrap();
        let labels = format!("{{node={},id={}", node["name"], node["id"]);
        assert!(text.contains(&format!("herd_node_last_seen_seconds{labels}}} ")), "{text}");
        let state = format!("herd_node_state{labels},state=\"alive\"}} 1\n");
        assert!(text.contains(&state), "{state} is not in {text}");
    }
    let figure = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    for (name, least) in [
        ("herd_uptime_seconds", 0.001),
        ("herd_datagrams_received_total", 1.0),
        ("herd_datagrams_sent_bytes_total", 1_000.0),
        ("herd_journal_entries", 1.0),
        ("process_start_time_seconds", 1.7e9),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 10.0),
        ("process_max_fds", 256.0),
    ] {
        assert!(figure(name) >= least, "{name}: {}", figure(name));
    }
    assert_eq!((figure("herd_stale"), figure("herd_writes_failed_total")), (0.0, 0.0));
    let (head, classic) = get(&node1, "/metrics", "");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    assert!(promtool(&classic).is_none_or(|said| said.is_empty()), "{:?}", promtool(&classic));
    drop(node2);
    wait_until("the other to be down", || {
        let (_, body) = get(&node1, "/metrics", "");
        let down = body.lines().any(|line| {
            line.starts_with("herd_node_state{node=\"vm-2\"") && line.ends_with("\"alive\"} 0")
        });
        down.then_some(()).ok_or(body)
    });
}

#[test]
fn discovery_gives_what_the_inventory_gives() {
    let node = started("node1", |node| at(node).to_string());
    for (path, words) in [("/sd", vec![]), ("/sd?port=9256", vec!["--port", "9256"])] {
        let (head, body) = get(&node, path, "");
        assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
        let said = node.daust(&[vec!["inventory", "--prometheus"], words].concat());
        assert_eq!((said.out.as_str(), said.status), (body.as_str(), 0));
        let targets: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(targets[0]["labels"]["__meta_herd_name"], "node1");
    }
    let said = node.daust(&["inventory", "--prometheus", "--port", "0"]);
    assert!(said.status == 2 && said.err.contains("from 1 to 65535"), "{said:?}");
}

#[test]
fn a_unix_socket_of_the_daemons_group() {
    let mut node = started("node1", |node| format!("unix:{}", node.path("metrics").display()));
    let path = node.path("metrics");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert!(mode == 0o600 || mode == 0o660, "{mode:o}");
    let (head, body) = asked(UnixStream::connect(&path).unwrap(), "/metrics", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.contains("\nherd_info{"), "{head}");
    node.signal("-TERM");
    node.wait_end();
    assert!(!path.exists(), "it goes with the daemon");
}

/// Root makes the socket's directory for the user that the daemon becomes.
#[test]
fn a_daemon_that_root_starts_for_another_user() {
    if !nix::unistd::geteuid().is_root() {
        return println!("SKIPPED: only root can");
    }
    let node = started("node1", |node| {
        fs::create_dir_all(&node.state).unwrap();
        chown(&node.state, Some(12_345), Some(12_345)).unwrap();
        node.socket = node.path("run/daust.sock");
        node.path("made/metrics").display().to_string()
    });
    let path = node.path("made/metrics");
    assert_eq!(fs::metadata(&path).unwrap().uid(), 12_345);
    let (_, body) = asked(UnixStream::connect(&path).unwrap(), "/metrics", "");
    let files = body.lines().find_map(|line| line.strip_prefix("process_open_fds "));
    assert!(files.is_some_and(|files| files != "0"), "it may count its own files: {body}");
}

/// None of them is in the way of the loop, or of each other.
#[test]
fn who_says_nothing_or_reads_nothing_holds_nobody_up() {
    let node = started("node1", |node| at(node).to_string());
    let mut silent: Vec<TcpStream> =
        (0..15).map(|_| TcpStream::connect(at(&node)).unwrap()).collect();
    silent[0].write_all(b"GET /metrics HT").unwrap();
    for _ in 0..20 {
        assert!(get(&node, "/metrics", "").0.starts_with("HTTP/1.1 200 "));
        assert_eq!(node.daust(&["ping"]).out, "pong\n");
    }
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "it is hung up on in the end");
    }
}

fn refused(metrics: &str) -> String {
    let daemon = Daemon::prepared("node1");
    let path = daemon.path("daustd.toml");
    fs::write(&path, format!("metrics = '{metrics}'\n")).unwrap();
    let output = daemon.command().arg("-c").arg(path).output().unwrap();
    assert!(!output.status.success(), "{DAUSTD} starts with {metrics}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_place_that_can_not_be_used_is_a_reason_not_to_start() {
    let node = started("node1", |node| at(node).to_string());
    let why = refused(&at(&node).to_string());
    assert!(why.contains(&format!("can not use {} for metrics: ", at(&node))), "{why}");
    let why = refused(node.socket.to_str().unwrap());
    assert!(why.contains("another program answers at the metrics socket"), "{why}");
    let why = refused("192.0.2.1:4041");
    assert!(why.contains("`metrics` names another address"), "{why}");
    let why = refused("somewhere");
    assert!(why.contains("metrics `somewhere`: an address and port such as"), "{why}");
}

#[test]
fn an_address_that_the_world_may_reach_is_warned_of() {
    let node = started("node1", |_| "0.0.0.0:4043".to_string());
    let said = node.log();
    assert!(said.contains("whoever reaches this address may read who is in the herd"), "{said}");
    let private = started("node2", |node| at(node).to_string().replace(":4041", ":4042"));
    assert!(!private.log().contains("whoever reaches"), "{}", private.log());
}
