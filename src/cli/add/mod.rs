//! `daust add` and `daust remove`: other machines, several at once, by the person's own ssh.
//!
//! Each host is one conversation (`steps`) with a script there that undoes what it did unless it is
//! told to keep it: so nothing is left half done, however this program ends.

mod host;
mod local;
mod ssh;
mod steps;

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::cli::startup;
use crate::client::json;
use crate::client::render::escape;
use host::Host;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use local::{Local, Programs};
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use steps::{Outcome, Work};

/// Hosts that are worked on at once.
const AT_ONCE: usize = 8;
/// How often what turns beside a step is drawn.
const TURN: Duration = Duration::from_millis(120);

enum Event {
    Step(String),
    End(Result<Outcome, String>),
}

/// Gives the exit status.
pub fn add(words: &[String], options: &Options, screen: &mut Screen) -> i32 {
    let ready = hosts("add", words).and_then(|hosts| {
        let started = startup::ensure(options)?;
        Ok((hosts, started, Local::look(options)?, Programs::own()?))
    });
    let (hosts, started, local, own) = match ready {
        Ok(ready) => ready,
        Err(why) => {
            screen.fail("refused", &why);
            return screen.status();
        }
    };
    if started == startup::STARTED {
        screen.tell(started);
    }
    let (mode, builds) = (mode(options), options.builds.as_deref());
    let work = Work { local: &local, mode, builds, own: Arc::new(own) };
    each(&hosts, screen, "added", |host, tell| steps::add(host, &work, tell))
}

pub fn remove(words: &[String], options: &Options, screen: &mut Screen) -> i32 {
    let hosts = match hosts("remove", words) {
        Ok(hosts) => hosts,
        Err(why) => {
            screen.fail("invalid", &why);
            return screen.status();
        }
    };
    // Where no node runs there is none that could forget.
    let local = Local::look(options).ok();
    let mode = mode(options);
    each(&hosts, screen, "removed", |host, tell| steps::remove(host, mode, local.as_ref(), tell))
}

fn mode(options: &Options) -> &'static str {
    if options.user { "user" } else { "system" }
}

fn hosts(verb: &str, words: &[String]) -> Result<Vec<Host>, String> {
    if words.is_empty() {
        return Err(format!("`{verb}` wants one HOST at least: [USER@]HOST[:PORT]"));
    }
    let mut hosts: Vec<Host> = Vec::new();
    for word in words {
        let host: Host = word.parse()?;
        if hosts.contains(&host) {
            return Err(format!("{host} is named twice"));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

type Step<'a> = dyn Fn(&Host, steps::Tell) -> Result<Outcome, String> + Sync + 'a;

/// Does it on all hosts, some at once, and shows what comes of it; gives the exit status.
fn each(
    hosts: &[Host],
    screen: &mut Screen,
    done: &str,
    step: impl Fn(&Host, steps::Tell) -> Result<Outcome, String> + Sync,
) -> i32 {
    let waiting = Mutex::new(hosts.iter());
    let (events, heard) = channel();
    let mut lines = Lines::new(screen.terminal);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(hosts.len()) {
            let (events, waiting, step) = (events.clone(), &waiting, &step);
            scope.spawn(move || work(waiting, step, &events));
        }
        drop(events);
        for (host, event) in heard {
            match event {
                Event::Step(text) => lines.tell(&host, &text, screen),
                Event::End(end) => {
                    lines.end(&host);
                    lines.apart(|| show(&host, &end, done, screen));
                }
            }
        }
    });
    screen.status()
}

fn work(waiting: &Mutex<std::slice::Iter<Host>>, step: &Step, events: &Sender<(String, Event)>) {
    // The lock is let go before the work begins.
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    while let Some(host) = next() {
        let tell = |event| drop(events.send((host.to_string(), event)));
        let end = step(host, &|text| tell(Event::Step(text.to_string())));
        tell(Event::End(end));
    }
}

fn show(host: &str, end: &Result<Outcome, String>, done: &str, screen: &mut Screen) {
    let outcome = match end {
        Ok(outcome) => outcome,
        Err(why) => return screen.fail("failed", &format!("{host}: {why}")),
    };
    let name = escape(&outcome.name);
    let line = match (done, outcome.changed) {
        _ if screen.json => json::host_line(done, host, &outcome.name, outcome.id, outcome.changed),
        ("added", true) => format!("{host}: {name} is a member now\n"),
        ("added", false) => format!("{host}: {name} is a member already, nothing is changed\n"),
        _ if name.is_empty() => format!("{host}: removed, no daustd ran there\n"),
        _ => format!("{host}: {name} is removed and forgotten\n"),
    };
    screen.result(&line);
}

/// How far each host is: on a terminal one line each that changes, else a line a step.
struct Lines {
    screen: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
}

impl Lines {
    fn new(terminal: bool) -> Lines {
        let target = ProgressDrawTarget::stderr();
        let terminal = terminal && !target.is_hidden();
        let screen = terminal.then(|| MultiProgress::with_draw_target(target));
        Lines { screen, bars: BTreeMap::new() }
    }

    fn tell(&mut self, host: &str, text: &str, out: &mut Screen) {
        let Some(screen) = &self.screen else {
            return out.tell(&format!("{host}: {text}"));
        };
        let bar = self.bars.entry(host.to_string()).or_insert_with(|| {
            let bar = screen.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(host.to_string());
            bar.enable_steady_tick(TURN);
            bar
        });
        bar.set_message(text.to_string());
    }

    fn end(&mut self, host: &str) {
        if let Some(bar) = self.bars.remove(host) {
            bar.finish_and_clear();
        }
    }

    /// Something else is written above the lines.
    fn apart(&self, write: impl FnOnce()) {
        match &self.screen {
            Some(screen) => screen.suspend(write),
            None => write(),
        }
    }
}
