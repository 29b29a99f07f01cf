//! The table of verbs: what can be typed, what it needs, and what it becomes.
//!
//! A new verb is one entry here, a `Command` in `wire`, and its text in `render` and `json`.

use crate::wire::command::{Command, Rank};

/// Whether a verb wants a node as its argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    None,
    /// May be left out.
    Optional(&'static str),
    Needed(&'static str),
}

impl Argument {
    /// As it stands in the usage.
    pub fn usage(self) -> String {
        match self {
            Argument::None => String::new(),
            Argument::Optional(word) => format!(" [{word}]"),
            Argument::Needed(word) => format!(" {word}"),
        }
    }
}

/// What `all` means to a verb.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum All {
    /// Every node carries it out.
    Everybody,
    /// The asked node alone answers, with this command instead; every node with an argument.
    Instead(Command),
    /// It makes no sense, and why.
    Refused(&'static str),
}

/// One line of the table.
#[derive(Debug)]
pub struct Verb {
    /// Or two, with a space between.
    pub word: &'static str,
    pub argument: Argument,
    pub all: All,
    /// Whether it can be asked of another node.
    pub remote: bool,
    pub help: &'static str,
    /// How it becomes a command. An argument that is needed is there.
    pub command: fn(Option<String>) -> Command,
}

impl Verb {
    /// That of its command, which decides in the daemon.
    pub fn rank(&self) -> Rank {
        (self.command)(None).rank()
    }
}

/// All verbs, as the help shows them.
pub static VERBS: &[Verb] = &[
    Verb {
        word: "ping",
        argument: Argument::None,
        all: All::Everybody,
        remote: true,
        help: "see whether a node is up",
        command: |_| Command::Ping,
    },
    Verb {
        word: "list",
        argument: Argument::None,
        all: All::Everybody,
        remote: true,
        help: "list the known nodes",
        command: |_| Command::List,
    },
    Verb {
        word: "show",
        argument: Argument::None,
        all: All::Everybody,
        remote: true,
        help: "show the known nodes as a table, also while daustd does not run",
        command: |_| Command::List,
    },
    Verb {
        word: "trace",
        argument: Argument::Optional("all | NODE"),
        all: All::Instead(Command::TraceAll),
        remote: true,
        help: "draw the asked node, the tree of all nodes, or the path to one",
        command: |node| node.map_or(Command::Trace, Command::TraceNode),
    },
    Verb {
        word: "watch",
        argument: Argument::None,
        all: All::Refused("`watch` follows what the local node sees, which is the whole herd"),
        remote: false,
        help: "print what happens, as it happens, until interrupted",
        command: |_| Command::Watch,
    },
    Verb {
        word: "doctor",
        argument: Argument::Optional("NODE"),
        all: All::Everybody,
        remote: true,
        help: "look for what is wrong here, or with the way to a node or address",
        command: Command::Doctor,
    },
    Verb {
        word: "why",
        argument: Argument::Needed("NODE"),
        all: All::Everybody,
        remote: true,
        help: "say why a node is shown as it is: who heard it, who voted what",
        command: |node| Command::Why(node.unwrap_or_default()),
    },
    Verb {
        word: "history",
        argument: Argument::Optional("NODE"),
        all: All::Everybody,
        remote: true,
        help: "show who changed something, and what became of the nodes",
        command: Command::History,
    },
    Verb {
        word: "version",
        argument: Argument::None,
        all: All::Everybody,
        remote: true,
        help: "show the versions of a node; with -v its limits and counters",
        command: |_| Command::Version,
    },
    Verb {
        word: "key list",
        argument: Argument::None,
        all: All::Everybody,
        remote: true,
        help: "show the herd keys in use; `key new` makes one, `key add` takes one",
        command: |_| Command::Keys,
    },
    Verb {
        word: "key adopt",
        argument: Argument::None,
        all: All::Refused("the key spreads through the herd by itself"),
        remote: false,
        help: "give a running open herd a key, after asking whether its nodes are yours",
        command: |_| Command::Adopt(Vec::new()),
    },
    Verb {
        word: "key rotate",
        argument: Argument::None,
        all: All::Refused("a new key spreads through the herd by itself"),
        remote: false,
        help: "make a new herd key, which every node gets",
        command: |_| Command::Rotate,
    },
    Verb {
        word: "key revoke",
        argument: Argument::Needed("NODE"),
        all: All::Refused("a new key spreads through the herd by itself"),
        remote: false,
        help: "shut a node out for good: a new key for all but it",
        command: |node| Command::Revoke(node.unwrap_or_default()),
    },
    Verb {
        word: "key show",
        argument: Argument::None,
        all: All::Refused("the key is the same for all"),
        remote: false,
        help: "print the newest herd key, secret, for `key add` on a new machine",
        command: |_| Command::KeyText,
    },
    Verb {
        word: "token",
        argument: Argument::None,
        all: All::Refused("a join token is known to the node that made it"),
        remote: false,
        help: "print a token that lets one new machine in, for `daustd --join` there",
        command: |_| Command::Token,
    },
    Verb {
        word: "forget",
        argument: Argument::Needed("NODE"),
        all: All::Refused("`forget` spreads through the herd by itself"),
        remote: true,
        help: "forget a node that is down or left",
        command: |node| Command::Forget(node.unwrap_or_default()),
    },
    Verb {
        word: "stop",
        argument: Argument::None,
        all: All::Everybody,
        remote: true,
        help: "end a node's daustd",
        command: |_| Command::Stop,
    },
];

/// What a program does by itself, without a daemon or before there is one.
#[derive(Debug)]
pub struct Local {
    pub word: &'static str,
    pub arguments: &'static str,
    pub help: &'static str,
}

/// All of them, as the help shows them.
pub static LOCAL: &[Local] = &[
    Local {
        word: "startup",
        arguments: "[--boot]",
        help: "start the local daustd if it does not run; --boot: at each boot",
    },
    Local { word: "top", arguments: "", help: "show the herd as it is, until `q` is typed" },
    Local {
        word: "add",
        arguments: "[USER@]HOST[:PORT]...",
        help: "put daustd on other machines by ssh, and take them into the herd",
    },
    Local {
        word: "remove",
        arguments: "[USER@]HOST[:PORT]...",
        help: "take away what `add` put there",
    },
    Local {
        word: "inventory",
        arguments: "--ssh | --ansible | --prometheus",
        help: "print the herd for other programs, hidden nodes by their parents",
    },
    Local {
        word: "nc",
        arguments: "NODE PORT",
        help: "standard input and output to a port of a node, hidden or not (keyed herds)",
    },
    Local {
        word: "ssh",
        arguments: "[USER@]NODE [-- ARGUMENT...]",
        help: "ssh to a node, hidden or not, through the herd (keyed herds)",
    },
    Local { word: "key new", arguments: "[FILE]", help: "make the first key of a new herd" },
    Local {
        word: "key add",
        arguments: "[FILE]",
        help: "take the key of a herd from standard input",
    },
];

pub fn find(word: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.word == word)
}

