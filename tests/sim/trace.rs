//! What happened, for people: the last lines of this thread's run, kept only while replaying.

use herd::wire::codec;
use herd::wire::header::{Header, Kind};
use herd::wire::message::{Body, Envelope};
use herd::wire::seal::NONCE_BYTES;
use std::cell::RefCell;
use std::collections::VecDeque;

const LINES: usize = 400;

thread_local! {
    static RING: RefCell<Option<VecDeque<String>>> = const { RefCell::new(None) };
    static NOW_US: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

pub fn start() {
    RING.with(|ring| *ring.borrow_mut() = Some(VecDeque::new()));
}

/// Ends tracing and gives back the lines.
pub fn take() -> Vec<String> {
    RING.with(|ring| ring.borrow_mut().take().unwrap_or_default().into())
}

pub fn is_on() -> bool {
    RING.with(|ring| ring.borrow().is_some())
}

pub fn set_now(now_us: u64) {
    NOW_US.set(now_us);
}

pub fn line(text: impl FnOnce() -> String) {
    RING.with(|ring| {
        if let Some(lines) = ring.borrow_mut().as_mut() {
            let now_us = NOW_US.get();
            let line = format!("{:>5}.{:06} {}", now_us / 1_000_000, now_us % 1_000_000, text());
            if std::env::var_os("SIM_TRACE").is_some() {
                eprintln!("{line}");
                return;
            }
            lines.push_back(line);
            if lines.len() > LINES {
                lines.pop_front();
            }
        }
    });
}

/// What a datagram is, as far as can be seen; the fast suite hides nothing.
pub fn packet(bytes: &[u8]) -> String {
    let Ok((header, rest)) = Header::parse(bytes) else { return format!("{} bytes", bytes.len()) };
    let (sender, destination) = (header.sender.short(), header.destination.short());
    let body = rest.get(NONCE_BYTES..).and_then(|plain| codec::decode::<Envelope>(plain).ok());
    let body = body.filter(|_| header.kind == Kind::Sealed);
    let inside = body.map(|body| match (body.number, Body::decode(body.number, &body.body)) {
        (1, _) => format!("Swim {:02x?}", &body.body[..body.body.len().min(16)]),
        (_, Some(Ok(body))) => format!("{body:?}").chars().take(120).collect(),
        (number, _) => format!("body {number}"),
    });
    let kind = inside.unwrap_or(format!("{:?}", header.kind));
    format!("{sender}>{destination} {} bytes {kind}", bytes.len())
}

/// What the core logs goes into the trace.
struct CoreLog;

impl log::Log for CoreLog {
    fn enabled(&self, _: &log::Metadata) -> bool {
        is_on()
    }

    fn log(&self, record: &log::Record) {
        line(|| format!("      log {} {}: {}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}

pub fn install_log() {
    static LOG: CoreLog = CoreLog;
    // A second call finds the logger in place: no harm.
    let _ = log::set_logger(&LOG);
    log::set_max_level(log::LevelFilter::Trace);
}

/// A running hash over everything a run puts out: equal seeds, equal hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Hash(u64);

impl Hash {
    pub fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
