//! `daust list --at TIME`: who was there then, made of what `history` holds.

use crate::cli::options::Options;
use crate::cli::screen::{Screen, unix_s};
use crate::cli::{no_daemon, wrong_words};
use crate::client::words::Asked;
use crate::client::{Connection, Error, ask, json, past, path};
use crate::wire::command::{Command, Scope};
use crate::wire::history::Entry;
use crate::wire::reply::Reply;
use crate::wire::time::utc;

/// Gives the exit status.
pub fn run(asked: &Asked, text: &str, options: &Options, screen: &mut Screen) -> i32 {
    if asked.scope != Scope::Here {
        return wrong_words(screen, "--at can only be asked of the local node");
    }
    let then_unix_s = match past::parse(text, unix_s()) {
        Ok(then_unix_s) if then_unix_s > unix_s() => {
            let why = format!("--at {text} has not come yet: `list` without it shows the present");
            return wrong_words(screen, &why);
        }
        Ok(then_unix_s) => then_unix_s,
        Err(why) => return wrong_words(screen, &why),
    };
    let entries = match entries(options) {
        Ok(entries) => entries,
        Err(error) => return no_daemon(screen, &error),
    };
    match past::at(&entries, then_unix_s) {
        Some(nodes) => nodes.iter().for_each(|then| {
            let line = if screen.json { json::then_line(then) } else { past::line(then) };
            screen.result(&line);
        }),
        None => {
            let first = entries.first().map(|first| format!("begins at {}", utc(first.unix_s)));
            let first = first.unwrap_or_else(|| "is empty".to_string());
            screen.fail("refused", &format!("the journal does not reach back so far: it {first}"));
        }
    }
    screen.status()
}

fn entries(options: &Options) -> Result<Vec<Entry>, Error> {
    let path = options.socket.clone().map_or_else(path::socket, Ok)?;
    let mut daemon = Connection::open(&path)?;
    let command = Command::History(None);
    let answers = ask::collect(&mut daemon, &Scope::Here, &command, options.timeout_ms)?;
    let replies = answers.into_iter().flat_map(|answer| answer.replies);
    let entries = replies.filter_map(|reply| match reply {
        Reply::History(entries) => Some(entries),
        _ => None,
    });
    Ok(entries.flatten().collect())
}
