//! What people and disks hand over: the configuration, words, what was kept, the state file.

use super::mesh::{self, Who};
use super::script::Script;
use herd::client::words;
use herd::daemon::options::{Environment, of_configuration};
use herd::daemon::state_file::{Opened, StateFile};
use herd::node::{Input, Kept, Node, Output, User};
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::history::Entry;
use herd::wire::ids::ClientId;
use herd::wire::limits::{HOMES, NODES};
use herd::wire::time::Time;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

pub fn options(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let environment = Environment { root: true, ..Environment::default() };
    match of_configuration(text, &environment) {
        Ok(settings) => assert!(settings.homes.len() <= HOMES && settings.port > 0),
        Err(sentence) => assert!(!sentence.is_empty()),
    }
}

/// Words, one a line; those behind a line `--` are verbatim.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut words: Vec<String> = text.lines().map(str::to_string).collect();
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let verbatim = words.split_off(end);
    if let Err(sentence) = words::parse(&words, verbatim.get(1..).unwrap_or_default()) {
        assert!(!sentence.is_empty());
    }
}

/// A state directory whose entries are anything, and signed records and a journal among them: the node
/// starts, runs, and tells its history as it would to anybody.
pub fn kept(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut kept = Kept { start_counter: script.long(), ..Kept::default() };
    while !script.is_over() {
        let key = match script.byte() {
            0 => "identity".to_string(),
            1 => format!("peer/{:016x}", script.long()),
            3 => {
                let ring = ["command", "event", "stranger"][usize::from(script.byte()) % 3];
                format!("journal/{ring}/{}", script.short())
            }
            _ => script.text(),
        };
        let value = match script.byte() {
            0 => peer(&mut script),
            2 => entry(&mut script),
            _ => script.bytes().to_vec(),
        };
        kept.entries.insert(key, value);
    }
    let now = Time::from_ms(1_000_000);
    let mut node = Node::new(mesh::options("node1", 0, &[]), kept, [3; 32], now);
    for turn in 0..50 {
        node.tick(now.plus_ms(turn * 100));
        let outputs = std::iter::from_fn(|| node.poll()).count();
        assert!(outputs <= NODES, "{outputs} outputs of one turn");
        let command = if turn % 2 == 0 { Command::History(None) } else { Command::KeyText };
        let request = Request { number: turn, scope: Scope::Here, command, timeout_ms: 0 };
        let (client, user) = (ClientId(1), User::default());
        node.handle(now.plus_ms(turn * 100), Input::Request { client, user, request });
    }
    while let Some(output) = node.poll() {
        if let Output::Part { part, .. } = output {
            assert_eq!(codec::decode::<Part>(&codec::encode(&part)).as_ref(), Ok(&part));
        }
    }
}

/// What is kept of one thing that happened, with fields of the script's.
fn entry(script: &mut Script) -> Vec<u8> {
    let entry = Entry {
        unix_s: script.long(),
        kind: codec::decode(&[script.byte() % 24]).expect("a kind, known or not"),
        name: script.text(),
        uid: Some(u32::from(script.byte())).filter(|uid| *uid > 0),
        text: script.text(),
        failure: script.text(),
        times: u32::from(script.short()),
        ..Entry::default()
    };
    let (number, place) = (script.long().to_be_bytes(), script.long().to_be_bytes());
    // An array of three: two numbers of eight bytes, and the entry.
    [&[0x83, 0x1b][..], &number, &[0x1b], &place, &codec::encode(&entry)].concat()
}

/// What is kept of a peer: its record, sound but for the fields that the script bends.
fn peer(script: &mut Script) -> Vec<u8> {
    let who = Who::new(script.byte() | 0x80, script.long());
    let mut record = mesh::record(&who, "peer", usize::from(script.byte() % 64));
    record.generation.0 = script.long();
    record.port = script.short();
    record.hidden = script.byte() & 1 == 1;
    record.parent = Some(herd::wire::ids::NodeId(script.long())).filter(|id| id.0 != 0);
    let signed = record.sign(&who.identity);
    let length = u16::try_from(signed.len()).expect("a short record").to_be_bytes();
    // An array of three: bytes, a number below 24, a number of eight bytes.
    let state = script.byte() % 24;
    [&[0x83, 0x59][..], &length, &signed, &[state, 0x1b], &script.long().to_be_bytes()].concat()
}

/// A real state file, cut and bent: it opens or is moved aside, and the next start finds order.
pub fn state(bytes: &[u8]) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let directory = directory();
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a temporary directory");
    let mut file = sound_file().clone();
    let mut script = Script(bytes);
    let length = script.short();
    if length != 0 {
        file.truncate(usize::from(length) * 8);
    }
    while !script.is_over() && !file.is_empty() {
        let at = (usize::from(script.byte()) << 16 | usize::from(script.short())) % file.len();
        file[at] = script.byte();
    }
    fs::write(directory.join("state.redb"), &file).expect("a temporary file");
    let fault = quietly(|| twice(&directory));
    let _ = fs::remove_dir_all(&directory);
    assert_eq!(fault, None);
}

/// What is wrong with two starts in this directory.
fn twice(directory: &Path) -> Option<String> {
    match StateFile::open(directory, 1_000) {
        // A file that claims a newer format is refused; nothing else is.
        Err(sentence) if sentence.contains("too old") => return None,
        Err(sentence) => return Some(format!("the first start: {sentence}")),
        Ok(_) => {}
    }
    match StateFile::open(directory, 2_000) {
        Ok(Opened::Kept(_, kept)) if kept.start_counter > 0 => None,
        Ok(Opened::Kept(..)) => Some("a start counter of 0".to_string()),
        Ok(Opened::NotWritable(e)) => Some(format!("not writable: {e}")),
        Err(e) => Some(format!("the second start: {e}")),
    }
}

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("herd-fuzz-{}", std::process::id()))
}

fn sound_file() -> &'static Vec<u8> {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let directory = directory();
        fs::create_dir_all(&directory).expect("a temporary directory");
        let Ok(Opened::Kept(mut file, _)) = StateFile::open(&directory, 1) else {
            panic!("no state in {}", directory.display());
        };
        let entries: Vec<_> = (0..9).map(|n| (format!("peer/{n}"), Some(vec![n; 300]))).collect();
        file.write(&entries).expect("a write");
        drop(file);
        fs::read(directory.join("state.redb")).expect("the state file")
    })
}

/// The engine may give up on a damaged file by a panic, which is caught: a fuzzer must not take it
/// for one that is not.
fn quietly(work: impl FnOnce() -> Option<String>) -> Option<String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    result.unwrap_or_else(|_| Some("a panic that nobody caught".to_string()))
}
