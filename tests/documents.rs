//! The manuals and the completions know every verb, option and limit that the program knows.

use herd::client::verbs::VERBS;
use herd::wire::limits::TABLE;
use std::process::Command;

fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The options of a program, `-x` and `--long`, as its own help shows them.
fn options(program: &str) -> Vec<String> {
    let output = Command::new(program).arg("-h").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split("  ").next().unwrap_or("").split([',', ' ']));
    let words = words.filter(|word| word.starts_with('-') && word.len() > 1);
    words.map(String::from).collect()
}

#[test]
fn every_verb_is_documented_and_completed() {
    let (manual, bash, zsh) =
        (file("man/daust.1"), file("completions/daust.bash"), file("completions/_daust"));
    for verb in VERBS {
        let word = verb.word;
        assert!(manual.contains(&format!("\n.It Cm {word}")), "daust.1: {word}");
        let (first, second) = word.split_once(' ').unwrap_or((word, ""));
        for word in [first, second] {
            assert!(bash.contains(&format!(" {word}")), "daust.bash: {word}");
        }
        assert!(zsh.contains(&format!("'{first}:")), "_daust: {first}");
        assert!(zsh.contains(second), "_daust: {word}");
    }
}

/// Whether the text has this, not merely as the beginning of a longer word.
fn has(text: &str, phrase: &str) -> bool {
    let follows = |at: usize| text[at + phrase.len()..].chars().next();
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.match_indices(phrase).any(|(at, _)| !follows(at).is_some_and(inside))
}

fn check_options(program: &str, manual: &str) {
    let (bash, zsh) = (file("completions/daust.bash"), file("completions/_daust"));
    let options = options(program);
    assert!(options.len() >= 12, "{options:?}");
    for option in options {
        // In mdoc the first dash is the macro's.
        let in_manual = format!("Fl {}", &option[1..]);
        assert!(has(manual, &in_manual), "manual: {option}");
        assert!(has(&bash, &option), "daust.bash: {option}");
        assert!(has(&zsh, &option), "_daust: {option}");
    }
}

#[test]
fn every_option_of_daust_is_documented_and_completed() {
    check_options(env!("CARGO_BIN_EXE_daust"), &file("man/daust.1"));
}

#[test]
fn every_option_of_daustd_is_documented_and_completed() {
    check_options(env!("CARGO_BIN_EXE_daustd"), &file("man/daustd.8"));
}

#[test]
fn every_limit_is_documented_with_its_value() {
    let manual = file("man/herd.7");
    for (name, value, unit) in TABLE {
        let line = format!(".It {name} Ta {value} Ta {unit}");
        assert!(manual.lines().any(|found| found == line.trim_end()), "herd.7 lacks: {line}");
    }
}

#[test]
fn every_field_of_json_is_documented() {
    let manual = file("man/daust.1");
    let source = file("src/client/json.rs");
    let source = source.split("#[cfg(test)]").next().unwrap();
    let fields: Vec<&str> =
        source.split('"').collect::<Vec<_>>().windows(2).filter_map(field).collect();
    assert!(fields.len() > 25, "{fields:?}");
    for field in fields {
        assert!(has(&manual, &format!("Va {field}")), "daust.1 lacks the field {field}");
    }
}

#[test]
fn the_readme_shows_an_example_that_is_tested() {
    let example = file("examples/list.c");
    let body = &example[example.find("#include").unwrap()..];
    assert!(file("README.md").contains(body), "README.md: examples/list.c reads otherwise");
}

/// In the table of threats stands `file: function` for each test.
#[test]
fn every_test_that_is_named_is_there() {
    let security = file("SECURITY.md");
    let rows = security.lines().filter(|line| line.starts_with("| "));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2).collect::<Vec<_>>());
    let named: Vec<(&str, &str)> = quoted.filter_map(|text| text.split_once(": ")).collect();
    assert!(named.len() > 40, "{named:?}");
    for (place, function) in named {
        let root = env!("CARGO_MANIFEST_DIR");
        let places = ["tests", "src"].map(|top| format!("{root}/{top}/{place}.rs"));
        let texts = places.iter().filter_map(|place| std::fs::read_to_string(place).ok());
        let there = texts.into_iter().any(|text| text.contains(&format!("fn {function}(")));
        assert!(there, "SECURITY.md names {place}: {function}");
    }
}

/// A quoted word that is followed by a colon is a field.
fn field<'a>(pair: &[&'a str]) -> Option<&'a str> {
    pair[1].starts_with(": ").then_some(pair[0])
}

/// What bash offers after `line`, in a herd of `node1`, `vm 4` and `vm 10`.
fn completed(line: &[&str]) -> String {
    let script = r#"
        daust() { printf '%s: internal ip N/A\n' node1 'vm 4' 'vm 10'; }
        source completions/daust.bash
        COMP_WORDS=(daust "$@"); COMP_CWORD=$#
        _daust; printf '%s|' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).args(line).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_offers_words_and_nodes() {
    assert_eq!(completed(&["l"]), "list|");
    assert_eq!(completed(&["list", "r"]), "remote|remove|");
    assert_eq!(completed(&["--ver"]), "--verbose|--version|");
    assert_eq!(completed(&["remote", ""]), r"node1|vm\ 4|vm\ 10|");
    assert_eq!(completed(&["remote", r"vm\ 1"]), r"vm\ 10|");
    assert_eq!(completed(&["trace", ""]), r"all|remote|node1|vm\ 4|vm\ 10|");
    assert_eq!(completed(&["forget", "x"]), "|");
    assert_eq!(completed(&["key", ""]), "add|adopt|list|new|revoke|rotate|show|");
}

/// Only where mandoc is installed; it finds no page that is not, so that is no fault here.
#[test]
fn manuals_are_clean() {
    for page in ["daust.1", "daustd.8", "herd.7", "libherd.3"] {
        let path = format!("{}/man/{page}", env!("CARGO_MANIFEST_DIR"));
        let Ok(output) = Command::new("mandoc").args(["-Tlint", &path]).output() else { return };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults: Vec<&str> =
            said.lines().filter(|line| !line.contains("referenced manual not found")).collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
