//! `daust key new` makes a herd's first key, `daust key add` takes it to another machine. Neither asks
//! a daemon, and the first is the one place where a key is shown.

use crate::cli::FAILED;
use crate::cli::screen::Screen;
use crate::client::{json, path};
use crate::wire::key::{HerdKey, NOT_WHOLE, is_meant};
use crate::wire::limits::KEY_FILE_BYTES;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Does what the words after `key` say; None: that is for a daemon to answer.
pub fn run(words: &[String], screen: &mut Screen) -> Option<i32> {
    let [key, verb, arguments @ ..] = words else { return None };
    match (key.as_str(), verb.as_str()) {
        ("key", "new") => Some(new(arguments, screen)),
        ("key", "add") => Some(add(arguments, screen)),
        _ => None,
    }
}

/// Makes a key, writes it to the file (that of the state directory unless one is named), then
/// prints it.
fn new(arguments: &[String], screen: &mut Screen) -> i32 {
    let made = named(arguments).and_then(|path| {
        let key = draw()?;
        keep(&path, &key).map(|()| (key, path))
    });
    let (key, path) = match made {
        Ok(made) => made,
        Err(why) => return refused(screen, &why),
    };
    let text = key.to_text();
    if screen.json {
        let line = json::new_key(&text, &key.fingerprint(), &path.to_string_lossy());
        screen.result(&Zeroizing::new(line));
    } else {
        screen.result(&Zeroizing::new(format!("{}\n", *text)));
    }
    screen.tell(&format!(
        "It is in {} and is not shown again. On every other machine of the herd type `daust key \
         add`, then this line; then start daustd there, and here.",
        path.display()
    ));
    screen.status()
}

/// Takes a key's text from standard input, so that it is on no command line, and writes it to the
/// file as `new` does.
fn add(arguments: &[String], screen: &mut Screen) -> i32 {
    let added = named(arguments).and_then(|path| {
        let key = read(io::stdin().lock())?;
        keep(&path, &key).map(|()| (key, path))
    });
    let (key, path) = match added {
        Ok(added) => added,
        Err(why) => return refused(screen, &why),
    };
    if screen.json {
        screen.result(&json::added_key(&key.fingerprint(), &path.to_string_lossy()));
    }
    let (fingerprint, path) = (key.fingerprint(), path.display());
    screen.tell(&format!("key {fingerprint} is in {path}; start daustd to use it"));
    screen.status()
}

fn refused(screen: &mut Screen, why: &str) -> i32 {
    screen.fail("refused", why);
    FAILED
}

/// One line, or more where a mail program broke it: up to an empty line or the end.
fn read(input: impl BufRead) -> Result<HerdKey, String> {
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES as usize));
    let mut input = input.take(KEY_FILE_BYTES);
    loop {
        let before = text.len();
        let length = input.read_line(&mut text).map_err(|e| format!("no key is read: {e}"))?;
        match text.parse::<HerdKey>() {
            Ok(key) => return Ok(key),
            Err(NOT_WHOLE) if length > 0 && !text[before..].trim().is_empty() => {}
            Err(why) => return Err(format!("standard input is no herd key: {why}")),
        }
    }
}

fn named(arguments: &[String]) -> Result<PathBuf, String> {
    match arguments {
        [] => path::state_dir().map(|directory| directory.join("key")).map_err(|e| e.to_string()),
        [text] if is_meant(text) => Err(
            "a key is read from standard input, and this is where a FILE stands: what was typed may be \
             seen by others now (`daust key rotate` makes another)"
                .to_string(),
        ),
        [path] if !path.is_empty() => Ok(path.into()),
        _ => Err("`key new` and `key add` take one FILE at most".to_string()),
    }
}

fn draw() -> Result<HerdKey, String> {
    let mut random = Zeroizing::new([0; 40]);
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random[..]))
        .map_err(|e| format!("no random numbers from /dev/urandom: {e}"))?;
    Ok(HerdKey::first(&random))
}

fn keep(path: &Path, key: &HerdKey) -> Result<(), String> {
    write(path, key).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => format!(
            "{path} exists and is left as it is: a node has one key. For another one, move it \
             away first (mv {path} {path}.old); whoever is to stay in its herd needs it",
            path = path.display()
        ),
        _ => format!("can not write {}: {e}", path.display()),
    })
}

/// On disk before it is shown: nobody copies a key that is lost with the power.
fn write(path: &Path, key: &HerdKey) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let line = Zeroizing::new(format!("{}\n", *key.to_text()));
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    // The daemon may run as the owner of its state directory: what root writes there is for it.
    let owner = std::fs::metadata(directory.unwrap_or(Path::new(".")))?;
    let ours = !nix::unistd::geteuid().is_root();
    let given = if ours { Ok(()) } else { fchown(&file, Some(owner.uid()), Some(owner.gid())) };
    let written = written.and(given);
    if written.is_err() {
        let _ = std::fs::remove_file(path);
        return written;
    }
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_one_line_or_several() {
        let key = HerdKey::first(&[3; 40]);
        let text = key.to_text();
        let broken = format!("{}\r\n  {}", &text[..50], &text[50..]);
        for input in [format!("{}\nnext\n", *text), text.to_string(), format!("{broken}\n\n")] {
            assert_eq!(read(input.as_bytes()).unwrap().fingerprint(), key.fingerprint());
        }
        for (input, part) in [
            ("", "begins with herd1-"),
            ("\n", "begins with herd1-"),
            (&text[..50], "16 groups of 5"),
            (&text[..50], "standard input"),
            (&format!("{}0\n", &text[..100]), "checksum"),
            (&"x".repeat(2 * KEY_FILE_BYTES as usize), "begins with herd1-"),
        ] {
            let error = read(input.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
