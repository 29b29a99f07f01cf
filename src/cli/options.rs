//! The options of `daust`; they may stand anywhere before `--`.

use crate::cli::watch::KINDS;
use crate::client::inventory::Kind;
use crate::wire::info::EventKind;
use crate::wire::limits::ANSWER_MAX_MS;
use crate::wire::targets::EXPORTER;
use getopts::ParsingStyle;
use std::path::PathBuf;

/// What the options and words ask this program to do.
pub enum Request {
    Help,
    Version,
    /// Neither words nor such an option.
    Nothing(Options),
    Ask {
        options: Options,
        words: Vec<String>,
        /// The words after `--`.
        verbatim: Vec<String>,
    },
}

#[derive(Default)]
pub struct Options {
    pub json: bool,
    pub verbose: bool,
    /// How long to wait for answers; 0 for the default.
    pub timeout_ms: u64,
    pub socket: Option<PathBuf>,
    /// Answers what would be asked.
    pub yes: bool,
    /// `startup`: at each boot as well.
    pub boot: bool,
    /// `add`, `remove`: below the home directory there, without root.
    pub user: bool,
    /// `add`: DIR/ARCHITECTURE/{daust,daustd} for machines of another kind.
    pub builds: Option<PathBuf>,
    /// `inventory`: for whom.
    pub inventory: Vec<Kind>,
    /// `inventory --prometheus`: where the exporters listen.
    pub port: u16,
    /// `watch`: these nodes and kinds alone, if any are named.
    pub nodes: Vec<String>,
    pub kinds: Vec<EventKind>,
    /// `list`: not now, but then.
    pub at: Option<String>,
}

const INVENTORIES: [(&str, Kind, &str); 3] = [
    ("ssh", Kind::Ssh, "with `inventory`: a configuration of ssh"),
    ("ansible", Kind::Ansible, "with `inventory`: one of Ansible, in JSON"),
    ("prometheus", Kind::Prometheus, "with `inventory`: targets of Prometheus, in JSON"),
];

/// Options that not every verb takes, and which do.
const OF_VERBS: [(&str, &[&str]); 11] = [
    ("yes", &["key"]),
    ("boot", &["startup"]),
    ("user", &["add", "remove"]),
    ("builds", &["add"]),
    ("ssh", &["inventory"]),
    ("ansible", &["inventory"]),
    ("prometheus", &["inventory"]),
    ("port", &["inventory"]),
    ("node", &["watch"]),
    ("kind", &["watch"]),
    ("at", &["list"]),
];

/// The table of options, for parsing and for the help.
pub fn table() -> getopts::Options {
    let mut table = getopts::Options::new();
    table.parsing_style(ParsingStyle::FloatingFrees);
    table.optflagmulti("j", "json", "print one JSON object a line");
    table.optopt("t", "timeout", "wait this long for answers (5)", "SECONDS");
    table.optopt("s", "socket", "ask the daustd that listens there", "PATH");
    table.optflagmulti("v", "verbose", "show round trips, routes, reasons and ids as well");
    table.optflag("y", "yes", "do not ask before `key adopt`");
    table.optflag("", "boot", "with `startup`: start daustd at each boot");
    table.optflag("", "user", "with `add`, `remove`: below the home directory, without root");
    table.optopt("", "builds", "with `add`: programs for other machines, DIR/ARCH/daustd", "DIR");
    table.optmulti("", "node", "with `watch`: what is about this node (repeatable)", "NODE");
    table.optmulti("", "kind", "with `watch`: up, suspect, down, left, route, stale", "KIND");
    table.optopt("", "at", "with `list`: who was there then (a time, or an age as 10m)", "TIME");
    table.optopt("", "port", "with `inventory --prometheus`: the targets' port (9100)", "PORT");
    for (name, _, help) in INVENTORIES {
        table.optflag("", name, help);
    }
    table.optflag("V", "version", "print the version and exit");
    table.optflag("h", "help", "print this help and exit");
    table
}

/// Reads the command line without the program's name. An error is a sentence for the person.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let (plain, verbatim) = arguments.split_at(end);
    let verbatim: Vec<String> = verbatim.iter().skip(1).cloned().collect();
    let matches = table().parse(plain).map_err(|why| lower(&why.to_string()))?;
    if matches.opt_present("h") {
        return Ok(Request::Help);
    }
    if matches.opt_present("V") {
        return Ok(Request::Version);
    }
    let options = Options {
        json: matches.opt_present("j"),
        verbose: matches.opt_present("v"),
        timeout_ms: matches.opt_str("t").map_or(Ok(0), |text| timeout_ms(&text))?,
        socket: matches.opt_str("s").map(PathBuf::from),
        yes: matches.opt_present("y"),
        boot: matches.opt_present("boot"),
        user: matches.opt_present("user"),
        builds: matches.opt_str("builds").map(PathBuf::from),
        inventory: inventories(&matches),
        port: matches.opt_str("port").map_or(Ok(EXPORTER), |text| port(&text))?,
        nodes: matches.opt_strs("node"),
        kinds: matches.opt_strs("kind").iter().map(|word| kind(word)).collect::<Result<_, _>>()?,
        at: matches.opt_str("at"),
    };
    check_verbs(&matches)?;
    if matches.free.is_empty() && verbatim.is_empty() {
        return Ok(Request::Nothing(options));
    }
    Ok(Request::Ask { options, words: matches.free, verbatim })
}

