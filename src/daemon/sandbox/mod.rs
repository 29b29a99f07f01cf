//! What is left to a daemon that somebody else took over: its own directories, sockets, and the
//! system calls it needs; no program to start, no right of root.
//!
//! Entered before the first thread, for most of it holds for the thread that enters and those it
//! starts. What a kernel does not have is left out, and said.

mod calls;
mod user;

use crate::daemon::metrics::Place;
use crate::daemon::options::Settings;
use crate::daemon::{control_path, store};
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus};
use landlock::{RulesetError, path_beneath_rules};
use std::path::{Path, PathBuf};

/// Rights of root that are needed until all sockets are bound: ports below 1024, and the group of
/// the control socket.
const WHILE_BINDING: [Capability; 2] = [Capability::CAP_NET_BIND_SERVICE, Capability::CAP_CHOWN];
/// What is read outside the daemon's own directories: configuration, users and groups, tables of
/// the kernel, and what the C library needs to look up a host name.
const READ: [&str; 10] = [
    "/dev/null",
    "/dev/urandom",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/usr",
];
/// The newest version of the kernel's file rules that is asked for; older kernels give what they have.
const RULES: ABI = ABI::V5;

/// Enters it. Gives what could not be had, a sentence each.
pub fn enter(settings: &Settings) -> Vec<String> {
    let socket = settings.socket.parent().unwrap_or(Path::new("/"));
    let writable = own_directories(settings, socket);
    let mut missing = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        missing.extend(result.err().map(|why| format!("not sandboxed by {what}: {why}")));
    };
    note("its user", user::of_state_directory(settings, socket));
    note("capabilities", keep(&WHILE_BINDING));
    note("landlock", narrow_files(settings, &writable));
    note("seccomp", calls::allow_only_needed());
    missing
}

/// All sockets are bound: the last rights of root go.
pub fn bound() -> Result<(), String> {
    keep(&[])
}

/// The directories the daemon writes to, made where they are missing. What cannot be made is
/// reported by whoever needs it.
fn own_directories(settings: &Settings, socket: &Path) -> Vec<PathBuf> {
    let _ = store::make_directory(&settings.state_dir);
    let _ = control_path::make_directory(socket);
    if let Some(directory) = settings.metrics.as_ref().and_then(Place::directory) {
        let _ = control_path::make_directory(directory);
    }
    let log = settings.logfile.as_deref().and_then(Path::parent);
    let metrics = settings.metrics.as_ref().and_then(Place::directory);
    let found = [Some(settings.state_dir.as_path()), Some(socket), log, metrics];
    found.into_iter().flatten().map(Path::to_path_buf).collect()
}

fn keep(wanted: &[Capability]) -> Result<(), String> {
    let has = caps::read(None, CapSet::Permitted).map_err(|e| e.to_string())?;
    if has.is_empty() {
        return Ok(());
    }
    let kept: CapsHashSet = wanted.iter().copied().filter(|one| has.contains(one)).collect();
    // Without them nobody may raise any again, and no program that is started could either.
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|e| e.to_string())?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn narrow_files(settings: &Settings, writable: &[PathBuf]) -> Result<(), String> {
    match restrict(settings, writable).map_err(|e| e.to_string())? {
        RulesetStatus::NotEnforced => Err("this kernel has none".to_string()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn restrict(settings: &Settings, writable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::RemoveFile;
    // Its directory: an editor puts a new file in the place of the old.
    let configuration = settings.configuration.parent();
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(configuration, read))?
        .add_rules(path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(writable, write))?;
    Ok(rules.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests;
