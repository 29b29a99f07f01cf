//! Reads the words a person typed, in any order.
//!
//! `remote` takes the word after it, whatever that is; `all` may stand anywhere; the first of the
//! other words is the verb, the second its argument. Words after `--` are never `remote` or
//! `all`, so that a node of such a name can be named.

use crate::client::verbs::{self, All, Argument, Verb};
use crate::wire::command::{Command, Scope};

/// What a line of words asks for.
#[derive(Debug)]
pub struct Asked {
    pub verb: &'static Verb,
    pub scope: Scope,
    pub command: Command,
}

/// Reads `words`, then the words that stood after `--`. An error is a sentence for the person.
pub fn parse(words: &[String], verbatim: &[String]) -> Result<Asked, String> {
    let sorted = sort(words, verbatim)?;
    let mut rest = sorted.rest.into_iter();
    let mut word = rest.next().ok_or("a VERB is missing")?;
    let seconds = verbs::second_words(&word);
    if !seconds.is_empty() {
        let list: Vec<String> = seconds.iter().map(|second| format!("`{word} {second}`")).collect();
        let second = rest.next().ok_or(format!("`{word}` wants a word: {}", list.join(", ")))?;
        if !seconds.contains(&second.as_str()) {
            let only = list.join(", ");
            return Err(format!("`{word} {second}` can not be asked of a daemon, only {only}"));
        }
        word = format!("{word} {second}");
    }
    let verb = verbs::find(&word).ok_or_else(|| unknown(&word))?;
    let argument = rest.next();
    check_argument(verb, argument.as_deref(), rest.next().as_deref())?;
    let (scope, command) = aim(verb, sorted.remote, sorted.all, argument)?;
    Ok(Asked { verb, scope, command })
}

/// Reads a whole line, as a program hands it over: spaces divide words, double quotes group, and
/// what follows a bare `--` is verbatim.
pub fn parse_line(line: &str) -> Result<Asked, String> {
    let words = split(line)?;
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    parse(&words[..end], words.get(end + 1..).unwrap_or_default())
}

fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None, false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_with(String::new);
            }
            c if c.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    if quoted {
        return Err("a double quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[derive(Default)]
struct Sorted {
    remote: Option<String>,
    all: bool,
    rest: Vec<String>,
}

fn sort(words: &[String], verbatim: &[String]) -> Result<Sorted, String> {
    let mut sorted = Sorted::default();
    let plain = words.iter().map(|word| (word, true));
    let mut all = plain.chain(verbatim.iter().map(|word| (word, false)));
    while let Some((word, plain)) = all.next() {
        match word.as_str() {
            "remote" if plain => {
                let (node, _) = all.next().ok_or("`remote` wants a NODE after it")?;
                if node.is_empty() {
                    return Err("the NODE after `remote` is empty".into());
                }
                if sorted.remote.replace(node.clone()).is_some() {
                    return Err("`remote` was given twice: ask one node, or `all`".into());
                }
            }
            "all" if plain => sorted.all = true,
            _ => sorted.rest.push(word.clone()),
        }
    }
    Ok(sorted)
}

fn unknown(word: &str) -> String {
    if let Some(local) = verbs::LOCAL.iter().find(|local| local.word == word) {
        let verbs::Local { arguments, .. } = local;
        return format!("`{word}` stands first and alone: `daust {word} {arguments}`");
    }
    match verbs::nearest(word) {
        Some(verb) => format!("there is no verb `{word}`: did you mean `{}`?", verb.word),
        None => format!("there is no verb `{word}`"),
    }
}

fn check_argument(verb: &Verb, first: Option<&str>, second: Option<&str>) -> Result<(), String> {
    let word = verb.word;
    match (verb.argument, first, second) {
        (Argument::None, Some(node), _) if verb.remote => Err(format!(
            "`{word}` takes no argument: to ask another node, type `remote {node} {word}`"
        )),
        (Argument::None, Some(_), _) => Err(format!("`{word}` takes no argument")),
        (Argument::Needed(name), None | Some(""), _) => Err(format!("`{word}` wants a {name}")),
        (Argument::Optional(_), Some(""), _) => Err(format!("the NODE of `{word}` is empty")),
        (_, _, Some(extra)) => Err(format!(
            "`{word}` takes one argument, `{extra}` is one too many (a name with a space is written in quotes)"
        )),
        _ => Ok(()),
    }
}

fn aim(
    verb: &Verb,
    remote: Option<String>,
    all: bool,
    argument: Option<String>,
) -> Result<(Scope, Command), String> {
    let instead = match &verb.all {
        All::Instead(command) if all && argument.is_none() => Some(command.clone()),
        All::Refused(why) if all => return Err(format!("{why}: leave `all` out")),
        _ => None,
    };
    let everybody = all && instead.is_none();
    let scope = match remote {
        Some(_) if !verb.remote => {
            return Err(format!("`{}` can only be asked of the local node", verb.word));
        }
        Some(_) if everybody => {
            return Err("`remote` and `all` do not go together: ask one node, or all".into());
        }
        Some(node) => Scope::Node(node),
        None if everybody => Scope::All,
        None => Scope::Here,
    };
    Ok((scope, instead.unwrap_or_else(|| (verb.command)(argument))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits at spaces; what follows ` -- ` is verbatim; `_` stands for a space in a name.
    fn read(line: &str) -> Result<(Scope, Command), String> {
        let split = |text: &str| -> Vec<String> {
            text.split_whitespace().map(|word| word.replace('_', " ")).collect()
        };
        let (words, verbatim) = line.split_once("--").unwrap_or((line, ""));
        parse(&split(words), &split(verbatim)).map(|asked| (asked.scope, asked.command))
    }

    fn node(name: &str) -> Scope {
        Scope::Node(name.into())
    }

    #[test]
    fn words_in_any_order() {
        use Command::*;
        let table = [
            ("ping", Scope::Here, Ping),
            ("list remote X", node("X"), List),
            ("remote X list", node("X"), List),
            ("all ping", Scope::All, Ping),
            ("ping all", Scope::All, Ping),
            ("all stop", Scope::All, Stop),
            ("trace", Scope::Here, Trace),
            ("trace all", Scope::Here, TraceAll),
            ("all trace", Scope::Here, TraceAll),
            ("remote X trace", node("X"), Trace),
            ("remote X trace all", node("X"), TraceAll),
            ("trace all remote X", node("X"), TraceAll),
            ("all trace remote X", node("X"), TraceAll),
            ("trace remote X all", node("X"), TraceAll),
            ("trace vm_4", Scope::Here, TraceNode("vm 4".into())),
            ("remote X trace Y", node("X"), TraceNode("Y".into())),
            ("trace remote X Y", node("X"), TraceNode("Y".into())),
            ("all trace Y", Scope::All, TraceNode("Y".into())),
            ("trace -- all", Scope::Here, TraceNode("all".into())),
            ("all trace -- all", Scope::All, TraceNode("all".into())),
            ("forget vm_4", Scope::Here, Forget("vm 4".into())),
            ("remote X forget Y", node("X"), Forget("Y".into())),
            ("forget -- remote", Scope::Here, Forget("remote".into())),
            ("remote all list", node("all"), List),
            ("remote remote list", node("remote"), List),
            ("remote list list", node("list"), List),
            ("remote -- all list", node("all"), List),
            ("-- ping", Scope::Here, Ping),
            ("version all", Scope::All, Version),
            ("watch", Scope::Here, Watch),
            ("key list", Scope::Here, Keys),
            ("remote X key list", node("X"), Keys),
            ("key list all", Scope::All, Keys),
            ("key rotate", Scope::Here, Rotate),
            ("key show", Scope::Here, KeyText),
            ("token", Scope::Here, Token),
            ("key adopt", Scope::Here, Adopt(Vec::new())),
            ("key revoke vm_4", Scope::Here, Revoke("vm 4".into())),
        ];
        for (line, scope, command) in table {
            assert_eq!(read(line), Ok((scope, command)), "{line}");
        }
    }

    #[test]
    fn lines_are_split_at_spaces_outside_quotes() {
        for (line, words) in [
            ("", &[][..]),
            ("  \t\n", &[]),
            (" remote  X\tping ", &["remote", "X", "ping"]),
            (r#"trace "vm 4""#, &["trace", "vm 4"]),
            (r#"trace vm" "4"#, &["trace", "vm 4"]),
            (r#"forget """#, &["forget", ""]),
            (r"trace it's\", &["trace", r"it's\"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert!(split(r#"trace "vm 4"#).unwrap_err().contains("not closed"));
        let asked = parse_line(r#"trace -- "all""#).unwrap();
        assert_eq!(asked.command, Command::TraceNode("all".into()));
        assert_eq!(parse_line(r#"remote "vm 4" ping"#).unwrap().scope, node("vm 4"));
    }

    #[test]
    fn wrong_words_name_the_way_out() {
        for (line, part) in [
            ("", "VERB is missing"),
            ("all", "VERB is missing"),
            ("remote X", "VERB is missing"),
            ("remote", "wants a NODE"),
            ("list remote", "wants a NODE"),
            ("remote X remote Y ping", "twice"),
            ("remote X all ping", "do not go together"),
            ("lsit", "did you mean `list`?"),
            ("frobnicate", "no verb `frobnicate`"),
            ("-- all ping", "no verb `all`"),
            ("ping X", "`remote X ping`"),
            ("forget", "wants a NODE"),
            ("forget a b", "`b` is one too many"),
            ("trace a b", "in quotes"),
            ("watch all", "leave `all` out"),
            ("watch remote X", "only be asked of the local"),
            ("watch X", "takes no argument"),
            ("all forget X", "spreads"),
            ("key", "`key list`"),
            ("key new", "only `key list`"),
            ("key list x", "takes no argument"),
            ("key rotate all", "leave `all` out"),
            ("key rotate remote X", "only be asked of the local"),
            ("key revoke", "wants a NODE"),
            ("key revoke a b", "`b` is one too many"),
            ("remote X key show", "only be asked of the local"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn empty_words_are_no_nodes() {
        let words = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            parse(&words, &[]).map(|_| ()).unwrap_err()
        };
        assert!(words(&["remote", "", "ping"]).contains("empty"));
        assert!(words(&["trace", ""]).contains("empty"));
        assert!(words(&["forget", ""]).contains("wants a NODE"));
    }
}
