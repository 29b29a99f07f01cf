//! No limit without a test that names it, and none that nobody is told of.

use herd::wire::limits::TABLE;
use std::fs;
use std::path::{Path, PathBuf};

/// Paces, not limits: nothing is refused beyond them. The simulator's scenarios depend on them.
const PACES: &[&str] = &[
    "ADDRESSES_MS",
    "ADDRESSES_SETTLE_MS",
    "ADDRESSES_UNTOLD_MS",
    "GOODBYE_MS",
    "HEARTBEATS_MISSED",
    "HEARTBEAT_MS",
    "LOG_WINDOW_MS",
    "RENEWAL_MS",
    "SLEPT_MS",
    "TIMEOUT_MS",
    "UNDEAD_RENEWAL_MS",
];
/// Follow from another limit, and have no edge of their own until keyed herds are larger.
const FOLLOWING: &[&str] = &["REMEMBERED_DEAD"];

fn source() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/limits.rs")).unwrap()
}

fn names() -> Vec<String> {
    let source = source();
    let names = source.lines().filter_map(|line| line.strip_prefix("pub const "));
    names.map(|rest| rest.split(':').next().unwrap().to_string()).filter(|n| n != "TABLE").collect()
}

/// The text of all tests, the simulator's aside.
fn tests() -> String {
    let mut open =
        ["src", "tests"].map(|top| Path::new(env!("CARGO_MANIFEST_DIR")).join(top)).to_vec();
    let mut text = String::new();
    while let Some(path) = open.pop() {
        if path.is_dir() && !path.ends_with("tests/sim") {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &test_text(&path);
        }
    }
    text
}

fn test_text(path: &PathBuf) -> String {
    let text = fs::read_to_string(path).unwrap();
    let whole =
        path.to_str().unwrap().contains("/tests/") || path.to_str().unwrap().ends_with("_tests.rs");
    match text.split_once("#[cfg(test)]") {
        _ if path.ends_with("limits/table.rs") => String::new(),
        _ if whole => text,
        Some((_, tests)) => tests.to_string(),
        None => String::new(),
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next())
    })
}

#[test]
fn every_limit_is_tested_at_its_edge() {
    let tests = tests();
    let excused = |name: &str| PACES.contains(&name) || FOLLOWING.contains(&name);
    let untested: Vec<String> =
        names().into_iter().filter(|name| !excused(name) && !has_word(&tests, name)).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
    let names = names();
    assert!(names.len() > 50 && PACES.iter().all(|pace| names.iter().any(|name| name == pace)));
}

#[test]
fn every_limit_is_told() {
    let source = source();
    let (_, table) = source.split_once("pub const TABLE").unwrap();
    let untold: Vec<String> = names()
        .into_iter()
        .filter(|name| !PACES.contains(&&name[..]))
        .filter(|name| !has_word(table, name))
        .collect();
    assert!(untold.is_empty(), "`daust version -v` does not tell {untold:?}");
    assert!(TABLE.iter().all(|(name, value, _)| !name.is_empty() && *value > 0));
}
