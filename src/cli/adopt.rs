//! `daust key adopt`: shows who is in the open herd, asks whether they all belong there, and has the
//! local daemon give them a key. Whoever is not named gets none.

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::client::render::escape;
use crate::client::{Connection, Error, ask};
use crate::wire::command::{Command, Scope};
use crate::wire::info::{NodeInfo, State};
use crate::wire::reply::Reply;
use std::io::{self, BufRead, Read};

/// Longer than any answer to a question of yes or no.
const ANSWER_BYTES: u64 = 256;

pub fn run(daemon: &mut Connection, options: &Options, screen: &mut Screen) -> Result<(), Error> {
    if has_key(daemon, options.timeout_ms)? {
        screen.fail("refused", "this herd has a key already: `daust key rotate` makes the next");
        return Ok(());
    }
    let nodes = ask::nodes(daemon, options.timeout_ms)?;
    let is_live = |node: &&NodeInfo| matches!(node.state, State::Alive | State::Suspect);
    let (live, away): (Vec<&NodeInfo>, Vec<&NodeInfo>) = nodes.iter().partition(is_live);
    for node in &live {
        screen.tell(&line(node));
    }
    for node in away {
        screen.tell(&format!("{}, gets no key: it is {}", line(node), node.state.word()));
    }
    if !options.yes && !confirmed(live.len(), screen) {
        screen.fail("refused", "nothing is changed");
        return Ok(());
    }
    let command = Command::Adopt(live.iter().map(|node| node.id).collect());
    let answers = ask::collect(daemon, &Scope::Here, &command, options.timeout_ms)?;
    let well = answers.iter().all(|answer| answer.failures().next().is_none());
    answers.iter().for_each(|answer| screen.answer(&Scope::Here, answer));
    if well && !screen.json {
        screen.tell(
            "Until all of them have it, and for 10 minutes at most, who has no key is heard as \
             well: `daust key list` says who is left. Who is away meanwhile needs `daust token`. \
             Each node has the key in its state directory; `daust key show` prints it.",
        );
    }
    Ok(())
}

fn has_key(daemon: &mut Connection, timeout_ms: u64) -> Result<bool, Error> {
    let answers = ask::collect(daemon, &Scope::Here, &Command::Keys, timeout_ms)?;
    let mut replies = answers.iter().flat_map(|answer| &answer.replies);
    Ok(replies.any(|reply| matches!(reply, Reply::Keys(keys) if !keys.is_empty())))
}

/// The id is the fingerprint: a hash of the node's own keys.
fn line(node: &NodeInfo) -> String {
    let ip = node.internal_ip.map_or_else(|| "N/A".to_string(), |ip| ip.to_string());
    format!("{}: fingerprint {}, internal ip {ip}", escape(&node.name), node.id)
}

fn confirmed(count: usize, screen: &mut Screen) -> bool {
    screen.tell(&format!(
        "`daust -v list` on a machine shows its own fingerprint, as id. Is each of these {count} \
         yours, and are they to have a herd key? [y/N]"
    ));
    let mut answer = String::new();
    let read = io::stdin().lock().take(ANSWER_BYTES).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
