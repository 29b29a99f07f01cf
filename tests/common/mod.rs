//! What the tests with real daemons share: start, ask, wait with a generous limit, end on drop.
#![allow(dead_code)] // Each test program uses its part.

pub mod machine;

use std::fmt::Display;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub const DAUST: &str = env!("CARGO_BIN_EXE_daust");
pub const DAUSTD: &str = env!("CARGO_BIN_EXE_daustd");

/// How long anything that must happen may take on a busy machine. Only a failing test waits it out.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until it is so; gives what was found, or fails with the last word on why not.
pub fn wait_until<T, E: Display>(what: &str, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(why) if started.elapsed() > PATIENCE => panic!("waited for {what}: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A directory of its own, gone when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("herd-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loopback address nobody else uses: not another test of this process, and hardly another run.
pub fn fresh_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, COUNT.fetch_add(1, Relaxed) as u8)
}

/// What a command said.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// The output with the figure of every `last seen N seconds ago` written as N; a figure over a
    /// minute is left as it is, and so fails the comparison.
    pub fn ageless(&self) -> String {
        ageless(&self.out)
    }

    pub fn expect_out(&self, expected: &str) {
        assert_eq!(ageless(&self.out), expected, "{self:#?}");
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{self:#?}");
    }
}

pub fn ageless(text: &str) -> String {
    let mut parts = text.split("last seen ");
    let mut out = parts.next().unwrap_or("").to_string();
    for part in parts {
        let (age, rest) = part.split_once(' ').unwrap_or((part, ""));
        let young = age.parse::<u32>().is_ok_and(|age| age <= 60);
        out += &format!("last seen {} {rest}", if young { "N" } else { age });
    }
    out
}

/// A daustd on this machine, with a directory, a socket and a loopback address of its own.
pub struct Daemon {
    pub name: String,
    pub address: Ipv4Addr,
    pub state: PathBuf,
    pub socket: PathBuf,
    directory: Scratch,
    child: Option<Child>,
}

impl Daemon {
    /// Started and answering.
    pub fn start(name: &str) -> Daemon {
        let mut daemon = Daemon::prepared(name);
        daemon.restart();
        daemon
    }

    /// All but started.
    pub fn prepared(name: &str) -> Daemon {
        let (directory, address) = (Scratch::new(), fresh_address());
        let (state, socket) = (directory.0.join("state"), directory.0.join("socket"));
        Daemon { name: name.to_string(), address, state, socket, directory, child: None }
    }

    /// All but started, with a new herd key.
    pub fn prepared_keyed(name: &str) -> Daemon {
        let daemon = Daemon::prepared(name);
        let key = daemon.state.join("key");
        let made = Command::new(DAUST).args(["key", "new"]).arg(&key).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        daemon
    }

    /// node1 and node2 of one keyed herd, started, that have not met.
    pub fn keyed_two() -> (Daemon, Daemon) {
        let (mut node1, mut node2) = (Daemon::prepared_keyed("node1"), Daemon::prepared("node2"));
        fs::create_dir_all(&node2.state).unwrap();
        fs::copy(node1.state.join("key"), node2.state.join("key")).unwrap();
        node1.restart();
        node2.restart();
        (node1, node2)
    }

    /// The command line that starts it, to be changed at will.
    pub fn command(&self) -> Command {
        let mut command = Command::new(DAUSTD);
        command.args(["-n", &self.name, "-b", &self.address.to_string()]);
        // Tests may run in a container, and are the same there.
        command.args(["--class", "pet"]);
        command.arg("-S").arg(&self.state).arg("-s").arg(&self.socket);
        command.env_remove("NOTIFY_SOCKET");
        command
    }

    pub fn restart(&mut self) {
        let mut command = self.command();
        self.run(&mut command);
    }

    /// Starts it by this command and waits until it answers.
    pub fn run(&mut self, command: &mut Command) {
        let log = File::options().create(true).append(true).open(self.path("stderr")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.unwrap());
        self.wait_answers();
    }

    pub fn wait_answers(&self) {
        wait_until(&format!("{} to answer", self.name), || match self.daust(&["ping"]) {
            said if said.out == "pong\n" => Ok(()),
            said => Err(format!("{said:?}, log: {}", self.log())),
        });
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn daust(&self, words: &[&str]) -> Said {
        daust(&self.socket, words)
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Ends it the hard way.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it ended by itself; gives its exit status.
    pub fn wait_end(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        let end = wait_until(&format!("{} to end", self.name), || {
            child.try_wait().unwrap().ok_or("it still runs")
        });
        end.code().unwrap_or(-1)
    }

    /// What it knows of `other` is on its disk.
    pub fn wait_kept(&self, other: &Daemon) {
        let said = other.daust(&["-j", "list"]);
        let own: serde_json::Value =
            serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
        let key = format!("peer/{}", own["id"].as_str().unwrap()).into_bytes();
        wait_until(&format!("{} to keep {}", self.name, other.name), || {
            let file =
                fs::read(self.state.join("state.redb")).map_err(|error| error.to_string())?;
            let kept = file.windows(key.len()).any(|bytes| bytes == key);
            kept.then_some(()).ok_or("it is not in the file".to_string())
        });
    }

    /// This line, ages aside, comes to stand in its list.
    pub fn wait_listed(&self, line: &str) {
        wait_until(&format!("'{line}' in {}'s list", self.name), || {
            let said = self.daust(&["list"]);
            said.ageless().lines().any(|found| found == line).then_some(()).ok_or(said.out)
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        // One that detached is no child of ours, but nobody else has a path in our directory.
        let detached = pids_with_argument(&self.path("socket"));
        let _ = Command::new("kill").arg("-KILL").args(detached).stderr(Stdio::null()).status();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.log());
        }
    }
}

/// The processes that have this path as an argument.
fn pids_with_argument(path: &Path) -> Vec<String> {
    let argument = path.to_str().unwrap().as_bytes();
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap());
    let has = |process: &fs::DirEntry| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument)
    };
    processes.filter(has).map(|process| process.file_name().into_string().unwrap()).collect()
}

pub fn daust(socket: &Path, words: &[&str]) -> Said {
    Command::new(DAUST).arg("-s").arg(socket).args(words).output().unwrap().into()
}
