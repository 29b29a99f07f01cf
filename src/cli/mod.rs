//! `daust`: what a person types, what is printed where, and the exit status.
//!
//! Asking and rendering are [`client`](crate::client)'s; here is only what a person needs:
//! options, help, what is shown when.

mod add;
mod adopt;
mod daustify;
mod doctor;
mod help;
mod inventory;
mod key;
mod nc;
mod options;
mod past;
mod programs;
mod screen;
mod show;
mod ssh;
mod startup;
mod top;
mod watch;

use crate::client::words::{self, Asked};
use crate::client::{Connection, Error, ask, json, path};
use crate::wire::command::{Command, Scope};
use crate::wire::limits::GOODBYE_MS;
use options::{Options, Request};
use screen::Screen;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// All asked nodes answered well.
const WELL: i32 = 0;
/// Some failed or did not answer; each is named on standard error.
const FAILED: i32 = 1;
/// The words or options make no sense; the usage follows.
const WRONG_WORDS: i32 = 2;
/// The local daemon cannot be reached.
const NO_DAEMON: i32 = 3;

/// What to do with the line that `daust token` prints.
const NEXT_TO_A_TOKEN: &str = "It lets one machine in, within ten minutes. Type `daustd --join -` \
                               there, then this line; should that machine reach this node by \
                               another address, write that behind the @.";

/// Runs the command line; gives the exit status.
pub fn main(arguments: Vec<String>) -> i32 {
    let typed = arguments.first().map(Path::new).and_then(Path::file_name);
    let words = arguments.get(1..).unwrap_or_default();
    if typed == Some(OsStr::new("daustify")) {
        return daustify::main(words);
    }
    run(words, typed == Some(OsStr::new("herd")), &mut Screen::standard())
}

/// `herd` is a further name of `daust`, with a meaning of its own where no word follows.
fn run(arguments: &[String], is_herd: bool, screen: &mut Screen) -> i32 {
    let request = match options::parse(arguments) {
        Ok(request) => request,
        Err(why) => return wrong_words(screen, &why),
    };
    match request {
        Request::Help => print(screen, &help::full()),
        Request::Version => print(screen, &help::version()),
        Request::Nothing(options) if is_herd => {
            screen.json = options.json;
            screen.verbose = options.verbose;
            startup::run(&[], &options, screen)
        }
        Request::Nothing(_) => {
            screen.tell(help::full().trim_end());
            WRONG_WORDS
        }
        Request::Ask { options, words, verbatim } => {
            screen.json = options.json;
            screen.verbose = options.verbose;
            if let Some(status) = local(&[&words[..], &verbatim].concat(), &options, screen) {
                return status;
            }
            match words::parse(&words, &verbatim) {
                Ok(asked) => answer(&asked, &options, screen),
                Err(why) => wrong_words(screen, &why),
            }
        }
    }
}

/// What no daemon is asked for; None: what the words say is for one.
fn local(words: &[String], options: &Options, screen: &mut Screen) -> Option<i32> {
    match words.first()?.as_str() {
        "key" => key::run(words, screen),
        "add" => Some(add::add(&words[1..], options, screen)),
        "remove" => Some(add::remove(&words[1..], options, screen)),
        "inventory" => Some(inventory::run(&words[1..], options, screen)),
        "nc" => Some(nc::run(&words[1..], options, screen)),
        "ssh" => Some(ssh::run(&words[1..], options, screen)),
        "startup" => Some(startup::run(&words[1..], options, screen)),
        "top" => Some(top::run(&words[1..], options, screen)),
        _ => None,
    }
}

fn print(screen: &mut Screen, text: &str) -> i32 {
    screen.result(text);
    screen.status()
}

fn wrong_words(screen: &mut Screen, why: &str) -> i32 {
    screen.fail("invalid", why);
    screen.tell(&help::usage());
    WRONG_WORDS
}

fn answer(asked: &Asked, options: &Options, screen: &mut Screen) -> i32 {
    if asked.command == Command::List
        && let Some(text) = &options.at
    {
        return past::run(asked, text, options, screen);
    }
    screen.table = asked.verb.word == "show";
    let path = options.socket.clone().map_or_else(path::socket, Ok);
    let examines = matches!(asked.command, Command::Doctor(_)) && asked.scope == Scope::Here;
    let outcome = path.and_then(|path| Connection::open(&path)).and_then(|mut daemon| {
        match (&asked.command, &asked.scope) {
            (Command::Watch, _) => watch::run(&mut daemon, options, screen),
            (Command::Adopt(_), _) => adopt::run(&mut daemon, options, screen),
            (_, Scope::All) => ask_all(&mut daemon, asked, options, screen),
            _ if examines => doctor::run(&mut daemon, asked, options.timeout_ms, screen),
            _ => ask::one(&mut daemon, asked, options.timeout_ms).map(|answers| {
                answers.iter().for_each(|answer| screen.answer(&asked.scope, answer));
            }),
        }?;
        if asked.command == Command::Stop && !matches!(asked.scope, Scope::Node(_)) {
            daemon.wait_end(Duration::from_millis(GOODBYE_MS));
        }
        Ok(())
    });
    match outcome {
        Err(error) if examines && doctor::is_about_daemon(&error) => {
            doctor::without_daemon(&error, screen);
            screen.status()
        }
        Err(error @ Error::NotRunning(_)) if screen.table && asked.scope == Scope::Here => {
            show::without_daemon(&error, screen)
        }
        Ok(()) => {
            let status = screen.status();
            if asked.command == Command::Token && status == WELL && !screen.json {
                screen.tell(NEXT_TO_A_TOKEN);
            }
            status
        }
        Err(error) => no_daemon(screen, &error),
    }
}

/// Says the two sentences, and a third where the cause is not simply that nobody runs.
fn no_daemon(screen: &mut Screen, error: &Error) -> i32 {
    let detail = error.to_string();
    if screen.json {
        screen.result(&json::error_line("no_daemon", &detail));
    }
    screen.tell("Can't reach the local daustd socket.");
    screen.tell("Are you sure daustd is running?");
    if screen.verbose || !matches!(error, Error::NotRunning(_)) {
        screen.tell(&detail);
    }
    NO_DAEMON
}

/// Asks everybody. On a terminal each answer is shown as it arrives; otherwise all at the end, so
/// that the same herd gives the same text.
fn ask_all(
    daemon: &mut Connection,
    asked: &Asked,
    options: &Options,
    screen: &mut Screen,
) -> Result<(), Error> {
    if !screen.terminal {
        return ask::all(daemon, &asked.command, options.timeout_ms, |answer| {
            screen.block(&answer)
        });
    }
    daemon.call(Scope::All, asked.command.clone(), options.timeout_ms, |answer| {
        screen.block(&answer);
        if screen.is_open() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}
