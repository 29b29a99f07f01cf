//! Where the local daemon's socket is, when nobody says so.

use crate::client::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// DAUST_SOCKET, else root's place, else the user's runtime directory, else the home directory.
pub fn socket() -> Result<PathBuf, Error> {
    let root = nix::unistd::geteuid().is_root();
    choose(root, |name| std::env::var_os(name))
}

fn choose(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(path) = set("DAUST_SOCKET") {
        return Ok(path.into());
    }
    if root {
        return Ok("/run/daust/daust.sock".into());
    }
    if let Some(directory) = set("XDG_RUNTIME_DIR") {
        return Ok(Path::new(&directory).join("daust/daust.sock"));
    }
    let home = set("HOME").ok_or(Error::NoPath)?;
    Ok(Path::new(&home).join(".daust/daust.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
