//! The command line: see `herd::cli`.

fn main() {
    // Words that are no UTF-8 cannot name a node; they must not panic either.
    let arguments = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    std::process::exit(herd::cli::main(arguments.collect()));
}
