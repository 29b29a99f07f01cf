//! A link that works one way only takes nobody down.

use super::{herd, require_all_ping, require_nobody_down};
use crate::world::World;

pub fn pair(world: &mut World) {
    let ids = herd(world, 6);
    world.run_ms(5_000);
    world.cut_one_way(ids[1], ids[2]);
    world.run_ms(300_000);
    require_all_ping(world, ids[0]);
    require_nobody_down(world, 0, &[]);
    world.heal();
    world.run_ms(30_000);
    world.require_agreement(0);
}

/// A node that sends and hears nothing: it may be held down, but takes nobody with it.
pub fn deaf(world: &mut World) {
    let ids = herd(world, 6);
    world.run_ms(5_000);
    for id in &ids[..5] {
        world.cut_one_way(*id, ids[5]);
    }
    world.run_ms(120_000);
    require_nobody_down(world, 0, &[ids[5]]);
    world.heal();
    world.require_agreement(60_000);
}
