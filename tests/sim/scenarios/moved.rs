//! A new address of a running node is healed in two heartbeats.

use super::{herd, require_nobody_down, row};
use crate::world::World;

pub fn lease(world: &mut World) {
    let ids = herd(world, 6);
    world.run_ms(5_000);
    super::require_all_version(world, ids[1]);
    for subject in [ids[3], ids[0]] {
        world.move_machine(subject);
        let address = world.address(subject).ip();
        let healed = |world: &mut World| {
            ids.iter().filter(|id| **id != subject).all(|id| {
                row(world, *id, subject).is_some_and(|row| row.internal_ip == Some(address))
            })
        };
        // The system tells the daemon within half a second; then two heartbeats.
        if !world.run_until(500 + 2_000, healed) {
            world.fail("the new address is not known to all");
        }
        super::require_all_ping(world, ids[1]);
        // The streams of before lead nowhere.
        super::require_all_version(world, ids[1]);
        super::require_all_version(world, subject);
        world.run_ms(20_000);
        world.require_agreement(0);
    }
    require_nobody_down(world, 0, &[]);
}
