//! `daust show`: the herd as a table; while no daemon runs, what the last one remembered.

use crate::cli::options::Options;
use crate::cli::programs::find;
use crate::cli::screen::Screen;
use crate::cli::{NO_DAEMON, answer, no_daemon};
use crate::client::answers::{Answer, Gathering};
use crate::client::{Error, order, words};
use crate::wire::codec::{FrameReader, decode};
use crate::wire::command::Scope;
use crate::wire::limits::FRAME_BYTES;
use crate::wire::reply::Reply;
use std::process::Command;

/// As if it had been typed.
pub fn run(options: &Options, screen: &mut Screen) -> i32 {
    match words::parse(&["show".to_string()], &[]) {
        Ok(asked) => answer(&asked, options, screen),
        Err(why) => unreachable!("{why}"),
    }
}

/// Nobody listens on the socket.
pub fn without_daemon(error: &Error, screen: &mut Screen) -> i32 {
    match remembered() {
        Ok(answer) => {
            screen.answer(&Scope::Here, &answer);
            let known = answer.replies.iter().any(|reply| !reply.nodes().is_empty());
            screen.tell(match known {
                true => {
                    "daustd does not run here: these are the states it knew last, and the time since                      (`daust startup` starts it)"
                }
                false => {
                    "daustd does not run here, and remembers no other node (`daust startup` starts it)"
                }
            });
            screen.status()
        }
        Err(why) => {
            no_daemon(screen, error);
            screen.tell(&format!("nor is there anything remembered to show: {why}"));
            NO_DAEMON
        }
    }
}

/// Only daustd knows what its files mean.
fn remembered() -> Result<Answer, String> {
    let program = find("daustd")?;
    let output = Command::new(&program).arg("--remembered").output();
    let output = output.map_err(|e| format!("{}: {e}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().trim_start_matches("daustd: ").to_string());
    }
    let mut reader = FrameReader::default();
    reader.push(&output.stdout);
    let mut gathering = Gathering::new(1);
    let mut nodes = Vec::new();
    while let Some(bytes) = reader.next(FRAME_BYTES)? {
        let answers = gathering.take(decode(&bytes)?, 0);
        let replies = answers.into_iter().flat_map(|answer| answer.replies);
        nodes.extend(replies.flat_map(|reply| match reply {
            Reply::Nodes { nodes, .. } => nodes,
            _ => Vec::new(),
        }));
    }
    order::sort_nodes(&mut nodes);
    let replies = vec![Reply::Nodes { nodes, stale_ms: None }];
    Ok(Answer { node: String::new(), id: Default::default(), replies, elapsed_us: 0 })
}
