//! The state directory: what a node keeps over its lives, in one crash-safe file.
//!
//! At start everything is read at once and the start counter is written before the node is made.
//! Afterwards a thread of its own writes and syncs, because a sync may take seconds; the loop
//! hears of each batch through a channel and a waker.

use crate::daemon::ALREADY_RUNNING;
use crate::daemon::keys;
use crate::daemon::state_file::{Opened, StateFile};
use crate::node::Kept;
use crate::wire::limits::{
    JOURNAL_COMMANDS, JOURNAL_EVENTS, JOURNAL_STRANGERS, KEEP_BATCHES, NODES,
};
use mio::Waker;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a start waits for the daemon before it to end, and how often it looks.
const LOCK_WAIT: Duration = Duration::from_millis(1_000);
const LOCK_AGAIN: Duration = Duration::from_millis(20);
/// How often a write that failed is tried again, and how long the end waits for the last ones.
const WRITE_AGAIN: Duration = Duration::from_secs(10);
const LAST_WRITES: Duration = Duration::from_secs(10);
/// Entries that could not be written and wait to be tried again: all that a full roster and a
/// full journal have.
const UNWRITTEN: usize = 4 * NODES + JOURNAL_EVENTS + JOURNAL_COMMANDS + JOURNAL_STRANGERS;

/// What one batch changes: None removes.
pub type Entries = Vec<(String, Option<Vec<u8>>)>;

/// One batch that is on disk now, or why it is not.
#[derive(Debug, PartialEq)]
pub struct Written {
    pub ticket: u64,
    pub result: Result<(), String>,
}

/// The state directory at start.
pub struct State {
    /// None where nothing can be kept; then the sentence says why.
    file: Result<StateFile, String>,
    directory: PathBuf,
    /// Held for as long as the daemon runs.
    lock: Option<File>,
    pub kept: Kept,
}

/// Seconds since the epoch.
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl State {
    /// An error means that the daemon must not start. A directory that can not be written is
    /// none: the node runs with nothing kept, and says so.
    pub fn open(directory: &Path) -> Result<State, String> {
        let lock = match make_directory(directory).and_then(|()| open_lock(directory)) {
            Ok(lock) => lock,
            Err(e) => return Ok(State::nothing(directory, &e)),
        };
        match lock_patiently(&lock) {
            // For people: the lock counts, not what is in it.
            Ok(()) => drop(lock.set_len(0).and_then(|()| writeln!(&lock, "{}", process::id()))),
            Err(TryLockError::WouldBlock) => return Err(ALREADY_RUNNING.to_string()),
            Err(TryLockError::Error(e)) => return Ok(State::nothing(directory, &e)),
        }
        match StateFile::open(directory, unix_s())? {
            Opened::Kept(file, kept) => {
                let directory = directory.to_path_buf();
                Ok(State { file: Ok(file), directory, lock: Some(lock), kept })
            }
            Opened::NotWritable(e) => {
                Ok(State { lock: Some(lock), ..State::nothing(directory, &e) })
            }
        }
    }

    /// Why nothing is kept, where nothing is.
    pub fn refusal(&self) -> Option<&str> {
        self.file.as_ref().err().map(String::as_str)
    }

    fn nothing(directory: &Path, why: &dyn std::fmt::Display) -> State {
        let path = directory.display();
        let sentence = format!(
            "nothing is kept in {path}: {why}; this node has a new identity each time it \
             starts; -S DIR names another directory"
        );
        log::warn!("{sentence}");
        let kept = Kept { start_counter: unix_s(), ..Kept::default() };
        State { file: Err(sentence), directory: directory.to_path_buf(), lock: None, kept }
    }
}

/// A daustd that was told to stop still says goodbye: `daust stop`, then `daustd -d`, is no error.
fn lock_patiently(lock: &File) -> Result<(), TryLockError> {
    let started = Instant::now();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WAIT => {
                thread::sleep(LOCK_AGAIN);
            }
            result => return result,
        }
    }
}

