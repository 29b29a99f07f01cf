//! Loss alone takes nobody down.

use super::{herd, require_all_ping, require_nobody_down};
use crate::net::Link;
use crate::world::World;

fn lossy(world: &mut World, loss: f64, for_ms: u64) {
    let ids = herd(world, 8);
    world.run_ms(5_000);
    world.net.link = Link { loss, jitter_us: 2_000, ..Link::LAN };
    for _ in 0..for_ms / 60_000 {
        world.run_ms(60_000);
        require_all_ping(world, ids[0]);
    }
    require_nobody_down(world, 0, &[]);
    world.net.link = Link::LAN;
    world.require_agreement(15_000);
}

pub fn hour_at_20(world: &mut World) {
    lossy(world, 0.2, 3_600_000);
}

pub fn ten_minutes_at_30(world: &mut World) {
    lossy(world, 0.3, 600_000);
}

/// Everything twice, late and out of order.
pub fn disorder(world: &mut World) {
    let ids = herd(world, 8);
    world.net.link =
        Link { delay_us: 5_000, jitter_us: 50_000, loss: 0.05, duplicate: 0.2, reorder: 0.1 };
    world.run_ms(300_000);
    require_all_ping(world, ids[2]);
    require_nobody_down(world, 0, &[]);
}
