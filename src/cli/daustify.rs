//! `daustify ADDRESS PROGRAM [ARGUMENT...]`: a node for as long as one program runs, such as the one of
//! a container: starts daustd, joins, runs the program, hands on signals, reaps orphans, says goodbye.

use crate::cli::programs::find;
use crate::client::{Connection, ask, path};
use crate::wire::command::{Command, Scope};
use getopts::ParsingStyle;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What shells say of a program that they can not run, can not find, and of one that a signal ended.
const NOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;
const SIGNALLED: i32 = 128;
/// The program was not even tried.
const NOT_TRIED: i32 = 125;
/// How long daustd may take to start and to say goodbye, how often that is looked at.
const START_WAIT: Duration = Duration::from_secs(10);
const GOODBYE_WAIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long the program waits for the home to answer, milliseconds: a home that is away keeps no
/// container from its work.
const JOIN_MS: u64 = 1_000;

const FORWARDED: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// Gives the exit status: the program's own, wherever there is one.
pub fn main(arguments: &[String]) -> i32 {
    let table = table();
    let usage = || table.usage("Usage: daustify [options] ADDRESS[:PORT] PROGRAM [ARGUMENT...]");
    let matches = match table.parse(arguments) {
        Ok(matches) => matches,
        Err(why) => {
            tell(&format!("{why}\n{}", usage()));
            return NOT_TRIED;
        }
    };
    if matches.opt_present("h") {
        print!("{}", usage());
        return 0;
    }
    let [home, program, arguments @ ..] = &matches.free[..] else {
        tell(&format!("an ADDRESS and a PROGRAM are needed\n{}", usage()));
        return NOT_TRIED;
    };
    let mut options = vec!["-k".to_string(), home.clone()];
    for option in ["n", "c", "l"] {
        options.extend(matches.opt_str(option).into_iter().flat_map(|v| [format!("-{option}"), v]));
    }
    match run(home, &options, program, arguments) {
        Ok(status) => status,
        Err(why) => {
            tell(&why);
            NOT_TRIED
        }
    }
}

/// Those of daustd that a container may want; what follows the first word is the program's.
fn table() -> getopts::Options {
    let mut table = getopts::Options::new();
    table.parsing_style(ParsingStyle::StopAtFirstFree);
    table.optopt("n", "name", "name of this node (the host name)", "NAME");
    table.optopt("c", "config", "configuration of daustd", "FILE");
    table.optopt("l", "logfile", "daustd logs here (standard error)", "PATH");
    table.optflag("h", "help", "print this");
    table
}

fn tell(sentence: &str) {
    eprintln!("daustify: {}", sentence.trim_end());
}

fn run(home: &str, options: &[String], program: &str, words: &[String]) -> Result<i32, String> {
    // Else orphans are given to who is pid 1; in a container that is this process anyway.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    // Before the first child: none may end unseen.
    let numbers = FORWARDED.iter().map(|signal| *signal as i32).chain([SIGCHLD]);
    let mut signals = Signals::new(numbers).map_err(|e| format!("no signals can be heard: {e}"))?;
    let mut daemon = Daemon::start(options)?;
    daemon.join(home);
    let end = match spawn(program, words) {
        Ok(child) => follow(child, &mut daemon, &mut signals),
        Err(e) => {
            tell(&format!("can not run {program}: {e}"));
            if e.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN }
        }
    };
    daemon.stop();
    Ok(end)
}

/// On a terminal the program gets it, as from a shell: what is typed there is for the program, and it
/// is not told twice.
fn spawn(program: &str, words: &[String]) -> io::Result<Pid> {
    let mut command = process::Command::new(program);
    command.args(words);
    if !io::stdin().is_terminal() {
        return command.spawn().map(|child| pid(&child));
    }
    let child = pid(&command.process_group(0).spawn()?);
    let _ = nix::unistd::tcsetpgrp(io::stdin(), child);
    // It may have wanted the terminal before it had it.
    let _ = kill(child, Signal::SIGCONT);
    Ok(child)
}

fn pid(child: &process::Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// Until the program ends: its exit status. Whatever else ends here is an orphan, or daustd.
fn follow(child: Pid, daemon: &mut Daemon, signals: &mut Signals) -> i32 {
    for number in signals.forever() {
        if number != SIGCHLD {
            let _ = Signal::try_from(number).map(|signal| kill(child, signal));
            continue;
        }
        while let Some(end) = ended() {
            match end {
                WaitStatus::Exited(pid, status) if pid == child => return status,
                WaitStatus::Signaled(pid, signal, _) if pid == child => {
                    return SIGNALLED + signal as i32;
                }
                _ => daemon.notice(&end),
            }
        }
    }
    NOT_RUN
}

/// The next child that ended, if there is one.
fn ended() -> Option<WaitStatus> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(_) | Ok(WaitStatus::StillAlive) => return None,
            Ok(end) => return Some(end),
        }
    }
}

struct Daemon {
    pid: Pid,
    lives: bool,
    socket: std::path::PathBuf,
}

impl Daemon {
    fn start(options: &[String]) -> Result<Daemon, String> {
        let socket = path::socket().map_err(|e| e.to_string())?;
        if Connection::open(&socket).is_ok() {
            let socket = socket.display();
            return Err(format!(
                "a daustd runs here already ({socket}): `daust remote ADDRESS ping` has it join; \
                 DAUST_SOCKET and DAUST_STATE_DIR name other places for a second one"
            ));
        }
        let mut command = process::Command::new(find("daustd")?);
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null());
        // What is typed on a terminal to end the program does not end this first.
        let child = command.process_group(0).spawn().map_err(|e| format!("daustd: {e}"))?;
        let mut daemon = Daemon { pid: pid(&child), lives: true, socket };
        let end = Instant::now() + START_WAIT;
        while Connection::open(&daemon.socket).is_err() {
            while let Some(end) = ended() {
                daemon.notice(&end);
            }
            if !daemon.lives {
                return Err("daustd does not start".to_string());
            }
            if Instant::now() > end {
                daemon.stop();
                return Err(format!("daustd took more than {} s to start", START_WAIT.as_secs()));
            }
            sleep(LOOK_AGAIN);
        }
        Ok(daemon)
    }

    fn join(&self, home: &str) {
        let answered = Connection::open(&self.socket).and_then(|mut daemon| {
            ask::collect(&mut daemon, &Scope::Node(home.to_string()), &Command::Ping, JOIN_MS)
        });
        let failed = match answered {
            Ok(answers) => answers
                .iter()
                .find_map(|answer| answer.failures().next().map(|failure| failure.detail.clone())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = failed {
            tell(&format!("{home} does not answer yet, daustd goes on trying: {why}"));
        }
    }

    fn notice(&mut self, end: &WaitStatus) {
        if end.pid() == Some(self.pid) && self.lives {
            self.lives = false;
            tell("daustd has ended: this node is not in the herd any more");
        }
    }

    /// With a goodbye; an orphan may end meanwhile.
    fn stop(&mut self) {
        let end = Instant::now() + GOODBYE_WAIT;
        let _ = kill(self.pid, Signal::SIGTERM);
        while self.lives && Instant::now() < end {
            match ended() {
                Some(end) if end.pid() == Some(self.pid) => self.lives = false,
                Some(_) => {}
                None => sleep(LOOK_AGAIN),
            }
        }
        if self.lives {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}
