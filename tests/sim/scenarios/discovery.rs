//! What discovery finds makes a herd of lone nodes, brings a keyed herd together, and joins no two.

use super::typed_herd;
use crate::machine::MachineId;
use crate::world::World;
use herd::wire::discovery::Discovered;
use herd::wire::key::HerdKey;
use rand::RngExt;

/// From now on these see each other on their network: each is told within a second.
fn see_each_other(world: &mut World, ids: &[MachineId], alike: impl Fn(MachineId) -> bool) {
    let found: Vec<Discovered> =
        ids.iter().map(|id| Discovered { at: world.address(*id), alike: alike(*id) }).collect();
    for id in ids {
        let after_us = world.rng.random_range(10_000..1_000_000);
        world.discovered(*id, found.clone(), after_us);
    }
}

/// Lone nodes that start at any moment become one herd, whoever sees whom first.
pub fn lone(world: &mut World) {
    let ids = world.machines(8);
    for started in 1..=ids.len() {
        world.start(ids[started - 1]);
        see_each_other(world, &ids[..started], |_| true);
        let pause_ms = world.rng.random_range(0..1_500);
        world.run_ms(pause_ms);
    }
    world.require_agreement(30_000);
}

/// Two open herds see each other, and a lone node both: it joins one, and they stay two.
pub fn two_herds(world: &mut World) {
    let one = typed_herd(world, 3);
    let other = world.machines(3);
    let home = world.address(other[0]);
    for id in &other[1..] {
        world.machines[*id].spec.homes = vec![home];
    }
    other.iter().for_each(|id| world.start(*id));
    world.run_ms(5_000);
    let lone = world.machines(1)[0];
    world.start(lone);
    let all: Vec<MachineId> = (0..world.machines.len()).collect();
    for _ in 0..10 {
        see_each_other(world, &all, |_| true);
        world.run_ms(10_000);
    }
    let mut sizes = [one[0], other[0]].map(|id| world.list(id).len());
    sizes.sort_unstable();
    if sizes != [3, 4] || world.list(lone).len() != 4 {
        world.fail(format!("the herds have {sizes:?} nodes, not 3 and 4"));
    }
}

/// A keyed herd that was apart comes together: those of its mark are greeted, by members too.
pub fn keyed(world: &mut World) {
    world.key = Some(HerdKey::first(&[1; 40]));
    let ids = world.machines(6);
    let homes = [world.address(ids[0]), world.address(ids[3])];
    for at in [1, 2, 4, 5] {
        world.machines[ids[at]].spec.homes = vec![homes[at / 3]];
    }
    world.start_all();
    world.run_ms(5_000);
    if world.list(ids[0]).len() != 3 {
        world.fail("they were not apart".to_string());
    }
    see_each_other(world, &ids, |_| true);
    world.require_agreement(10_000);
}

/// Who shows another mark is not even greeted.
pub fn strangers(world: &mut World) {
    world.key = Some(HerdKey::first(&[1; 40]));
    let ids = world.machines(2);
    world.start_all();
    see_each_other(world, &ids, |_| false);
    world.recorded = Some(Vec::new());
    world.run_ms(60_000);
    let sent = world.recorded.take().unwrap_or_default();
    if !sent.is_empty() {
        world.fail(format!("{} datagrams to strangers", sent.len()));
    }
}
