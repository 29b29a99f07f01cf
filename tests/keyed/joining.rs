//! How machines come to a herd's key without anybody carrying it: join tokens, and a key for an open
//! herd that runs.

use crate::common::{self, DAUST, Daemon, Said, wait_until};
use crate::{new_key, pair, start_fails, started};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// `daust token`: the line that it prints.
fn new_token(daemon: &Daemon) -> String {
    let said = daemon.daust(&["token"]);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.err.contains("daustd --join -"), "{said:?}");
    let token = said.out.strip_suffix('\n').unwrap();
    assert!(token.starts_with("join1-") && !token.contains('\n'), "{said:?}");
    assert_eq!(token.split_once('@').unwrap().1, format!("{}:4040", daemon.address));
    token.to_string()
}

/// The herd's key and the mark are there, for their owner only; the node is in.
fn require_joined(daemon: &Daemon, member: &Daemon) {
    let text = |daemon: &Daemon| fs::read_to_string(daemon.state.join("key")).unwrap();
    assert_eq!(text(daemon), text(member));
    for name in ["key", "keyed"] {
        let mode = fs::metadata(daemon.state.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    wait_until(&format!("{} is in", daemon.name), || {
        let said = daemon.daust(&["remote", &member.name, "ping"]);
        if said.out == "pong\n" { Ok(()) } else { Err(said.err) }
    });
}

#[test]
fn a_token_lets_one_machine_in() {
    let mut node1 = Daemon::prepared("node1");
    new_key(&node1.state.join("key"));
    node1.restart();

    // From standard input, as it is typed; detached, and without a trace of it.
    let node2 = Daemon::prepared("node2");
    let token = new_token(&node1);
    let log = node2.path("stderr");
    let mut command = node2.command();
    command.args(["-d", "--join", "-", "-l"]).arg(&log).stdin(Stdio::piped());
    let mut start = command.spawn().unwrap();
    start.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    assert!(start.wait().unwrap().success(), "{}", node2.log());
    node2.wait_answers();
    require_joined(&node2, &node1);
    let secret = token.split(['-', '@']).nth(5).unwrap();
    for said in [node1.log(), node2.log(), node1.daust(&["version", "-v"]).out] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(node1.log().contains("got the herd key for a join token"), "{}", node1.log());

    // From a file, which may stay where it is: the next start has the key.
    let mut node3 = Daemon::prepared("node3");
    let file = node3.path("token");
    fs::write(&file, format!("{}\n", new_token(&node2))).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let sentence = start_fails(&node3, &["--join", file.to_str().unwrap()]);
    assert!(sentence.contains("(mode 644): chmod 600 "), "{sentence}");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        let mut command = node3.command();
        node3.run(command.arg("--join").arg(&file));
        require_joined(&node3, &node2);
        node3.kill();
    }
    // Nor is a key file that was lost the end of it.
    fs::remove_file(node3.state.join("key")).unwrap();
    let mut command = node3.command();
    // On the command line it is not to be read any longer, by `ps` or whomever.
    let (token, address) = (new_token(&node1), node1.address.to_string());
    let bare = token.replace('-', "");
    node3.run(command.args(["--join", &bare]));
    require_joined(&node3, &node1);
    let arguments = fs::read(format!("/proc/{}/cmdline", node3.pid())).unwrap();
    let arguments = String::from_utf8(arguments).unwrap();
    assert!(arguments.contains("--join\0xxxx"), "{arguments:?}");
    assert!(!arguments.contains(&bare[..20]) && !arguments.contains(&address), "{arguments:?}");
    let history = node1.daust(&["history"]).out;
    let line = " got the herd key for a join token\n";
    assert_eq!(history.matches(line).count(), 2, "{history}");
    assert_eq!(node1.daust(&["remote", "node2", "token"]).status, 2);
}

#[test]
fn a_token_that_is_no_good_says_why_at_both_ends() {
    let (node1, node2, _) = pair();
    let other = started("other", &new_key(&node1.path("other key")));
    let guest = Daemon::prepared("guest");
    let used = new_token(&node1);
    let mut first = Daemon::prepared("first");
    let mut command = first.command();
    first.run(command.args(["--join", &used]));
    let fresh = new_token(&node1);
    let at = |token: &str, address: &str| {
        let (token, _) = token.split_once('@').unwrap();
        format!("{token}@{address}")
    };
    let spoilt = format!("{}{}", &fresh[..20], fresh[20..].replacen(|c| c != '0', "0", 1));
    for (token, words, told) in [
        (used.clone(), "with this join token already", Some((&node1, "was used before"))),
        (
            at(&fresh, &other.address.to_string()),
            "is not in the herd",
            Some((&other, "of another herd")),
        ),
        (
            at(&fresh, &node2.address.to_string()),
            "does not know this",
            Some((&node2, "does not know")),
        ),
        (at(&fresh, &common::fresh_address().to_string()), "no daustd listens at", None),
        (spoilt, "checksum does not fit", None),
        (fresh[..40].to_string(), "8 groups of 6", None),
    ] {
        let began = std::time::Instant::now();
        let sentence = start_fails(&guest, &["--join", &token]);
        assert!(sentence.contains(words) && !sentence.contains(&token[..30]), "{sentence}");
        // Two starts, and `daust ping` in between.
        assert!(began.elapsed().as_millis() < 5_000, "{token}: {:?}", began.elapsed());
        if let Some((daemon, words)) = told {
            let lines = daemon.log().lines().filter(|line| line.contains(words)).count();
            assert_eq!(lines, 1, "{}", daemon.log());
        }
    }
    assert!(!guest.state.join("key").exists() && !guest.state.join("keyed").exists());
    // Who has another herd's key keeps it.
    let mut other = other;
    other.kill();
    let sentence = start_fails(&other, &["--join", &fresh]);
    assert!(sentence.contains("the key of another herd"), "{sentence}");
    let open = Daemon::start("open");
    assert!(open.daust(&["token"]).err.contains("daust key new"));
}

/// `daust key adopt`, with this typed; what it said.
fn adopted(daemon: &Daemon, words: &[&str], typed: &str) -> Said {
    let mut adopt = Command::new(DAUST);
    adopt.arg("-s").arg(&daemon.socket).args(["key", "adopt"]).args(words);
    adopt.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut adopt = adopt.spawn().unwrap();
    // Where nothing is asked nobody reads it.
    let _ = adopt.stdin.take().unwrap().write_all(typed.as_bytes());
    adopt.wait_with_output().unwrap().into()
}

#[test]
fn a_running_open_herd_is_given_a_key() {
    let mut all: Vec<Daemon> = (1..=4).map(|n| Daemon::start(&format!("node{n}"))).collect();
    for other in &all[1..] {
        let said = other.daust(&["remote", &all[0].address.to_string(), "ping"]);
        assert_eq!(said.out, "pong\n", "{said:?}");
    }
    let pongs = |daemon: &Daemon| daemon.daust(&["all", "ping"]).out.matches("pong").count();
    wait_until("all know all", || if pongs(&all[3]) == 4 { Ok(()) } else { Err("") });
    all[0].wait_kept(&all[3]);
    all[3].wait_kept(&all[0]);
    // One is away: killed, and known to be down.
    all[3].kill();
    wait_until("node4 is down", || {
        let said = all[0].daust(&["list"]).out;
        if said.contains("(down)") { Ok(()) } else { Err(said) }
    });

    for answer in ["", "n\n", "no\n", "\n"] {
        let said = adopted(&all[0], &[], answer);
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
        for daemon in &all[..3] {
            let listed = all[0].daust(&["-j", "list"]).out;
            let row = listed.lines().find(|line| line.contains(&format!("\"{}\"", daemon.name)));
            let row: serde_json::Value = serde_json::from_str(row.unwrap()).unwrap();
            let line = format!("{}: fingerprint {}, ", daemon.name, row["id"].as_str().unwrap());
            assert!(said.err.contains(&line), "{said:?}");
        }
        assert!(said.err.contains("gets no key: it is down"), "{said:?}");
    }
    all[0].daust(&["key", "list"]).expect_out("no herd key: this herd is open\n");

    let said = adopted(&all[0], &[], "y\n");
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.out.contains(", epoch 2, ") && said.out.contains("from adoption"), "{said:?}");
    wait_until("it is over", || {
        // Commands go on all the while.
        assert_eq!(pongs(&all[1]), 3);
        let lists: Vec<String> =
            all[..3].iter().map(|one| one.daust(&["key", "list"]).out).collect();
        let over = lists.iter().all(|list| list.contains(", from adoption; not held by node4\n"));
        if over { Ok(()) } else { Err(lists.concat()) }
    });
    for daemon in &all[..3] {
        for other in &all[..3] {
            let log = daemon.log();
            assert!(!log.contains(&format!("down {}", other.name)), "{log}");
        }
    }
    let again = adopted(&all[1], &["--yes"], "");
    assert!(again.status == 1 && again.err.contains("a key already"), "{again:?}");

    // Who was away is told what to do, does it, and is back; who has lost the file does not start.
    all[3].restart();
    let said = all[3].daust(&["remote", &all[0].address.to_string(), "ping"]);
    assert!(said.err.contains("type `daust token` there"), "{said:?}");
    all[3].kill();
    let token = new_token(&all[0]);
    let mut command = all[3].command();
    all[3].run(command.args(["--join", &token]));
    require_joined(&all[3], &all[0]);
    for daemon in &mut all[..3] {
        daemon.kill();
        daemon.restart();
    }
    wait_until("all are back", || if pongs(&all[2]) == 4 { Ok(()) } else { Err("") });
    all[1].kill();
    fs::remove_file(all[1].state.join("key")).unwrap();
    assert!(start_fails(&all[1], &[]).contains("of a keyed herd"));
}

