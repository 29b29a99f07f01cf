//! `daust top` in a real terminal, that of tmux: what it draws, its keys, the daemon's restart, and
//! what is left when it ends.

mod common;

use common::{DAUST, Daemon, Scratch, wait_until};
use std::process::{Command, Output, Stdio};

/// A tmux server of its own, whose terminal runs a shell; ends when dropped.
struct Terminal {
    directory: Scratch,
}

impl Terminal {
    /// None where tmux is not installed.
    fn new(width: u32) -> Option<Terminal> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("SKIPPED: a terminal to draw on needs tmux");
            return None;
        }
        let terminal = Terminal { directory: Scratch::new() };
        let size = ["-x", &width.to_string(), "-y", "12"].map(String::from);
        let mut words = vec!["-f", "/dev/null", "new-session", "-d"];
        words.extend(size.iter().map(String::as_str));
        words.extend(["env", "PS1=shell ", "sh"]);
        let made = terminal.tmux(&words);
        assert!(made.status.success(), "{made:?}");
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.directory.0.join("tmux")).args(words);
        command.env_remove("TMUX").stdin(Stdio::null()).output().unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn line(&self, line: &str) {
        self.keys(&[line, "Enter"]);
    }

    fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// Waits until the screen is as wanted; gives it.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        wait_until(what, || {
            let screen = self.screen();
            if wanted(&screen) { Ok(screen) } else { Err(format!("\n{screen}")) }
        })
    }

    fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// What its shell runs now.
    fn child(&self) -> String {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout;
        let shell = String::from_utf8(shell).unwrap().trim().to_string();
        let path = format!("/proc/{shell}/task/{shell}/children");
        std::fs::read_to_string(path).unwrap().trim().to_string()
    }

    fn top(&self, node: &Daemon) {
        self.line(&format!("{DAUST} -s {} top; echo status $?", node.socket.display()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn herd() -> (Daemon, Daemon) {
    let (node1, node2) = (Daemon::start("node1"), Daemon::start("vm 2"));
    let said = node1.daust(&["remote", &node2.address.to_string(), "ping"]);
    assert_eq!(said.out, "pong\n", "{said:?}");
    (node1, node2)
}

#[test]
fn it_is_drawn_and_obeys_keys() {
    let Some(terminal) = Terminal::new(100) else { return };
    let (node1, node2) = herd();
    terminal.top(&node1);
    let screen = terminal.wait_for("2 nodes: 2 alive");
    assert!(screen.starts_with("node1 ") && screen.contains("herd: open"), "{screen}");
    for heading in ["NAME", "STATE", "ADDRESS", "ROUND TRIP", "LAST SEEN", "UPTIME"] {
        assert!(screen.contains(heading), "{screen}");
    }
    terminal.keys(&["/", "v", "m"]);
    terminal.wait("the filter", |screen| {
        screen.contains("filter: vm_") && screen.contains("\nvm 2") && !screen.contains("\nnode1 ")
    });
    terminal.keys(&["Escape"]);
    terminal.keys(&["r", "t"]);
    terminal.wait("a tree, backwards", |screen| {
        screen.find("|__ vm 2") < screen.find("|__ node1") && screen.contains("backwards")
    });
    drop(node2);
    terminal.wait_for("1 down");
    // Another size: columns come and go, and no cell is broken.
    terminal.tmux(&["resize-window", "-x", "40", "-y", "8"]);
    terminal.wait("fewer columns", |screen| {
        screen.contains("LAST SEEN") && !screen.contains("UPTIME") && screen.contains("vm 2")
    });
    terminal.keys(&["q"]);
    let screen = terminal.wait_for("status 0");
    assert!(!screen.contains("LAST SEEN"), "{screen}");
    terminal.line("echo echoed");
    terminal.wait("the shell's echo", |screen| screen.matches("echoed").count() == 2);
}

#[test]
fn it_survives_the_daemon() {
    let Some(terminal) = Terminal::new(80) else { return };
    let (mut node1, _node2) = herd();
    terminal.top(&node1);
    terminal.wait_for("2 alive");
    node1.kill();
    let screen = terminal.wait_for("waiting for daustd: ");
    assert!(screen.contains("vm 2"), "what was known stays: {screen}");
    node1.restart();
    let screen = terminal.wait("it goes on", |screen| !screen.contains("waiting for daustd"));
    assert!(screen.contains("vm 2"), "{screen}");
    // One that hangs is said to; the keys work all the same.
    node1.signal("-STOP");
    terminal.wait_for("waiting for daustd: it said nothing for");
    terminal.keys(&["q"]);
    terminal.wait_for("status 0");
    node1.signal("-CONT");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in ["TERM", "INT", "HUP"] {
        let Some(terminal) = Terminal::new(80) else { return };
        let node = Daemon::prepared("node1");
        terminal.line("echo before");
        terminal.top(&node);
        terminal.wait_for("waiting for daustd: nobody listens on");
        let killed = Command::new("kill").args([&format!("-{signal}"), &terminal.child()]).status();
        assert!(killed.unwrap().success());
        assert!(terminal.wait_for("status 0").contains("before"));
    }
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let node = Daemon::prepared("node1");
    let said = node.daust(&["top"]);
    assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("wants a terminal") && said.err.contains("daust show"), "{said:?}");
    for (words, part) in [(vec!["top", "x"], "no argument `x`"), (vec!["-j", "top"], "list -j")] {
        let said = node.daust(&words);
        assert!(said.status == 2 && said.err.contains(part), "{said:?}");
    }
}
