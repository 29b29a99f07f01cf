//! A restarted node is back by itself, from the peers it remembers.

use super::{JOIN_MS, require_nobody_down, require_state, typed_herd};
use crate::world::{DiskHabits, World};
use herd::wire::info::State;

pub fn remembered(world: &mut World) {
    let ids = typed_herd(world, 5);
    world.run_ms(10_000);
    world.kill(ids[2]);
    world.run_ms(30_000);
    let old = world.machines[ids[2]].id;
    world.start(ids[2]);
    world.require_agreement(5_000);
    if world.machines[ids[2]].id != old {
        world.fail("a restarted node has another id");
    }
}

/// It is back before anybody missed it.
pub fn quick(world: &mut World) {
    let ids = typed_herd(world, 5);
    world.run_ms(10_000);
    world.kill(ids[2]);
    world.run_ms(100);
    world.start(ids[2]);
    world.run_ms(2_000);
    world.require_agreement(5_000);
}

/// All hosts lose power and boot again.
pub fn all(world: &mut World) {
    let ids = typed_herd(world, 5);
    world.run_ms(10_000);
    for id in &ids {
        world.host_down(world.machines[*id].host);
    }
    world.run_ms(5_000);
    for id in &ids {
        world.host_up(world.machines[*id].host);
        world.run_ms(300);
    }
    world.require_agreement(20_000);
}

/// One after the other, with a goodbye.
pub fn rolling(world: &mut World) {
    let ids = typed_herd(world, 6);
    for id in ids.clone() {
        world.leave(id);
        if !world.run_until(5_000, |world| !world.machines[id].is_running()) {
            world.fail("it does not stop");
        }
        require_state(world, id, State::Left, 1_000);
        world.start(id);
        world.require_agreement(JOIN_MS);
    }
    require_nobody_down(world, 0, &[]);
}

/// Disks that always fail, from the start: presence does not depend on them.
pub fn without_disk(world: &mut World) {
    world.disks = DiskHabits { delay_us: (500, 5_000), failure: 1.0 };
    typed_herd(world, 4);
    world.run_ms(30_000);
    world.require_agreement(0);
}

/// A new disk: the node is a new one, and the old one is down.
pub fn wiped(world: &mut World) {
    let ids = typed_herd(world, 4);
    world.run_ms(5_000);
    let old = world.machines[ids[1]].id;
    world.kill(ids[1]);
    world.wipe(ids[1]);
    world.start(ids[1]);
    world.run_ms(1_000);
    world.contact(ids[1], ids[0]);
    world.require_agreement(10_000);
    if world.machines[ids[1]].id == old {
        world.fail("a wiped node has its old id");
    }
}
