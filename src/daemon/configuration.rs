//! The configuration file: TOML whose keys are the long names of the options (with _ for - as well).
//! An error says the line and the key.

use crate::daemon::options::{CONFIGURATION, Kind, TABLE, Values};
use crate::wire::limits::CONFIGURATION_BYTES;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Keys that are no option of the command line.
const SETTINGS: &[&str] = &[
    "accept",
    "readers",
    "discovery",
    "metrics",
    "guests",
    "consensus_treshold",
    "consensus_threshold",
    "timeout",
];
/// Those of them that may be true or false.
const SWITCHES: [&str; 2] = ["discovery", "guests"];

/// The file's values; none where no file was named and there is none to find.
pub fn read(explicit: Option<&Path>) -> Result<Values, String> {
    let path = explicit.unwrap_or(Path::new(CONFIGURATION));
    let fail = |e: &dyn std::fmt::Display| format!("can not read {}: {e}", path.display());
    let mut text = String::new();
    // The loop reads it again at SIGHUP: a pipe in its place must not make it wait.
    match File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound && explicit.is_none() => return Ok(Values::new()),
        Err(e) => return Err(fail(&e)),
        Ok(file) => {
            file.take(CONFIGURATION_BYTES + 1).read_to_string(&mut text).map_err(|e| fail(&e))?
        }
    };
    if text.len() as u64 > CONFIGURATION_BYTES {
        return Err(fail(&format!("it is over the limit of {CONFIGURATION_BYTES} bytes")));
    }
    parse(&text).map_err(|e| fail(&e))
}

pub fn parse(text: &str) -> Result<Values, String> {
    let table = DeTable::parse(text).map_err(|e| e.to_string())?;
    let mut values = Values::new();
    for (key, value) in table.get_ref() {
        let line = 1 + text[..key.span().start].matches('\n').count();
        let key: &str = key.get_ref();
        let fits = |long: &str| long == key || long.replace('-', "_") == key;
        let (key, kind) = match TABLE.iter().find(|row| fits(row.long)) {
            Some(row) => (row.long, row.kind),
            None if SETTINGS.contains(&key) => (key, Kind::Value),
            None => {
                return Err(format!(
                    "line {line}: unknown key `{key}`; known are {}",
                    known_keys()
                ));
            }
        };
        let words = match value.get_ref() {
            DeValue::Boolean(on) if SWITCHES.contains(&key) => Ok(vec![on.to_string()]),
            value => words(kind, value),
        };
        let words = words.map_err(|e| format!("line {line}: `{key}` {e}"))?;
        // `daemon = false` is as good as no line at all.
        if kind != Kind::Flag || words == ["true"] {
            values.insert(key.to_string(), words);
        }
    }
    Ok(values)
}

fn known_keys() -> String {
    let keys: Vec<&str> =
        TABLE.iter().map(|row| row.long).chain(SETTINGS.iter().copied()).collect();
    keys.join(", ")
}

/// A TOML value as the words somebody would have typed.
fn words(kind: Kind, value: &DeValue) -> Result<Vec<String>, String> {
    match (kind, value) {
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(vec![flag.to_string()]),
        (Kind::Flag, _) => Err("is true or false".to_string()),
        (_, DeValue::String(word)) => Ok(vec![word.to_string()]),
        (_, DeValue::Integer(number)) if number.radix() == 10 => {
            Ok(vec![number.as_str().to_string()])
        }
        (_, DeValue::Float(number)) => Ok(vec![number.as_str().to_string()]),
        (Kind::Many, DeValue::Array(array)) => {
            let lists: Result<Vec<_>, _> =
                array.iter().map(|value| words(Kind::Value, value.get_ref())).collect();
            Ok(lists?.concat())
        }
        _ => Err("is of the wrong type".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_its_line_and_its_key() {
        for (text, expected) in [
            ("keynodes = 'a'", "line 1: unknown key `keynodes`"),
            ("name = 'a'\n\n# why\nkeynodes = 'a'", "line 4: unknown key `keynodes`"),
            ("port = 1\n  deadend = 'yes'\n", "line 2: `deadend` is true or false"),
            ("\nport = 0xff", "line 2: `port` is of the wrong type"),
            ("keynode = [[['a']]]", "line 1: `keynode` is of the wrong type"),
            ("port = 1\nname = [", "line 2"),
            ("[section]\nname = 'a'", "line 1: unknown key `section`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_limit_at_its_edge() {
        let path = std::env::temp_dir().join(format!("herd-limit-{}.toml", std::process::id()));
        for (length, fits) in [(CONFIGURATION_BYTES, true), (CONFIGURATION_BYTES + 1, false)] {
            std::fs::write(&path, format!("#{}", "x".repeat(length as usize - 1))).unwrap();
            match read(Some(&path)) {
                Ok(_) => assert!(fits),
                Err(e) => assert!(!fits && e.contains("limit of 65536 bytes"), "{e}"),
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
