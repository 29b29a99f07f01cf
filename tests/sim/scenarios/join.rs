//! Everybody who joins is known to all, soon.

use crate::machine::MachineId;
use crate::world::World;

/// Two lone nodes become a herd when a person types one command.
pub fn quick_start(world: &mut World) {
    let ids = world.machines(2);
    world.start_all();
    world.run_ms(500);
    let number = world.contact(ids[0], ids[1]);
    let answered = world.run_until(1_000, |world| world.is_done(ids[0], number));
    let parts = world.answers[&(ids[0], number)].clone();
    if !answered || parts.len() != 1 || parts[0].reply != herd::wire::reply::Reply::Pong {
        world.fail(format!("remote ping gives {parts:?}"));
    }
    world.require_agreement(1_000);
}

pub fn many(world: &mut World, count: usize, within_ms: u64) -> Vec<MachineId> {
    let ids = world.machines(count);
    let seed_address = world.address(ids[0]);
    for id in &ids[1..] {
        world.machines[*id].spec.homes = vec![seed_address];
    }
    world.start_all();
    world.require_agreement(within_ms);
    world.run_ms(5_000);
    world.require_agreement(0);
    ids
}

pub fn eight(world: &mut World) {
    many(world, 8, 2_000);
}

/// All at once, the node they all join included.
pub fn hundred(world: &mut World) {
    many(world, 100, 5_000);
}

pub fn thousand(world: &mut World) {
    many(world, 1_000, 30_000);
}
