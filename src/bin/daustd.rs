//! The daemon: see `herd::daemon`.

fn main() {
    std::process::exit(herd::daemon::main(std::env::args().collect()));
}
