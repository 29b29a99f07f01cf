//! The log: standard error, a file, or syslog, written by a thread of its own so that a stuck
//! disk or terminal never holds up a heartbeat.
//!
//! Text that comes from outside can neither flood the log (each subject has a limit in a window
//! of time, and what was left out is counted) nor forge lines (control characters are escaped).

use crate::daemon::log_sink::Sink;
use crate::wire::limits::{LOG_DEBUG_LINES, LOG_LINE_BYTES, LOG_LINES, LOG_QUEUE, LOG_WINDOW_MS};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the log goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    StandardError,
    File(PathBuf),
    Syslog,
}

/// One line, made where it was logged.
pub struct Line {
    pub unix_s: u64,
    pub level: Level,
    /// The part of the daemon that speaks, as in `udp: ...`.
    pub subject: String,
    pub text: String,
}

enum Order {
    Write(Line),
    Reopen(Target),
    /// Say so when everything before is written.
    Flush(SyncSender<()>),
}

/// How long the end of the program waits for its last lines.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// The front: called from any thread, never waits.
struct Front {
    orders: SyncSender<Order>,
    quotas: Mutex<Quotas>,
    started: Instant,
}

/// Lines that found the queue full.
static LOST: AtomicU64 = AtomicU64::new(0);

/// What may be asked of the running log.
#[derive(Clone)]
pub struct Handle(SyncSender<Order>);

