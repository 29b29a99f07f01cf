//! The bodies of the fuzz targets: what is done with a string of bytes, and what must hold then.
//! cargo-fuzz runs them on what it makes up, tests/fuzz_corpus.rs over the corpus.

#[path = "../../tests/hostile/acts.rs"]
mod acts;
mod decoders;
mod files;
#[path = "../../tests/mesh/mod.rs"]
pub mod mesh;
mod node;
mod script;
#[path = "../../tests/hostile/world.rs"]
mod world;

pub type Body = fn(&[u8]);

/// The name of each target, which is that of its corpus too, and its body.
pub const TARGETS: &[(&str, Body)] = &[
    ("control", decoders::control),
    ("header", decoders::header),
    ("hello", decoders::hello),
    ("kept", files::kept),
    ("key", decoders::key),
    ("message", decoders::message),
    ("node", node::node),
    ("noise", decoders::noise),
    ("options", files::options),
    ("pipe", node::pipe),
    ("record", decoders::record),
    ("rumor", decoders::rumor),
    ("state", files::state),
    ("swim", node::swim),
    ("words", files::words),
];

/// Runs the body of this name.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target's name");
    body(bytes);
}
