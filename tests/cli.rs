//! The real `daust` against a daemon played by this test: standard output, standard error and
//! exit status, to the letter.

use herd::wire::codec::{FrameReader, decode, encode, frame};
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::ids::NodeId;
use herd::wire::info::{Event, EventKind, NodeInfo, State, TraceRow};
use herd::wire::limits::FRAME_BYTES;
use herd::wire::reply::{ErrorCode, Failure, Reply};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const DAUST: &str = env!("CARGO_BIN_EXE_daust");
const NOT_RUNNING: &str = "Can't reach the local daustd socket.\nAre you sure daustd is running?\n";
const USAGE: &str = "Usage: daust [options] [remote NODE | all] VERB [ARGUMENT...]\n";

/// A daemon that answers every request with what `script` gives, then closes if told to.
struct Fake {
    directory: PathBuf,
}

type Script = fn(&Request) -> Vec<Part>;

impl Fake {
    /// A place for a socket, with nobody listening.
    fn absent() -> Fake {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("daust-cli-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Fake { directory }
    }

    fn new(script: Script) -> Fake {
        Fake::serving(move |mut stream| {
            let mut reader = FrameReader::default();
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                reader.push(&bytes[..length]);
                while let Some(bytes) = reader.next(FRAME_BYTES).unwrap() {
                    let request: Request = decode(&bytes).unwrap();
                    for part in script(&request) {
                        let part = Part { number: request.number, ..part };
                        let _ = stream.write_all(&frame(&encode(&part)));
                    }
                }
            }
        })
    }