pub fn make_directory(directory: &Path) -> std::io::Result<()> {
    if !directory.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mode = fs::metadata(directory)?.permissions().mode();
    if mode & 0o022 != 0 {
        let directory = directory.display();
        log::warn!("others may write to the state directory: chmod 700 {directory}");
    }
    Ok(())
}

fn open_lock(directory: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    options.open(directory.join("lock"))
}

/// The writing side of the loop.
pub struct Store {
    /// Batches that were handed over and not answered, and those that failed so far.
    pub waiting: u64,
    pub failed: u64,
    batches: Option<SyncSender<(u64, Entries)>>,
    answers: Sender<Written>,
    written: Receiver<Written>,
    /// Why nothing is kept, where nothing is.
    refusal: String,
    thread: Option<JoinHandle<()>>,
    waker: Arc<Waker>,
    lock: Option<File>,
}

impl Store {
    pub fn start(state: State, waker: Arc<Waker>) -> Result<Store, String> {
        let (answers, written) = channel();
        let mut store = Store {
            waiting: 0,
            failed: 0,
            batches: None,
            answers,
            written,
            refusal: String::new(),
            thread: None,
            waker,
            lock: state.lock,
        };
        match state.file {
            Ok(mut file) => store.start_thread(move |entries| {
                // The key's file first: with newer keys and without it nothing could start.
                let rest = keys::keep_apart(&state.directory, entries)?;
                file.write(&rest)
            })?,
            Err(sentence) => store.refusal = sentence,
        }
        Ok(store)
    }

