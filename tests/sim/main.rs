//! The simulator: whole nodes on virtual time and a virtual network, everything from one seed.
//!
//! `cargo test --profile sim --features testing --test sim` runs all; `SIM_SEED=n` replays one
//! seed, `SIM_SEEDS=n` sets how many the swarm runs, `SIM_SECONDS=n` ends it after that time.

mod actions;
mod ask;
mod checkers;
mod liar;
mod machine;
mod nat;
mod net;
mod queue;
mod runner;
mod scenarios;
mod streams;
mod trace;
mod world;

macro_rules! promises {
    ($($name:ident: $scenario:path, $seeds:expr;)*) => {
        $(#[test]
        fn $name() {
            runner::check(stringify!($name), $seeds, $scenario);
        })*
    };
}

promises! {
    quick_start: scenarios::join::quick_start, 10;
    join_eight: scenarios::join::eight, 10;
    join_hundred: scenarios::join::hundred, 2;
}
