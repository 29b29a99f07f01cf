//! The bodies of the fuzz targets over their corpus: what a fuzzer once found, or should start
//! from. fuzz/README.md says how to fuzz on.

#[allow(dead_code)]
#[path = "../fuzz/src/lib.rs"]
mod bodies;

use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

#[test]
fn every_corpus_file_is_taken() {
    for (target, body) in bodies::TARGETS {
        let files = fs::read_dir(root().join("corpus").join(target));
        let mut paths: Vec<PathBuf> = files.unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{target} has no corpus");
        for path in paths {
            eprintln!("{}", path.display());
            body(&fs::read(&path).unwrap());
        }
        body(&[]);
    }
}

/// The targets of cargo-fuzz are the bodies of the table, all of them.
#[test]
fn every_body_has_its_target() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let named: Vec<&str> = named.map(|rest| rest.trim_end_matches(".rs\"")).collect();
    let table: Vec<&str> = bodies::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, table);
    for name in table {
        let source = root().join("fuzz_targets").join(name).with_extension("rs");
        assert!(fs::read_to_string(&source).unwrap().contains(&format!("run(\"{name}\"")));
    }
}
