//! A keyed herd of real daemons on loopback: how its key is made, who is let in, who is told why
//! not, and that a key once used never gets lost in silence.

#[path = "../common/mod.rs"]
mod common;
mod joining;

use common::{DAUST, Daemon, Said, wait_until};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// `daust key new FILE`; gives the text.
fn new_key(path: &Path) -> String {
    let said = Said::from(Command::new(DAUST).args(["key", "new"]).arg(path).output().unwrap());
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.err.contains(path.to_str().unwrap()), "{said:?}");
    said.out.trim_end().to_string()
}

/// All but started, with this key's text in its state directory.
fn prepared(name: &str, text: &str) -> Daemon {
    let daemon = Daemon::prepared(name);
    fs::create_dir_all(&daemon.state).unwrap();
    let path = daemon.state.join("key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    daemon
}

fn started(name: &str, text: &str) -> Daemon {
    let mut daemon = prepared(name, text);
    daemon.restart();
    daemon
}

/// Two of one herd that know each other, and its key.
fn pair() -> (Daemon, Daemon, String) {
    let mut node1 = Daemon::prepared("node1");
    let text = new_key(&node1.state.join("key"));
    node1.restart();
    let node2 = started("node2", &text);
    node1.daust(&["remote", &node2.address.to_string(), "ping"]).expect_out("pong\n");
    (node1, node2, text)
}

fn start_fails(daemon: &Daemon, extra: &[&str]) -> String {
    let mut sentences = Vec::new();
    for detach in [&[][..], &["-d"]] {
        let said = Said::from(daemon.command().args(extra).args(detach).output().unwrap());
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
        sentences.push(said.err.lines().last().unwrap_or_default().to_string());
    }
    assert_eq!(sentences[0], sentences[1]);
    assert_eq!(daemon.daust(&["ping"]).status, 3, "it runs all the same");
    sentences.remove(0)
}

#[test]
fn a_key_is_made_once_and_without_a_daemon() {
    let scratch = common::Scratch::new();
    let run = |words: &[&str]| -> Said {
        let mut command = Command::new(DAUST);
        command.env("DAUST_STATE_DIR", scratch.0.join("state")).args(words).output().unwrap().into()
    };
    let made = run(&["key", "new"]);
    let path = scratch.0.join("state/key");
    assert_eq!(made.status, 0, "{made:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), made.out);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(made.out.parse::<herd::wire::key::HerdKey>().is_ok());

    let again = run(&["key", "new"]);
    assert_eq!((again.status, again.out.as_str()), (1, ""), "{again:?}");
    assert!(again.err.contains(&format!("mv {}", path.display())), "{again:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), made.out, "it is overwritten");

    let other = scratch.0.join("taken");
    let mut add = Command::new(DAUST);
    let mut add = add.args(["key", "add"]).arg(&other).stdin(Stdio::piped()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(made.out.as_bytes()).unwrap();
    assert!(add.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&other).unwrap(), made.out);
    assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o600);

    let json = run(&["-j", "key", "new", scratch.0.join("other").to_str().unwrap()]);
    let object: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_ne!(object["key"].as_str().unwrap(), made.out.trim_end());
    assert_eq!(run(&["key", "new", "a", "b"]).status, 1);
    assert_eq!(run(&["key"]).status, 2);
}

#[test]
fn a_keyed_pair_does_what_an_open_one_does() {
    let (node1, node2, text) = pair();
    let line = |daemon: &Daemon| {
        let Daemon { name, address, .. } = daemon;
        format!("{name}: internal ip {address}, public ip N/A, last seen N seconds ago")
    };
    node2.wait_listed(&line(&node1));
    node1.daust(&["list", "remote", "node2"]).expect_out(&format!(
        "{}\n{}\n",
        line(&node2),
        line(&node1)
    ));
    node1.daust(&["all", "ping"]).expect_out("node1 responded:\npong\n\nnode2 responded:\npong\n");
    node1.daust(&["trace", "all"]).expect_out("|__ node1\n|__ node2\n");

    let fingerprint = text.parse::<herd::wire::key::HerdKey>().unwrap().fingerprint();
    for (asked, words) in
        [(&node1, &["key", "list"][..]), (&node2, &["remote", "node2", "key", "list"])]
    {
        let said = node1.daust(words);
        assert!(said.out.starts_with(&format!("key {fingerprint}, epoch 1, herd ")), "{said:?}");
        let source = format!(", from {}\n", asked.state.join("key").display());
        assert!(said.out.ends_with(&source), "{said:?}");
    }
    node1.daust(&["all", "stop"]);
}

#[test]
fn who_has_no_key_or_another_one_is_told_why_on_both_ends() {
    let (node1, node2, _) = pair();
    let keyless = Daemon::start("keyless");
    let address = node1.address.to_string();
    let mut other = Daemon::prepared("other");
    new_key(&other.state.join("key"));
    let mut command = other.command();
    other.run(command.args(["-k", &address]));

    for (stranger, at_asker, at_asked) in [
        (
            &keyless,
            "is in a keyed herd; this node has no key: ",
            "greets without the key of this herd",
        ),
        (
            &other,
            "is in another keyed herd than this node: ",
            "greets with the key of another herd",
        ),
    ] {
        for _ in 0..3 {
            let said = stranger.daust(&["remote", &address, "ping"]);
            assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
            assert_eq!(said.err.lines().count(), 1, "{said:?}");
            assert!(said.err.starts_with(&format!("{address}:4040 {at_asker}")), "{said:?}");
        }
        for (daemon, words) in [(stranger, at_asker), (&node1, at_asked)] {
            let lines = || daemon.log().lines().filter(|line| line.contains(words)).count();
            wait_until(
                &format!("'{words}' in a log"),
                || if lines() > 0 { Ok(()) } else { Err("") },
            );
            assert_eq!(lines(), 1, "{}", daemon.log());
        }
        assert_eq!(stranger.daust(&["list"]).out.lines().count(), 1);
    }
    let said = node1.daust(&["remote", &keyless.address.to_string(), "ping"]);
    assert!(said.err.contains("is in an open herd, and this node has a herd key"), "{said:?}");
    for member in [&node1, &node2] {
        assert_eq!(member.daust(&["list"]).out.lines().count(), 2);
    }
    let counters = node1.daust(&["version", "-v"]).out;
    assert!(counters.contains("counter foreign herd: "), "{counters}");
}

#[test]
fn a_missing_key_never_opens_the_herd() {
    let (mut node1, node2, text) = pair();
    let path = node1.state.join("key");
    node1.kill();
    fs::remove_file(&path).unwrap();
    let sentence = start_fails(&node1, &[]);
    assert!(sentence.contains("of a keyed herd") && sentence.contains("--key-file"), "{sentence}");
    // Not even where the rest of its state is lost.
    fs::remove_file(node1.state.join("state.redb")).unwrap();
    assert_eq!(start_fails(&node1, &[]), sentence);

    let elsewhere = node1.path("elsewhere");
    fs::write(&elsewhere, &text).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o640)).unwrap();
    let named = elsewhere.to_str().unwrap();
    let sentence = start_fails(&node1, &["--key-file", named]);
    assert!(sentence.contains("chmod 600") && sentence.contains(named), "{sentence}");
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
    let mut command = node1.command();
    node1.run(command.env("DAUST_KEY_FILE", &elsewhere));
    node1.daust(&["remote", &node2.address.to_string(), "ping"]).expect_out("pong\n");

    node1.kill();
    let configuration = node1.path("daustd.toml");
    fs::write(&configuration, "key_file = '/no/such/key'\n").unwrap();
    let sentence = start_fails(&node1, &["-c", configuration.to_str().unwrap()]);
    assert!(sentence.contains("/no/such/key"), "{sentence}");
    fs::remove_file(node1.state.join("keyed")).unwrap();
    node1.restart();
    node1.daust(&["key", "list"]).expect_out("no herd key: this herd is open\n");
}

