//! Life classes: who is gone is forgotten when its own record says so, by all, and for good; who lives
//! comes back.

use super::{herd, phone, require_all_ping, require_state, row};
use crate::machine::MachineId;
use crate::world::World;
use herd::wire::info::State;
use herd::wire::life::Class;
use herd::wire::limits::{CATTLE_MS, EPHEMERAL_MS};

/// What ages differ by, and how often the dead are looked through.
const SLACK_MS: u64 = 15_000;

fn require_known(world: &mut World, subject: MachineId, known: bool) {
    for observer in 0..world.machines.len() {
        if observer != subject
            && world.is_reachable(observer)
            && row(world, observer, subject).is_some() != known
        {
            world.fail(format!("machine {observer} knows {subject}: {}", !known));
        }
    }
}

/// One of each: a goodbye, a death, the minute, the hour, a newcomer and restarts in between.
pub fn all(world: &mut World) {
    let ids = world.machines(7);
    phone(world, ids[0]);
    let [pet, cattle, ephemeral, crashed] = [ids[1], ids[2], ids[3], ids[4]];
    world.machines[cattle].spec.class = Class::Cattle;
    world.machines[ephemeral].spec.class = Class::Ephemeral;
    world.machines[crashed].spec.class = Class::Ephemeral;
    world.start_all();
    world.require_agreement(10_000);
    for gone in [pet, cattle, crashed] {
        world.kill(gone);
    }
    world.leave(ephemeral);
    require_state(world, ephemeral, State::Left, 1_000);
    world.run_ms(EPHEMERAL_MS - SLACK_MS);
    require_state(world, ephemeral, State::Left, 0);
    for gone in [pet, cattle, crashed] {
        require_state(world, gone, State::Down, 0);
    }
    let newcomer = world.machine("newcomer");
    world.machines[newcomer].spec.homes = vec![world.address(ids[0])];
    world.start(newcomer);
    world.run_ms(2 * SLACK_MS + EPHEMERAL_MS);
    require_known(world, ephemeral, false);
    for forgetful in [ids[0], ids[5]] {
        world.kill(forgetful);
        world.run_ms(5_000);
        world.start(forgetful);
    }
    world.run_ms(EPHEMERAL_MS);
    require_known(world, ephemeral, false);
    for gone in [pet, cattle, crashed] {
        require_known(world, gone, true);
    }
    world.run_ms(CATTLE_MS);
    for (gone, known) in [(pet, true), (cattle, false), (crashed, false), (ephemeral, false)] {
        require_known(world, gone, known);
    }
    for back in [pet, cattle, ephemeral, crashed] {
        world.start(back);
    }
    world.require_agreement(15_000);
    require_all_ping(world, newcomer);
}

/// A herd that is split for longer than cattle is remembered: who was forgotten over there comes back
/// when both sides meet, for its life goes on.
pub fn split(world: &mut World) {
    let ids = herd(world, 3);
    let more: Vec<MachineId> = (4..=6).map(|n| world.machine(&format!("cattle {n}"))).collect();
    for id in &more {
        world.machines[*id].spec.class = Class::Cattle;
        world.machines[*id].spec.homes = vec![world.address(ids[0])];
        world.start(*id);
    }
    world.require_agreement(10_000);
    world.run_ms(10_000);
    world.split(&[ids[2], more[1], more[2]], 1);
    world.run_ms(CATTLE_MS + 10 * SLACK_MS);
    for (observer, gone, known) in
        [(ids[0], more[1], false), (ids[2], more[0], false), (ids[0], ids[2], true)]
    {
        if row(world, observer, gone).is_some() != known {
            world.fail(format!("machine {observer} knows {gone}: {}", !known));
        }
    }
    world.heal();
    world.require_agreement(60_000);
    world.run_ms(60_000);
    world.require_agreement(0);
    require_all_ping(world, more[0]);
}
