//! A process that slept accuses nobody when it wakes.

use super::herd;
use crate::world::World;
use rand::RngExt;

pub fn one(world: &mut World) {
    let ids = herd(world, 6);
    world.run_ms(5_000);
    for sleep_ms in [2_000, 5_000, 20_000, 60_000] {
        world.pause_for(ids[2], sleep_ms);
        world.run_ms(sleep_ms + 10_000);
        world.require_agreement(20_000);
        super::require_nobody_down(world, 0, &[ids[2]]);
    }
}

/// Several sleep at different times, for a long while.
pub fn stutter(world: &mut World) {
    let ids = herd(world, 8);
    world.run_ms(5_000);
    for _ in 0..20 {
        let id = ids[world.rng.random_range(0..4)];
        if !world.machines[id].paused {
            let sleep_ms = world.rng.random_range(2_000..10_000);
            world.pause_for(id, sleep_ms);
        }
        world.run_ms(4_000);
    }
    world.run_ms(12_000);
    world.require_agreement(30_000);
    super::require_nobody_down(world, 0, &ids[..4]);
}

/// The whole herd sleeps, as the laptop it runs on does.
pub fn all(world: &mut World) {
    let ids = herd(world, 6);
    world.run_ms(5_000);
    for id in &ids {
        world.pause(*id);
    }
    world.run_ms(60_000);
    for id in &ids {
        world.resume(*id);
    }
    world.require_agreement(10_000);
    super::require_nobody_down(world, 0, &[]);
}