/// The second words of the verbs that begin with this one.
pub fn second_words(first: &str) -> Vec<&'static str> {
    let words = VERBS.iter().filter_map(|verb| verb.word.split_once(' '));
    words.filter(|(word, _)| *word == first).map(|(_, second)| second).collect()
}

/// The verb that was probably meant: at most two slips away, and nearer than its own length.
pub fn nearest(word: &str) -> Option<&'static Verb> {
    let distances = VERBS.iter().map(|verb| (slips(word, verb.word), verb));
    let (slips, verb) = distances.min_by_key(|(slips, _)| *slips)?;
    (slips <= 2 && slips < verb.word.len() - 1).then_some(verb)
}

/// How many letters have to be put in, taken out, changed, or swapped with their neighbour.
fn slips(typed: &str, meant: &str) -> usize {
    let typed: Vec<char> = typed.to_lowercase().chars().take(32).collect();
    let meant: Vec<char> = meant.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=meant.len()).collect()];
    for i in 1..=typed.len() {
        let mut row = vec![i];
        for j in 1..=meant.len() {
            let other = usize::from(typed[i - 1] != meant[j - 1]);
            let mut least =
                (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + other);
            let swapped = i > 1 && j > 1 && typed[i - 1] == meant[j - 2];
            if swapped && typed[i - 2] == meant[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[typed.len()][meant.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_find_their_verb() {
        for (typed, meant) in [
            ("lsit", "list"),
            ("li", "list"),
            ("pnig", "ping"),
            ("PING", "ping"),
            ("traces", "trace"),
            ("forgt", "forget"),
            ("wacht", "watch"),
            ("vershun", "version"),
        ] {
            assert_eq!(nearest(typed).map(|verb| verb.word), Some(meant), "{typed}");
        }
        for typed in ["", "x", "node1", "status", "exterminate"] {
            assert!(nearest(typed).is_none(), "{typed}");
        }
    }
}
