//! The reader of source is tried on source made up for it: a rule that cannot fail is worth nothing.

use crate::source::{blank, functions, paths, without_tests};

fn named(text: &str, module: &[&str]) -> Vec<String> {
    paths(&blank(text), module).iter().map(|path| path.join("::")).collect()
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = r##"a /* x { /* y */ z */ b // unsafe {
c "un\"safe {" d 'e' '\'' '\u{1f}' 'life: &'a str r#"{ "q" {"# br"{" b"{" r#type f"##;
    let left: Vec<_> = blank(text).split_whitespace().map(str::to_string).collect();
    assert_eq!(left, ["a", "b", "c", "d", "'life:", "&'a", "str", "b", "r#type", "f"]);
    assert_eq!(blank(text).lines().count(), 2);
}

#[test]
fn functions_are_measured_from_signature_to_closing_brace() {
    let text = "
trait T { fn declared(&self, a: [u8; 4]) -> u8; }
fn one() -> [u8; 2] { [0; 2] }
    pub(crate) fn three<F: Fn(u8) -> u8>(
        f: F) {
        if true { \"}\" } else { '{' } }
type Pointer = fn(u8) -> u8;
const HELD: fn (u8) = one;
fn nested() {
    fn inner() {
    }
}";
    let found = functions(&blank(text));
    let expected = [("one", 1), ("three", 3), ("nested", 4), ("inner", 2)];
    assert_eq!(found, expected.map(|(name, lines)| (name.to_string(), lines)));
}

#[test]
fn test_modules_are_cut_off() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { \"}\" }\n}\nfn c() {}\n#[cfg(test)]\nmod tests;\n";
    let left = without_tests(&blank(text));
    let names: Vec<_> = functions(&left).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(!left.contains("mod"));
}

#[test]
fn imports_are_found_however_they_are_written() {
    let here = ["node", "relay"];
    assert_eq!(named("use crate::wire::ids::NodeId;", &here), ["wire::ids::NodeId"]);
    assert_eq!(
        named("use crate::{wire::{ids, time::*}, node::routes as r, daemon};", &here),
        ["wire::ids", "wire::time", "node::routes", "daemon"]
    );
    assert_eq!(named("use super::routes::Routes;", &here), ["node::routes::Routes"]);
    assert_eq!(named("use super::super::daemon;", &here), ["daemon"]);
    assert_eq!(named("let x = crate::daemon::start();", &here), ["daemon::start"]);
    assert_eq!(named("use self::inner::X;", &here), ["node::relay::inner::X"]);
    assert_eq!(named("use herd::cli;", &[]), ["cli"]);
    assert_eq!(named("pub(crate) fn f(self) {} // use crate::daemon;", &here), [""; 0]);
}
