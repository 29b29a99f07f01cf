//! Where the other programs are, and how one is run to its end.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Looked into after PATH, which seldom has them for who is not root.
const MORE: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin"];

/// The program of this name: beside this one, in the sbin beside its bin, else in PATH.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(|own| own.parent());
    let near = beside.map(|bin| [bin.to_path_buf(), bin.join("../sbin")]).into_iter().flatten();
    let path = env::var_os("PATH").unwrap_or_default();
    let listed = env::split_paths(&path).chain(MORE.iter().map(PathBuf::from));
    let mut places = near.chain(listed).map(|place| place.join(name));
    places.find(|place| place.is_file()).ok_or(format!(
        "there is no {name} beside this program, in PATH or in {}: install it",
        MORE[..3].join(", ")
    ))
}

/// Whether it ends well; what it says goes nowhere.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs it and waits; what it says on standard error is for whoever typed the command.
pub fn must(program: &str, arguments: &[&str]) -> Result<(), String> {
    let typed = format!("{program} {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{typed}` failed ({status})")),
        Err(e) => Err(format!("`{typed}` can not be run: {e}")),
    }
}
