//! The rules of ARCHITECTURE.md as a test: who imports whom, what the core never touches, sizes,
//! `unsafe`, dependencies with their reason. (That the manuals name everything: documents.rs.)

mod source;
mod source_tests;

use source::{blank, functions, paths, without_tests, words};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Who may import whom among the rooms of src.
const ROOMS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("node", &["wire"]),
    ("daemon", &["node", "wire"]),
    ("client", &["wire"]),
    ("cli", &["client", "wire"]),
    ("ffi", &["client", "wire"]),
];

/// What everything inside src/node may import: the tables and the types at the core's border. All
/// that is not named here or in PARTS is a feature, and features never import each other.
const TABLES: &[&str] = &[
    "admission",
    "boundary",
    "digest",
    "discovery",
    "guests",
    "journal",
    "keys",
    "link",
    "named",
    "outbox",
    "own",
    "pace",
    "pair",
    "peer",
    "planted",
    "rights",
    "roster",
    "routes",
    "tables",
    "tokens",
    "trials",
];
/// Further files of `impl Node`: they may import what mod.rs may.
const NODE: &[&str] = &["asleep", "clones", "goodbye", "host", "news", "post"];

/// Features too long for one file: who imports which part of its own. Nobody else may.
const PARTS: &[(&str, &str)] = &[
    ("answerer", "execute"),
    ("doctor", "diagnosis"),
    ("dials", "links"),
    ("execute", "checkup"),
    ("execute", "trace"),
    ("execute", "why"),
    ("forwards", "links"),
    ("hearsay", "members"),
    ("hellos", "contacts"),
    ("members", "swim"),
    ("pipes", "execute"),
    ("relay", "execute"),
    ("renewals", "members"),
    ("renewals", "swim"),
];

/// What the core (wire and node) never touches: sockets, files, clocks, threads, chance, and maps
/// whose order differs from run to run.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::io",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "rand::rng",
    "rand::random",
    "thread_rng",
    "OsRng",
    "getrandom",
];

struct Source {
    /// From the root of the project, such as src/node/relay.rs.
    path: String,
    /// Comments, strings and test modules gone.
    code: String,
    lines: usize,
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = fs::read_to_string(path).unwrap();
        let code = without_tests(&blank(&text));
        let tests = text.lines().count() - code.lines().count();
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
        Source { path, code, lines: text.lines().count() - tests }
    }

    /// The module that the file is, such as [node, relay].
    fn module(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.trim_end_matches("/mod").split('/').filter(|part| *part != "lib").collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(directory: &str, wanted: fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true if !["target", ".git", ".vagrant"].contains(&name.as_str()) => {
                    open.push(entry.path())
                }
                false if wanted(&name) => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn sources(directory: &str) -> Vec<Source> {
    let found = files_under(directory, |name| name.ends_with(".rs"));
    assert!(!found.is_empty(), "no source under {directory}");
    found.iter().map(|path| Source::read(path)).collect()
}

/// All that is written here, tests and fuzz targets too.
fn written() -> impl Iterator<Item = Source> {
    ["src", "tests", "bench", "fuzz/src"].into_iter().flat_map(sources)
}

fn none(what: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

/// Why `module` may not name `path`, if so.
fn import_fault(module: &[&str], path: &[String]) -> Option<String> {
    let target: Vec<&str> = path.iter().map(String::as_str).collect();
    let (&room, &to) = (module.first()?, target.first()?);
    let allowed = ROOMS.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
    let known = ROOMS.iter().any(|(name, _)| *name == to);
    let denied = known && to != room && allowed.is_some_and(|allowed| !allowed.contains(&to));
    let crossing = room == "node" && to == "node" && node_fault(module, &target);
    (denied || crossing).then(|| format!("{} imports {}", module.join("::"), target.join("::")))
}

/// Inside node: a feature imports no other feature, a table none at all. What is written in
/// mod.rs, and types named by `crate::node::Type`, are everybody's.
fn node_fault(module: &[&str], target: &[&str]) -> bool {
    let (Some(from), Some(to)) = (module.get(1), target.get(1)) else { return false };
    let is_module = to.starts_with(|c: char| c.is_lowercase());
    let may = NODE.contains(from) || TABLES.contains(to) || PARTS.contains(&(from, to));
    is_module && from != to && !may
}

#[test]
fn imports_go_one_way() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let module = source.module();
        let paths = paths(&source.code, &module);
        faults.extend(paths.iter().filter_map(|path| import_fault(&module, path)));
    }
    none("imports against the rules (see ARCHITECTURE.md)", faults);
}

#[test]
fn the_import_rule_sees_what_it_must() {
    let fault = |module: &[&str], path: &str| {
        import_fault(module, &path.split("::").map(str::to_string).collect::<Vec<_>>()).is_some()
    };
    for (module, path) in [
        (&["wire", "ids"][..], "node::Node"),
        (&["node", "relay"], "daemon::udp"),
        (&["node", "relay"], "node::members::Members"),
        (&["node", "routes"], "node::relay"),
        (&["node", "votes"], "node::execute"),
        (&["client", "words"], "daemon"),
        (&["cli", "options"], "node::Node"),
        (&["daemon", "control"], "client::call"),
        (&["daemon", "control"], "ffi::handle::Handle"),
        (&["ffi", "handle"], "daemon::control"),
        (&["ffi", "nodes"], "node::Node"),
        (&["ffi", "replies"], "cli::main"),
        (&["client", "ask"], "ffi::errors"),
        (&["daemon"], "cli"),
    ] {
        assert!(fault(module, path), "{module:?} may import {path}");
    }
    for (module, path) in [
        (&["node"][..], "node::members::Members"),
        (&["node", "relay"], "node::routes::Routes"),
        (&["node", "relay", "fan"], "node::relay::Fan"),
        (&["node", "relay"], "node::Input"),
        (&["node", "relay"], "node::execute::execute"),
        (&["cli"], "client::verbs"),
        (&["ffi", "nodes"], "client::ask"),
        (&["bin", "daust"], "cli::main"),
    ] {
        assert!(!fault(module, path), "{module:?} may not import {path}");
    }
}

#[test]
fn the_core_touches_nothing_outside() {
    let mut faults = Vec::new();
    for source in sources("src/wire").into_iter().chain(sources("src/node")) {
        for word in touched(&source.code) {
            faults.push(format!("{}: {word}", source.path));
        }
    }
    none("the core reaches outside", faults);
}

fn touched(code: &str) -> Vec<&'static str> {
    let words = words(code);
    let spelled = format!("\n{}\n", words.join("\n"));
    let has = |path: &&&str| spelled.contains(&format!("\n{}\n", path.replace("::", "\n::\n")));
    let grouped = |path: &&str| {
        path.strip_prefix("std::").is_some_and(|module| {
            code.split("std::{").skip(1).any(|rest| {
                let group = rest.split('}').next().unwrap_or("");
                source::words(group).iter().any(|word| word == module)
            })
        })
    };
    FORBIDDEN_IN_CORE.iter().filter(|path| has(path) || grouped(path)).copied().collect()
}

