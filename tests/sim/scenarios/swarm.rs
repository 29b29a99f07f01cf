//! Everything at random: ten virtual minutes of chaos and quiet, after which all must agree.

use super::guests::{KILLED, guest};
use super::{JOIN_MS, require_all_ping};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::net::Link;
use crate::world::{Act, DiskHabits, World};
use herd::wire::command::{Command, Scope};
use herd::wire::life::Class;
use rand::RngExt;

const CHAOS_MS: u64 = 420_000;
const QUIET_MS: u64 = 90_000;
const REST_MS: u64 = 90_000;

/// Datagrams lost on the longest way, at most.
const WAY_LOSS: f64 = 0.3;

/// Which faults a seed knows.
struct Faults {
    kill: bool,
    power: bool,
    leave: bool,
    pause: bool,
    split: bool,
    one_way: bool,
    moves: bool,
    rebind: bool,
    wipe: bool,
    engine: bool,
}

impl Faults {
    fn draw(world: &mut World) -> Faults {
        let mut coin = || world.rng.random_bool(0.5);
        Faults {
            kill: coin(),
            power: coin(),
            leave: coin(),
            pause: coin(),
            split: coin(),
            one_way: coin(),
            moves: coin(),
            rebind: coin(),
            wipe: coin(),
            engine: coin(),
        }
    }
}

/// Three to nine machines, some behind NAT, at the top at least two.
fn build(world: &mut World) -> Vec<MachineId> {
    let top_count = world.rng.random_range(2..=6);
    let mut all = world.machines(top_count);
    let kind = Kind::draw(&mut world.rng);
    while all.len() < 8 && world.rng.random_bool(0.8) {
        let router = all[world.rng.random_range(0..all.len())];
        if world.net.is_router(world.machines[router].host)
            || world.net.depth(world.machines[router].host) >= 3
        {
            continue;
        }
        let name = format!("inside {}", all.len());
        let inside = world.behind(router, kind, &[&name]);
        if world.rng.random_bool(0.5) {
            world.machines[inside[0]].spec.container = true;
            world.machines[inside[0]].spec.class = Class::Ephemeral;
        }
        all.extend(inside);
    }
    for host in &mut world.net.hosts {
        host.distance_us = 0;
    }
    for id in &all {
        let host = world.machines[*id].host;
        world.net.hosts[host].distance_us = world.rng.random_range(0..20_000);
    }
    all
}

fn draw_link(world: &mut World) -> Link {
    let coin = world.rng.random_bool(0.5);
    // What is promised holds for a way from end to end, through all NAT boxes on it.
    let way_loss: f64 = world.rng.random_range(0.0..WAY_LOSS);
    let depths = world.machines.iter().map(|machine| world.net.depth(machine.host));
    let links = 1.0 + 2.0 * depths.max().unwrap_or(0) as f64;
    Link {
        delay_us: world.rng.random_range(50..5_000),
        jitter_us: world.rng.random_range(10..10_000),
        loss: if coin { 1.0 - (1.0 - way_loss).powf(1.0 / links) } else { 0.0 },
        duplicate: if world.rng.random_bool(0.3) { 0.05 } else { 0.0 },
        reorder: if world.rng.random_bool(0.3) { 0.02 } else { 0.0 },
    }
}

pub fn swarm(world: &mut World) {
    let ids = build(world);
    let faults = Faults::draw(world);
    world.net.link = draw_link(world);
    let link = world.net.link;
    crate::trace::line(|| format!("{link:?}"));
    world.disks = DiskHabits {
        delay_us: (500, world.rng.random_range(1_000..2_000_000)),
        failure: if world.rng.random_bool(0.2) { 0.1 } else { 0.0 },
    };
    for id in &ids[1..] {
        if world.rng.random_bool(0.3) {
            world.machines[*id].spec.homes = vec![world.address(ids[0])];
        }
    }
    for id in &ids {
        let at_us = world.rng.random_range(0..3_000_000);
        world.at(at_us, Act::Start(*id));
    }
    world.run_ms(4_000);
    contact_all(world, &ids);
    world.run_ms(JOIN_MS);
    chaos(world, &ids, &faults);
    quiet(world, &ids);
}

