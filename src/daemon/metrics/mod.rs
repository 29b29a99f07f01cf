//! Metrics, for Prometheus and its like: a small HTTP server of the loop.
//!
//! It asks the node as a local program does. Who asks nothing in time, or does not read the answer,
//! is dropped; where all places are taken, others wait in the kernel's queue.

mod figures;
mod http;
mod place;
mod process;

pub use figures::Daemon;
pub use place::Place;

use crate::daemon::accept::Gate;
use crate::daemon::store::unix_s;
use crate::daemon::tokens::Source;
use crate::node::{Input, User};
use crate::wire::command::{Command, Rank, Scope};
use crate::wire::control::{Part, Request};
use crate::wire::ids::ClientId;
use crate::wire::info::{NodeInfo, VersionInfo};
use crate::wire::limits::{
    DRAIN_MS, METRICS_ANSWER_MS, METRICS_CLIENTS, METRICS_REQUEST_BYTES, METRICS_REQUEST_MS,
    READS_PER_TURN,
};
use crate::wire::reply::Reply;
use crate::wire::targets;
use crate::wire::time::Time;
use figures::Figures;
use http::{Refusal, Wanted};
use mio::event::Event;
use mio::{Interest, Registry};
use place::{Listener, Socket};
use process::Process;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

/// This server, among the node's clients: those of the control socket are counted from 1.
pub const CLIENT: ClientId = ClientId(0);
/// Bytes read by one call.
const READ_BYTES: usize = 4 << 10;

/// One connection: one question, one answer.
struct Scraper {
    socket: Box<dyn Socket>,
    phase: Phase,
    /// When the phase must be over.
    until: Time,
    readable: bool,
    writable: bool,
}

enum Phase {
    /// The question, as far as it came.
    Asking(Vec<u8>),
    /// For the node.
    Waiting(Box<Gathered>),
    /// As much of it as the kernel took is written.
    Answering { bytes: Vec<u8>, written: usize },
    /// All is written; the other end is to close first, so that nothing of it gets lost.
    Ending,
}

/// What the node said so far.
struct Gathered {
    wanted: Wanted,
    /// Commands that are not answered.
    open: usize,
    nodes: Vec<NodeInfo>,
    stale: bool,
    version: VersionInfo,
    failure: Option<String>,
}

impl Gathered {
    fn take(&mut self, part: Part) {
        self.open = self.open.saturating_sub(part.done.into());
        match part.reply {
            Reply::Nodes { nodes, stale_ms } => {
                self.nodes.extend(nodes);
                self.stale |= stale_ms.is_some();
            }
            Reply::Version(version) => self.version = version,
            Reply::Error(failure) => self.failure = Some(failure.detail),
            _ => {}
        }
    }

    fn answer(self, daemon: &Daemon) -> Vec<u8> {
        if let Some(sentence) = self.failure {
            return http::refusal(&Refusal("503 Service Unavailable", sentence));
        }
        let text = match self.wanted {
            Wanted::Targets(port) => format!("{:#}\n", targets::prometheus(&self.nodes, port)),
            Wanted::Metrics(format) => {
                let Gathered { nodes, stale, version, .. } = self;
                let (daemon, process) = (daemon.clone(), Process::read());
                Figures { nodes, stale, version, daemon, process }.text(format)
            }
        };
        http::answer("200 OK", self.wanted.content_type(), &text)
    }
}

impl Scraper {
    /// Whether a read may give something that is wanted.
    fn active(&self) -> bool {
        self.readable && matches!(self.phase, Phase::Asking(_) | Phase::Ending)
    }

