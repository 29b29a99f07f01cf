//! `state.redb`: one table of entries by key, beside it a format version and the start counter.
//!
//! A file that is damaged is moved aside and never deleted; a node then starts anew, with a start
//! counter that is higher than any it may have used: the seconds since the epoch.

use crate::node::Kept;
use nix::sys::memfd::{MFdFlags, memfd_create};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const NAME: &str = "state.redb";
const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("entries");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const FORMAT: &str = "format";
const START_COUNTER: &str = "start_counter";
/// Version of what the tables mean.
const FORMAT_VERSION: u64 = 1;
/// Damaged files kept; the last one is replaced after that.
const DAMAGED: u32 = 9;
/// Everything is read once and then only written.
const CACHE_BYTES: usize = 128 << 10;

pub struct StateFile {
    /// None after a failed write: the engine writes no more until it is opened anew.
    database: Option<Database>,
    path: PathBuf,
}

pub enum Opened {
    Kept(StateFile, Kept),
    NotWritable(io::Error),
}

/// Why a file could not be used.
#[derive(Debug)]
enum Trouble {
    /// The disk, its permissions or its space; the file may be as good as ever.
    Disk(io::Error),
    Damaged(String),
    /// Written by a newer program.
    Newer(u64),
}

impl StateFile {
    /// Opens the file, reads everything, and writes the next start counter. An error is a reason
    /// not to start.
    pub fn open(directory: &Path, unix_s: u64) -> Result<Opened, String> {
        let path = directory.join(NAME);
        match open_and_count(&path, None) {
            Ok((file, kept)) => Ok(Opened::Kept(file, kept)),
            Err(Trouble::Disk(e)) => not_writable(&path, e),
            Err(Trouble::Newer(version)) => Err(format!(
                "{} is of format {version}, which this daustd is too old for: update it, or use \
                 another state directory with -S DIR",
                path.display()
            )),
            Err(Trouble::Damaged(why)) => {
                let aside = aside(directory);
                fs::rename(&path, &aside)
                    .map_err(|e| format!("{} is damaged and in the way: {e}", path.display()))?;
                log::error!(
                    "{} was damaged ({why}) and is now {}; this node starts with a new identity",
                    path.display(),
                    aside.display()
                );
                match open_and_count(&path, Some(unix_s)) {
                    Ok((file, kept)) => Ok(Opened::Kept(file, kept)),
                    Err(Trouble::Disk(e)) => not_writable(&path, e),
                    Err(other) => Err(format!("can not make {}: {other:?}", path.display())),
                }
            }
        }
    }

    /// What is in it, from a copy in memory: neither is anything written, nor does a daemon that
    /// starts meanwhile find it taken.
    pub fn look(directory: &Path) -> Result<Kept, String> {
        let path = directory.join(NAME);
        let fail = |e: &dyn std::fmt::Display| format!("can not read {}: {e}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
        let mut original = options.open(&path).map_err(|e| fail(&e))?;
        let copy = memfd_create("state", MFdFlags::MFD_CLOEXEC).map_err(|e| fail(&e))?;
        let mut copy = File::from(copy);
        io::copy(&mut original, &mut copy).map_err(|e| fail(&e))?;
        let entries = guarded(|| {
            let database = Database::builder().set_cache_size(CACHE_BYTES).create_file(copy)?;
            read_all(&database)
        });
        let entries = entries.map_err(|e| fail(&format!("{e:?}")))?;
        Ok(Kept { entries, ..Kept::default() })
    }

    /// Writes and syncs one batch.
    pub fn write(&mut self, entries: &[(String, Option<Vec<u8>>)]) -> Result<(), String> {
        let database = self.database.take();
        let written = guarded(|| {
            let database = database.map_or_else(|| open(&self.path), Ok)?;
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(ENTRIES)?;
                for (key, value) in entries {
                    match value {
                        Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                        None => drop(table.remove(key.as_str())?),
                    }
                }
            }
            transaction.commit()?;
            Ok(database)
        });
        let fail =
            |e: &dyn std::fmt::Display| format!("can not write {}: {e}", self.path.display());
        match written {
            Ok(database) => self.database = Some(database),
            Err(Trouble::Disk(e)) => return Err(fail(&e)),
            Err(other) => return Err(fail(&format!("{other:?}"))),
        }
        Ok(())
    }
}

/// The engine tidies up when it is closed, and may find only then that the file is damaged.
impl Drop for StateFile {
    fn drop(&mut self) {
        let database = self.database.take();
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

/// The file alone, which must not be a link.
fn open(path: &Path) -> Result<Database, Trouble> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    let file: File = options.open(path).map_err(Trouble::Disk)?;
    // It holds the keys of this node: a copy that was restored with another mode is closed again.
    let _ = file.set_permissions(Permissions::from_mode(0o600));
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create_file(file)?)
}

fn not_writable(path: &Path, e: io::Error) -> Result<Opened, String> {
    if e.raw_os_error() == Some(nix::libc::ELOOP) {
        let path = path.display();
        return Err(format!("{path} is a symbolic link, which is not followed: remove it"));
    }
    Ok(Opened::NotWritable(e))
}

/// The first free name for a damaged file.
fn aside(directory: &Path) -> PathBuf {
    let name = |number: u32| directory.join(format!("{NAME}.damaged-{number}"));
    (1..DAMAGED).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(DAMAGED))
}

