//! The process itself: detaching from the terminal, and telling whoever started it how it went.

use nix::unistd::{ForkResult, Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use zeroize::Zeroizing;

/// Where proc(5) has the start of the arguments among the fields after the program's name; their end
/// is the next.
const ARGUMENTS_FIELD: usize = 48 - 3;
/// The byte that says "sockets are bound, state is read".
const READY: u8 = b'R';

/// Whoever waits to hear that the daemon is ready.
pub enum Starter {
    /// Nobody but perhaps systemd: errors go to standard error.
    Foreground,
    /// The command that was typed waits at the other end of this pipe.
    Waiting(File),
}

/// In the daemon itself: whom to tell. In the process that was started: what it must end with.
pub enum Detached {
    Daemon(Starter),
    Starter { status: i32 },
}

/// Forks twice, so that the daemon has no terminal and can never get one. Call it before any
/// thread exists.
pub fn detach() -> Result<Detached, String> {
    let fail = |e: nix::Error| format!("can not detach: {e}");
    let (read_end, write_end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(fail)?;
    if let ForkResult::Parent { child } = fork_single_threaded().map_err(fail)? {
        drop(write_end);
        return Ok(Detached::Starter { status: wait_until_ready(child, read_end) });
    }
    drop(read_end);
    setsid().map_err(fail)?;
    if let ForkResult::Parent { .. } = fork_single_threaded().map_err(fail)? {
        return Ok(Detached::Starter { status: 0 });
    }
    chdir("/").map_err(fail)?;
    Ok(Detached::Daemon(Starter::Waiting(File::from(write_end))))
}

#[allow(unsafe_code)]
fn fork_single_threaded() -> nix::Result<ForkResult> {
    // SAFETY: fork is unsafe because a child of a process with several threads may find locks
    // held by threads it does not have. `detach` is called before the first thread is started.
    unsafe { fork() }
}

/// Reads what the daemon says of its start and gives the exit status of the starting command.
fn wait_until_ready(child: Pid, read_end: OwnedFd) -> i32 {
    let _ = nix::sys::wait::waitpid(child, None);
    let mut said = Vec::new();
    let _ = File::from(read_end).read_to_end(&mut said);
    match said.split_first() {
        Some((&READY, _)) => return 0,
        Some(_) => eprintln!("daustd: {}", String::from_utf8_lossy(&said)),
        None => eprintln!("daustd: the daemon ended before it was ready"),
    }
    1
}

impl Starter {
    /// The daemon runs: a waiting command ends well, and the terminal is let go.
    pub fn ready(self) -> Result<(), String> {
        if let Starter::Waiting(mut pipe) = self {
            let fail = |e: io::Error| format!("can not let go of the terminal: {e}");
            let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(fail)?;
            let dup = |e: nix::Error| fail(e.into());
            dup2_stdin(&null).map_err(dup)?;
            dup2_stdout(&null).map_err(dup)?;
            dup2_stderr(&null).map_err(dup)?;
            // The command that was typed may have been killed meanwhile: the daemon runs on.
            let _ = pipe.write_all(&[READY]);
        }
        Ok(())
    }

    /// The daemon can not run: this sentence is for whoever typed the command.
    pub fn failed(self, sentence: &str) {
        match self {
            Starter::Foreground => eprintln!("daustd: {sentence}"),
            Starter::Waiting(mut pipe) => {
                let _ = pipe.write_all(sentence.as_bytes());
            }
        }
    }
}

/// A file over the limit of `ulimit -f` is an error like that of a full disk, and no death.
#[allow(unsafe_code)]
pub fn ignore_file_size_signal() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: unsafe is to replace a handler that others rely on, and to run one that may not run
    // anywhere. Nobody handles this signal here, and to ignore it runs nothing.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}

/// What holds a herd key leaves no image of its memory on any disk, and none to other processes of
/// its user.
pub fn forbid_core_dumps() -> nix::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    nix::sys::prctl::set_dumpable(false)
}

/// Overwrites a secret in the arguments of this process, which everybody on the machine may read. The
/// kernel says where they are, and writes there.
pub fn wipe_argument(secret: &str) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let mut place = fields.skip(ARGUMENTS_FIELD).map_while(|field| field.parse::<u64>().ok());
    let (Some(start), Some(end)) = (place.next(), place.next()) else {
        return Err(io::Error::other("/proc does not say where they are"));
    };
    let mut memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let length = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
    let mut arguments = Zeroizing::new(vec![0; length]);
    memory.seek(SeekFrom::Start(start))?;
    memory.read_exact(&mut arguments)?;
    let places = arguments.windows(secret.len()).enumerate();
    let places = places.filter(|(_, bytes)| *bytes == secret.as_bytes()).map(|(at, _)| at as u64);
    for at in places {
        memory.seek(SeekFrom::Start(start + at))?;
        memory.write_all(&vec![b'x'; secret.len()])?;
    }
    Ok(())
}

/// More than all limits of sockets together.
const FILES_WANTED: u64 = 4_096;

/// As many file descriptors as the system allows: sockets are what this program is made of.
/// Gives how many that are.
pub fn raise_file_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return FILES_WANTED };
    let wanted = hard.min(FILES_WANTED).max(soft);
    let raised = wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    if raised { wanted } else { soft }
}
