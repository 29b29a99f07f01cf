//! Islands become one by one typed contact; partitions heal by themselves.

use super::{JOIN_MS, require_nobody_down, typed_herd};
use crate::machine::MachineId;
use crate::world::World;
use herd::wire::ids::NodeId;

pub fn contact(world: &mut World) {
    let ids = world.machines(8);
    world.start_all();
    world.run_ms(200);
    for (one, other) in [(1, 0), (2, 0), (3, 1), (5, 4), (6, 4), (7, 6)] {
        world.contact(ids[one], ids[other]);
        world.run_ms(100);
    }
    world.run_ms(5_000);
    let seen = world.list(ids[0]).len();
    if seen != 4 {
        world.fail(format!("an island of 4 lists {seen}"));
    }
    world.contact(ids[2], ids[7]);
    world.require_agreement(JOIN_MS);
}

fn split(world: &mut World, count: usize, apart: usize, for_ms: u64) -> Vec<MachineId> {
    let ids = typed_herd(world, count);
    world.run_ms(10_000);
    world.split(&ids[..apart], 1);
    world.run_ms(for_ms);
    world.heal();
    ids
}

/// Half and half for two minutes. The verdicts of the other side fell on the living: when both meet
/// again nobody believes them against its own word.
pub fn halves(world: &mut World) {
    let ids = split(world, 16, 8, 120_000);
    let met_us = world.now_us;
    world.require_agreement(30_000);
    let side = |id: &NodeId| ids[..8].iter().any(|one| world.machines[*one].id == Some(*id));
    let downs = world.checkers.shown.downs.iter();
    let own = downs.filter(|(at_us, observer, subject)| {
        *at_us >= met_us && ids[..8].contains(observer) == side(subject)
    });
    if let Some((at_us, observer, subject)) = own.copied().next() {
        world.fail(format!("{observer} showed {subject} of its side down at {} ms", at_us / 1_000));
    }
    let healed_us = world.now_us;
    world.run_ms(120_000);
    world.require_agreement(0);
    require_nobody_down(world, healed_us, &[]);
}

/// A day, and one node alone on its side.
pub fn long(world: &mut World) {
    let ids = split(world, 5, 1, 3_600_000);
    world.require_agreement(60_000);
    super::require_all_ping(world, ids[0]);
}
