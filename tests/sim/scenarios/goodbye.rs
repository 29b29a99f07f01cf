//! A clean goodbye is known to all within a second.

use super::{herd, require_state};
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::info::State;
use herd::wire::reply::Reply;

pub fn leave(world: &mut World) {
    let ids = herd(world, 8);
    world.leave(ids[3]);
    require_state(world, ids[3], State::Left, 1_000);
    world.run_ms(5_000);
    require_state(world, ids[3], State::Left, 0);
    world.require_agreement(0);
    super::require_nobody_down(world, 0, &[]);
}

/// The node that all phone leaves.
pub fn home_leaves(world: &mut World) {
    let ids = herd(world, 5);
    world.leave(ids[0]);
    require_state(world, ids[0], State::Left, 1_000);
    world.run_ms(30_000);
    world.require_agreement(0);
}

/// `daust remote NODE stop` and `daust all stop`.
pub fn stop(world: &mut World) {
    let ids = herd(world, 5);
    let name = world.machines[ids[1]].spec.name.clone();
    let parts = world.answer(ids[0], Scope::Node(name), Command::Stop);
    if parts.len() != 1 || parts[0].reply != Reply::Stopped {
        world.fail(format!("remote stop: {parts:?}"));
    }
    require_state(world, ids[1], State::Left, 2_000);
    world.ask(ids[0], Scope::All, Command::Stop);
    if !world.run_until(6_000, |world| world.machines.iter().all(|one| !one.is_running())) {
        world.fail("all stop does not stop all");
    }
}