    fn serving(serve: impl Fn(UnixStream) + Send + 'static) -> Fake {
        let fake = Fake::absent();
        let listener = UnixListener::bind(fake.socket()).unwrap();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                serve(stream);
            }
        });
        fake
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("daust.sock")
    }

    fn process(&self, line: &str) -> Process {
        let mut process = Process::new(DAUST);
        process.env("DAUST_SOCKET", self.socket()).args(line.split_whitespace());
        process
    }

    /// Standard output, standard error, exit status.
    fn daust(&self, line: &str) -> (String, String, i32) {
        let output = self.process(line).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn part(node: &str, id: u64, reply: Reply, done: bool) -> Part {
    Part { number: 0, node: node.into(), id: NodeId(id), reply, last: true, done }
}

fn refused(node: &str, id: u64, code: ErrorCode, detail: &str, done: bool) -> Part {
    part(node, id, Reply::Error(Failure::new(code, detail)), done)
}

fn info(name: &str, ip: &str, seen_ms: u64) -> NodeInfo {
    let internal_ip = Some(ip.parse().unwrap());
    NodeInfo { name: name.into(), internal_ip, last_seen_ms: seen_ms, ..NodeInfo::default() }
}

fn nodes(nodes: Vec<NodeInfo>) -> Reply {
    Reply::Nodes { nodes, stale_ms: None }
}

fn good(out: &str) -> (String, String, i32) {
    (out.into(), String::new(), 0)
}

fn two() -> Vec<NodeInfo> {
    vec![info("node1", "192.168.1.2", 0), info("node2", "192.168.1.3", 15_000)]
}

/// The herd of the quick start: node1 asks, node2 is at 192.168.1.3.
fn quick_start(request: &Request) -> Vec<Part> {
    let row = |depth, name: &str| TraceRow { depth, name: name.into(), ..TraceRow::default() };
    let node2 = Scope::Node("192.168.1.3".into());
    match (&request.scope, &request.command) {
        (Scope::Here, Command::Ping) => vec![part("node1", 1, Reply::Pong, true)],
        (Scope::Here, Command::List) => vec![part("node1", 1, nodes(two()), true)],
        (Scope::Here, Command::TraceAll) => {
            let rows = vec![row(0, "node1"), row(1, "vm 4"), row(0, "node2")];
            vec![part("node1", 1, Reply::Tree(rows), true)]
        }
        (Scope::All, Command::List) => {
            let turned = vec![info("node2", "192.168.1.3", 0), info("node1", "192.168.1.2", 5_000)];
            vec![part("node2", 2, nodes(turned), false), part("node1", 1, nodes(two()), true)]
        }
        (scope, Command::Ping) if *scope == node2 => vec![part("node2", 2, Reply::Pong, true)],
        _ => vec![refused("", 0, ErrorCode::Invalid, "not in this play", true)],
    }
}

#[test]
fn the_quick_start_as_typed() {
    let fake = Fake::new(quick_start);
    let list = "node1: internal ip 192.168.1.2, public ip N/A, last seen 0 seconds ago\n\
                node2: internal ip 192.168.1.3, public ip N/A, last seen 15 seconds ago\n";
    assert_eq!(fake.daust("remote 192.168.1.3 ping"), good("pong\n"));
    assert_eq!(fake.daust("list"), good(list));
    // Not a terminal: the local node first, though the other answered first.
    let all = format!(
        "node1 responded:\n{list}\nnode2 responded:\n\
         node2: internal ip 192.168.1.3, public ip N/A, last seen 0 seconds ago\n\
         node1: internal ip 192.168.1.2, public ip N/A, last seen 5 seconds ago\n"
    );
    assert_eq!(fake.daust("all list"), good(&all));
    assert_eq!(fake.daust("list all"), good(&all));
    let tree = "|__ node1\n|   |__ vm 4\n|__ node2\n";
    assert_eq!(fake.daust("trace all"), good(tree));
    assert_eq!(fake.daust("all trace"), good(tree));
}

#[test]
fn who_stays_silent_is_named() {
    let fake = Fake::new(|request| match request.scope {
        Scope::All => vec![
            part("vm 10", 10, Reply::Pong, false),
            refused("node3", 3, ErrorCode::NoAnswer, "down for 9 s", false),
            part("vm 2", 2, Reply::Pong, false),
            part("node1", 1, Reply::Pong, true),
        ],
        _ => vec![part("node1", 1, Reply::Pong, true)],
    });
    let out = "node1 responded:\npong\n\nvm 2 responded:\npong\n\nvm 10 responded:\npong\n";
    let err = "node3 did not answer: down for 9 s\n";
    assert_eq!(fake.daust("all ping"), (out.into(), err.into(), 1));
    let (out, err_too, status) = fake.daust("-j all ping");
    assert_eq!((err_too.as_str(), status), (err, 1));
    let codes: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(codes.len(), 4);
    assert_eq!(
        (codes[1]["from"].as_str(), codes[1]["code"].as_str()),
        (Some("node3"), Some("no_answer"))
    );
}

#[test]
fn remote_nodes_that_can_not_be_reached() {
    let fake = Fake::new(|_| vec![refused("", 0, ErrorCode::Unreachable, "no route to it", true)]);
    let err = "can not reach remote node 10.9.9.9: no route to it\n";
    assert_eq!(fake.daust("remote 10.9.9.9 stop"), (String::new(), err.into(), 1));
    // A name with a space is no host name: DNS is not asked, and the herd's word stands.
    let fake = Fake::new(|_| vec![refused("", 0, ErrorCode::UnknownNode, "who is that", true)]);
    let mut process = fake.process("ping remote");
    let output = process.arg("vm\u{202e} 4").output().unwrap();
    let err = "can not reach remote node vm\\u{202e} 4: who is that\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), err);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_host_name_is_looked_up_after_the_herd() {
    let fake = Fake::new(|request| match &request.scope {
        Scope::Node(node) if node == "127.0.0.1:4041" => vec![part("n", 2, Reply::Pong, true)],
        Scope::Node(node) if node == "localhost:4041" => {
            vec![refused("", 0, ErrorCode::UnknownNode, "unknown", true)]
        }
        // Whatever else the name resolves to (::1) leads nowhere.
        _ => vec![refused("", 0, ErrorCode::Unreachable, "no way", true)],
    });
    assert_eq!(fake.daust("remote localhost:4041 ping"), good("pong\n"));
}

#[test]
fn the_argument_is_looked_up_as_well() {
    let fake = Fake::new(|request| {
        assert_eq!(request.scope, Scope::Node("node2".into()));
        match &request.command {
            Command::Forget(node) if node == "127.0.0.1:4040" => {
                let forgotten = Reply::Forgotten { name: "vm 4".into(), id: NodeId(4) };
                vec![part("node2", 2, forgotten, true)]
            }
            _ => vec![refused("node2", 2, ErrorCode::UnknownNode, "nobody is called so", true)],
        }
    });
    assert_eq!(fake.daust("remote node2 forget localhost"), good("vm 4 forgotten\n"));
    // DNS knows it and the herd does not: the herd's first word stands.
    let fake = Fake::new(|request| match &request.command {
        Command::TraceNode(node) => {
            vec![refused("node1", 1, ErrorCode::UnknownNode, &format!("who is {node}"), true)]
        }
        _ => vec![],
    });
    let err = "who is localhost\n";
    assert_eq!(fake.daust("trace localhost"), (String::new(), err.into(), 1));
}

#[test]
fn no_daemon() {
    let fake = Fake::absent();
    assert_eq!(fake.daust("list"), (String::new(), NOT_RUNNING.into(), 3));
    // A socket that a dead daemon left behind.
    drop(UnixListener::bind(fake.socket()).unwrap());
    assert_eq!(fake.daust("all stop"), (String::new(), NOT_RUNNING.into(), 3));
    let (out, err, status) = fake.daust("-j ping");
    assert_eq!((err.as_str(), status), (NOT_RUNNING, 3));
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (object["type"].as_str(), object["code"].as_str()),
        (Some("error"), Some("no_daemon"))
    );
    let long = format!("-s /{} ping", "x".repeat(200));
    let (_, err, status) = fake.daust(&long);
    assert!(err.starts_with(NOT_RUNNING) && err.lines().count() == 3, "{err}");
    assert_eq!(status, 3);
}