    fn start_thread(
        &mut self,
        mut write: impl FnMut(&Entries) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let (batches, received) = sync_channel::<(u64, Entries)>(KEEP_BATCHES);
        let (answers, waker) = (self.answers.clone(), self.waker.clone());
        let work = move || {
            let mut unwritten = Unwritten::default();
            loop {
                let next = match unwritten.0.is_empty() {
                    true => received.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    false => received.recv_timeout(WRITE_AGAIN),
                };
                match next {
                    Ok((ticket, entries)) => {
                        let result = unwritten.write(entries, &mut write);
                        let told = answers.send(Written { ticket, result }).is_ok();
                        if !told || waker.wake().is_err() {
                            return;
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if unwritten.write(Vec::new(), &mut write).is_ok() {
                            log::info!("kept what could not be kept before");
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let thread = thread::Builder::new().name("store".to_string()).spawn(work);
        self.thread = Some(thread.map_err(|e| format!("can not start the store's thread: {e}"))?);
        self.batches = Some(batches);
        Ok(())
    }

    /// Never waits. What can not be kept is answered too.
    pub fn keep(&mut self, ticket: u64, entries: Entries) {
        self.waiting += 1;
        let refused = match &self.batches {
            None => self.refusal.clone(),
            Some(batches) => match batches.try_send((ticket, entries)) {
                Ok(()) => return,
                Err(TrySendError::Full(_)) => {
                    format!("the disk is slow: {KEEP_BATCHES} writes are waiting")
                }
                Err(TrySendError::Disconnected(_)) => "the store's thread has ended".to_string(),
            },
        };
        let _ = self.answers.send(Written { ticket, result: Err(refused) });
        let _ = self.waker.wake();
    }

    pub fn take(&mut self) -> Option<Written> {
        let written = self.written.try_recv().ok()?;
        self.waiting -= 1;
        self.failed += u64::from(written.result.is_err());
        Some(written)
    }

    /// Everything asked for is written before this returns, unless the disk hangs. The lock is the
    /// caller's to drop.
    pub fn finish(self) -> Option<File> {
        let Store { batches, answers, written, thread, lock, .. } = self;
        // The thread ends when nobody can ask it any more, and its end hangs up on us.
        drop((batches, answers));
        let end = Instant::now() + LAST_WRITES;
        while thread.is_some() {
            match written.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    log::warn!("the disk is slow: what was not kept by now is not kept");
                    break;
                }
            }
        }
        lock
    }
}

/// What could not be written: it goes with the next write, the latest of each key.
#[derive(Default)]
struct Unwritten(BTreeMap<String, Option<Vec<u8>>>);

impl Unwritten {
    fn write(
        &mut self,
        entries: Entries,
        write: &mut impl FnMut(&Entries) -> Result<(), String>,
    ) -> Result<(), String> {
        let first = self.0.is_empty();
        self.0.extend(entries);
        let all: Entries = std::mem::take(&mut self.0).into_iter().collect();
        let result = write(&all);
        if let Err(e) = &result {
            // Said once: a disk that is full for days would fill the log too.
            if first {
                log::warn!("{e}");
            }
            self.0 = all.into_iter().take(UNWRITTEN).collect();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(poll: &mio::Poll) -> Store {
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let kept = Kept::default();
        let state = State {
            file: Err("nothing is kept".to_string()),
            directory: PathBuf::new(),
            lock: None,
            kept,
        };
        Store::start(state, waker).unwrap()
    }

    fn written(store: &Store) -> Written {
        store.written.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// A disk that hangs holds up nothing: what is too much is refused, and said so.
    #[test]
    fn a_disk_that_hangs() {
        let poll = mio::Poll::new().unwrap();
        let mut store = store(&poll);
        let (go_on, may) = channel::<Result<(), String>>();
        let (arrived, arrives) = channel();
        let write = move |_: &Entries| {
            let _ = arrived.send(());
            may.recv().unwrap_or(Ok(()))
        };
        store.start_thread(write).unwrap();
        store.keep(0, Vec::new());
        arrives.recv().unwrap();
        for ticket in 1..=KEEP_BATCHES as u64 {
            store.keep(ticket, Vec::new());
        }
        assert_eq!(store.take(), None, "all of them wait");
        store.keep(1_000, Vec::new());
        let refused = Err("the disk is slow: 64 writes are waiting".to_string());
        assert_eq!(store.take(), Some(Written { ticket: 1_000, result: refused }));
        let full = Err("no space left".to_string());
        go_on.send(full.clone()).unwrap();
        assert_eq!(written(&store), Written { ticket: 0, result: full });
        drop(go_on);
        for ticket in 1..=KEEP_BATCHES as u64 {
            assert_eq!(written(&store), Written { ticket, result: Ok(()) });
        }
        store.finish();
    }

    /// A disk that was full and has room again: nothing that was asked for is missing.
    #[test]
    fn what_failed_is_written_with_the_next() {
        let entry = |key: &str, value: u8| (key.to_string(), Some(vec![value]));
        let mut unwritten = Unwritten::default();
        let mut full = |_: &Entries| Err("no space left".to_string());
        assert!(unwritten.write(vec![entry("a", 1), entry("b", 1)], &mut full).is_err());
        assert!(unwritten.write(vec![entry("b", 2)], &mut full).is_err());
        let many = (0..2 * UNWRITTEN).map(|n| entry(&format!("c{n}"), 1)).collect();
        assert!(unwritten.write(many, &mut full).is_err());
        assert_eq!(unwritten.0.len(), UNWRITTEN);
        let mut written = Vec::new();
        let mut roomy = |entries: &Entries| {
            written.clone_from(entries);
            Ok(())
        };
        assert!(unwritten.write(vec![entry("a", 3)], &mut roomy).is_ok());
        assert_eq!(written[..2], [entry("a", 3), entry("b", 2)]);
        assert!(unwritten.0.is_empty());
    }

    #[test]
    fn where_nothing_is_kept_that_is_the_answer() {
        let poll = mio::Poll::new().unwrap();
        let mut store = store(&poll);
        store.keep(5, Vec::new());
        let result = Err("nothing is kept".to_string());
        assert_eq!(store.take(), Some(Written { ticket: 5, result }));
    }
}
