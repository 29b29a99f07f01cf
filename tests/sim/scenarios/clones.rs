//! Of two clones of one identity the later draws a new one, goes on, and both are listed.

use super::typed_herd;
use crate::world::World;

fn cloned(world: &mut World, apart_ms: u64) {
    let ids = typed_herd(world, 4);
    world.run_ms(5_000);
    let original = ids[1];
    let old = world.machines[original].id;
    let host = world.net.host(0);
    let copy = world.clone_machine(original, host, "copy");
    if apart_ms == 0 {
        world.kill(original);
        world.start(original);
    } else {
        world.run_ms(apart_ms);
    }
    world.start(copy);
    world.run_ms(30_000);
    world.require_agreement(60_000);
    if apart_ms > 0 && (world.machines[original].id != old || world.machines[copy].id == old) {
        world.fail("not the later one drew a new identity");
    }
    world.run_ms(60_000);
    world.require_agreement(0);
    // The list of everybody else says which of the two is the copy.
    let rows = world.list(ids[0]);
    let warned: Vec<_> = rows.iter().filter(|row| row.reason.contains("a copy of")).collect();
    let drawn = [original, copy].map(|id| world.machines[id].id);
    let drawn: Vec<_> = drawn.into_iter().flatten().filter(|id| Some(*id) != old).collect();
    if warned.iter().map(|row| row.id).collect::<Vec<_>>() != drawn {
        world.fail("the list does not warn of the copy, or of another");
    }
}

/// The original runs on.
pub fn later(world: &mut World) {
    cloned(world, 10_000);
}

/// Both start at once, as when a snapshot is started twice.
pub fn together(world: &mut World) {
    cloned(world, 0);
}