/// Opens the log and makes it the one that `log::info!` and its kin write to.
pub fn start(target: Target, verbose: usize) -> Result<Handle, String> {
    let sink = Sink::open(&target)?;
    let (orders, received) = sync_channel(LOG_QUEUE);
    thread::Builder::new()
        .name("log".to_string())
        .spawn(move || write_all(&received, sink))
        .map_err(|e| format!("can not start the thread that writes the log: {e}"))?;
    let front = Front {
        orders: orders.clone(),
        quotas: Mutex::new(Quotas::default()),
        started: Instant::now(),
    };
    log::set_boxed_logger(Box::new(front)).map_err(|e| e.to_string())?;
    log::set_max_level(match verbose {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
    std::panic::set_hook(Box::new(|panic| {
        log::error!("this is a fault of daustd: {panic}");
        log::logger().flush();
    }));
    Ok(Handle(orders))
}

impl Handle {
    pub fn reopen(&self, target: Target) {
        let _ = self.0.try_send(Order::Reopen(target));
    }

    /// Waits until the lines so far are written, but not for ever.
    pub fn flush(&self) {
        let (sender, written) = sync_channel(1);
        if self.0.try_send(Order::Flush(sender)).is_ok() {
            let _ = written.recv_timeout(FLUSH_WAIT);
        }
    }
}

impl Log for Front {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        // Libraries speak of their own affairs; what matters of them is in our own lines.
        if !record.module_path().is_some_and(|path| path.starts_with("herd")) {
            return;
        }
        let subject = record.target().rsplit("::").next().unwrap_or_default();
        let now_ms = self.started.elapsed().as_millis() as u64;
        let Ok(mut quotas) = self.quotas.lock() else { return };
        let allowed = quotas.allow(subject, record.level(), now_ms);
        let suppressed = quotas.suppressed();
        drop(quotas);
        for (subject, lines) in suppressed {
            self.write(Level::Warn, &subject, format_args!("{lines} more lines were left out"));
        }
        if allowed {
            self.write(record.level(), subject, *record.args());
        }
    }

    fn flush(&self) {
        Handle(self.orders.clone()).flush();
    }
}

impl Front {
    fn write(&self, level: Level, subject: &str, text: std::fmt::Arguments) {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let line = Line { unix_s, level, subject: subject.to_string(), text: one_line(text) };
        if self.orders.try_send(Order::Write(line)).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The writing thread. Between lines it says how many were lost before it.
fn write_all(orders: &Receiver<Order>, mut sink: Sink) {
    loop {
        match orders.recv_timeout(Duration::from_millis(LOG_WINDOW_MS)) {
            Ok(Order::Write(line)) => sink.write(&line, LOST.swap(0, Ordering::Relaxed)),
            Ok(Order::Reopen(target)) => {
                if let Err(e) = sink.reopen(&target) {
                    log::error!("{e}; the log stays where it was");
                }
            }
            Ok(Order::Flush(done)) => {
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The text as one line of printable characters, at most [`LOG_LINE_BYTES`] long.
fn one_line(text: std::fmt::Arguments) -> String {
    let mut line = String::new();
    for c in text.to_string().chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() >= LOG_LINE_BYTES {
            line.push_str(" (longer than a log line)");
            break;
        }
    }
    line
}

/// How many lines each subject wrote in the current window. Subjects are names of modules, so
/// their number is that of the program's own files.
#[derive(Default)]
struct Quotas {
    window: u64,
    written: BTreeMap<(String, bool), u32>,
    left_out: BTreeMap<String, u64>,
    last_left_out: Vec<(String, u64)>,
}

impl Quotas {
    fn allow(&mut self, subject: &str, level: Level, now_ms: u64) -> bool {
        let window = now_ms / LOG_WINDOW_MS;
        if window != self.window {
            self.window = window;
            self.written.clear();
            self.last_left_out.extend(std::mem::take(&mut self.left_out));
        }
        let debug = level > Level::Info;
        let written = self.written.entry((subject.to_string(), debug)).or_default();
        *written += 1;
        let allowed = *written <= if debug { LOG_DEBUG_LINES } else { LOG_LINES };
        if !allowed {
            *self.left_out.entry(subject.to_string()).or_default() += 1;
        }
        allowed
    }

    /// What earlier windows left out, once.
    fn suppressed(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.last_left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_forges_no_line() {
        let name = "x\n2026 daustd: all is well\u{1b}[2J";
        assert_eq!(
            one_line(format_args!("hello from {name}")),
            "hello from x\\n2026 daustd: all is well\\u{1b}[2J"
        );
        assert!(one_line(format_args!("{}", "x".repeat(1 << 20))).len() < LOG_LINE_BYTES + 100);
    }

    #[test]
    fn a_subject_that_floods_is_counted_and_the_others_speak_on() {
        let mut quotas = Quotas::default();
        for line in 0..LOG_LINES + 7 {
            assert_eq!(quotas.allow("udp", Level::Warn, 5), line < LOG_LINES);
        }
        assert!(quotas.allow("streams", Level::Warn, 5));
        for line in 0..LOG_DEBUG_LINES + 1 {
            assert_eq!(quotas.allow("links", Level::Debug, 5), line < LOG_DEBUG_LINES);
        }
        assert!(quotas.allow("udp", Level::Debug, 5), "debug lines have their own limit");
        assert!(quotas.suppressed().is_empty(), "said once, when the window is over");
        assert!(quotas.allow("udp", Level::Warn, LOG_WINDOW_MS));
        assert_eq!(quotas.suppressed(), [("links".to_string(), 1), ("udp".to_string(), 7)]);
        assert!(quotas.suppressed().is_empty());
    }

    /// A terminal or disk that hangs: nobody waits, and what was lost is counted.
    #[test]
    fn lines_that_find_the_queue_full_are_counted() {
        let (orders, received) = sync_channel(LOG_QUEUE);
        let quotas = Mutex::new(Quotas::default());
        let front = Front { orders, quotas, started: Instant::now() };
        for line in 0..LOG_QUEUE + 3 {
            front.write(Level::Info, "udp", format_args!("{line}"));
        }
        assert_eq!(LOST.swap(0, Ordering::Relaxed), 3);
        let Ok(Order::Write(first)) = received.recv() else { panic!("no line") };
        assert_eq!(first.text, "0");
        front.write(Level::Info, "udp", format_args!("fits again"));
        assert_eq!(LOST.swap(0, Ordering::Relaxed), 0);
    }
}
