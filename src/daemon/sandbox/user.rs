//! Root becomes whoever owns the state directory: that is how a system's user for this daemon is
//! chosen, without a name for it.

use crate::daemon::metrics::Place;
use crate::daemon::options::Settings;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown, fchown};
use std::path::Path;

/// Directories that only their owner and group may enter are the daemon's; others, such as /tmp,
/// are somebody else's too.
const OTHERS: u32 = 0o007;

/// Takes along what root made for the daemon: the directories of its sockets, and its log. The
/// capabilities stay until the sandbox takes them.
pub fn of_state_directory(settings: &Settings, socket_directory: &Path) -> Result<(), String> {
    let Ok(state) = fs::symlink_metadata(&settings.state_dir) else { return Ok(()) };
    if !geteuid().is_root() || !state.is_dir() || state.uid() == 0 {
        return Ok(());
    }
    hand_over(settings, socket_directory, (state.uid(), state.gid()))
        .and_then(|()| become_user(Uid::from_raw(state.uid()), Gid::from_raw(state.gid())))
        .map_err(|e| format!("stays root, instead of the owner of the state directory: {e}"))
}

fn hand_over(settings: &Settings, directory: &Path, (user, group): (u32, u32)) -> io::Result<()> {
    let metrics = settings.metrics.as_ref().and_then(Place::directory);
    for directory in [Some(directory), metrics].into_iter().flatten() {
        let found = fs::symlink_metadata(directory)?;
        if found.uid() == 0 && found.is_dir() && found.mode() & OTHERS == 0 {
            chown(directory, Some(user), Some(group))?;
        }
    }
    let Some(path) = &settings.logfile else { return Ok(()) };
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(OFlag::O_NOFOLLOW.bits());
    let log = options.open(path)?;
    if log.metadata()?.uid() == 0 && log.metadata()?.is_file() {
        fchown(&log, Some(user), Some(group))?;
    }
    Ok(())
}

fn become_user(user: Uid, group: Gid) -> io::Result<()> {
    nix::sys::prctl::set_keepcaps(true)?;
    setgroups(&[group])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    Ok(())
}
