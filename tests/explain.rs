//! What a node tells about itself and others: its journal, and who may only look. Real daemons.

mod common;

use common::{DAUST, Daemon, Said, wait_until};
use herd::wire::limits::{CLIENTS, CLIENTS_OF_MASTERS};
use std::fs;
use std::process::{Command, Stdio};

fn pair() -> (Daemon, Daemon) {
    let (one, two) = (Daemon::start("node1"), Daemon::start("node2"));
    one.daust(&["remote", &two.address.to_string(), "ping"]).expect_out("pong\n");
    (one, two)
}

/// The lines of `history` without their times, which must be times.
fn history(daemon: &Daemon, words: &[&str]) -> Vec<String> {
    let said = daemon.daust(words);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{said:?}");
    let line = |line: &str| {
        let (time, rest) = line.split_once(' ').expect("a time and what happened");
        assert!(time.len() == 20 && time.ends_with('Z'), "{line}");
        rest.to_string()
    };
    said.out.lines().map(line).collect()
}

fn id(daemon: &Daemon) -> String {
    let said = daemon.daust(&["-j", "list"]);
    let own: serde_json::Value = serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
    own["id"].as_str().unwrap().to_string()
}

fn me() -> String {
    let id = |flags: &str| {
        let output = Command::new("id").arg(flags).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    format!("user {} (uid {})", id("-un"), id("-u"))
}

#[test]
fn who_did_what_is_known_after_a_crash() {
    let (mut node1, mut node2) = pair();
    node2.kill();
    wait_until("node2 to be down", || {
        let lines = history(&node1, &["history"]);
        lines.iter().any(|l| l == "down node2 (process gone)").then_some(()).ok_or(lines.join("\n"))
    });
    assert_eq!(node1.daust(&["forget", "node2"]).out, "node2 forgotten\n");
    node2.restart();
    node1.daust(&["remote", &node2.address.to_string(), "forget", "node1"]);
    let user = me();
    let live = "is not down: only a node that is down or left can be forgotten";
    let expected = [
        "started".to_string(),
        "up node2".to_string(),
        "down node2 (process gone)".to_string(),
        format!("{user}: forget node2"),
        "forgotten node2".to_string(),
        "up node2".to_string(),
        format!("{user}: remote {} forget node1", node2.address),
    ];
    let mut found = history(&node1, &["history"]);
    // The order of the last two is chance: the greeting may be faster.
    found.sort();
    let mut sorted = expected.to_vec();
    sorted.sort();
    assert_eq!(found, sorted);

    let asked = |daemon: &Daemon, words: &[&str]| {
        let lines = history(daemon, words);
        lines.into_iter().filter(|line| line.contains("forget node1")).collect::<Vec<_>>()
    };
    let by_node1 = format!("node node1 ({}) at {}:", id(&node1), node1.address);
    let there = asked(&node2, &["history"]);
    assert_eq!(there.len(), 1, "{there:?}");
    assert!(there[0].starts_with(&by_node1), "{there:?}");
    assert!(there[0].ends_with(&format!(": forget node1: failed: node1 {live}")), "{there:?}");
    assert_eq!(asked(&node1, &["remote", "node2", "history"]), [""; 0], "this herd is open");
    assert!(history(&node1, &["remote", "node2", "history"]).contains(&"up node1".to_string()));

    // A command goes to the disk in the moment it is answered; a busy disk takes its time.
    std::thread::sleep(std::time::Duration::from_millis(300));
    node2.kill();
    node2.restart();
    assert_eq!(asked(&node2, &["history"]), there, "after a crash");
    assert_eq!(asked(&node2, &["history", "node1"]), there);
    let crashed = "started (after an end without goodbye)";
    assert_eq!(history(&node2, &["history"]).last().unwrap(), crashed);
    node1.daust(&["stop"]);
    node1.wait_end();
    node1.restart();
    let lines = history(&node1, &["history"]);
    let at = lines.iter().position(|line| *line == format!("{user}: stop")).expect("a stop");
    assert_eq!(lines[at + 1..at + 3], ["stopped", "started"], "{lines:?}");
    let nobody = node1.daust(&["history", "nobody"]);
    assert_eq!((nobody.status, nobody.out.as_str()), (1, ""), "{nobody:?}");
    assert!(nobody.err.contains("`daust list` shows them"), "{nobody:?}");
}

#[test]
fn a_stranger_is_in_the_journal_once_and_keyed_members_see_who_asked() {
    let (node1, node2) = Daemon::keyed_two();
    let stranger = Daemon::start("stranger");
    let address = node1.address.to_string();
    for _ in 0..3 {
        assert_eq!(stranger.daust(&["remote", &address, "ping"]).status, 1);
    }
    node2.daust(&["remote", &address, "ping"]).expect_out("pong\n");
    node1.daust(&["forget", "node2"]);
    let refused = "greets without the key of this herd and is refused";
    // Others are told neither which user it was, nor why it failed: that may name him.
    for (asked, words, forget) in [
        (&node1, &["history"][..], format!("{}: forget node2: failed: node2 is not down", me())),
        (
            &node2,
            &["remote", "node1", "history"],
            "a local user: forget node2: failed: its own node knows why".into(),
        ),
    ] {
        let lines = history(asked, words);
        let has = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        assert_eq!((has(refused), has(&forget)), (1, 1), "{lines:?}");
        assert!(lines[0].starts_with("started (herd key "), "{lines:?}");
    }
    node1.daust(&["key", "rotate"]);
    let made = |line: &String| line.starts_with("herd key ") && line.ends_with("epoch 2 made here");
    assert!(history(&node1, &["history"]).iter().any(made));
    wait_until("node2 to have the key", || {
        let lines = history(&node2, &["history"]);
        let given = lines.iter().any(|line| line.ends_with("epoch 2 from node1"));
        given.then_some(()).ok_or(lines.join("\n"))
    });
}

#[test]
fn why_says_who_heard_and_who_voted() {
    let (node1, mut node2) = pair();
    let node3 = Daemon::start("node3");
    node3.daust(&["remote", &node1.address.to_string(), "ping"]).expect_out("pong\n");
    node1.wait_listed(&format!(
        "node3: internal ip {}, public ip N/A, last seen N seconds ago",
        node3.address
    ));
    let why = |daemon: &Daemon, name: &str| {
        let said = daemon.daust(&["why", name]);
        assert_eq!((said.status, said.err.as_str()), (0, ""), "{said:?}");
        said.out
    };
    let up = why(&node1, "node2");
    assert!(up.starts_with("node2 is alive since "), "{up}");
    let from = format!("its datagrams came from {}:", node2.address);
    assert!(up.contains(&from) && up.contains("it is reached directly, at 127."), "{up}");
    assert!(why(&node1, "node1").starts_with("node1 runs since "));
    node2.kill();
    // Whoever called the vote, the other one is among those who were asked.
    for daemon in [&node1, &node3] {
        let down = wait_until("a verdict", || {
            let said = why(daemon, "node2");
            said.contains(" is down since ").then_some(said.clone()).ok_or(said)
        });
        assert!(down.contains(": process gone\n"), "{down}");
        assert!(down.contains("last vote about it "), "{down}");
        assert!(down.contains(": they found it down (node"), "{down}");
    }
    let json = node1.daust(&["-j", "remote", "node3", "why", "node2"]).out;
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&object["type"], &object["state"]), (&"why".into(), &"down".into()), "{json}");
    assert_eq!(object["vote"]["outcome"], "down", "{json}");
    for (words, way_out) in [
        ("nobody", "`daust list`"),
        ("3", "first 4 digits"),
        ("192.0.2.7", "`daust doctor 192.0.2.7`"),
    ] {
        let nobody = node1.daust(&["why", words]);
        assert_eq!((nobody.status, nobody.out.as_str()), (1, ""), "{nobody:?}");
        assert!(nobody.err.contains(way_out), "{nobody:?}");
    }
    // News of the death that is still under way would bring it back.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let gone = node1.daust(&["forget", "node2"]);
    assert_eq!(gone.out, "node2 forgotten\n");
    let forgotten = node1.daust(&["why", "node2"]);
    assert_eq!(forgotten.status, 1, "{forgotten:?}");
}