    /// Reads a share; true when the other end is gone.
    fn read(&mut self) -> bool {
        let mut buffer = [0; READ_BYTES];
        match self.socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(length) => {
                if let Phase::Asking(bytes) = &mut self.phase {
                    // One byte over the limit is enough to see that.
                    let room = METRICS_REQUEST_BYTES + 1 - bytes.len();
                    bytes.extend(&buffer[..length.min(room)]);
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
        false
    }

    /// The question once it is whole.
    fn question(&self) -> Result<Option<Wanted>, Refusal> {
        match &self.phase {
            Phase::Asking(bytes) => http::read(bytes),
            _ => Ok(None),
        }
    }

    fn say(&mut self, now: Time, bytes: Vec<u8>) {
        self.phase = Phase::Answering { bytes, written: 0 };
        self.until = now.plus_ms(METRICS_ANSWER_MS);
    }

    /// Writes what the kernel takes.
    fn flush(&mut self, now: Time) -> io::Result<()> {
        let Phase::Answering { bytes, written } = &mut self.phase else { return Ok(()) };
        while self.writable && *written < bytes.len() {
            match self.socket.write(&bytes[*written..]) {
                Ok(length) => *written += length,
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if *written == bytes.len() {
            self.socket.end();
            self.phase = Phase::Ending;
            self.until = now.plus_ms(DRAIN_MS);
        }
        Ok(())
    }
}

pub struct Metrics {
    registry: Registry,
    listener: Listener,
    gate: Gate,
    scrapers: BTreeMap<u64, Scraper>,
    next: u64,
    started: Time,
    started_unix_s: u64,
}

impl Metrics {
    pub fn listen(registry: Registry, place: &Place, now: Time) -> Result<Metrics, String> {
        let mut listener = place.listen()?;
        registry
            .register(listener.source(), Source::MetricsListener.token(), Interest::READABLE)
            .map_err(|e| format!("can not wait for who asks for metrics: {e}"))?;
        log::info!("metrics on {place}");
        Ok(Metrics {
            registry,
            listener,
            gate: Gate::default(),
            scrapers: BTreeMap::new(),
            next: 1,
            started: now,
            started_unix_s: unix_s(),
        })
    }

    pub fn on_listener(&mut self) {
        self.gate.on_event();
    }

    pub fn on_event(&mut self, id: u64, event: &Event) {
        if let Some(scraper) = self.scrapers.get_mut(&id) {
            // An error or a hang-up shows itself in the next read or write.
            let ends = event.is_read_closed() || event.is_error();
            scraper.readable |= event.is_readable() || ends;
            scraper.writable |= event.is_writable() || event.is_error();
        }
    }

    /// Whether there is something to do without waiting for the kernel.
    pub fn more(&self) -> bool {
        self.has_room() && self.gate.more() || self.scrapers.values().any(Scraper::active)
    }

    fn has_room(&self) -> bool {
        self.scrapers.len() < METRICS_CLIENTS
    }

    pub fn deadline(&self) -> Option<Time> {
        let ends = self.scrapers.values().map(|scraper| scraper.until);
        ends.chain(self.gate.deadline().filter(|_| self.has_room())).min()
    }

    /// One turn: drops who is late, hands on what was asked, accepts.
    pub fn turn(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        self.remove_if(|scraper| scraper.until <= now);
        let active = self.scrapers.iter().filter(|(_, scraper)| scraper.active());
        for id in active.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.read(now, id, feed);
        }
        for _ in 0..READS_PER_TURN {
            if !self.has_room() || !self.gate.open(now) {
                return;
            }
            if let Some(socket) = self.gate.accepted(now, self.listener.accept()) {
                self.admit(now, socket);
            }
        }
    }

    fn admit(&mut self, now: Time, mut socket: Box<dyn Socket>) {
        let id = self.next;
        self.next += 1;
        let interests = Interest::READABLE | Interest::WRITABLE;
        let token = Source::Scraper(id).token();
        if let Err(e) = self.registry.register(&mut *socket, token, interests) {
            return log::warn!("metrics: a connection is not served: {e}");
        }
        let (phase, until) = (Phase::Asking(Vec::new()), now.plus_ms(METRICS_REQUEST_MS));
        let scraper = Scraper { socket, phase, until, readable: true, writable: true };
        self.scrapers.insert(id, scraper);
    }

    fn read(&mut self, now: Time, id: u64, feed: &mut dyn FnMut(Input)) {
        let Some(scraper) = self.scrapers.get_mut(&id) else { return };
        if scraper.read() {
            return self.remove(id);
        }
        match scraper.question() {
            Ok(None) => {}
            Ok(Some(wanted)) => {
                let commands = match wanted {
                    Wanted::Targets(_) => vec![Command::List],
                    Wanted::Metrics(_) => vec![Command::List, Command::Version],
                };
                let gathered = Gathered {
                    wanted,
                    open: commands.len(),
                    nodes: Vec::new(),
                    stale: false,
                    version: VersionInfo::default(),
                    failure: None,
                };
                scraper.phase = Phase::Waiting(Box::new(gathered));
                commands.into_iter().for_each(|command| feed(ask(id, command)));
            }
            Err(refusal) => scraper.say(now, http::refusal(&refusal)),
        }
    }

    /// A part of what the node answers.
    pub fn take(&mut self, part: Part) {
        let scraper = self.scrapers.get_mut(&part.number);
        if let Some(Phase::Waiting(gathered)) = scraper.map(|scraper| &mut scraper.phase) {
            gathered.take(part);
        }
    }

    /// Whether somebody waits for an answer that is complete but for the daemon's own figures.
    pub fn wants_figures(&self) -> bool {
        self.scrapers.values().any(|scraper| is_complete(&scraper.phase))
    }

    pub fn answer(&mut self, now: Time, daemon: Daemon) {
        let uptime_s = now.us_since(self.started) as f64 / 1e6;
        let daemon = Daemon { uptime_s, started_unix_s: self.started_unix_s, ..daemon };
        for scraper in self.scrapers.values_mut().filter(|one| is_complete(&one.phase)) {
            if let Phase::Waiting(gathered) = std::mem::replace(&mut scraper.phase, Phase::Ending) {
                scraper.say(now, gathered.answer(&daemon));
            }
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self, now: Time) {
        let failed = |(id, scraper): (&u64, &mut Scraper)| scraper.flush(now).err().map(|_| *id);
        let failed: Vec<u64> = self.scrapers.iter_mut().filter_map(failed).collect();
        failed.into_iter().for_each(|id| self.remove(id));
    }

    fn remove_if(&mut self, over: impl Fn(&Scraper) -> bool) {
        let over = self.scrapers.iter().filter(|(_, scraper)| over(scraper)).map(|(id, _)| *id);
        over.collect::<Vec<_>>().into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: u64) {
        if let Some(mut scraper) = self.scrapers.remove(&id) {
            let _ = self.registry.deregister(&mut *scraper.socket);
        }
    }
}

fn is_complete(phase: &Phase) -> bool {
    matches!(phase, Phase::Waiting(gathered) if gathered.open == 0)
}

/// As somebody who may look and change nothing.
fn ask<'a>(number: u64, command: Command) -> Input<'a> {
    let user = User { uid: u32::MAX, name: "metrics".to_string(), may: Rank::Read };
    let request = Request { number, scope: Scope::Here, command, timeout_ms: 0 };
    Input::Request { client: CLIENT, user, request }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
