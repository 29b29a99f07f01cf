//! Where the herd key is found, and what makes its file unfit. A daemon that had a key once never
//! starts without one again: a file that is gone must not open the herd.

use crate::daemon::options::CONFIGURATION;
use crate::daemon::process;
use crate::wire::key::HerdKey;
use crate::wire::limits::KEY_FILE_BYTES;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the key's file, beside the configuration or in the state directory.
const NAME: &str = "key";
/// Says that this node is of a keyed herd. A file of its own: it outlives a damaged state.
const MARK: &str = "keyed";
/// A fingerprint and a line's end.
const MARK_BYTES: u64 = 20;

/// The key to run with, and its file.
#[derive(Debug)]
pub struct Found {
    pub key: HerdKey,
    pub path: PathBuf,
    /// Whether no core dump will hold it.
    pub dumps: nix::Result<()>,
}

/// The key in the file that was named, else beside the configuration, else in the state directory.
/// None: the herd is open. An error is a reason not to start.
pub fn find(named: Option<&Path>, state_dir: &Path) -> Result<Option<Found>, String> {
    find_beside(Path::new(CONFIGURATION), named, state_dir)
}

fn find_beside(
    configuration: &Path,
    named: Option<&Path>,
    state_dir: &Path,
) -> Result<Option<Found>, String> {
    let places = match named {
        Some(path) => vec![path.to_path_buf()],
        None => vec![configuration.with_file_name(NAME), state_dir.join(NAME)],
    };
    for path in places {
        // Before the secret is in memory.
        let dumps = path.exists().then(process::forbid_core_dumps);
        if let Some(key) = read(&path)? {
            return Ok(Some(Found { key, path, dumps: dumps.unwrap_or(Ok(())) }));
        }
    }
    if let Some(path) = named {
        return Err(unfit(
            path,
            &"there is no such file; `daust key new FILE` makes a herd's first key",
        ));
    }
    let mark = state_dir.join(MARK);
    let Some(known) = marked(&mark) else { return Ok(None) };
    Err(format!(
        "this node is of a keyed herd (key {}), and there is no key file any more: write the herd's \
         key to {} again, or name its file with --key-file PATH; to run an open herd instead, \
         remove {}",
        known.trim().escape_debug(),
        state_dir.join(NAME).display(),
        mark.display()
    ))
}

/// What the mark says, if there is one. Root reads it in somebody else's directory: no link, and not
/// much.
fn marked(path: &Path) -> Option<String> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let mut text = String::new();
    match File::options().read(true).custom_flags(flags).open(path) {
        Err(e) if is_missing(&e) => return None,
        Err(_) => {}
        Ok(file) => drop(file.take(MARK_BYTES).read_to_string(&mut text)),
    }
    Some(text)
}

