//! `daust show` and `startup`: with a daemon, without one, and under what starts programs at boot.

mod common;

use common::machine::{Machine, available};
use common::{DAUST, Daemon, Said};
use std::process::Command;

/// `daust` beside a daemon that is not told its paths but finds them.
fn daust(daemon: &Daemon, words: &[&str]) -> Said {
    let mut command = Command::new(DAUST);
    command.env("DAUST_SOCKET", &daemon.socket).env("DAUST_STATE_DIR", &daemon.state);
    command.args(words).output().unwrap().into()
}

/// The words of each line, so that no width and no figure matters.
fn rows(said: &Said) -> Vec<Vec<&str>> {
    said.out.lines().map(|line| line.split_whitespace().take(3).collect()).collect()
}

#[test]
fn what_was_known_is_shown_without_a_daemon() {
    let (mut one, mut two) = (Daemon::start("one"), Daemon::start("two"));
    let (at_one, at_two) = (one.address.to_string(), two.address.to_string());
    assert_eq!(one.daust(&["remote", &at_two, "ping"]).out, "pong\n");
    one.wait_listed(&format!("two: internal ip {at_two}, public ip N/A, last seen N seconds ago"));
    let said = daust(&one, &["show"]);
    assert!(said.out.starts_with("NAME  STATE  ADDRESS "), "{said:#?}");
    assert_eq!(rows(&said)[1..], [["one", "alive", &at_one], ["two", "alive", &at_two]]);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    let version = env!("CARGO_PKG_VERSION");
    assert!(said.out.lines().skip(1).all(|line| line.contains(version)), "{said:#?}");

    let said = daust(&one, &["inventory", "--ssh"]);
    let expected = format!("Host one\n    HostName {at_one}\nHost two\n    HostName {at_two}\n");
    assert_eq!((said.status, said.out), (0, expected));
    let said = daust(&one, &["list", "--at", "0s"]);
    assert!(said.out.starts_with("two: alive since 20") && said.status == 0, "{said:#?}");
    let said = daust(&one, &["list", "--at", "2000-01-01"]);
    assert!(
        said.status == 1 && said.err.contains("does not reach back so far: it begins at 20"),
        "{said:#?}"
    );
    let said = daust(&one, &["list", "--at", "yesterday"]);
    assert!(said.status == 2 && said.err.contains("an age such as 90s"), "{said:#?}");
    let said = daust(&one, &["list", "--at", "2100-01-01"]);
    assert!(said.status == 2 && said.err.contains("has not come yet"), "{said:#?}");
    let said = daust(&one, &["-t", "0.2", "watch", "--node", "two", "--node", "tow"]);
    assert_eq!(said.err, "nobody here is called tow yet, nor has such an id: waiting\n");
    let said = daust(&one, &["watch", "--kind", "gone"]);
    assert!(said.status == 2 && said.err.contains("one of up, suspect, down"), "{said:#?}");

    one.wait_kept(&two);
    one.kill();
    let said = daust(&one, &["show"]);
    assert_eq!(rows(&said)[1..], [["two", "alive", &at_two]], "{said:#?}");
    assert!(said.err.contains("these are the states it knew last"), "{said:#?}");
    let said = daust(&one, &["-j", "show"]);
    let object: serde_json::Value = serde_json::from_str(&said.out).expect("one object");
    assert_eq!((&object["from"], &object["name"]), (&serde_json::Value::Null, &"two".into()));
    one.restart();
    one.wait_listed(&format!("two: internal ip {at_two}, public ip N/A, last seen N seconds ago"));
    two.kill();
    one.wait_listed(&format!(
        "two: internal ip {at_two}, public ip N/A, last seen N seconds ago (down)"
    ));
    one.daust(&["stop"]);
    one.wait_end();
    let said = daust(&one, &["show"]);
    assert_eq!(rows(&said)[1..], [["two", "down", &at_two]], "{said:#?}");
    // It was looked at, no more: the next start finds it as it was.
    one.restart();
    assert!(!one.log().contains("damaged"));
}

#[test]
fn two_of_one_name_are_told_apart_without_a_daemon() {
    let (mut one, twins) = (Daemon::start("one"), [Daemon::start("twin"), Daemon::start("twin")]);
    for twin in &twins {
        assert_eq!(one.daust(&["remote", &twin.address.to_string(), "ping"]).out, "pong\n");
        one.wait_kept(twin);
    }
    one.daust(&["stop"]);
    one.wait_end();
    let said = daust(&one, &["show"]);
    let names: Vec<&str> = rows(&said)[1..].iter().map(|row| row[0]).collect();
    assert!(names.len() == 2 && names[0] != names[1], "{said:#?}");
    assert!(names.iter().all(|name| name.starts_with("twin~")), "{said:#?}");
}

