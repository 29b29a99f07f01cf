//! Asks the daemon again and again, and goes on when it comes back.

use crate::cli::screen::unix_s;
use crate::cli::top::view::View;
use crate::client::answers::Gathering;
use crate::client::{Connection, Error};
use crate::wire::command::{Command, Scope};
use crate::wire::info::NodeInfo;
use crate::wire::reply::{ErrorCode, Reply};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// After this long without an answer the view says so.
const SILENT: Duration = Duration::from_secs(3);

pub struct Feed {
    path: PathBuf,
    daemon: Option<Daemon>,
}

struct Daemon {
    connection: Connection,
    /// Asked, and not answered: since when.
    open: Option<(Instant, [Gathering; 2])>,
    nodes: Vec<NodeInfo>,
    stale_ms: Option<u64>,
    herd: String,
}

impl Feed {
    pub fn new(path: PathBuf) -> Feed {
        Feed { path, daemon: None }
    }

    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.daemon.as_ref().map(|daemon| daemon.connection.as_fd())
    }

    /// Asks, unless an answer is still to come.
    pub fn ask(&mut self, view: &mut View) {
        let asked = match &mut self.daemon {
            Some(daemon) => daemon.ask(view),
            None => Connection::open(&self.path).and_then(|connection| {
                let (nodes, herd) = (Vec::new(), String::new());
                let daemon = Daemon { connection, open: None, nodes, stale_ms: None, herd };
                self.daemon.insert(daemon).ask(view)
            }),
        };
        self.note(asked, view);
    }

    pub fn read(&mut self, view: &mut View) {
        if let Some(daemon) = &mut self.daemon {
            let read = daemon.read(view);
            self.note(read, view);
        }
    }

    fn note(&mut self, outcome: Result<(), Error>, view: &mut View) {
        if let Err(error) = outcome {
            self.daemon = None;
            view.trouble(&error.to_string());
        }
    }
}

impl Daemon {
    fn ask(&mut self, view: &mut View) -> Result<(), Error> {
        if let Some((since, _)) = &self.open {
            if since.elapsed() > SILENT {
                view.trouble(&format!("it said nothing for {} s", since.elapsed().as_secs()));
            }
            return Ok(());
        }
        let list = self.connection.send(Scope::Here, Command::List, 0)?;
        let keys = self.connection.send(Scope::Here, Command::Keys, 0)?;
        self.open = Some((Instant::now(), [Gathering::new(list), Gathering::new(keys)]));
        Ok(())
    }

    /// Takes what came, without waiting. The keys are asked for last: with them all is there.
    fn read(&mut self, view: &mut View) -> Result<(), Error> {
        while let Some(part) = self.connection.next(Some(Duration::ZERO))? {
            let Some((_, gatherings)) = &mut self.open else { continue };
            let (mut complete, done) = (Vec::new(), part.done);
            for gathering in gatherings {
                complete.extend(gathering.take(part.clone(), 0));
            }
            for reply in complete.into_iter().flat_map(|answer| answer.replies) {
                self.take(reply)?;
            }
            if done && !self.herd.is_empty() {
                let nodes = std::mem::take(&mut self.nodes);
                view.set(nodes, self.stale_ms.take(), std::mem::take(&mut self.herd));
                view.told_unix_s = unix_s();
                self.open = None;
            }
        }
        Ok(())
    }

    fn take(&mut self, reply: Reply) -> Result<(), Error> {
        match reply {
            Reply::Nodes { nodes, stale_ms } => {
                self.nodes.extend(nodes);
                self.stale_ms = self.stale_ms.or(stale_ms);
            }
            Reply::Keys(keys) => {
                let newest = keys.first().map(|key| format!("keyed, {}", key.fingerprint));
                self.herd = newest.unwrap_or_else(|| "open".to_string());
            }
            Reply::Error(failure) if failure.code == ErrorCode::Stopping => {
                return Err(Error::Refused(failure));
            }
            _ => self.herd = "?".to_string(),
        }
        Ok(())
    }
}
