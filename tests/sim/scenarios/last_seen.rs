//! Last seen is the age of real word, anywhere in the herd.

use super::herd;
use crate::world::World;

/// How old an age of a living node may be shown.
const FRESH_MS: u64 = 3_000;

pub fn living(world: &mut World) {
    let ids = herd(world, 8);
    world.run_ms(5_000);
    for _ in 0..60 {
        world.run_ms(1_000);
        for id in &ids {
            let rows = world.list(*id);
            if let Some(old) = rows.iter().find(|row| row.last_seen_ms > FRESH_MS) {
                world.fail(format!("{} is shown as seen {} ms ago", old.name, old.last_seen_ms));
            }
        }
    }
}

/// The age of a dead node grows with the clock and is never refreshed by hearsay.
pub fn dead(world: &mut World) {
    let ids = herd(world, 6);
    world.run_ms(5_000);
    world.host_down(world.machines[ids[5]].host);
    let died_us = world.now_us;
    for _ in 0..60 {
        world.run_ms(1_000);
        let true_ms = (world.now_us - died_us) / 1_000;
        for id in &ids[..5] {
            let shown = super::row(world, *id, ids[5]);
            let wrong = shown.as_ref().is_none_or(|row| {
                row.last_seen_ms + 500 < true_ms || row.last_seen_ms > true_ms + FRESH_MS
            });
            if wrong {
                world.fail(format!("dead for {true_ms} ms, shown as {shown:?}"));
            }
        }
    }
}

/// A hundred nodes: everybody's age is known to everybody.
pub fn hundred(world: &mut World) {
    let ids = world.machines(100);
    super::phone(world, ids[0]);
    world.start_all();
    world.require_agreement(10_000);
    world.run_ms(20_000);
    let mut worst_ms = 0;
    for _ in 0..5 {
        world.run_ms(1_000);
        for id in &ids {
            let rows = world.list(*id);
            worst_ms = worst_ms.max(rows.iter().map(|row| row.last_seen_ms).max().unwrap_or(0));
        }
    }
    eprintln!("worst age {worst_ms}");
    if worst_ms > FRESH_MS {
        world.fail(format!("an age of {worst_ms} ms is shown"));
    }
}
