//! Garbage, bent datagrams, invented nodes and lies: nothing panics, honest nodes keep working.

use super::{herd, phone, require_all_ping, require_nobody_down};
use crate::liar::{Liar, mutate};
use crate::world::{Origin, World};
use herd::node::planted::Bug;
use herd::wire::limits::{NEW_IDS_PER_MINUTE, NODES};
use rand::RngExt;

/// Random bytes, and bent copies of real datagrams, to everybody.
pub fn garbage(world: &mut World) {
    let ids = herd(world, 5);
    world.recorded = Some(Vec::new());
    world.run_ms(5_000);
    let recorded = world.recorded.take().unwrap_or_default();
    let attacker = world.net.host(0);
    for _ in 0..3_000 {
        let victim = ids[world.rng.random_range(0..5)];
        let to = world.address(victim);
        let bytes = if world.rng.random_bool(0.3) {
            let length = world.rng.random_range(0..1_400);
            (0..length).map(|_| world.rng.random::<u8>()).collect()
        } else {
            let (_, mut bytes) = recorded[world.rng.random_range(0..recorded.len())].clone();
            mutate(&mut bytes, &mut world.rng);
            bytes
        };
        let port = world.rng.random_range(9_000..9_010);
        world.launch(attacker, port, Origin::Raw(attacker), to, bytes);
        world.run_ms(5);
    }
    world.require_agreement(0);
    require_all_ping(world, ids[0]);
    require_nobody_down(world, 0, &[]);
}

/// One member whose datagrams arrive bent: the others stay well.
pub fn bent(world: &mut World) {
    let ids = herd(world, 5);
    world.run_ms(5_000);
    world.liar = Some((ids[4], Liar::Mutates { share: 0.5 }));
    world.run_ms(120_000);
    require_all_ping(world, ids[0]);
    require_nobody_down(world, 0, &[ids[4]]);
    world.liar = None;
    world.require_agreement(60_000);
}

/// A lone liar among ten, with good keys: it calls nobody down.
pub fn lone_liar(world: &mut World) {
    let ids = world.machines(10);
    phone(world, ids[0]);
    world.machines[ids[7]].spec.planted = Some(Bug::Lies);
    world.start_all();
    world.require_agreement(10_000);
    world.run_ms(60_000);
    world.require_agreement(0);
    require_nobody_down(world, 0, &[]);
}

/// A flood of invented nodes from one address: bounded, and the real ones stay.
pub fn invented(world: &mut World) {
    let ids = herd(world, 5);
    world.run_ms(5_000);
    let before = world.list(ids[0]).len();
    let attacker = world.net.host(0);
    let to = world.address(ids[0]);
    crate::attacker::flood(world, attacker, to, 2_000);
    world.run_ms(10_000);
    let after = world.list(ids[0]).len();
    if after > before + 2 * NEW_IDS_PER_MINUTE as usize || after > NODES {
        world.fail(format!("{after} nodes are listed after the flood"));
    }
    require_nobody_down(world, 0, &[]);
    let alive = world.list(ids[1]).iter().filter(|row| row.state.word() == "alive").count();
    if alive < 5 {
        world.fail(format!("{alive} nodes are alive after the flood"));
    }
}
