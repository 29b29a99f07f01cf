//! The file format of a recorded exchange: items, each a line of words, its bytes as hexadecimal
//! below, and behind `|` what a reader made of them when it was recorded.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Clone, Default, PartialEq, Debug)]
pub struct Item {
    pub words: Vec<String>,
    pub bytes: Vec<(String, Vec<u8>)>,
    pub said: Vec<String>,
}

impl Item {
    pub fn new<const N: usize>(words: [String; N]) -> Item {
        Item { words: words.to_vec(), ..Item::default() }
    }

    pub fn with(mut self, name: &str, bytes: &[u8]) -> Item {
        self.bytes.push((name.to_string(), bytes.to_vec()));
        self
    }

    pub fn kind(&self) -> &str {
        &self.words[0]
    }

    pub fn find(&self, name: &str) -> Option<&[u8]> {
        self.bytes.iter().find(|(known, _)| known == name).map(|(_, bytes)| &bytes[..])
    }

    pub fn get(&self, name: &str) -> &[u8] {
        self.find(name).unwrap_or_else(|| panic!("{:?} has no {name}", self.words))
    }
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// Every recording there is: none may ever stop being readable.
pub fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(directory()).expect("tests/recorded");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "txt")).collect();
    found.sort();
    assert!(found.iter().any(|path| path.ends_with("version-1.txt")), "version-1.txt is gone");
    found
}

pub fn read(path: &Path) -> Vec<Item> {
    let text = fs::read_to_string(path).expect("a recording");
    let mut items: Vec<Item> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(inside) = line.strip_prefix("  ") else {
            items.push(Item {
                words: line.split(' ').map(String::from).collect(),
                ..Item::default()
            });
            continue;
        };
        let item = items.last_mut().expect("an item before its bytes");
        match inside.strip_prefix("| ") {
            Some(said) => item.said.push(said.to_string()),
            None => {
                let (name, digits) = inside.split_once(' ').expect("a name and its bytes");
                item.bytes.push((name.to_string(), unhex(digits)));
            }
        }
    }
    items
}

pub fn write(path: &Path, items: &[Item]) {
    let mut text = String::from(
        "# What real nodes said to each other, byte by byte; see main.rs. Old recordings stay as they\n\
         # are: every later program must read them.\n",
    );
    for item in items {
        let _ = write!(text, "\n{}\n", item.words.join(" "));
        for (name, bytes) in &item.bytes {
            let _ = writeln!(text, "  {name} {}", hex(bytes));
        }
        for said in &item.said {
            let _ = writeln!(text, "  | {said}");
        }
    }
    fs::write(path, text).expect("the recording is written");
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(digit).collect()
}
