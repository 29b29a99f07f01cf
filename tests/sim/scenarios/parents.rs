//! When a parent dies its children find another.

use super::{phone, require_all_ping, require_nobody_down, require_ping, row};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::world::Origin;
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::header;
use herd::wire::reply::Reply;

/// A hypervisor that runs no daustd any more, and children behind it.
fn orphaned(world: &mut World, children: usize) -> (Vec<MachineId>, Vec<MachineId>) {
    let top = world.machines(4);
    let names: Vec<String> = (1..=children).map(|number| format!("vm {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let vms = world.behind(top[0], Kind::LINUX, &names);
    phone(world, top[0]);
    for id in &top[1..] {
        world.machines[*id].spec.homes = vec![world.address(top[0])];
    }
    world.start_all();
    world.require_agreement(30_000);
    let under = world.machines[top[0]].spec.name.clone();
    let settled = |world: &mut World| vms.iter().all(|vm| world.list(*vm)[0].parent == under);
    if !world.run_until(60_000, settled) {
        world.fail("the children do not hang under their hypervisor");
    }
    (top, vms)
}

/// Within a few heartbeats all hang under another parent and are reached; nobody calls them down.
fn require_reparented(world: &mut World, top: &[MachineId], vms: &[MachineId], within_ms: u64) {
    let dead = world.machines[top[0]].id;
    let moved = |world: &mut World| {
        let name = "node1";
        vms.iter().all(|vm| {
            let seen = row(world, top[1], *vm);
            seen.is_some_and(|row| !row.parent.is_empty() && row.parent != name)
        })
    };
    if !world.run_until(within_ms, moved) {
        let parents: Vec<_> =
            vms.iter().map(|vm| row(world, top[1], *vm).map(|row| row.parent)).collect();
        world.fail(format!("parents after the death of {dead:?}: {parents:?}"));
    }
    for vm in vms.iter().take(5) {
        require_ping(world, top[1], *vm);
    }
    require_all_ping(world, vms[0]);
    require_nobody_down(world, 0, &[top[0]]);
}

/// A parent that is back before it is missed: its children hold their streams to it again.
pub fn quick(world: &mut World) {
    let (top, vms) = orphaned(world, 3);
    for away_ms in [100, 400, 900, 1_300] {
        world.kill(top[0]);
        world.run_ms(away_ms);
        world.start(top[0]);
        // Streams that others dialled are closed when they idle.
        world.run_ms(90_000);
        if !vms.iter().all(|vm| world.holds_stream(*vm, top[0])) {
            world.fail(format!("a child has no stream to its parent, away for {away_ms} ms"));
        }
        require_all_ping(world, top[1]);
        super::require_all_version(world, top[1]);
    }
    world.require_agreement(0);
}

pub fn process(world: &mut World) {
    let (top, vms) = orphaned(world, 3);
    world.kill(top[0]);
    require_reparented(world, &top, &vms, 6_000);
    world.run_ms(60_000);
    world.require_agreement(0);
    // The hypervisor is back: containment wins again.
    world.start(top[0]);
    let back = |world: &mut World| vms.iter().all(|vm| world.list(*vm)[0].parent == "node1");
    if !world.run_until(60_000, back) {
        world.fail("the children do not come back to their hypervisor");
    }
    require_nobody_down(world, 0, &[top[0]]);
}

pub fn fifty(world: &mut World) {
    let (top, vms) = orphaned(world, 50);
    world.kill(top[0]);
    require_reparented(world, &top, &vms, 10_000);
}

pub fn goodbye(world: &mut World) {
    let (top, vms) = orphaned(world, 3);
    world.leave(top[0]);
    require_reparented(world, &top, &vms, 6_000);
}

/// A node started with `-e` is nobody's parent and hands nothing on.
pub fn deadend(world: &mut World) {
    let top = world.machines(3);
    world.machines[top[0]].spec.deadend = true;
    let vms = world.behind(top[0], Kind::LINUX, &["vm 1"]);
    phone(world, top[1]);
    world.start_all();
    world.require_agreement(30_000);
    world.run_ms(30_000);
    let parent = world.list(vms[0])[0].parent.clone();
    if parent.is_empty() || parent == world.machines[top[0]].spec.name {
        world.fail(format!("the child of a dead end hangs under {parent:?}"));
    }
    world.recorded = Some(Vec::new());
    require_ping(world, top[2], vms[0]);
    require_ping(world, top[2], top[0]);
    require_not_handed_on(world, top[0], vms[0]);
}

/// What others send to `vm` is sent to the dead end instead: it goes no further.
fn require_not_handed_on(world: &mut World, deadend: usize, vm: usize) {
    let vm_id = world.list(vm)[0].id;
    let recorded = world.recorded.take().unwrap_or_default();
    let is_for_vm = |bytes: &[u8]| {
        header::Header::parse(bytes)
            .is_ok_and(|(h, _)| h.kind == header::Kind::Sealed && h.destination == vm_id)
    };
    let (_, bytes) = recorded.into_iter().find(|(_, bytes)| is_for_vm(bytes)).expect("a ping");
    let (host, to) = (world.net.host(0), world.address(deadend));
    world.launch(host, (9_999, None), Origin::Raw(host), to, bytes);
    world.run_ms(1_000);
    let parts = world.answer(deadend, Scope::Here, Command::Version);
    let Reply::Version(version) = &parts[0].reply else { panic!("{parts:?}") };
    let count = |name: &str| version.counters.iter().filter(|c| c.name == name).count();
    if count("relayed") > 0 || count("not relayed") == 0 {
        world.fail(format!("the dead end relays: {:?}", version.counters));
    }
}
