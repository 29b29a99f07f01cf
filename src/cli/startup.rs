//! `herd`, `herd startup`: the local node in the background, now and, if asked, at each boot.

use crate::cli::options::Options;
use crate::cli::programs::{find, must, succeeds};
use crate::cli::screen::Screen;
use crate::cli::show;
use crate::client::{Connection, Error, path};
use crate::wire::command::{Command as Ask, Scope};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `ensure` says when it did something.
pub const STARTED: &str = "daustd is started";
/// How long a daemon that runs may take to say so, milliseconds.
const PING_MS: u64 = 1_000;
const UNIT: &str = "daustd.service";

/// Gives the exit status.
pub fn run(arguments: &[String], options: &Options, screen: &mut Screen) -> i32 {
    let done = match arguments {
        [] if options.boot => ensure(options).and_then(|_| boot()),
        [] => ensure(options).map(String::from),
        [word, ..] => Err(format!("`startup` takes no argument `{word}`")),
    };
    match done {
        Ok(said) => {
            screen.tell(&said);
            show::run(options, screen)
        }
        Err(why) => {
            screen.fail("refused", &why);
            screen.status()
        }
    }
}

/// The local daustd runs, or is started now; says which.
pub fn ensure(options: &Options) -> Result<&'static str, String> {
    let path = options.socket.clone().map_or_else(path::socket, Ok).map_err(|e| e.to_string())?;
    match Connection::open(&path) {
        Ok(daemon) => return answers(daemon).map(|()| "daustd runs already"),
        Err(Error::NotRunning(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let usual = options.socket.is_none() && !set("DAUST_SOCKET") && !set("DAUST_STATE_DIR");
    match Boot::here() {
        // Whoever starts it at boot starts it now: else there were two that both believe it theirs.
        Some(boot) if usual && boot.knows() => boot.start()?,
        _ => detached(options)?,
    }
    Ok(STARTED)
}

/// A daemon whose socket takes connections may still hang.
fn answers(mut daemon: Connection) -> Result<(), String> {
    let process = getsockopt(&daemon, PeerCredentials).map(|peer| peer.pid().to_string());
    daemon.hurry();
    let asked = daemon.call(Scope::Here, Ask::Ping, PING_MS, |_| ControlFlow::Break(()));
    asked.map_err(|error| {
        let process = process.unwrap_or_default();
        format!(
            "daustd runs (process {process}) and does not answer: {error}; if it was stopped, \
             `kill -CONT {process}` wakes it, else `kill -KILL {process}` makes room for another"
        )
    })
}

fn detached(options: &Options) -> Result<(), String> {
    let program = find("daustd")?;
    let mut command = Command::new(&program);
    command.arg("-d").stdin(Stdio::null()).stdout(Stdio::null());
    if let Some(socket) = &options.socket {
        command.arg("-s").arg(socket);
    }
    let fail = |why: &dyn std::fmt::Display| format!("{} -d: {why}", program.display());
    let status = command.status().map_err(|e| fail(&e))?;
    if status.success() { Ok(()) } else { Err(fail(&status)) }
}

fn boot() -> Result<String, String> {
    let boot = Boot::here().ok_or(
        "neither systemd nor OpenRC runs here: have whatever starts programs at boot run \
         `daustd -d`",
    )?;
    if !boot.knows() {
        return Err(format!("{} has no {} here: install it first", boot.name(), boot.service()));
    }
    boot.enable()?;
    Ok(format!("{} starts daustd at each boot", boot.name()))
}

/// What starts programs at boot.
#[derive(Clone, Copy)]
enum Boot {
    Systemd { user: bool },
    OpenRc,
}

impl Boot {
    fn here() -> Option<Boot> {
        let user = !nix::unistd::geteuid().is_root();
        if Path::new("/run/systemd/system").is_dir() {
            return Some(Boot::Systemd { user });
        }
        Path::new("/run/openrc").is_dir().then_some(Boot::OpenRc)
    }

    fn name(self) -> &'static str {
        match self {
            Boot::Systemd { user: true } => "your systemd",
            Boot::Systemd { user: false } => "systemd",
            Boot::OpenRc => "OpenRC",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Boot::Systemd { .. } => UNIT,
            Boot::OpenRc => "/etc/init.d/daustd",
        }
    }

    fn knows(self) -> bool {
        match self {
            Boot::Systemd { user } => succeeds("systemctl", &systemctl(user, &["cat", UNIT])),
            Boot::OpenRc => Path::new(self.service()).exists(),
        }
    }

    fn start(self) -> Result<(), String> {
        match self {
            Boot::Systemd { user } => must("systemctl", &systemctl(user, &["start", UNIT])),
            Boot::OpenRc => must("rc-service", &["daustd", "start"]),
        }
    }

    fn enable(self) -> Result<(), String> {
        match self {
            Boot::Systemd { user } => {
                must("systemctl", &systemctl(user, &["enable", UNIT]))?;
                // Else it ends with the last session, and begins with the first.
                if user { must("loginctl", &["enable-linger"]) } else { Ok(()) }
            }
            Boot::OpenRc => must("rc-update", &["add", "daustd", "default"]),
        }
    }
}

fn systemctl<'a>(user: bool, words: &[&'a str]) -> Vec<&'a str> {
    user.then_some("--user").into_iter().chain(words.iter().copied()).collect()
}
