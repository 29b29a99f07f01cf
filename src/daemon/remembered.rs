//! `daustd --remembered`: what the last daemon here knew of its herd, for `daust show` while none runs.
//! It is written as the control socket would carry it, and nothing is changed.

use crate::daemon::options::Settings;
use crate::daemon::state_file::StateFile;
use crate::daemon::store::unix_s;
use crate::node;
use crate::wire::codec::{encode, frame};
use crate::wire::control::Part;
use crate::wire::ids::NodeId;
use crate::wire::reply::Reply;
use crate::wire::seal::Suite;
use std::io::{self, Write};

/// Nodes in one part.
const ROWS: usize = 64;

/// Gives the exit status.
pub fn print(settings: &Settings) -> i32 {
    match parts(settings).and_then(|bytes| {
        io::stdout().write_all(&bytes).map_err(|e| format!("can not write what is remembered: {e}"))
    }) {
        Ok(()) => 0,
        Err(sentence) => {
            eprintln!("daustd: {sentence}");
            1
        }
    }
}

fn parts(settings: &Settings) -> Result<Vec<u8>, String> {
    let kept = StateFile::look(&settings.state_dir)?;
    let nodes = node::remembered(&kept, unix_s(), Suite::Real);
    let mut pieces: Vec<Vec<_>> = nodes.chunks(ROWS).map(<[_]>::to_vec).collect();
    let last = pieces.pop().unwrap_or_default();
    let part = |nodes, last| Part {
        number: 1,
        node: String::new(),
        id: NodeId::ANYBODY,
        reply: Reply::Nodes { nodes, stale_ms: None },
        last,
        done: last,
    };
    let parts = pieces.into_iter().map(|nodes| part(nodes, false)).chain([part(last, true)]);
    Ok(parts.flat_map(|part| frame(&encode(&part))).collect())
}
