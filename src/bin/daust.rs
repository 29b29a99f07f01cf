//! The command line: see `herd::cli`.

fn main() {
    std::process::exit(herd::cli::main(std::env::args().collect()));
}
