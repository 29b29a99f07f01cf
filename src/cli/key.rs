//! `daust key new`: makes a herd's first key. It asks no daemon, and is the one place where a key is
//! shown.

use crate::cli::FAILED;
use crate::cli::screen::Screen;
use crate::client::{json, path};
use crate::wire::key::HerdKey;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What follows `key new`; None: these words ask for something else.
pub fn arguments(words: &[String]) -> Option<&[String]> {
    match words {
        [key, new, rest @ ..] if key == "key" && new == "new" => Some(rest),
        _ => None,
    }
}

/// Makes a key, writes it to the file (that of the state directory unless one is named), then
/// prints it.
pub fn new(arguments: &[String], screen: &mut Screen) -> i32 {
    let made = named(arguments).and_then(|path| make(&path).map(|key| (key, path)));
    let (key, path) = match made {
        Ok(made) => made,
        Err(why) => {
            screen.fail("refused", &why);
            return FAILED;
        }
    };
    let text = key.to_text();
    if screen.json {
        let line = json::new_key(&text, &key.fingerprint(), &path.to_string_lossy());
        screen.result(&Zeroizing::new(line));
    } else {
        screen.result(&Zeroizing::new(format!("{}\n", *text)));
    }
    screen.tell(&format!(
        "It is in {} and is not shown again. Write this line to that file on every machine of \
         the herd, readable by its owner only (chmod 600), and start daustd there.",
        path.display()
    ));
    screen.status()
}

fn named(arguments: &[String]) -> Result<PathBuf, String> {
    match arguments {
        [] => path::state_dir().map(|directory| directory.join("key")).map_err(|e| e.to_string()),
        [path] if !path.is_empty() => Ok(path.into()),
        _ => Err("`key new` takes one FILE at most".to_string()),
    }
}

fn make(path: &Path) -> Result<HerdKey, String> {
    let mut random = Zeroizing::new([0; 40]);
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random[..]))
        .map_err(|e| format!("no random numbers from /dev/urandom: {e}"))?;
    let key = HerdKey::first(&random);
    match write(path, &key) {
        Ok(()) => Ok(key),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(format!(
            "{path} exists and is left as it is: a herd has one key. To begin another herd, move \
             it away first (mv {path} {path}.old); whoever is to stay in this one needs it",
            path = path.display()
        )),
        Err(e) => Err(format!("can not write {}: {e}", path.display())),
    }
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
    if written.is_err() {
        let _ = std::fs::remove_file(path);
        return written;
    }
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