#[test]
fn a_lone_node_is_remembered_as_such() {
    let mut lone = Daemon::start("lone");
    assert_eq!(lone.daust(&["stop"]).out, "stopped\n");
    lone.wait_end();
    let said = daust(&lone, &["show"]);
    assert!(said.out.starts_with("NAME  STATE  ADDRESS "), "{said:#?}");
    assert_eq!(said.out.lines().count(), 1);
    assert!(said.err.contains("remembers no other node"), "{said:#?}");
}

#[test]
fn without_anything_remembered_it_is_said() {
    let nobody = Daemon::prepared("nobody");
    let said = daust(&nobody, &["show"]);
    assert_eq!((said.status, said.out.as_str()), (3, ""), "{said:#?}");
    assert!(said.err.contains("nor is there anything remembered"), "{said:#?}");
}

#[test]
fn herd_alone_starts_the_node_and_shows_it() {
    if !available() {
        return;
    }
    let machine = Machine::new("box");
    machine.must(&format!("mkdir /run/bin && ln -s {DAUST} /run/bin/herd"));
    let said = machine.run("/run/bin/herd");
    assert_eq!(rows(&said)[1][..2], ["box", "alive"], "{said:#?}");
    assert!(said.status == 0 && said.err.contains("daustd is started\n"), "{said:#?}");
    let pid = machine.must("pidof daustd");
    let said = machine.run("/run/bin/herd startup");
    assert_eq!(said.err, "daustd runs already\n", "{said:#?}");
    assert_eq!(machine.must("pidof daustd"), pid);
    machine.signal("STOP");
    let said = machine.run("/run/bin/herd");
    let way_out = format!("`kill -CONT {}` wakes it", pid.trim());
    assert!(said.status == 1 && said.err.contains(&way_out), "{said:#?}");
    machine.signal("CONT");
    // Who stops it and starts it again has one.
    machine.must("daust stop && /run/bin/herd");
    assert_ne!(machine.must("pidof daustd"), pid);
    let said = machine.run("daust startup --boot");
    assert!(said.status == 1 && said.err.contains("neither systemd nor OpenRC"), "{said:#?}");
}

/// Stands for systemctl and OpenRC's programs: writes down what it is asked.
const PLAYED: &str = "mkdir -p /run/bin && cat >/run/bin/systemctl <<'END'
#!/bin/sh
echo ${0##*/} $* >>/run/asked
[ \"$1\" != start ] || exec daustd -d -l /run/log
END
chmod 755 /run/bin/systemctl && ln -s systemctl /run/bin/rc-update";

#[test]
fn what_starts_programs_at_boot_starts_it() {
    if !available() {
        return;
    }
    let machine = Machine::new("box");
    machine.must(PLAYED);
    machine.must("mkdir -p /run/systemd/system");
    let said = machine.run("PATH=/run/bin:$PATH daust startup --boot");
    assert!(
        said.status == 0 && said.err.contains("systemd starts daustd at each boot"),
        "{said:#?}"
    );
    let asked = machine.must("grep -v cat /run/asked");
    assert_eq!(asked, "systemctl start daustd.service\nsystemctl enable daustd.service\n");
    // A unit that is not there can not be enabled.
    machine.must("sed -i 's/^echo/[ \"$1\" != cat ] || exit 1; echo/' /run/bin/systemctl");
    let said = machine.run("PATH=/run/bin:$PATH daust startup --boot");
    assert!(said.status == 1 && said.err.contains("has no daustd.service here"), "{said:#?}");

    machine.must("rmdir /run/systemd/system && mkdir /run/openrc && rm /run/asked");
    let said = machine.run("PATH=/run/bin:$PATH daust startup --boot");
    assert!(said.status == 1 && said.err.contains("has no /etc/init.d/daustd here"), "{said:#?}");
    machine.must("mount -t tmpfs tmpfs /etc/init.d && touch /etc/init.d/daustd");
    let said = machine.run("PATH=/run/bin:$PATH daust startup --boot");
    assert!(
        said.status == 0 && said.err.contains("OpenRC starts daustd at each boot"),
        "{said:#?}"
    );
    assert_eq!(machine.must("cat /run/asked"), "rc-update add daustd default\n");
}