#[test]
fn a_daemon_that_breaks_off_or_talks_nonsense() {
    let fake = Fake::serving(drop);
    let (out, err, status) = fake.daust("list");
    assert!(err.starts_with(NOT_RUNNING) && err.contains("closed the connection"), "{err}");
    assert_eq!((out.as_str(), status), ("", 3));
    let nonsense: [&[u8]; 3] = [&[0xff; 64], &frame(&[0xff; 9]), &frame(b"")];
    for bytes in nonsense.map(<[u8]>::to_vec) {
        let fake = Fake::serving(move |mut stream| {
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0; 64]);
        });
        let (_, err, status) = fake.daust("list");
        assert!(err.starts_with(NOT_RUNNING) && err.contains("no answer"), "{err}");
        assert_eq!(status, 3);
    }
}

#[test]
fn a_daemon_that_hangs_up_says_why() {
    let fake = Fake::serving(|mut stream| {
        let refusal = refused("", 0, ErrorCode::Limit, "64 clients at once are the limit", true);
        let _ = stream.write_all(&frame(&encode(&refusal)));
    });
    for words in ["list", "all ping", "watch"] {
        let (_, err, status) = fake.daust(words);
        assert_eq!(err, format!("{NOT_RUNNING}64 clients at once are the limit\n"), "{words}");
        assert_eq!(status, 3);
    }
}

#[test]
fn a_daemon_that_hangs() {
    let fake = Fake::serving(|mut stream| while let Ok(1..) = stream.read(&mut [0; 64]) {});
    let (_, err, status) = fake.daust("-t 0.01 ping");
    assert!(err.starts_with(NOT_RUNNING) && err.contains("said nothing for 3 s"), "{err}");
    assert_eq!(status, 3);
}

#[test]
fn wrong_words() {
    let fake = Fake::absent();
    for (line, why) in [
        ("lsit", "there is no verb `lsit`: did you mean `list`?\n"),
        ("remote X", "a VERB is missing\n"),
        ("ping -x", "unrecognized option: 'x'\n"),
        ("-t 601 ping", "-t wants seconds, more than 0 and at most 600, not `601`\n"),
    ] {
        let (out, err, status) = fake.daust(line);
        assert_eq!((out.as_str(), status), ("", 2), "{line}");
        assert!(err.starts_with(&format!("{why}{USAGE}")), "{err}");
    }
    let (out, err, status) = fake.daust("-j lsit");
    assert!(out.contains("\"code\":\"invalid\"") && err.contains(USAGE), "{out}{err}");
    assert_eq!(status, 2);
}

#[test]
fn help_and_version_need_no_daemon() {
    let fake = Fake::absent();
    let (help, err, status) = fake.daust("-h");
    assert_eq!((err.as_str(), status), ("", 0));
    for verb in herd::client::verbs::VERBS {
        assert!(help.contains(verb.help), "{}", verb.word);
    }
    let (out, err, status) = fake.daust("");
    assert_eq!((out.as_str(), err, status), ("", help, 2));
    let (version, _, status) = fake.daust("--version");
    assert_eq!((version.starts_with("daust 0."), status), (true, 0));
}

