//! `daustify`: a node for as long as one program runs, seen from another node.

mod common;

use common::{Daemon, Scratch, fresh_address, wait_until};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A place to run it in, beside a node that it joins.
struct World {
    directory: Scratch,
    home: Daemon,
    address: String,
}

impl World {
    fn new() -> World {
        let world = World {
            directory: Scratch::new(),
            home: Daemon::start("home"),
            address: fresh_address().to_string(),
        };
        symlink(common::DAUST, world.path("daustify")).unwrap();
        let configuration = format!("bind = \"{}\"\n", world.address);
        fs::write(world.path("daustd.toml"), configuration).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    fn command(&self, home: &str, program: &[&str]) -> Command {
        let mut command = Command::new(self.path("daustify"));
        command.args(["-n", "box", "-l", "log", "-c", "daustd.toml", home]).args(program);
        command.current_dir(&self.directory.0).stdin(Stdio::null());
        command.env("DAUST_SOCKET", self.path("socket"));
        command.env("DAUST_STATE_DIR", self.path("state")).env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs this in a shell, in the directory of the test.
    fn start(&self, script: &str) -> Running {
        let home = self.home.address.to_string();
        Running(self.command(&home, &["sh", "-c", script]).spawn().unwrap())
    }

    fn wait_file(&self, name: &str) -> String {
        wait_until(name, || match fs::read_to_string(self.path(name)) {
            Ok(text) if text.ends_with('\n') => Ok(text.trim().to_string()),
            other => Err(format!("{other:?}")),
        })
    }

    fn wait_box(&self, mark: &str) {
        let address = &self.address;
        let line = format!("box: internal ip {address}, public ip N/A, last seen N seconds ago");
        self.home.wait_listed(&format!("{line}{mark}"));
    }
}

/// Ends with the test, and its daustd with it.
struct Running(Child);

impl Running {
    fn end(&mut self) -> Option<i32> {
        let end = wait_until("daustify to end", || self.0.try_wait().unwrap().ok_or("it runs"));
        end.code()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.signal("-TERM");
            let _ = self.0.wait();
        }
    }
}

#[test]
fn the_node_lives_as_long_as_the_program_and_says_goodbye() {
    let world = World::new();
    let mut running = world.start("while [ ! -e go ]; do sleep 0.05; done; exit 7");
    world.wait_box("");
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(running.end(), Some(7));
    world.wait_box(" (left)");
}

#[test]
fn signals_reach_the_program() {
    let world = World::new();
    let mut running =
        world.start("trap 'exit 3' USR1; echo yes >ready; while :; do sleep 0.05; done");
    world.wait_file("ready");
    running.signal("-USR1");
    assert_eq!(running.end(), Some(3));
}

#[test]
fn a_program_that_a_signal_ends_is_told_as_shells_do() {
    let world = World::new();
    assert_eq!(world.start("kill -KILL $$").end(), Some(128 + 9));
    let mut running = world.start("echo yes >ready; exec sleep 1000");
    world.wait_file("ready");
    running.signal("-TERM");
    assert_eq!(running.end(), Some(128 + 15));
}

#[test]
fn orphans_are_reaped() {
    let world = World::new();
    let running = world.start(
        "(while [ ! -e end ]; do sleep 0.05; done & echo $! >orphan)
        while [ ! -e go ]; do sleep 0.05; done",
    );
    let orphan = world.wait_file("orphan");
    let parent = || {
        let stat = fs::read_to_string(format!("/proc/{orphan}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1).map(String::from)
    };
    wait_until("the orphan to be taken in", || {
        let parent = parent().ok_or("it is gone")?;
        if parent == running.0.id().to_string() { Ok(()) } else { Err("by somebody else") }
    });
    fs::write(world.path("end"), "").unwrap();
    // Who is not waited for keeps its place in /proc.
    wait_until("the orphan to be reaped", || match parent() {
        None => Ok(()),
        Some(_) => Err("it is a zombie"),
    });
    fs::write(world.path("go"), "").unwrap();
}

#[test]
fn a_home_that_is_away_keeps_no_program_from_running() {
    let world = World::new();
    let away = fresh_address().to_string();
    let output = world.command(&away, &["sh", "-c", "exit 5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("does not answer yet, daustd goes on trying"), "{said}");
}

#[test]
fn what_can_not_run_has_the_statuses_of_shells() {
    let world = World::new();
    let home = world.home.address.to_string();
    let status = |program: &[&str]| {
        let output = world.command(&home, program).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = status(&["./nothing"]);
    assert!(code == Some(127) && said.contains("can not run ./nothing"), "{code:?} {said}");
    let (code, said) = status(&["./daustd.toml"]);
    assert!(code == Some(126) && said.contains("can not run ./daustd.toml"), "{code:?} {said}");
    let (code, said) = status(&[]);
    assert!(code == Some(125) && said.contains("PROGRAM are needed"), "{code:?} {said}");
    fs::write(world.path("daustd.toml"), "nonsense\n").unwrap();
    let (code, said) = status(&["true"]);
    assert!(code == Some(125) && said.contains("daustd does not start"), "{code:?} {said}");
}