/// `first` is the start counter of a file that holds none yet.
fn open_and_count(path: &Path, first: Option<u64>) -> Result<(StateFile, Kept), Trouble> {
    guarded(|| {
        let database = open(path)?;
        let start_counter = count_start(&database, first)?;
        let entries = read_all(&database)?;
        let file = StateFile { database: Some(database), path: path.to_path_buf() };
        Ok((file, Kept { start_counter, entries }))
    })
}

fn count_start(database: &Database, first: Option<u64>) -> Result<u64, Trouble> {
    let transaction = database.begin_write()?;
    let start_counter = {
        transaction.open_table(ENTRIES)?;
        let mut numbers = transaction.open_table(NUMBERS)?;
        let number =
            |numbers: &redb::Table<&str, u64>, key: &str| -> Result<Option<u64>, Trouble> {
                Ok(numbers.get(key)?.map(|value| value.value()))
            };
        let format = number(&numbers, FORMAT)?.unwrap_or(FORMAT_VERSION);
        if format > FORMAT_VERSION {
            return Err(Trouble::Newer(format));
        }
        let last = number(&numbers, START_COUNTER)?;
        let start_counter = last.map(|last| last + 1).or(first).unwrap_or(1);
        numbers.insert(FORMAT, FORMAT_VERSION)?;
        numbers.insert(START_COUNTER, start_counter)?;
        start_counter
    };
    transaction.commit()?;
    Ok(start_counter)
}

fn read_all(database: &Database) -> Result<BTreeMap<String, Vec<u8>>, Trouble> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(ENTRIES)?;
    let mut entries = BTreeMap::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        entries.insert(key.value().to_string(), value.value().to_vec());
    }
    Ok(entries)
}

/// A damaged file may make the engine panic; to us that is damage like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Trouble::Damaged("the state engine gave up on it".to_string())))
}

/// What an error of the disk is, and what is one of the contents.
fn disk_or_damage(e: redb::Error) -> Trouble {
    match e {
        redb::Error::Io(e)
            if !matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            Trouble::Disk(e)
        }
        other => Trouble::Damaged(other.to_string()),
    }
}

macro_rules! trouble_from {
    ($($error:ty),*) => {
        $(impl From<$error> for Trouble {
            fn from(e: $error) -> Trouble {
                disk_or_damage(e.into())
            }
        })*
    };
}
trouble_from!(
    DatabaseError,
    StorageError,
    redb::TransactionError,
    redb::TableError,
    redb::CommitError
);

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("herd-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn open(&self, unix_s: u64) -> (StateFile, Kept) {
            match StateFile::open(&self.0, unix_s).unwrap() {
                Opened::Kept(file, kept) => (file, kept),
                Opened::NotWritable(e) => panic!("{e}"),
            }
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn starts_are_counted_and_entries_kept() {
        let directory = Directory::new("kept");
        let (mut file, kept) = directory.open(1_000);
        assert_eq!((kept.start_counter, kept.entries.len()), (1, 0));
        file.write(&[("a".to_string(), Some(vec![1])), ("b".to_string(), Some(vec![2]))]).unwrap();
        file.write(&[("a".to_string(), None), ("b".to_string(), Some(vec![3]))]).unwrap();
        drop(file);
        let (_file, kept) = directory.open(1_000);
        assert_eq!(kept.start_counter, 2);
        assert_eq!(kept.entries, BTreeMap::from([("b".to_string(), vec![3])]));
    }

    #[test]
    fn damaged_files_are_moved_aside() {
        let directory = Directory::new("damaged");
        let path = directory.0.join(NAME);
        for (round, damage) in [&b"no database"[..], &[0; 8_192]].into_iter().enumerate() {
            fs::write(&path, damage).unwrap();
            let (file, kept) = directory.open(1_000);
            assert_eq!(kept.start_counter, 1_000);
            assert_eq!(
                fs::read(directory.0.join(format!("{NAME}.damaged-{}", round + 1))).unwrap(),
                damage
            );
            drop(file);
            assert_eq!(directory.open(5).1.start_counter, 1_001);
        }
    }

    /// Whatever is wrong with the bytes of a real file: it opens, or it is moved aside.
    #[test]
    fn no_damage_stops_the_start() {
        let directory = Directory::new("flipped");
        let path = directory.0.join(NAME);
        let (mut file, _) = directory.open(1);
        file.write(&[("key".to_string(), Some(vec![7; 500]))]).unwrap();
        drop(file);
        let good = fs::read(&path).unwrap();
        for position in (0..good.len()).step_by(good.len() / 40).chain(0..40) {
            let mut bad = good.clone();
            bad[position] ^= 0xff;
            fs::write(&path, &bad).unwrap();
            drop(directory.open(1_000));
        }
        for length in [1, 100, 4_096, good.len() / 2] {
            fs::write(&path, &good[..length]).unwrap();
            drop(directory.open(1_000));
        }
    }

    #[test]
    fn links_and_newer_formats_are_refused() {
        let directory = Directory::new("refused");
        let path = directory.0.join(NAME);
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(StateFile::open(&directory.0, 1).err().unwrap().contains("symbolic link"));
        fs::remove_file(&path).unwrap();
        let (file, _) = directory.open(1);
        let transaction = file.database.as_ref().unwrap().begin_write().unwrap();
        transaction.open_table(NUMBERS).unwrap().insert(FORMAT, FORMAT_VERSION + 1).unwrap();
        transaction.commit().unwrap();
        drop(file);
        assert!(StateFile::open(&directory.0, 1).err().unwrap().contains("format 2"));
        assert!(path.exists(), "a newer file is no damaged file");
    }
}
