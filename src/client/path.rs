//! Where the local daemon's socket and its state directory are, when nobody says so.

use crate::client::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The socket of the system's daemon; only root and the group `daust` see that it is there.
const SYSTEM: &str = "/run/daust/daust.sock";

/// DAUST_SOCKET, else root's place, else the user's runtime directory, else the home directory;
/// the system's for a user who has no daemon there and may use that one.
pub fn socket() -> Result<PathBuf, Error> {
    let root = nix::unistd::geteuid().is_root();
    let own = choose(root, |name| std::env::var_os(name))?;
    let named = std::env::var_os("DAUST_SOCKET").is_some_and(|value| !value.is_empty());
    let system = !named && !own.exists() && Path::new(SYSTEM).exists();
    Ok(if system { SYSTEM.into() } else { own })
}

fn choose(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(path) = set("DAUST_SOCKET") {
        return Ok(path.into());
    }
    if root {
        return Ok(SYSTEM.into());
    }
    if let Some(directory) = set("XDG_RUNTIME_DIR") {
        return Ok(Path::new(&directory).join("daust/daust.sock"));
    }
    let home = set("HOME").ok_or(Error::NoPath)?;
    Ok(Path::new(&home).join(".daust/daust.sock"))
}

/// The configuration of root's daemon, unless ./configure said else.
const CONFIGURATION: &str = match option_env!("HERD_CONFIGURATION") {
    Some(path) => path,
    None => "/etc/daust/daustd.toml",
};

/// The herd key beside it.
pub fn system_key() -> PathBuf {
    Path::new(CONFIGURATION).with_file_name("key")
}

/// Where root's daemon keeps its state, unless ./configure said else.
const STATE_DIR: &str = match option_env!("HERD_STATE_DIR") {
    Some(path) => path,
    None => "/var/lib/daust",
};

/// DAUST_STATE_DIR, else root's place, else the home directory.
pub fn state_dir() -> Result<PathBuf, Error> {
    let root = nix::unistd::geteuid().is_root();
    choose_state_dir(root, |name| std::env::var_os(name))
}

fn choose_state_dir(
    root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Error> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    match (set("DAUST_STATE_DIR"), set("HOME")) {
        (Some(path), _) => Ok(path.into()),
        (None, _) if root => Ok(STATE_DIR.into()),
        (None, Some(home)) => Ok(Path::new(&home).join(".daust")),
        (None, None) => Err(Error::NoPath),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_the_daemons() {
        let path = |root, set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            choose_state_dir(root, |name| find(name).map(|(_, value)| value.into())).ok()
        };
        let all = [("DAUST_STATE_DIR", "/s"), ("HOME", "/h")];
        assert_eq!(path(true, &all), Some("/s".into()));
        assert_eq!(path(true, &all[1..]), Some(STATE_DIR.into()));
        assert_eq!(path(false, &all[1..]), Some("/h/.daust".into()));
        assert_eq!(path(false, &[]), None);
    }

    #[test]
    fn the_first_that_is_set_wins() {
        let path = |root, set: &[(&str, &str)]| {
            choose(root, |name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            })
            .map_err(|e| e.to_string())
        };
        let all = [("DAUST_SOCKET", "/a/b"), ("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/h")];
        assert_eq!(path(true, &all), Ok("/a/b".into()));
        assert_eq!(path(true, &all[1..]), Ok("/run/daust/daust.sock".into()));
        assert_eq!(path(false, &all[1..]), Ok("/run/user/7/daust/daust.sock".into()));
        assert_eq!(path(false, &all[2..]), Ok("/h/.daust/daust.sock".into()));
        assert_eq!(
            path(false, &[("DAUST_SOCKET", ""), ("XDG_RUNTIME_DIR", ""), ("HOME", "/h")]),
            Ok("/h/.daust/daust.sock".into())
        );
        assert!(path(false, &[]).unwrap_err().contains("DAUST_SOCKET"));
    }
}
