//! `daust inventory --ssh`, `--ansible` or `--prometheus`: the list for other programs.

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::cli::{no_daemon, wrong_words};
use crate::client::{Connection, Error, ask, inventory, path};
use crate::wire::info::NodeInfo;

/// Gives the exit status. `ansible-inventory` calls a program with `--list`, which is no option here:
/// a script of one line does.
pub fn run(arguments: &[String], options: &Options, screen: &mut Screen) -> i32 {
    let kind = match (arguments, &options.inventory[..]) {
        ([], [kind]) => *kind,
        ([word, ..], _) => {
            return wrong_words(screen, &format!("`inventory` takes no argument `{word}`"));
        }
        _ => {
            let why = "`inventory` wants one of --ssh, --ansible and --prometheus";
            return wrong_words(screen, why);
        }
    };
    match nodes(options) {
        Ok(nodes) => {
            screen.result(&inventory::text(kind, &nodes, options.port));
            screen.status()
        }
        Err(error) => no_daemon(screen, &error),
    }
}

fn nodes(options: &Options) -> Result<Vec<NodeInfo>, Error> {
    let path = options.socket.clone().map_or_else(path::socket, Ok)?;
    let mut daemon = Connection::open(&path)?;
    ask::nodes(&mut daemon, options.timeout_ms)
}