/// As another user, in these groups beside its own.
fn daust_as(uid: u32, group: u32, daemon: &Daemon, words: &[&str]) -> Said {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    command.arg(DAUST).arg("-s").arg(&daemon.socket).args(words).output().unwrap().into()
}

/// Needs root: users that are in no file and a group of the system's, `games` (or another that is there).
#[test]
fn who_only_looks_is_refused_what_changes_something() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: other users can only be played by root");
    }
    let groups = fs::read_to_string("/etc/group").unwrap();
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let field = |line: &str, at: usize| line.split(':').nth(at).map(str::to_string);
    let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
    let person = |name: &str| users.lines().find(|line| line.starts_with(&format!("{name}:")));
    let group = |name: &str| groups.lines().find(|line| line.starts_with(&format!("{name}:")));
    let (Some(daemon_user), Some(bin), Some(games)) =
        (person("daemon"), person("bin"), group("games"))
    else {
        return eprintln!("SKIPPED: this system has no users daemon and bin, or no group games");
    };
    let (member, other) = (number(field(daemon_user, 2)).unwrap(), number(field(bin, 2)).unwrap());
    let (readers, ordinary) = (number(field(games, 2)).unwrap(), number(field(bin, 3)).unwrap());
    let mut node = Daemon::prepared("node1");
    let (configuration, text) = (node.path("daustd.toml"), "readers = 'games'\n");
    fs::write(&configuration, text).unwrap();
    let mut command = node.command();
    node.run(command.arg("-c").arg(&configuration));
    // Whoever may open the socket: here, for the sake of the test, all.
    for path in [node.socket.clone(), node.socket.parent().unwrap().to_path_buf()] {
        assert!(Command::new("chmod").arg("a+rwx").arg(path).status().unwrap().success());
    }
    for (uid, group, may) in [
        (0, readers, true),
        (other, ordinary, true),
        (member, readers, false),
        (4_242, ordinary, false),
    ] {
        let looked = daust_as(uid, group, &node, &["list"]);
        assert_eq!((looked.status, looked.out.lines().count()), (0, 1), "{uid}: {looked:?}");
        for words in [&["forget", "x"][..], &["remote", "node1", "forget", "x"]] {
            let said = daust_as(uid, group, &node, words);
            let refused = said.err.contains("may do no more than read here (`readers`");
            assert_eq!((said.status, refused), (1, !may), "{uid}: {said:?}");
        }
    }
    for words in [&["stop"][..], &["all", "stop"], &["key", "rotate"], &["key", "show"]] {
        let said = daust_as(member, readers, &node, words);
        assert!(said.status == 1 && said.err.contains("may do no more than read"), "{said:?}");
    }
    // Whom the kernel can not name may be a reader too. A contact may make one herd of two.
    let said = daust_as(65_534, ordinary, &node, &["stop"]);
    assert!(said.status == 1 && said.err.contains("may do no more than read"), "{said:?}");
    let said = daust_as(member, readers, &node, &["remote", "127.99.99.99", "ping"]);
    assert!(said.status == 1 && said.err.contains("may only look"), "{said:?}");
    // Who is in no file has no name; and no refusal hides behind another.
    for words in [["key", "rotate"], ["key", "show"]] {
        let said = daust_as(4_242, readers, &node, &words);
        assert!(said.err.starts_with("uid 4242 may do no more than read here"), "{said:?}");
    }
    let lines = history(&node, &["history"]);
    for words in ["key rotate", "key show"] {
        for asker in [format!("user daemon (uid {member})"), "uid 4242".to_string()] {
            let line = format!("{asker}: {words}: failed: {asker} may");
            assert!(lines.iter().any(|found| found.starts_with(&line)), "{line}: {lines:?}");
        }
    }
    let refused =
        format!("user daemon (uid {member}): stop: failed: user daemon (uid {member}) may");
    assert!(lines.iter().any(|line| line.starts_with(&refused)), "{lines:?}");
}

