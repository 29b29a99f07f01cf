//! libherd as C programs see it: tests/abi has one for each function of herd.h, and some for what
//! befalls a daemon. All are run twice against real daemons, under valgrind and AddressSanitizer.

mod common;

use common::{DAUSTD, Daemon, Scratch};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Against a daemon of their own, to which things are done, or whose places they all take.
const ALONE: &[&str] =
    &["daemon_dies", "daemon_dies_within", "daemon_silent", "herd_close", "many_handles"];
const PLANTED: &str = "planted";
const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];
/// After so many seconds a program hangs.
const HANGS_S: &str = "300";
/// Programs run at once: most of their time they wait.
const WORKERS: usize = 4;

/// Where `make library` puts it: beside the programs under test.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = Path::new(DAUSTD).parent().unwrap();
        let mut make = Command::new("make");
        make.args(["-s", "library", "profile=debug", "target="]).current_dir(ROOT);
        make.arg(format!("target_dir={}", directory.parent().unwrap().display()));
        // Cargo names itself to its tests by a path that knows no toolchain: not for config.mk.
        make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env_remove("CARGO");
        succeeds(make);
        directory.parent().unwrap().join("debug")
    })
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// `cc` or another compiler, with what finds header and library.
fn compiler(name: &str, source: &Path, program: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(more).arg("-I").arg(format!("{ROOT}/include")).arg(source);
    command.arg("-L").arg(library()).arg(format!("-Wl,-rpath,{}", library().display()));
    command.args(["-lherd", "-pthread", "-o"]).arg(program);
    command
}

/// The programs of tests/abi.
fn names() -> BTreeSet<String> {
    let files = std::fs::read_dir(format!("{ROOT}/tests/abi")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let sources = paths.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    sources.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect()
}

/// Does `work` to all, a few at a time.
fn side_by_side<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Relaxed)) {
                    work(one);
                }
            });
        }
    });
}

/// The programs, and how they are run.
struct Suite {
    directory: Scratch,
    under: Vec<&'static str>,
}

impl Suite {
    fn new(flags: &[&str], under: &[&'static str]) -> Suite {
        let suite = Suite { directory: Scratch::new(), under: under.to_vec() };
        library();
        let names: Vec<String> = names().into_iter().collect();
        let flags = [&["-std=c11", "-D_GNU_SOURCE"], WARNINGS, flags].concat();
        side_by_side(&names, |name| {
            let source = PathBuf::from(format!("{ROOT}/tests/abi/{name}.c"));
            succeeds(compiler("cc", &source, &suite.directory.0.join(name), &flags));
        });
        suite
    }

    fn command(&self, name: &str, daemon: &Daemon) -> Command {
        let program = self.directory.0.join(name);
        let mut command = Command::new("timeout");
        command.arg(HANGS_S).args(&self.under).arg(program).env("DAUST_SOCKET", &daemon.socket);
        command.env("NODE1_ADDRESS", daemon.address.to_string());
        command.env("HERD_VERSION", env!("CARGO_PKG_VERSION")).stdin(Stdio::null());
        command
    }

    fn run(&self) {
        let herd = Herd::start();
        let output = self.command(PLANTED, &herd.node1).output().unwrap();
        let found = ["definitely lost", "detected memory leaks"];
        let found = found.iter().any(|words| said(&output).contains(words));
        assert!(found && !output.status.success(), "planted leaks not found: {}", said(&output));
        let mut rest = names();
        rest.retain(|name| name != PLANTED && !ALONE.contains(&name.as_str()));
        assert!(rest.len() > 30, "{rest:?}");
        let rest: Vec<String> = rest.into_iter().collect();
        std::thread::scope(|scope| {
            let churn = scope.spawn(|| herd.churn());
            let alone = scope.spawn(|| self.run_alone());
            let work = scope.spawn(|| {
                side_by_side(&rest, |name| {
                    let output = self.command(name, &herd.node1).output().unwrap();
                    assert!(output.status.success(), "{name}: {}", said(&output));
                });
            });
            let outcome = work.join();
            herd.quiet.store(true, Relaxed);
            churn.join().unwrap();
            alone.join().unwrap();
            outcome.unwrap();
        });
    }

    /// Carries out on the daemon what the program asks for, line by line.
    fn run_alone(&self) {
        for name in ALONE {
            let mut daemon = Daemon::start("node1");
            let mut command = self.command(name, &daemon);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut answers = child.stdin.take().unwrap();
            for line in lines {
                match line.unwrap().as_str() {
                    "kill" => daemon.kill(),
                    "start" => daemon.restart(),
                    "pause" => daemon.signal("-STOP"),
                    "continue" => daemon.signal("-CONT"),
                    other => panic!("{name} asks for {other}"),
                }
                answers.write_all(b"done\n").unwrap();
            }
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{name}: {}", said(&output));
        }
    }
}

/// `node1`, which the programs ask, and two that it knows.
struct Herd {
    node1: Daemon,
    node2: Mutex<Daemon>,
    _vm3: Daemon,
    quiet: AtomicBool,
}

impl Herd {
    fn start() -> Herd {
        let node1 = Daemon::start("node1");
        let home = node1.address.to_string();
        let (mut node2, mut vm3) = (Daemon::prepared("node2"), Daemon::prepared("vm 3"));
        for (node, more) in [(&mut node2, &[][..]), (&mut vm3, &["-p", "192.0.2.3"])] {
            let mut command = node.command();
            node.run(command.args(["-k", &home]).args(more));
        }
        for (node, ip) in [(&node2, "N/A"), (&vm3, "192.0.2.3")] {
            let (name, address) = (&node.name, node.address);
            node1.wait_listed(&format!(
                "{name}: internal ip {address}, public ip {ip}, last seen N seconds ago"
            ));
        }
        Herd { node1, node2: Mutex::new(node2), _vm3: vm3, quiet: AtomicBool::new(false) }
    }

