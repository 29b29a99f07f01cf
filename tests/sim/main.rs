//! The simulator: whole nodes on virtual time and a virtual network, everything from one seed.
//!
//! `cargo test --profile sim --features testing --test sim` runs all; `SIM_SEED=n` replays one
//! seed, `SIM_SEEDS=n` sets how many the swarm runs, `SIM_SECONDS=n` ends it after that time, `SIM_ALL=1` does not stop at the first failure.

mod actions;
mod ask;
mod attacker;
mod checkers;
#[cfg(test)]
mod checkers_tests;
mod cost;
mod liar;
mod machine;
mod nat;
mod net;
mod planted;
mod queue;
mod reach;
mod runner;
mod scenarios;
mod services;
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

use scenarios::*;

promises! {
    quick_start: join::quick_start, 10;
    join_eight: join::eight, 10;
    join_hundred: join::hundred, 2;
    last_seen_living: last_seen::living, 3;
    last_seen_hundred: last_seen::hundred, 1;
    last_seen_dead: last_seen::dead, 3;
    goodbye_leave: goodbye::leave, 10;
    goodbye_home: goodbye::home_leaves, 5;
    goodbye_stop: goodbye::stop, 5;
    pipe_through_parents: pipes::through_parents, 5;
    pipe_idle_and_broken: pipes::idle_and_broken, 3;
    pipe_not_taken: pipes::not_taken, 3;
    pipe_open_herd: pipes::open_herd, 1;
    guests_killed: guests::killed, 10;
    guests_frozen: guests::frozen, 5;
    guests_liar: guests::liar, 5;
    guests_doubtful: guests::doubtful, 5;
    lives_all: lives::all, 5;
    lives_split: lives::split, 3;
    crash_process: crash::process, 10;
    crash_host: crash::host, 10;
    crash_host_of_many: crash::host_of_many, 1;
    crash_of_two: crash::of_two, 5;
    crash_half: crash::half, 5;
    rejoin_remembered: rejoin::remembered, 5;
    history_kept: history::kept, 10;
    history_in_touch: history::in_touch, 10;
    discovery_lone: discovery::lone, 30;
    discovery_two_herds: discovery::two_herds, 10;
    discovery_keyed: discovery::keyed, 10;
    discovery_strangers: discovery::strangers, 3;
    doctor_way: doctor::way, 10;
    doctor_nobody_joins: doctor::nobody_joins, 5;
    rejoin_quick: rejoin::quick, 5;
    rejoin_all: rejoin::all, 5;
    rejoin_rolling: rejoin::rolling, 3;
    rejoin_without_disk: rejoin::without_disk, 3;
    rejoin_wiped: rejoin::wiped, 5;
    moved_lease: moved::lease, 5;
    islands_contact: islands::contact, 5;
    partition_halves: islands::halves, 5;
    partition_long: islands::long, 2;
    loss_hour_at_20: loss::hour_at_20, 2;
    loss_ten_minutes_at_30: loss::ten_minutes_at_30, 3;
    loss_disorder: loss::disorder, 3;
    pause_one: pause::one, 5;
    pause_stutter: pause::stutter, 5;
    pause_all: pause::all, 5;
    clones_later: clones::later, 5;
    clones_together: clones::together, 5;
    one_way_pair: one_way::pair, 5;
    one_way_deaf: one_way::deaf, 5;
    hidden_three_levels: hidden::three_levels, 2;
    hidden_any_kind: hidden::any_kind, 10;
    hidden_gateway: hidden::gateway, 5;
    hidden_host_only: hidden::host_only, 5;
    hidden_neighbours: hidden::neighbours, 3;
    hidden_rebinding: hidden::rebinding, 5;
    hidden_overlap: hidden::overlap, 3;
    parents_process: parents::process, 3;
    parents_quick: parents::quick, 3;
    parents_fifty: parents::fifty, 1;
    parents_goodbye: parents::goodbye, 3;
    parents_deadend: parents::deadend, 3;
    replay_recorded: replay::recorded, 5;
    hostile_garbage: hostile::garbage, 3;
    hostile_bent: hostile::bent, 3;
    hostile_invented: hostile::invented, 2;
    hostile_liar: hostile::lone_liar, 3;
    keyed_eight: keyed::eight, 3;
    keyed_chaos: keyed::chaos, 10;
    keyed_strangers: keyed::strangers, 5;
    keyed_flood: keyed::flood, 2;
    keyed_replayed: keyed::replayed, 2;
    keyed_restarted: keyed::restarted, 5;
    keyed_open_herd: keyed::open_herd, 3;
    rotation_under_loss: rotation::under_loss, 5;
    rotation_hundred: rotation::hundred, 3;
    rotation_killed: rotation::killed, 100;
    rotation_away: rotation::away, 50;
    rotation_two_at_once: rotation::two_at_once, 100;
    rotation_chaos: rotation::chaos, 20;
    rotation_revoked: rotation::revoked, 100;
    rotation_revoked_and_rotated: rotation::revoked_and_rotated, 100;
    adopt_under_loss: adopt::under_loss, 30;
    adopt_many: adopt::many, 1;
    adopt_killed: adopt::killed, 100;
    adopt_away: adopt::away, 20;
    adopt_two_at_once: adopt::two_at_once, 100;
    adopt_stranger: adopt::stranger, 30;
    adopt_chaos: adopt::chaos, 30;
    tokens_one_of_many: tokens::one_of_many, 30;
    tokens_no_good: tokens::no_good, 3;
}

/// A thousand nodes at once: only when `SIM_LARGE` is set, as `make sim` does.
#[test]
fn join_thousand() {
    if std::env::var_os("SIM_LARGE").is_some() {
        runner::check("join_thousand", 1, join::thousand);
    }
}

#[test]
fn swarm() {
    runner::swarm("swarm", 100, swarm::swarm);
}