#[test]
fn watch_prints_at_once_and_ends_with_the_daemon() {
    let event = |kind, name: &str, text: &str| {
        let (name, text, id) = (name.into(), text.into(), NodeId(2));
        let reply = Reply::Event(Event { kind, name, id, text });
        let part = Part { last: false, ..part("node1", 1, reply, false) };
        frame(&encode(&Part { number: 1, ..part }))
    };
    let (wait, go) = std::sync::mpsc::channel::<()>();
    let go = std::sync::Mutex::new(go);
    let fake = Fake::serving(move |mut stream| {
        stream.write_all(&event(EventKind::Up, "vm 4", "")).unwrap();
        go.lock().unwrap().recv().unwrap();
        stream.write_all(&event(EventKind::Down, "vm 4", "process gone")).unwrap();
    });
    let mut process = fake.process("watch");
    let mut child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first line is here while the second has not happened yet.
    assert_eq!(lines.next().unwrap().unwrap(), "up vm 4");
    wait.send(()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "down vm 4 (process gone)");
    assert!(lines.next().is_none());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with(NOT_RUNNING));
}

#[test]
fn watch_ends_when_it_was_told_to() {
    let (wait, go) = std::sync::mpsc::channel::<()>();
    let go = std::sync::Mutex::new(go);
    let fake = Fake::serving(move |_stream| {
        let _ = go.lock().unwrap().recv();
    });
    assert_eq!(fake.daust("-t 0.2 watch"), (String::new(), String::new(), 0));
    drop(wait);
}

/// `script` is the terminal here.
#[test]
fn on_a_terminal_answers_are_shown_as_they_arrive() {
    let (wait, go) = std::sync::mpsc::channel::<()>();
    let go = std::sync::Mutex::new(go);
    let fake = Fake::serving(move |mut stream| {
        let answer = |node: &str, id, done| {
            frame(&encode(&Part { number: 1, ..part(node, id, Reply::Pong, done) }))
        };
        stream.write_all(&answer("node2", 2, false)).unwrap();
        go.lock().unwrap().recv().unwrap();
        stream.write_all(&answer("node1", 1, true)).unwrap();
    });
    let mut script = Process::new("script");
    script.args(["-qec", &format!("{DAUST} all ping"), "/dev/null"]);
    script.env("DAUST_SOCKET", fake.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().expect("script (package bsdutils) is a terminal for the test");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap().trim_end().to_string();
    assert_eq!([line(), line()], ["node2 responded:", "pong"]);
    wait.send(()).unwrap();
    assert_eq!([line(), line(), line()], ["", "node1 responded:", "pong"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_went_away() {
    let fake = Fake::new(|_| {
        let many = (0..200).map(|at| info(&format!("node{at}"), "10.0.0.1", 0)).collect();
        let parts =
            |at| Part { last: at == 99, ..part("n", 1, nodes(Vec::clone(&many)), at == 99) };
        (0..100).map(parts).collect()
    });
    let mut process = fake.process("list");
    let mut child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((&first, output.status.code()), (b"node0:", Some(0)));
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_full_disk_is_told() {
    let fake = Fake::new(quick_start);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = fake.process("list").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("can not write"));
}

#[test]
fn a_stale_view_and_marks() {
    let fake = Fake::new(|_| {
        let suspect = NodeInfo { state: State::Suspect, ..info("node2", "10.0.0.2", 61_000) };
        let replaced = NodeInfo { replaced: true, ..info("node3", "10.0.0.3", 0) };
        let nodes = vec![info("node1", "10.0.0.1", 0), suspect, replaced];
        vec![part("node1", 1, Reply::Nodes { nodes, stale_ms: Some(61_500) }, true)]
    });
    let out = "node1: internal ip 10.0.0.1, public ip N/A, last seen 0 seconds ago\n\
               node2: internal ip 10.0.0.2, public ip N/A, last seen 61 seconds ago (suspect)\n";
    let err = "node1 believes itself cut off since 61 s: its view is old\n";
    assert_eq!(fake.daust("list"), (out.into(), err.into(), 0));
    assert!(fake.daust("-v list").0.contains("node3: "));
}

#[test]
fn words_that_are_no_text_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let fake = Fake::absent();
    let word = std::ffi::OsStr::from_bytes(b"l\xffst\x1b[2J");
    let output = fake.process("").arg(word).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.contains(&0x1b));
}