    /// Kills node2 and starts it again, until it may be quiet: events for whoever follows.
    fn churn(&self) {
        let mut node2 = self.node2.lock().unwrap();
        let pause = || std::thread::sleep(Duration::from_millis(500));
        while !self.quiet.load(Relaxed) {
            pause();
            node2.kill();
            pause();
            node2.restart();
        }
    }
}

#[test]
fn every_program_under_valgrind() {
    if !exists("valgrind") {
        return eprintln!("SKIPPED: no valgrind (./bootstrap as root installs it)");
    }
    let leaks = "--errors-for-leak-kinds=definite,indirect,possible";
    Suite::new(&[], &["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", leaks]).run();
}

#[test]
fn every_program_under_address_sanitizer() {
    Suite::new(&["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], &[]).run();
}

#[test]
fn examples_run() {
    let (herd, scratch) = (Herd::start(), Scratch::new());
    let run = |program: &mut Command| {
        program.env("DAUST_SOCKET", &herd.node1.socket).env("LD_LIBRARY_PATH", library());
        program.stdin(Stdio::null()).stdout(Stdio::piped());
        program.spawn().unwrap()
    };
    for name in ["list", "watch"] {
        let source = PathBuf::from(format!("{ROOT}/examples/{name}.c"));
        succeeds(compiler("cc", &source, &scratch.0.join(name), WARNINGS));
    }
    let output = run(&mut Command::new(scratch.0.join("list"))).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("\nvm 3 at 127."), "{}", said(&output));

    let mut watch = run(&mut Command::new(scratch.0.join("watch")));
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    std::thread::scope(|scope| {
        scope.spawn(|| herd.churn());
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("down ")));
        herd.quiet.store(true, Relaxed);
        assert!(line.unwrap().unwrap().starts_with("down node2: "));
    });
    watch.kill().unwrap();
    watch.wait().unwrap();

    if !exists("python3") {
        return eprintln!("SKIPPED: no python3");
    }
    let script = format!("{ROOT}/examples/herd.py");
    let python = |words: &[&str]| {
        let child = run(Command::new("python3").arg(&script).args(words).stderr(Stdio::piped()));
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), said(&output))
    };
    let (status, text) = python(&["remote", "vm 3", "ping"]);
    assert!(status == 0 && text.contains("pong\n"), "{text}");
    let (status, text) = python(&["remote", "no body", "ping"]);
    assert!(status == 1 && text.contains("can not reach remote node no body"), "{text}");
    let (status, text) = python(&["lsit"]);
    assert!(status == 1 && text.contains("did you mean `list`?"), "{text}");
}

#[test]
fn header_symbols_manual_and_programs_are_one() {
    let header = std::fs::read_to_string(format!("{ROOT}/include/herd.h")).unwrap();
    let lines = header.lines().filter(|line| line.ends_with(");"));
    let declared = lines.map(|line| line.split('(').next().unwrap().rsplit([' ', '*']).next());
    let declared: BTreeSet<String> = declared.map(|name| name.unwrap().to_string()).collect();
    assert!(declared.len() >= 32, "{declared:?}");
    assert_eq!(exported(), declared, "symbols of libherd.so, functions of herd.h");

    let programs = names().into_iter().filter(|name| name.starts_with("herd_"));
    assert_eq!(programs.collect::<BTreeSet<_>>(), declared, "programs of tests/abi, herd.h");

    let manual = std::fs::read_to_string(format!("{ROOT}/man/libherd.3")).unwrap();
    let described = |start: &str| -> BTreeSet<String> {
        let names = manual.lines().filter_map(|line| line.strip_prefix(start));
        let names = names.map(|rest| rest.split_whitespace().next().unwrap());
        names.filter(|name| name.starts_with("herd_")).map(String::from).collect()
    };
    assert_eq!(described(".Fn "), declared, "synopsis of libherd.3, herd.h");
    assert_eq!(described(".It Fn "), declared, "descriptions in libherd.3, herd.h");
    let constants = header.lines().filter_map(|line| line.strip_prefix("#define HERD_"));
    for name in constants.filter_map(|line| line.split_once(' ')).map(|(name, _)| name) {
        assert!(manual.contains(&format!(".It Dv HERD_{name}\n")), "libherd.3: HERD_{name}");
    }
}

/// The functions that libherd.so exports, each with its version; the version itself is no function.
fn exported() -> BTreeSet<String> {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only"]).arg(library().join("libherd.so"));
    let symbols = succeeds(nm);
    let symbols = symbols.lines().map(|line| line.rsplit(' ').next().unwrap());
    let symbols = symbols.filter(|name| *name != "HERD_0");
    let bare = |name: &str| name.strip_suffix("@@HERD_0").expect("a version").to_string();
    symbols.map(bare).collect()
}

#[test]
fn the_header_is_clean_c_and_cpp() {
    let scratch = Scratch::new();
    let source = scratch.0.join("use.cpp");
    let text = "#include <herd.h>\nint main() { return herd_version() == nullptr; }\n";
    std::fs::write(&source, text).unwrap();
    if exists("g++") {
        succeeds(compiler("g++", &source, &scratch.0.join("use"), WARNINGS));
        succeeds(Command::new(scratch.0.join("use")));
    } else {
        eprintln!("SKIPPED: no g++");
    }
    let source = scratch.0.join("use.c");
    std::fs::write(&source, "#include <herd.h>\n#include <herd.h>\nint main(void) { return 0; }\n")
        .unwrap();
    let flags = [WARNINGS, &["-std=c99"]].concat();
    succeeds(compiler("cc", &source, &scratch.0.join("use"), &flags));
}
