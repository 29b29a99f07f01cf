//! include/herd.h is what cbindgen makes of src/ffi today. HERD_WRITE=1 (`make header`) writes it.

use cbindgen::{Config, DocumentationStyle, Language, Style};
use std::path::Path;

const FILES: &[&str] = &["handle", "errors", "nodes", "replies", "events"];
/// Rust names, C names.
const TYPES: &[(&str, &str)] = &[
    ("Handle", "herd_t"),
    ("Nodes", "herd_nodes_t"),
    ("Node", "herd_node_t"),
    ("Replies", "herd_replies_t"),
    ("Event", "herd_event_t"),
];
const ABOVE: &str = "\
/* herd.h: ask the daustd of this machine who is in the herd. See libherd(3).
 * Written by cbindgen from src/ffi (make header): do not edit.
 *
 * A function that can fail returns 0 or a negative HERD_ERR_*; its result, by the last pointer, is
 * written only on success and is then the caller's, to be freed by its own function. NULL is
 * answered with an error, never followed. Strings live as long as what they were got from; they
 * are UTF-8, with control characters escaped. */";

fn generated() -> String {
    let mut config = Config {
        language: Language::C,
        cpp_compat: true,
        header: Some(ABOVE.into()),
        include_guard: Some("HERD_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        usize_is_size_t: true,
        style: Style::Type,
        documentation_style: DocumentationStyle::Doxy,
        line_length: 100,
        ..Config::default()
    };
    config.export.rename =
        TYPES.iter().map(|(rust, c)| (rust.to_string(), c.to_string())).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in FILES {
        builder = builder.with_src(root.join(format!("src/ffi/{file}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("cbindgen reads src/ffi").write(&mut header);
    // A negative number in a macro wants parentheses: in `1 -HERD_AGAIN` two dashes would meet.
    let header = String::from_utf8(header).unwrap();
    let lines = header.lines().map(|line| match line.rsplit_once(" -") {
        Some((name, number)) if name.starts_with("#define ") => format!("{name} (-{number})\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn the_header_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/herd.h");
    let generated = generated();
    if std::env::var_os("HERD_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "include/herd.h is old: run `make header` and commit it");
}
