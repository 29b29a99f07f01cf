//! `daust doctor`: what can be seen from outside the daemon, whether one runs or not.

use crate::cli::screen::Screen;
use crate::client::words::Asked;
use crate::client::{Connection, Error, ask, path};
use crate::wire::PORT;
use crate::wire::command::Command;
use crate::wire::finding::Finding;
use crate::wire::reply::Reply;
use nix::unistd::{AccessFlags, access};
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const SYSLOG: &str = "/dev/log";
/// Nodes whose versions are asked for: in a larger herd that would be much talk.
const VERSIONS: usize = 64;
/// How long they are waited for, milliseconds.
const VERSIONS_MS: u64 = 1_500;

/// How long the daemon may take, unless the person says so (`-t`), milliseconds: to look at itself, and
/// at another node.
const ITSELF_MS: u64 = 1_000;
const OTHER_MS: u64 = 2_500;

/// What the daemon says of itself, then what only who asks it can find; or what it says of another
/// node.
pub fn run(
    daemon: &mut Connection,
    asked: &Asked,
    timeout_ms: u64,
    screen: &mut Screen,
) -> Result<(), Error> {
    let itself = asked.command == Command::Doctor(None);
    let wait_ms = match timeout_ms {
        0 if itself => ITSELF_MS,
        0 => OTHER_MS,
        given => given,
    };
    daemon.hurry();
    for answer in ask::one(daemon, asked, wait_ms)? {
        screen.answer(&asked.scope, &answer);
    }
    if !itself {
        return Ok(());
    }
    let programs = programs(daemon, wait_ms)?;
    versions(&programs).iter().for_each(|finding| screen.finding(finding));
    on_disk(screen);
    Ok(())
}

/// Which program each node runs, the local one first, by name; none in a large herd.
fn programs(daemon: &mut Connection, wait_ms: u64) -> Result<Vec<(String, String)>, Error> {
    if ask::nodes(daemon, wait_ms)?.len() > VERSIONS {
        return Ok(Vec::new());
    }
    let mut programs = Vec::new();
    ask::all(daemon, &Command::Version, VERSIONS_MS, |answer| {
        let program = answer.replies.iter().find_map(|reply| match reply {
            Reply::Version(version) => Some(version.program.clone()),
            _ => None,
        });
        programs.extend(program.map(|program| (answer.node.clone(), program)));
    })?;
    Ok(programs)
}

/// Nodes that run another program than the local one.
fn versions(programs: &[(String, String)]) -> Option<Finding> {
    let (_, own) = programs.first()?;
    let others: Vec<String> = programs
        .iter()
        .filter(|(_, program)| program != own)
        .map(|(name, program)| format!("{name} ({program})"))
        .collect();
    (!others.is_empty()).then(|| {
        let text = format!("not all nodes run {own} as this one: {}", others.join(", "));
        Finding::note("versions", text + "; update the older ones")
    })
}

/// Whether it is the daemon that keeps a question from being answered.
pub fn is_about_daemon(error: &Error) -> bool {
    match error {
        Error::NotRunning(_) | Error::Connect(..) | Error::Gone | Error::Silent(_) => true,
        Error::NoPath | Error::Damaged(_) | Error::Refused(_) => false,
    }
}

/// Nobody answers on the socket: what there is to say all the same.
pub fn without_daemon(error: &Error, screen: &mut Screen) {
    let hangs = matches!(error, Error::Silent(_));
    let advice = match hangs {
        true => {
            "it hangs: if it was stopped, `kill -CONT` its process; else end that and start it anew"
        }
        false => "start it: daustd -d",
    };
    screen.finding(&Finding::wrong("running", not_running(error), advice));
    on_disk(screen);
    if !hangs {
        port_is_free().iter().for_each(|finding| screen.finding(finding));
    }
}

fn not_running(error: &Error) -> String {
    format!("the local daustd can not be asked: {error}")
}

/// The state directory and the files of the key, as far as this user may see them.
fn on_disk(screen: &mut Screen) {
    let mut keys = vec![path::system_key()];
    if let Ok(directory) = path::state_dir() {
        state(&directory).iter().for_each(|finding| screen.finding(finding));
        keys.push(directory.join("key"));
    }
    let findings = keys.iter().filter_map(|path| key(path));
    findings.for_each(|finding| screen.finding(&finding));
    if !Path::new(SYSLOG).exists() {
        let text = "no syslog answers here: a daustd that is detached needs -l PATH to leave a log";
        screen.finding(&Finding::note("log", text));
    }
}

fn state(directory: &Path) -> Option<Finding> {
    let shown = directory.display();
    match fs::metadata(directory) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => Some(Finding::note("state", format!("{shown} can not be looked at: {e}"))),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => Some(Finding::wrong(
            "state",
            format!("others may enter the state directory {shown}"),
            format!("chmod 700 {shown}"),
        )),
        Ok(_) => match access(directory, AccessFlags::W_OK) {
            Err(e) => Some(Finding::note("state", format!("{shown} is not yours to write: {e}"))),
            Ok(()) if directory.join("keyed").exists() && !has_key(directory) => {
                Some(Finding::wrong(
                    "key",
                    format!("this node is of a keyed herd and there is no key in {shown}"),
                    "`daust key add` takes it from another machine's `daust key show`; without it \
                     daustd starts only with --key-file FILE",
                ))
            }
            Ok(()) => Some(Finding::well("state", format!("{shown} is there and writable"))),
        },
    }
}

fn has_key(directory: &Path) -> bool {
    directory.join("key").exists() || path::system_key().exists()
}

fn key(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let shown = path.display();
    Some(match mode & 0o077 {
        0 => Finding::well("key", format!("{shown} is for its owner only")),
        _ => Finding::wrong(
            "key",
            format!(
                "others may read the herd key {shown} (mode {mode:o}): daustd does not take it"
            ),
            format!("chmod 600 {shown}; and if somebody may have read it, daust key rotate"),
        ),
    })
}

/// The usual port, for there is nobody to ask for another.
fn port_is_free() -> Option<Finding> {
    let at = (Ipv4Addr::UNSPECIFIED, PORT);
    let taken = |bound: Result<(), std::io::Error>| {
        bound.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    let udp = taken(UdpSocket::bind(at).map(drop));
    let tcp = taken(TcpListener::bind(at).map(drop));
    let which = match (udp, tcp) {
        (true, true) => "UDP and TCP port",
        (true, false) => "UDP port",
        (false, true) => "TCP port",
        (false, false) => return None,
    };
    Some(Finding::note(
        "port",
        format!(
            "{which} {PORT} is in use: by a daustd that listens on another socket (-s PATH asks \
             it), or by another program (daustd -P PORT takes another port)"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_named() {
        let of = |programs: &[(&str, &str)]| {
            let owned =
                programs.iter().map(|(name, program)| (name.to_string(), program.to_string()));
            versions(&owned.collect::<Vec<_>>()).map(|finding| finding.text)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("a", "daustd 1"), ("b", "daustd 1")]), None);
        let text = of(&[("a", "daustd 1"), ("b", "daustd 2"), ("c", "daustd 1")]).unwrap();
        assert!(
            text.starts_with("not all nodes run daustd 1 as this one: b (daustd 2);"),
            "{text}"
        );
    }
}