/// An option that the verb does not take is no option to pass over in silence. Without a verb it is
/// `startup`.
fn check_verbs(matches: &getopts::Matches) -> Result<(), String> {
    let typed = |verb: &&str| match matches.free.is_empty() {
        true => *verb == "startup",
        false => matches.free.iter().any(|word| word == verb),
    };
    let wrong = OF_VERBS
        .iter()
        .find(|(option, verbs)| matches.opt_present(option) && !verbs.iter().any(&typed));
    let Some((option, verbs)) = wrong else { return Ok(()) };
    let verbs: Vec<String> = verbs.iter().map(|verb| format!("`{verb}`")).collect();
    Err(format!("--{option} is an option of {} alone", verbs.join(" and ")))
}

fn kind(word: &str) -> Result<EventKind, String> {
    let kind = KINDS.into_iter().find(|kind| kind.word() == word);
    let words = KINDS.map(EventKind::word).join(", ");
    kind.ok_or(format!("--kind wants one of {words}, not `{word}`"))
}

fn inventories(matches: &getopts::Matches) -> Vec<Kind> {
    let named = INVENTORIES.iter().filter(|(name, ..)| matches.opt_present(name));
    named.map(|(_, kind, _)| *kind).collect()
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or(format!("--port wants a number from 1 to 65535, not `{text}`"))
}

/// Seconds with or without a fraction, at least a millisecond, at most the limit.
fn timeout_ms(text: &str) -> Result<u64, String> {
    let most_s = ANSWER_MAX_MS / 1_000;
    let wrong = || format!("-t wants seconds, more than 0 and at most {most_s}, not `{text}`");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    let fits = seconds > 0.0 && seconds <= most_s as f64;
    if fits { Ok(((seconds * 1_000.0) as u64).max(1)) } else { Err(wrong()) }
}

/// getopts begins its sentences with a capital and ends them with a full stop; ours do neither.
fn lower(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, String> {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        parse(&words)
    }

    fn asked(line: &str) -> (Options, String, String) {
        match read(line) {
            Ok(Request::Ask { options, words, verbatim }) => {
                (options, words.join(" "), verbatim.join(" "))
            }
            _ => panic!("{line} asks nothing"),
        }
    }

    #[test]
    fn options_stand_anywhere_before_the_two_dashes() {
        let (options, words, verbatim) = asked("list -j remote -t 0.5 X -v -s /a/b");
        assert!(options.json && options.verbose);
        assert_eq!((options.timeout_ms, options.socket), (500, Some("/a/b".into())));
        assert_eq!((words.as_str(), verbatim.as_str()), ("list remote X", ""));
        let (options, words, verbatim) = asked("-v forget -- -j all -- x");
        assert!(options.verbose && !options.json && options.timeout_ms == 0);
        assert_eq!((words.as_str(), verbatim.as_str()), ("forget", "-j all -- x"));
    }

    #[test]
    fn help_and_version_win() {
        assert!(matches!(read("ping -h"), Ok(Request::Help)));
        assert!(matches!(read("--version nonsense"), Ok(Request::Version)));
        for nothing in ["", "-v", "--"] {
            assert!(matches!(read(nothing), Ok(Request::Nothing(_))), "{nothing}");
        }
    }

    #[test]
    fn timeouts_at_their_edges() {
        assert_eq!(timeout_ms("600"), Ok(600_000));
        assert_eq!(timeout_ms("0.0001"), Ok(1));
        for wrong in ["0", "-1", "600.1", "x", "", "nan", "inf", "1e99"] {
            assert!(timeout_ms(wrong).unwrap_err().contains("at most 600"), "{wrong}");
        }
    }

    #[test]
    fn options_of_another_verb_are_refused() {
        for (line, expected) in [
            ("list --node x", "--node is an option of `watch` alone"),
            ("ping --at y", "--at is an option of `list` alone"),
            ("--user ping", "--user is an option of `add` and `remove` alone"),
            ("key list --port 7", "--port is an option of `inventory` alone"),
            ("watch -- --kind --boot", ""),
            ("--boot watch", "--boot is an option of `startup` alone"),
            ("--yes", "--yes is an option of `key` alone"),
        ] {
            assert_eq!(read(line).err().unwrap_or_default(), expected, "{line}");
        }
        for line in
            ["list remote X --at 5m", "--node x watch", "key adopt -y", "--boot", "remove --user x"]
        {
            assert!(read(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_options_say_which() {
        for (line, part) in [("-x", "'x'"), ("ping -t", "'t'"), ("-s a -s b ping", "'socket'")] {
            let error = read(line).err().unwrap();
            assert!(error.contains(part), "{error}");
        }
    }
}