fn is_missing(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn unfit(path: &Path, why: &dyn Display) -> String {
    format!("can not use the herd key in {}: {why}", path.display())
}

/// None: there is no such file.
fn read(path: &Path) -> Result<Option<HerdKey>, String> {
    let unfit = |why: &dyn Display| unfit(path, why);
    // A pipe in its place must not make the start wait.
    let file = match File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path) {
        Err(e) if is_missing(&e) => return Ok(None),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            return Err(unfit(&format!("{e}; it must belong to the user that daustd runs as")));
        }
        Err(e) => return Err(unfit(&e)),
        Ok(file) => file,
    };
    let metadata = file.metadata().map_err(|e| unfit(&e))?;
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() {
        return Err(unfit(&"it is no file"));
    }
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(unfit(&format!(
            "others may read or write it (mode {mode:o}): chmod 600 {path}"
        )));
    }
    // As large as it may get: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES as usize + 1));
    file.take(KEY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unfit(&e))?;
    if bytes.len() as u64 > KEY_FILE_BYTES {
        return Err(unfit(&format!("it is over the limit of {KEY_FILE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unfit(&"it is no text"))?;
    text.parse().map(Some).map_err(|why: &str| unfit(&why))
}

/// Remembers, on disk, that this node is of a keyed herd.
pub fn mark(state_dir: &Path, key: &HerdKey) {
    let path = state_dir.join(MARK);
    let text = format!("{}\n", key.fingerprint());
    if marked(&path).is_some_and(|known| known == text) {
        return;
    }
    let written = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.custom_flags(nix::libc::O_NOFOLLOW).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        File::open(state_dir)?.sync_all()
    };
    if let Err(e) = written() {
        log::warn!(
            "can not remember in {} that this herd is keyed ({e}): without its key file this \
             node would start in an open one",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path =
                std::env::temp_dir().join(format!("herd-keys-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn write(&self, name: &str, text: &[u8], mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn text(byte: u8) -> Vec<u8> {
        format!("{}\n", *HerdKey::first(&[byte; 40]).to_text()).into_bytes()
    }

    #[test]
    fn the_named_file_goes_first_and_the_state_directory_last() {
        let directory = Directory::new("order");
        fs::create_dir(directory.0.join("etc")).unwrap();
        let configuration = directory.0.join("etc/daustd.toml");
        let fingerprint = |named: Option<&Path>| {
            let found = find_beside(&configuration, named, &directory.0).unwrap();
            found.map(|found| found.key.fingerprint())
        };
        let of = |byte| Some(HerdKey::first(&[byte; 40]).fingerprint());
        assert_eq!(fingerprint(None), None);
        directory.write(NAME, &text(1), 0o600);
        let named = directory.write("named", &text(2), 0o400);
        assert_eq!((fingerprint(None), fingerprint(Some(&named))), (of(1), of(2)));
        directory.write("etc/key", &text(3), 0o600);
        assert_eq!((fingerprint(None), fingerprint(Some(&named))), (of(3), of(2)));
    }

    #[test]
    fn a_file_that_is_unfit_says_why_and_opens_no_herd() {
        let directory = Directory::new("unfit");
        let mut cut = text(1);
        cut.truncate(60);
        let mut bent = text(1);
        bent[20] = if bent[20] == b'2' { b'3' } else { b'2' };
        let good = text(1);
        for (bytes, mode, part) in [
            (&good, 0o640, "mode 640): chmod 600"),
            (&good, 0o604, "mode 604"),
            (&good, 0o620, "mode 620"),
            (&cut, 0o600, "16 groups of 5"),
            (&bent, 0o600, "checksum"),
            (&vec![0xff; 50], 0o600, "no text"),
            (&Vec::new(), 0o600, "begins with herd1-"),
        ] {
            let path = directory.write(NAME, bytes, mode);
            for named in [None, Some(&path)] {
                let error = find(named.map(PathBuf::as_path), &directory.0).unwrap_err();
                assert!(error.contains(part) && error.contains(path.to_str().unwrap()), "{error}");
            }
            fs::remove_file(&path).unwrap();
        }
        assert!(find(Some(&directory.0), &directory.0).unwrap_err().contains("no file"));
        let gone = directory.0.join("gone");
        assert!(find(Some(&gone), &directory.0).unwrap_err().contains("daust key new"));
    }

    #[test]
    fn the_limit_at_its_edge() {
        let directory = Directory::new("limit");
        let mut padded = text(1);
        padded.resize(KEY_FILE_BYTES as usize, b'\n');
        let path = directory.write(NAME, &padded, 0o600);
        assert!(find(Some(&path), &directory.0).unwrap().is_some());
        padded.push(b'\n');
        let path = directory.write(NAME, &padded, 0o600);
        assert!(find(Some(&path), &directory.0).unwrap_err().contains("limit of 4096 bytes"));
    }

    #[test]
    fn who_had_a_key_does_not_start_without_one() {
        let directory = Directory::new("mark");
        let key = HerdKey::first(&[1; 40]);
        mark(&directory.0, &key);
        mark(&directory.0, &key);
        let error = find(None, &directory.0).unwrap_err();
        assert!(error.contains(&key.fingerprint()) && error.contains("--key-file"), "{error}");
        assert!(error.contains(directory.0.join(MARK).to_str().unwrap()), "{error}");
        let path = directory.write(NAME, &text(1), 0o600);
        assert!(find(None, &directory.0).unwrap().is_some());
        fs::remove_file(path).unwrap();
        fs::remove_file(directory.0.join(MARK)).unwrap();
        assert!(find(None, &directory.0).unwrap().is_none(), "the way back is as it was said");
    }
}