#[test]
fn the_core_rule_sees_what_it_must() {
    assert_eq!(touched("use std::{fs, fmt};"), ["std::fs"]);
    assert_eq!(touched("let a = std :: thread::spawn(f);"), ["std::thread"]);
    assert_eq!(touched("use std::net::{IpAddr, UdpSocket};"), ["UdpSocket"]);
    assert_eq!(touched("use std::collections::BTreeMap; let instant = my_fs;"), [""; 0]);
}

#[test]
fn files_and_functions_are_short() {
    let mut faults = Vec::new();
    for source in written() {
        if source.lines > FILE_LINES && !source.path.ends_with("_tests.rs") {
            faults.push(format!("{}: {} lines, {FILE_LINES} allowed", source.path, source.lines));
        }
        for (name, lines) in functions(&source.code) {
            if lines > FUNCTION_LINES {
                faults.push(format!(
                    "{}: {name} has {lines} lines, {FUNCTION_LINES} allowed",
                    source.path
                ));
            }
        }
    }
    none("too long", faults);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = |path: &PathBuf| !fs::read_to_string(path).unwrap().starts_with("//!");
    let mut files = files_under("src", |name| name.ends_with(".rs"));
    files.extend(files_under("tests", |name| name.ends_with(".rs")));
    files.extend(files_under("bench", |name| name.ends_with(".rs")));
    files.extend(files_under("fuzz/src", |name| name.ends_with(".rs")));
    files.retain(silent);
    none("no //! paragraph", files.iter().map(|path| path.display().to_string()).collect());
}

#[test]
fn unsafe_is_where_it_may_be() {
    let mut faults = Vec::new();
    for source in written() {
        // The simulator asks malloc what a node takes; what is asked of malloc is watched.
        let may = ["src/daemon/process.rs", "tests/sim/cost.rs", "tests/allocations.rs"]
            .contains(&source.path.as_str())
            || source.path.starts_with("src/ffi/");
        if !may && words(&source.code).iter().any(|word| word == "unsafe") {
            faults.push(source.path);
        }
    }
    none(
        "unsafe outside src/daemon/process.rs, src/ffi and two tests that ask about memory",
        faults,
    );
}

/// Dependencies of a manifest without a comment line above; lines that follow one another may not
/// share one, except signal-hook's two halves and their like: a name that another one begins with.
fn unexplained(manifest: &str) -> Vec<String> {
    let (mut section, mut above, mut found) = (String::new(), "", Vec::new());
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.to_string();
        } else if section.contains("dependencies") && !line.starts_with('#') && line.contains('=') {
            let name = line.split(['=', '.']).next().unwrap().trim();
            if !above.starts_with('#') && !above.starts_with(name) {
                found.push(name.to_string());
            }
        }
        above = line;
    }
    found
}

#[test]
fn every_dependency_says_why() {
    let manifest =
        "[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n\nc.workspace = true\n[lib]\nd = 1\n";
    assert_eq!(unexplained(manifest), ["b", "c"]);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    none("a dependency without a comment above it", unexplained(&manifest));
}

#[test]
fn no_text_names_the_machine_it_was_written_on() {
    let hints = ["/root", "/home", "/work", "/Users"].map(|top| format!("{top}/"));
    let mut faults = Vec::new();
    for path in files_under("", |name| !["config.mk", "config.log", ".git"].contains(&name)) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if hints.iter().any(|hint| line.contains(hint.as_str())) {
                faults.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    none("a path of somebody's machine", faults);
}
