//! `daust`: what a person types, what is printed where, and the exit status.
//!
//! Asking and rendering are [`client`](crate::client)'s; here is only what a person needs:
//! options, help, the order of the blocks, names from DNS.

mod help;
mod options;
mod order;
mod resolve;
mod screen;

use crate::client::answers::Answer;
use crate::client::words::{self, Asked};
use crate::client::{Connection, Error, json, path};
use crate::wire::command::{Command, Scope};
use crate::wire::ids::NodeId;
use crate::wire::reply::ErrorCode;
use options::{Options, Request};
use screen::Screen;
use std::ops::ControlFlow;

/// All asked nodes answered well.
const WELL: i32 = 0;
/// Some failed or did not answer; each is named on standard error.
const FAILED: i32 = 1;
/// The words or options make no sense; the usage follows.
const WRONG_WORDS: i32 = 2;
/// The local daemon cannot be reached.
const NO_DAEMON: i32 = 3;

/// Runs the command line; gives the exit status.
pub fn main(arguments: Vec<String>) -> i32 {
    run(arguments.get(1..).unwrap_or_default(), &mut Screen::standard())
}

fn run(arguments: &[String], screen: &mut Screen) -> i32 {
    let request = match options::parse(arguments) {
        Ok(request) => request,
        Err(why) => return wrong_words(screen, &why),
    };
    match request {
        Request::Help => print(screen, &help::full()),
        Request::Version => print(screen, &help::version()),
        Request::Nothing => {
            screen.tell(help::full().trim_end());
            WRONG_WORDS
        }
        Request::Ask { options, words, verbatim } => {
            screen.json = options.json;
            screen.verbose = options.verbose;
            match words::parse(&words, &verbatim) {
                Ok(asked) => ask(&asked, &options, screen),
                Err(why) => wrong_words(screen, &why),
            }
        }
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

fn ask(asked: &Asked, options: &Options, screen: &mut Screen) -> i32 {
    let path = options.socket.clone().map_or_else(path::socket, Ok);
    let outcome = path.and_then(|path| Connection::open(&path)).and_then(|mut daemon| {
        match (&asked.command, &asked.scope) {
            (Command::Watch, _) => watch(&mut daemon, screen),
            (_, Scope::All) => ask_all(&mut daemon, asked, options, screen),
            _ => ask_one(&mut daemon, asked, options, screen),
        }
    });
    match outcome {
        Ok(()) => screen.status(),
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

/// Prints events until the daemon goes away; an interrupt ends the process the usual way.
fn watch(daemon: &mut Connection, screen: &mut Screen) -> Result<(), Error> {
    let number = daemon.subscribe()?;
    while screen.is_open() {
        let Some(part) = daemon.next(None)? else { continue };
        if part.number != number {
            continue;
        }
        let (node, id, replies) = (part.node, part.id, vec![part.reply]);
        let answer = Answer { node, id, replies, elapsed_us: 0 };
        if answer.failures().any(|failure| failure.code == ErrorCode::Stopping) {
            return Err(Error::Gone);
        }
        screen.answer(&Scope::Here, &answer);
        if part.done {
            break;
        }
    }
    Ok(())
}

/// Asks the local node, or another one: one answer. A host name that nobody in the herd bears is
/// looked up in DNS, and its addresses are tried instead.
fn ask_one(
    daemon: &mut Connection,
    asked: &Asked,
    options: &Options,
    screen: &mut Screen,
) -> Result<(), Error> {
    let (mut scope, mut command) = (asked.scope.clone(), asked.command.clone());
    let mut answers = collect(daemon, &scope, &command, options)?;
    if let Some(answered) = answered_unknown(&answers) {
        let node = node_mut(&mut scope, &mut command, answered);
        let addresses = node.and_then(|node| resolve::addresses(node)).unwrap_or_default();
        for address in addresses {
            if let Some(node) = node_mut(&mut scope, &mut command, answered) {
                *node = address.to_string();
            }
            let again = collect(daemon, &scope, &command, options)?;
            if answered_unknown(&again).is_some() {
                continue;
            }
            answers = again;
            if !failed(&answers, ErrorCode::Unreachable) {
                break;
            }
        }
    }
    for answer in &answers {
        screen.answer(&asked.scope, answer);
    }
    Ok(())
}

fn collect(
    daemon: &mut Connection,
    scope: &Scope,
    command: &Command,
    options: &Options,
) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    daemon.call(scope.clone(), command.clone(), options.timeout_ms, |answer| {
        answers.push(answer);
        ControlFlow::Continue(())
    })?;
    Ok(answers)
}

fn failed(answers: &[Answer], code: ErrorCode) -> bool {
    answers.iter().any(|answer| answer.failures().any(|failure| failure.code == code))
}

/// If a node is unknown: whether some node answered so. If none did, it is the asked one itself.
fn answered_unknown(answers: &[Answer]) -> Option<bool> {
    let unknown = failed(answers, ErrorCode::UnknownNode);
    unknown.then(|| answers.iter().any(|answer| !answer.node.is_empty()))
}

/// The word that names the unknown node: after `remote`, or the argument if the asked node
/// answered.
fn node_mut<'a>(
    scope: &'a mut Scope,
    command: &'a mut Command,
    answered: bool,
) -> Option<&'a mut String> {
    match (scope, command) {
        (Scope::Node(node), _) if !answered => Some(node),
        (_, Command::TraceNode(node) | Command::Forget(node)) => Some(node),
        _ => None,
    }
}

/// Asks everybody. On a terminal each answer is shown as it arrives; otherwise all at the end, the
/// local node's first, so that the same herd gives the same text.
fn ask_all(
    daemon: &mut Connection,
    asked: &Asked,
    options: &Options,
    screen: &mut Screen,
) -> Result<(), Error> {
    let local = if screen.terminal { NodeId::ANYBODY } else { local_id(daemon)? };
    let mut kept = Vec::new();
    let outcome = daemon.call(Scope::All, asked.command.clone(), options.timeout_ms, |answer| {
        if screen.terminal {
            screen.block(&answer);
        } else {
            kept.push(answer);
        }
        if screen.is_open() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    order::sort(&mut kept, local);
    for answer in &kept {
        screen.block(answer);
    }
    outcome
}

/// Who the local node is. Needed to put its answer first; the answers do not say so themselves.
fn local_id(daemon: &mut Connection) -> Result<NodeId, Error> {
    let mut id = NodeId::ANYBODY;
    daemon.call(Scope::Here, Command::Ping, 0, |answer| {
        id = answer.id;
        ControlFlow::Continue(())
    })?;
    Ok(id)
}
