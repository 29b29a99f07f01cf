//! In a sandbox of a test's own: what works and what is refused.

use super::*;
use crate::daemon::options::{Asked, Environment, read};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::process::Command;
use std::thread;

/// Settings of a daemon whose directories are below this one.
fn settings(top: &Path) -> Settings {
    let path = |name: &str| top.join(name).display().to_string();
    let words = ["-S".into(), path("state"), "-s".into(), path("run/daust.sock")];
    match read(&words, &Environment::default()) {
        Ok(Asked::Run(settings)) => *settings,
        _ => panic!("these words are settings"),
    }
}

/// The thread that enters ends with it: the other tests go on as they were.
#[test]
fn only_what_is_needed_is_left() {
    let top = std::env::temp_dir().join(format!("herd-sandbox-{}", std::process::id()));
    fs::create_dir_all(&top).unwrap();
    let settings = settings(&top);
    let outside = top.join("outside");
    fs::write(&outside, "x").unwrap();
    let entered = thread::spawn(move || {
        let missing = enter(&settings);
        if !missing.is_empty() {
            println!("SKIPPED: {missing:?}");
            return;
        }
        fs::write(settings.state_dir.join("file"), "x").unwrap();
        let socket = std::os::unix::net::UnixListener::bind(&settings.socket);
        assert!(socket.is_ok() && fs::remove_file(&settings.socket).is_ok());
        assert!(fs::read("/etc/passwd").is_ok());
        let denied = |result: std::io::Result<()>| {
            result.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
        };
        assert!(denied(File::open(&outside).map(drop)), "read elsewhere");
        assert!(denied(fs::write(outside.with_file_name("new"), "x")), "written elsewhere");
        assert!(denied(fs::write("/etc/herd-sandbox-test", "x")), "what is read, written");
        let raw = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None);
        assert_eq!(raw.unwrap_err().raw_os_error(), Some(nix::libc::ENOSYS));
        assert!(Command::new("/bin/true").spawn().is_err(), "a program started");
        assert!(bound().is_ok() && caps::read(None, CapSet::Permitted).unwrap().is_empty());
        assert!(thread::spawn(|| ()).join().is_ok(), "threads are needed");
    });
    let result = entered.join();
    fs::remove_dir_all(&top).unwrap();
    result.unwrap();
}
