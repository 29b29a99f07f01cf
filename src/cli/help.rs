//! The usage and the help, made from the table of verbs and the table of options.

use crate::cli::options;
use crate::client::verbs::{LOCAL, VERBS, Verb};
use crate::wire::PROTOCOL_VERSION;
use crate::wire::command::Rank;

const SYNOPSIS: &str = "Usage: daust [options] [remote NODE | all] VERB [ARGUMENT...]";

const EXAMPLES: &str = "\
Examples:
    daust list                       all nodes, and when each was last heard
    daust remote 192.168.1.3 ping    ask another node; if it is new, meet it
    daust all list                   ask every node what it sees
    herd                             start the local node, if need be, and show it
    herd add me@192.168.1.4          put a node on another machine, by ssh
";

const WORDS: &str = "\
Words stand in any order. NODE is a name, the beginning of an id, an address, or
address:port; words after -- are never options, `remote` or `all`.
";

/// What follows wrong words.
pub fn usage() -> String {
    let local = LOCAL.iter().map(|local| local.word);
    let words: Vec<&str> = VERBS.iter().map(|verb| verb.word).chain(local).collect();
    format!("{SYNOPSIS}\nVerbs: {}. `daust -h` says more.", words.join(", "))
}

pub fn full() -> String {
    let mut text = String::from("daust: never lose track of a VM or a container again\n\n");
    text += &options::table().usage(SYNOPSIS);
    text += "\nVerbs that look:\n";
    text += &verbs(Rank::Read);
    text += "\nVerbs that change something:\n";
    text += &verbs(Rank::Operate);
    text += "\nWhat daust does by itself:\n";
    let local = LOCAL
        .iter()
        .map(|local| (format!("{} {}", local.word, local.arguments), local.help))
        .map(|(words, help)| format!("    {}\n        {help}\n", words.trim_end()));
    text.extend(local);
    format!("{text}\n{WORDS}\n{EXAMPLES}")
}

pub fn version() -> String {
    format!("daust {}, protocol {PROTOCOL_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

fn verbs(rank: Rank) -> String {
    VERBS.iter().filter(|verb| verb.rank() == rank).map(line).collect()
}

fn line(verb: &Verb) -> String {
    let words = format!("{}{}", verb.word, verb.argument.usage());
    format!("    {words:<19} {}\n", verb.help)
}