fn contact_all(world: &mut World, ids: &[MachineId]) {
    for id in &ids[1..] {
        world.contact(*id, ids[0]);
    }
}

fn chaos(world: &mut World, ids: &[MachineId], faults: &Faults) {
    let end_us = world.now_us + CHAOS_MS * 1_000;
    while world.now_us < end_us {
        let wait_ms = world.rng.random_range(500..30_000);
        world.run_ms(wait_ms);
        let id = ids[world.rng.random_range(0..ids.len())];
        fault(world, ids, id, faults);
        if world.machines[id].is_live() && world.rng.random_bool(0.3) {
            let all = world.rng.random_bool(0.5);
            let command = if all { Command::Ping } else { Command::List };
            world.ask(id, Scope::All, command);
        }
    }
}

fn fault(world: &mut World, ids: &[MachineId], id: MachineId, faults: &Faults) {
    let now_us = world.now_us;
    let back_us = now_us + world.rng.random_range(50_000..60_000_000);
    let runs = world.machines[id].is_running();
    let host = world.machines[id].host;
    match world.rng.random_range(0..10) {
        0 if faults.kill && runs => {
            world.kill(id);
            world.at(back_us, Act::Start(id));
        }
        1 if faults.power => {
            world.host_down(host);
            world.at(back_us, Act::HostUp(host));
        }
        2 if faults.leave && runs => {
            world.leave(id);
            world.at(now_us + 5_000_000, Act::Start(id));
        }
        3 if faults.pause && runs && !world.machines[id].paused => {
            let ms = world.rng.random_range(100..60_000);
            world.pause_for(id, ms);
        }
        4 if faults.split => {
            let mut side = ids.to_vec();
            side.retain(|_| world.rng.random_bool(0.5));
            world.split(&side, 1);
            world.at(back_us, Act::Heal);
        }
        5 if faults.one_way => {
            let other = ids[world.rng.random_range(0..ids.len())];
            world.cut_one_way(id, other);
            world.at(back_us, Act::Heal);
        }
        6 if faults.moves => world.move_machine(id),
        7 if faults.rebind => world.rebind(id),
        8 if faults.wipe && runs => {
            world.kill(id);
            world.wipe(id);
            world.start(id);
            let to = ids[world.rng.random_range(0..ids.len())];
            world.at(now_us + 1_000_000, Act::Contact { from: id, to });
        }
        9 if faults.engine && runs => {
            let killed = guest(world, id, KILLED);
            world.kill(id);
            world.at(back_us, Act::Start(id));
            let router = world.net.router_of(host);
            let above = ids.iter().find(|above| Some(world.machines[**above].host) == router);
            if let Some(above) = above {
                world.engine(*above, Ok(vec![killed]));
            }
        }
        _ => {}
    }
}

fn quiet(world: &mut World, ids: &[MachineId]) {
    world.heal();
    world.net.link = Link::LAN;
    world.disks.failure = 0.0;
    for id in ids {
        world.host_up(world.machines[*id].host);
        world.resume(*id);
    }
    // Whoever says goodbye just now is through with it then.
    world.run_ms(6_000);
    for id in ids {
        if !world.machines[*id].is_running() {
            world.start(*id);
        }
    }
    // Who was wiped, or started while its contact was away, has to be told whom to join.
    world.run_ms(1_000);
    contact_all(world, ids);
    // Who was asked for a node that was taken for alive a moment ago types it again.
    world.run_ms(15_000);
    contact_all(world, ids);
    world.require_agreement(QUIET_MS);
    let settled_us = world.now_us;
    for id in ids {
        require_all_ping(world, *id);
    }
    world.run_ms(REST_MS);
    world.require_agreement(0);
    super::require_nobody_down(world, settled_us, &[]);
}
