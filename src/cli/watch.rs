//! `daust watch`: what happens, as it happens; with filters only that, and only there.

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::client::answers::Answer;
use crate::client::{Connection, Error, ask, render};
use crate::wire::command::Scope;
use crate::wire::ids::NodeId;
use crate::wire::info::{Event, EventKind, NodeInfo};
use crate::wire::reply::{ErrorCode, Reply};
use std::time::{Duration, Instant};

/// Least letters that are taken for the beginning of an id.
const ID_LETTERS: usize = 4;

/// Every kind, for the filter.
pub const KINDS: [EventKind; 6] = [
    EventKind::Up,
    EventKind::Suspect,
    EventKind::Down,
    EventKind::Left,
    EventKind::Route,
    EventKind::Stale,
];

/// Prints events until the daemon goes away, or for as long as `-t` says; an interrupt ends the
/// process the usual way.
pub fn run(daemon: &mut Connection, options: &Options, screen: &mut Screen) -> Result<(), Error> {
    if !options.nodes.is_empty() {
        let known = ask::nodes(daemon, 0)?;
        for node in options.nodes.iter().filter(|node| !is_known(node, &known)) {
            screen.tell(&render::escape(&format!(
                "nobody here is called {node} yet, nor has such an id: waiting"
            )));
        }
    }
    let number = daemon.subscribe()?;
    let wait = Duration::from_millis(options.timeout_ms);
    let end = (options.timeout_ms > 0).then(|| Instant::now() + wait);
    while screen.is_open() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            break;
        }
        let Some(part) = daemon.next(left)? else { continue };
        if part.number != number {
            continue;
        }
        let (node, id, replies) = (part.node, part.id, vec![part.reply]);
        let answer = Answer { node, id, replies, elapsed_us: 0 };
        if answer.failures().any(|failure| failure.code == ErrorCode::Stopping) {
            return Err(Error::Gone);
        }
        if wanted(&answer, options) {
            screen.answer(&Scope::Here, &answer);
        }
        if part.done {
            break;
        }
    }
    Ok(())
}

/// Failures always are.
fn wanted(answer: &Answer, options: &Options) -> bool {
    answer.replies.iter().all(|reply| match reply {
        Reply::Event(event) => {
            let kind = options.kinds.is_empty() || options.kinds.contains(&event.kind);
            let node = options.nodes.is_empty() || options.nodes.iter().any(|n| is_about(event, n));
            kind && node
        }
        _ => true,
    })
}

/// `stale` is about no node, and so about all.
fn is_about(event: &Event, node: &str) -> bool {
    event.kind == EventKind::Stale || names(node, &event.name, event.id)
}

fn is_known(node: &str, known: &[NodeInfo]) -> bool {
    known.iter().any(|info| names(node, &info.name, info.id))
}

/// Whether what was typed is this name, or the beginning of this id.
fn names(typed: &str, name: &str, id: NodeId) -> bool {
    let begins = id.to_string().starts_with(&typed.to_ascii_lowercase());
    name == typed || (typed.len() >= ID_LETTERS && begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for() {
        let event = |kind, name: &str| {
            let event = Event { kind, name: name.into(), id: NodeId(0xab), text: String::new() };
            let replies = vec![Reply::Event(event)];
            Answer { node: "own".into(), id: NodeId(1), replies, elapsed_us: 0 }
        };
        let options = |kinds: &[EventKind], nodes: &[&str]| Options {
            kinds: kinds.to_vec(),
            nodes: nodes.iter().map(|node| node.to_string()).collect(),
            ..Options::default()
        };
        let (down, up) = (EventKind::Down, EventKind::Up);
        for (kinds, nodes, kind, name, expected) in [
            (&[][..], &[][..], up, "a", true),
            (&[down], &[], up, "a", false),
            (&[down, up], &[], up, "a", true),
            (&[], &["a", "b"], up, "b", true),
            (&[], &["a"], up, "ab", false),
            (&[], &["0000000000"], up, "x", true),
            (&[], &["000"], up, "x", false),
            (&[down], &["a"], up, "a", false),
            (&[], &["a"], EventKind::Stale, "", true),
        ] {
            let options = options(kinds, nodes);
            assert_eq!(
                wanted(&event(kind, name), &options),
                expected,
                "{kinds:?} {nodes:?} {name}"
            );
        }
    }
}
