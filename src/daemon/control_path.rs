//! Where the control socket (and that of the metrics, if it is one) lives in the file system, who may
//! use it, and who owns it now.
//!
//! A socket left by a daemon that crashed is replaced; one that somebody answers on is not.

use crate::daemon::{ALREADY_RUNNING, users};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Its members may use the control socket, where it exists.
const GROUP: &str = "daust";

/// What a socket is for, in the words of what goes wrong with it.
pub struct Purpose {
    pub what: &'static str,
    /// What names another path.
    pub option: &'static str,
    /// Somebody answers there.
    pub taken: &'static str,
}

pub const CONTROL: Purpose =
    Purpose { what: "control socket", option: "-s PATH", taken: ALREADY_RUNNING };

/// The socket's file, removed at the end unless somebody else has put his own there.
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.device_and_inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Makes the socket. Files are made under a umask of 077, so nobody slips in before the group
/// is set.
pub fn bind(path: &Path, purpose: &Purpose) -> Result<(UnixListener, SocketFile), String> {
    let Purpose { what, option, .. } = purpose;
    let fail = |e: std::io::Error| {
        format!("can not make the {what} {}: {e}; {option} names another", path.display())
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    make_directory(directory).map_err(fail)?;
    // Two daemons that start at once must not take each other's fresh socket for a stale one.
    let lock = File::open(directory).and_then(|file| file.lock().map(|()| file));
    make_room(path, purpose)?;
    let listener = UnixListener::bind(path).map_err(fail)?;
    drop(lock);
    // Where it is our own group the file has it already, and there may be no right to change it.
    let has = fs::metadata(path).map_err(fail)?.gid();
    let shared = group().is_some_and(|it| it == has || chown(path, None, Some(it)).is_ok());
    let mode = if shared { 0o660 } else { 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail)?;
    let device_and_inode = identity(path).map_err(fail)?;
    Ok((listener, SocketFile { path: path.to_path_buf(), device_and_inode }))
}

fn group() -> Option<u32> {
    users::group(GROUP).map(|group| group.id)
}

/// A directory that is there already keeps its owner and mode.
pub fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if group().is_some_and(|group| chown(directory, None, Some(group)).is_ok()) {
        fs::set_permissions(directory, Permissions::from_mode(0o750))?;
    }
    Ok(())
}

/// Removes what a crashed daemon left there, and nothing else.
fn make_room(path: &Path, purpose: &Purpose) -> Result<(), String> {
    let found = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) => found,
    };
    if !found.file_type().is_socket() {
        return Err(format!(
            "{} is in the way and is no socket: remove it, or name another with {}",
            path.display(),
            purpose.option
        ));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(purpose.taken.to_string()),
        // A socket nobody listens on any more.
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|e| format!("can not replace the stale socket {}: {e}", path.display())),
        Err(e) => Err(format!("can not tell who uses {}: {e}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_sockets_are_replaced_and_live_ones_are_not() {
        let directory = std::env::temp_dir().join(format!("herd-control-{}", std::process::id()));
        let path = directory.join("new/daust.sock");
        let (listener, mut file) = bind(&path, &CONTROL).unwrap();
        assert_eq!(bind(&path, &CONTROL).err().unwrap(), ALREADY_RUNNING);
        drop(listener);
        assert!(path.exists(), "a crash leaves the file");
        let (_listener, newer) = bind(&path, &CONTROL).unwrap();
        file.device_and_inode.1 += 1;
        drop(file);
        assert!(path.exists(), "the older daemon leaves the newer one's socket alone");
        drop(newer);
        assert!(!path.exists());
        fs::write(&path, "not a socket").unwrap();
        assert!(bind(&path, &CONTROL).err().unwrap().contains("is in the way"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_path_that_is_too_long_is_named() {
        let path = std::env::temp_dir().join("x".repeat(200));
        assert!(bind(&path, &CONTROL).err().unwrap().contains("-s PATH"));
    }
}