/// However many of another user's programs are there, root gets a place.
#[test]
fn the_last_places_are_roots() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: other users can only be played by root");
    }
    let node = Daemon::start("node1");
    for path in [node.socket.clone(), node.socket.parent().unwrap().to_path_buf()] {
        assert!(Command::new("chmod").arg("a+rwx").arg(path).status().unwrap().success());
    }
    let others = CLIENTS - CLIENTS_OF_MASTERS;
    let watch = |_| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "4242", "--regid", "4242", "--clear-groups", DAUST, "-s"]);
        command.arg(&node.socket).arg("watch").stdout(Stdio::null()).spawn().unwrap()
    };
    let mut watches: Vec<_> = (0..others).map(watch).collect();
    wait_until("all places of others to be taken", || {
        let said = daust_as(4_242, 4_242, &node, &["ping"]);
        let full = said.err.contains(&format!("{others} clients at once are the limit"));
        if full { Ok(()) } else { Err(format!("{said:?}")) }
    });
    assert_eq!(node.daust(&["ping"]).out, "pong\n");
    for watch in &mut watches {
        let _ = watch.kill();
        let _ = watch.wait();
    }
}

#[test]
fn readers_that_are_no_group_keep_it_from_starting() {
    let node = Daemon::prepared("node1");
    let configuration = node.path("daustd.toml");
    fs::write(&configuration, "readers = 'no-such-group'\n").unwrap();
    let mut command = node.command();
    let said = Said::from(command.arg("-c").arg(&configuration).output().unwrap());
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.err.contains("there is no such group in /etc/group"), "{said:?}");
}
