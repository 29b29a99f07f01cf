//! Old datagrams, sent again by somebody else, change nothing.

use super::{herd, require_nobody_down, require_state};
use crate::world::{Origin, World};
use herd::wire::info::State;
use rand::RngExt;

pub fn recorded(world: &mut World) {
    let ids = herd(world, 5);
    world.recorded = Some(Vec::new());
    world.run_ms(20_000);
    world.kill(ids[4]);
    require_state(world, ids[4], State::Down, 5_000);
    world.start(ids[4]);
    world.require_agreement(10_000);
    world.run_ms(20_000);
    let before = generations(world, &ids);
    let dead = ids[3];
    world.host_down(world.machines[dead].host);
    require_state(world, dead, State::Down, 10_000);
    let mut recorded = world.recorded.take().unwrap_or_default();
    if world.rng.random_bool(0.5) {
        recorded.reverse();
    }
    let attacker = world.net.host(0);
    let since_us = world.now_us;
    for (to, bytes) in recorded {
        world.launch(attacker, (9_999, None), Origin::Raw(attacker), to, bytes);
        if world.rng.random_bool(0.01) {
            world.run_ms(10);
        }
    }
    world.run_ms(30_000);
    require_state(world, dead, State::Down, 0);
    world.require_agreement(0);
    require_nobody_down(world, since_us, &[]);
    if generations(world, &ids) != before {
        world.fail("a replay made a node renew its generation");
    }
}

fn generations(world: &mut World, ids: &[usize]) -> Vec<u64> {
    let alive = ids.iter().filter(|id| **id != 3).copied().collect::<Vec<_>>();
    alive.into_iter().map(|id| world.list(id)[0].generation).collect()
}
