//! A dead process is noticed at once, a silent host soon, and the two are told apart.

use super::{herd, phone, require_nobody_down, require_state, row, typed_herd};
use crate::world::World;
use herd::wire::info::State;
use rand::RngExt;

fn require_reason(world: &mut World, observer: usize, subject: usize, reason: &str) {
    let shown = row(world, observer, subject);
    if !shown.as_ref().is_some_and(|row| row.reason.contains(reason)) {
        world.fail(format!("the reason is not {reason:?}: {shown:?}"));
    }
}

/// kill -9: all know within 3.5 s.
pub fn process(world: &mut World) {
    let ids = herd(world, 8);
    let victim = ids[world.rng.random_range(0..8)];
    world.run_ms(3_000);
    world.kill(victim);
    require_state(world, victim, State::Down, 3_500);
    let observer = ids[usize::from(victim == ids[0])];
    require_reason(world, observer, victim, "process gone");
    world.run_ms(60_000);
    world.require_agreement(0);
    require_nobody_down(world, 0, &[victim]);
}

/// The host loses power: all of eight know within 7 s.
pub fn host(world: &mut World) {
    let ids = herd(world, 8);
    let victim = ids[world.rng.random_range(0..8)];
    world.run_ms(3_000);
    world.host_down(world.machines[victim].host);
    require_state(world, victim, State::Down, 7_000);
    let observer = ids[usize::from(victim == ids[0])];
    require_reason(world, observer, victim, "silent");
    world.run_ms(60_000);
    world.require_agreement(0);
    require_nobody_down(world, 0, &[victim]);
}

/// In a large herd ages take turns, but a home misses who phones it as soon as in a small one.
pub fn host_of_many(world: &mut World) {
    let ids = world.machines(300);
    phone(world, ids[0]);
    world.start_all();
    world.run_ms(10_000);
    world.require_agreement(0);
    let victim = ids[world.rng.random_range(1..300)];
    let id = world.list(victim)[0].id;
    world.host_down(world.machines[victim].host);
    let since_us = world.now_us;
    let told = |world: &mut World, count: usize| {
        let downs = world.checkers.shown.downs.iter().rev();
        let lately = downs.take_while(|(at_us, ..)| *at_us >= since_us);
        lately.filter(|(_, _, who)| *who == id).count() >= count
    };
    // Two seconds of silence, a look of its own and a vote. Whom the rumor misses finds it by the checksum of the list, a second or two later.
    for (count, within_ms) in [(1, 3_700), (299, 2_300)] {
        if !world.run_until(within_ms, |world| told(world, count)) {
            world.fail(format!("a silent host is not known to {count} in time"));
        }
    }
}

/// With two nobody can be asked: a refusal is believed, silence is not.
pub fn of_two(world: &mut World) {
    let ids = typed_herd(world, 2);
    world.kill(ids[1]);
    require_state(world, ids[1], State::Down, 3_500);
    world.start(ids[1]);
    // It died before it had kept the other, which greets those it remembers each five seconds.
    require_state(world, ids[1], State::Alive, 8_000);
    let since_us = world.now_us;
    world.host_down(world.machines[ids[1]].host);
    require_state(world, ids[1], State::Suspect, 10_000);
    world.run_ms(120_000);
    require_state(world, ids[1], State::Suspect, 0);
    require_nobody_down(world, since_us, &[]);
}

/// Half of the herd is lost at once.
pub fn half(world: &mut World) {
    let ids = herd(world, 16);
    world.run_ms(5_000);
    for id in &ids[8..] {
        world.host_down(world.machines[*id].host);
    }
    world.require_agreement(15_000);
    world.run_ms(30_000);
    world.require_agreement(0);
    require_nobody_down(world, 0, &ids[8..]);
}