/// One takes no key from others: that is said before the key is made, after it, and by itself.
#[test]
fn who_takes_no_key_from_others_is_named_and_gets_it_by_token() {
    let node1 = Daemon::start("node1");
    let mut node2 = Daemon::prepared("node2");
    let configuration = node2.path("daustd.toml");
    fs::write(&configuration, "accept = 'read'\n").unwrap();
    let started = |node: &mut Daemon, words: &[&str]| {
        let mut command = node.command();
        node.run(command.arg("-c").arg(&configuration).args(words));
    };
    started(&mut node2, &[]);
    assert_eq!(node2.daust(&["remote", &node1.address.to_string(), "ping"]).out, "pong\n");
    let said = adopted(&node1, &["--yes"], "");
    assert_eq!(said.status, 0, "{said:?}");
    let takes_none = "takes no key from others (accept = \"read\" in its configuration)";
    let line = said.err.lines().find(|line| line.starts_with("node2: fingerprint ")).unwrap();
    assert!(line.contains(takes_none) && line.contains("`daust token` here"), "{said:?}");
    assert!(!said.err.lines().any(|l| l.starts_with("node1: ") && l.contains(takes_none)));
    assert!(said.out.contains(&format!("; not held by node2; node2: {takes_none}")), "{said:?}");
    let refused = wait_until("node2 to know of the key", || {
        let said = node2.daust(&["history"]).out;
        let line = said.lines().find(|line| line.contains(": key adopt: failed: "));
        line.map(str::to_string).ok_or(said.clone())
    });
    assert!(
        refused.contains("node node1 (") && refused.contains("`daust token` there"),
        "{refused}"
    );
    let said = node2.daust(&["doctor"]);
    let wrong = "wrong: node1 has a key for this herd, which this node did not get: ";
    assert!(said.out.lines().any(|line| line.starts_with(wrong)), "{said:?}");

    let token = new_token(&node1);
    node2.kill();
    started(&mut node2, &["--join", &token]);
    require_joined(&node2, &node1);
}
