//! Where the herd key is found, and what makes its file unfit. A daemon that had a key once never
//! starts without one again: a file that is gone must not open the herd.

use crate::daemon::options::CONFIGURATION;
use crate::daemon::process;
use crate::daemon::store::Entries;
use crate::node::KEY_FILE;
use crate::wire::key::{HerdKey, is_meant};
use crate::wire::limits::KEY_FILE_BYTES;
use std::borrow::Cow;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the key's file, beside the configuration or in the state directory.
const NAME: &str = "key";
/// What it is written to first: it is whole, or it is not there.
const FRESH: &str = "key.new";
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
    let found = look(named, state_dir)?;
    if found.is_none() {
        required(named, state_dir)?;
    }
    Ok(found)
}

/// The same, where none is required: it may be on its way.
pub fn look(named: Option<&Path>, state_dir: &Path) -> Result<Option<Found>, String> {
    look_beside(Path::new(CONFIGURATION), named, state_dir)
}

fn look_beside(
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
    Ok(None)
}

/// Why there must be a key, if so.
fn required(named: Option<&Path>, state_dir: &Path) -> Result<(), String> {
    if let Some(path) = named {
        return Err(unfit(
            path,
            &"there is no such file; `daust key new FILE` makes a herd's first key",
        ));
    }
    let mark = state_dir.join(MARK);
    let Some(known) = marked(&mark) else { return Ok(()) };
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
    if path.file_name().is_some_and(|name| is_meant(&name.to_string_lossy())) {
        return "--key-file wants a file, not a key: what was typed may be seen by others now, so that \
                it should be used no more (`daust key rotate`)"
            .to_string();
    }
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
    let (owner, own) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if owner != own && owner != 0 {
        let path = path.display();
        return Err(unfit(&format!("it belongs to another user ({owner}): chown {own} {path}")));
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

/// Writes a herd key to the state directory, in the place of one that is there; gives its file.
pub fn keep(state_dir: &Path, key: &HerdKey) -> io::Result<PathBuf> {
    let (path, fresh) = (state_dir.join(NAME), state_dir.join(FRESH));
    let line = Zeroizing::new(format!("{}\n", *key.to_text()));
    // Left behind by a crash, or put there by somebody: nothing is written through it.
    match std::fs::remove_file(&fresh) {
        Err(e) if !is_missing(&e) => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    File::open(state_dir)?.sync_all()?;
    Ok(path)
}

/// Writes the herd key that is among these entries, if one is, to its file, with the mark; gives the
/// others. An open herd was given that key while it ran.
pub fn keep_apart<'a>(state_dir: &Path, entries: &'a Entries) -> Result<Cow<'a, Entries>, String> {
    let Some((_, Some(text))) = entries.iter().find(|(name, _)| name == KEY_FILE) else {
        return Ok(Cow::Borrowed(entries));
    };
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let key: HerdKey = text.parse()?;
    if let Err(e) = process::forbid_core_dumps() {
        log::warn!("core dumps can not be switched off ({e}): one would hold the herd key");
    }
    let path = keep(state_dir, &key)
        .map_err(|e| format!("can not write the herd key to {}: {e}", state_dir.display()))?;
    mark(state_dir, &key);
    log::info!("herd key {} is in {}", key.fingerprint(), path.display());
    Ok(Cow::Owned(entries.iter().filter(|(name, _)| name != KEY_FILE).cloned().collect()))
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
            let found = look_beside(&configuration, named, &directory.0).unwrap();
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
    fn a_key_is_written_whole_and_for_its_owner_only() {
        let directory = Directory::new("keep");
        let victim = directory.write("victim", b"mine", 0o600);
        std::os::unix::fs::symlink(&victim, directory.0.join(FRESH)).unwrap();
        for byte in [1, 2] {
            let key = HerdKey::first(&[byte; 40]);
            let path = keep(&directory.0, &key).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let found = find(None, &directory.0).unwrap().unwrap();
            assert_eq!((found.key.id(), found.path), (key.id(), path));
        }
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert!(!directory.0.join(FRESH).exists());
        assert!(keep(&directory.0.join("gone"), &HerdKey::first(&[1; 40])).is_err());
    }

    #[test]
    fn a_key_that_is_to_be_kept_goes_to_its_file_and_nowhere_else() {
        let directory = Directory::new("apart");
        let other = ("keys".to_string(), Some(vec![1]));
        let plain = vec![other.clone()];
        assert!(matches!(keep_apart(&directory.0, &plain), Ok(Cow::Borrowed(_))));
        assert!(find(None, &directory.0).unwrap().is_none());
        let (key, line) = (HerdKey::first(&[1; 40]), text(1));
        let entries = vec![(KEY_FILE.to_string(), Some(line.clone())), other];
        assert_eq!(*keep_apart(&directory.0, &entries).unwrap(), plain);
        assert_eq!(find(None, &directory.0).unwrap().unwrap().key.id(), key.id());
        fs::remove_file(directory.0.join(NAME)).unwrap();
        assert!(find(None, &directory.0).is_err(), "the mark is not there");
        assert!(keep_apart(&directory.0.join("gone"), &entries).is_err());
        assert!(keep_apart(&directory.0, &vec![(KEY_FILE.to_string(), Some(vec![7]))]).is_err());
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
