//! Where log lines end up. Lives on the log's own thread, so it may wait.

use crate::daemon::logging::{Line, Target};
use crate::wire::time::utc;
use log::Level;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// First and longest pause before syslog is tried again.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

pub struct Sink {
    place: Place,
    /// Lines that could not be written, not told yet.
    lost: u64,
}

enum Place {
    StandardError,
    File(File),
    Syslog(Syslog),
}

impl Sink {
    pub fn open(target: &Target) -> Result<Sink, String> {
        let place = match target {
            Target::StandardError => Place::StandardError,
            Target::File(path) => Place::File(
                open_file(path)
                    .map_err(|e| format!("can not open the log file {}: {e}", path.display()))?,
            ),
            Target::Syslog => Place::Syslog(Syslog::default()),
        };
        Ok(Sink { place, lost: 0 })
    }

    /// After a rotation: the path again, whatever it is now, or another. Where that fails the log
    /// stays where it was.
    pub fn reopen(&mut self, target: &Target) -> Result<(), String> {
        self.place = Sink::open(target)?.place;
        Ok(())
    }

    /// Writes a line, after a line about those that were lost: `lost` before they came here, others
    /// because the disk was full or syslog away.
    pub fn write(&mut self, line: &Line, lost: u64) {
        self.lost += lost;
        let written = match &mut self.place {
            Place::StandardError => write_line(&mut std::io::stderr(), line, self.lost).is_ok(),
            Place::File(file) => write_line(file, line, self.lost).is_ok(),
            Place::Syslog(syslog) => syslog.write(line, self.lost),
        };
        self.lost = if written { 0 } else { self.lost + 1 };
    }
}

/// Without waiting: a pipe that nobody reads is an error and no hang.
fn open_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(nix::libc::O_NONBLOCK);
    options.open(path)
}

fn write_line(out: &mut impl Write, line: &Line, lost: u64) -> std::io::Result<()> {
    let mut text = String::new();
    if lost > 0 {
        text.push_str(&format!("{} warn  log: {lost} lines were lost\n", utc(line.unix_s)));
    }
    let level = line.level.as_str().to_lowercase();
    text.push_str(&format!("{} {level:5} {}: {}\n", utc(line.unix_s), line.subject, line.text));
    out.write_all(text.as_bytes())
}

/// Syslog that survives its daemon's restart, which the crate does not: a failed write drops the
/// connection, the next line after a pause opens it again, and what was lost is counted.
#[derive(Default)]
pub struct Syslog {
    logger: Option<Logger<LoggerBackend, Formatter3164>>,
    /// Not before then, and the pause that led there.
    again: Option<(Instant, Duration)>,
}

impl Syslog {
    fn write(&mut self, line: &Line, lost: u64) -> bool {
        self.connect();
        (lost == 0 || self.send(Level::Warn, &format!("log: {lost} lines were lost")))
            && self.send(line.level, &format!("{}: {}", line.subject, line.text))
    }

    fn connect(&mut self) {
        if self.logger.is_some() || self.again.is_some_and(|(when, _)| Instant::now() < when) {
            return;
        }
        let formatter = Formatter3164 {
            facility: Facility::LOG_DAEMON,
            hostname: None,
            process: "daustd".to_string(),
            pid: std::process::id(),
        };
        match syslog::unix(formatter) {
            Ok(logger) => (self.logger, self.again) = (Some(logger), None),
            Err(_) => self.pause(),
        }
    }

    fn pause(&mut self) {
        let pause = self.again.map_or(PAUSE, |(_, last)| (last * 2).min(PAUSE_MAX));
        self.again = Some((Instant::now() + pause, pause));
    }

    fn send(&mut self, level: Level, text: &str) -> bool {
        let Some(logger) = &mut self.logger else { return false };
        let sent = match level {
            Level::Error => logger.err(text),
            Level::Warn => logger.warning(text),
            Level::Info => logger.info(text),
            Level::Debug | Level::Trace => logger.debug(text),
        };
        if sent.is_err() {
            self.logger = None;
            self.pause();
        }
        sent.is_ok()
    }
}

/// Whether there is a syslog to write to now, so that a detaching daemon can say that there is none.
pub fn syslog_listens() -> bool {
    let formatter = Formatter3164 { hostname: None, ..Formatter3164::default() };
    syslog::unix(formatter).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_at_their_edges() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(utc(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    /// The device that is always full.
    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let path = std::env::temp_dir().join(format!("herd-sink-{}", std::process::id()));
        let line = |text: &str| Line {
            unix_s: 0,
            level: Level::Info,
            subject: "udp".to_string(),
            text: text.to_string(),
        };
        let mut sink = Sink::open(&Target::File("/dev/full".into())).unwrap();
        sink.write(&line("one"), 0);
        sink.write(&line("two"), 3);
        sink.reopen(&Target::File("/nonexistent/log".into())).unwrap_err();
        assert_eq!(sink.lost, 5);
        sink.reopen(&Target::File(path.clone())).unwrap();
        sink.write(&line("three"), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("5 lines were lost") && text.contains("three"), "{text}");
        assert_eq!(sink.lost, 0);
    }

    #[test]
    fn a_line_says_when_how_bad_and_who() {
        let line = Line {
            unix_s: 0,
            level: Level::Info,
            subject: "udp".to_string(),
            text: "bound".to_string(),
        };
        let mut out = Vec::new();
        write_line(&mut out, &line, 2).unwrap();
        let expected = "1970-01-01T00:00:00Z warn  log: 2 lines were lost\n\
             1970-01-01T00:00:00Z info  udp: bound\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