#[test]
fn nothing_shows_the_secret() {
    let (node1, node2, text) = pair();
    node1.wait_kept(&node2);
    let groups: Vec<&str> = text.split('-').skip(4).collect();
    let shown = |place: &str, bytes: &[u8]| {
        let bytes = String::from_utf8_lossy(bytes).to_uppercase();
        let found: Vec<_> = groups.iter().filter(|group| bytes.contains(**group)).collect();
        // One group of five may stand somewhere by chance.
        assert!(found.len() < 3, "{place} has {found:?}");
    };
    shown("key list", node1.daust(&["-v", "key", "list"]).out.as_bytes());
    shown("version -v", node1.daust(&["version", "-v"]).out.as_bytes());
    shown("the log", node1.log().as_bytes());
    for name in ["cmdline", "environ"] {
        shown(name, &fs::read(format!("/proc/{}/{name}", node1.pid())).unwrap());
    }
    for name in ["state.redb", "keyed", "lock"] {
        shown(name, &fs::read(node1.state.join(name)).unwrap());
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", node1.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}

/// Waits until the newest key of each is of this epoch, and nobody lacks it.
fn wait_epoch(daemons: &[&Daemon], epoch: u32) {
    for daemon in daemons {
        wait_until(&format!("epoch {epoch} at {}", daemon.name), || {
            let said = daemon.daust(&["key", "list"]).out;
            let newest = said.lines().next().unwrap_or_default().to_string();
            let all = newest.contains(&format!(", epoch {epoch}, "));
            if all && !newest.contains("not held by") { Ok(()) } else { Err(said) }
        });
    }
}

#[test]
fn a_key_rotates_while_the_herd_runs_and_who_was_away_catches_up() {
    let (node1, mut node2, text) = pair();
    let mut node3 = started("node3", &text);
    node3.daust(&["remote", &node1.address.to_string(), "ping"]).expect_out("pong\n");
    node3.wait_kept(&node1);
    node1.wait_kept(&node3);
    node3.kill();
    let said = node1.daust(&["key", "rotate"]);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.out.lines().next().unwrap().contains(", epoch 2, "), "{said:?}");
    wait_until("node2 has it", || {
        let said = node2.daust(&["key", "list"]).out;
        if said.contains(", epoch 2, ") { Ok(()) } else { Err(said) }
    });
    node1.daust(&["remote", "node2", "ping"]).expect_out("pong\n");
    // The file still has the first key: what was kept wins.
    node2.kill();
    node2.restart();
    let said = node2.daust(&["key", "list"]);
    assert!(said.out.contains(", epoch 2, herd ") && said.out.contains("rotation"), "{said:?}");
    node3.restart();
    wait_epoch(&[&node1, &node2, &node3], 2);
    for daemon in [&node1, &node2, &node3] {
        assert_eq!(daemon.daust(&["all", "ping"]).out.matches("pong").count(), 3);
    }

    let said = node1.daust(&["remote", "node2", "key", "list"]);
    assert!(said.out.contains(", epoch 1, "), "the old one is held for its grace: {said:?}");
    let newest = node1.daust(&["key", "show"]).out;
    let newcomer = started("newcomer", &newest);
    newcomer.daust(&["remote", &node1.address.to_string(), "ping"]).expect_out("pong\n");
    assert_ne!(newest.trim_end(), text);
    for _ in 0..2 {
        assert_eq!(node1.daust(&["key", "rotate"]).status, 0);
    }
    let refused = node1.daust(&["key", "rotate"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("limit of 4 herd keys"), "{refused:?}");
}

#[test]
fn who_is_shut_out_stays_out_and_is_told() {
    let (node1, node2, text) = pair();
    let mut node3 = started("node3", &text);
    node3.daust(&["remote", &node1.address.to_string(), "ping"]).expect_out("pong\n");
    wait_until("node2 knows node3", || {
        let said = node2.daust(&["remote", "node3", "ping"]);
        if said.out == "pong\n" { Ok(()) } else { Err(said.err) }
    });
    assert_eq!(node1.daust(&["key", "revoke", "node1"]).status, 1);
    assert_eq!(node1.daust(&["key", "revoke", "nobody"]).status, 1);
    let said = node1.daust(&["key", "revoke", "node3"]);
    assert_eq!(said.status, 0, "{said:?}");
    for daemon in [&node1, &node2] {
        wait_until("node3 is down", || {
            let said = daemon.daust(&["list"]).out;
            let line = said.lines().find(|line| line.starts_with("node3: "));
            if line.is_some_and(|line| line.ends_with(" (down)")) { Ok(()) } else { Err(said) }
        });
    }
    wait_epoch(&[&node1, &node2], 2);
    node3.kill();
    node3.restart();
    let said = node3.daust(&["remote", &node2.address.to_string(), "ping"]);
    assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("shut this node out"), "{said:?}");
    assert!(node3.daust(&["key", "list"]).out.contains(", epoch 1, "));
    // Nor does anybody new get in with what it holds.
    let thief = started("thief", &text);
    let said = thief.daust(&["remote", &node1.address.to_string(), "ping"]);
    assert!(said.err.contains("has another key"), "{said:?}");
    assert!(!node1.daust(&["list"]).out.contains("thief"));
}
