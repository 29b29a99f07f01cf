//! A node behind NAT is a full member, through three levels, from everywhere.

use super::{phone, require_all_ping, require_all_version, require_nobody_down, require_ping};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::world::World;

/// Two hypervisors, VMs behind them, containers in the VMs, and a container in a container: all
/// private addresses overlap. Given back: by level.
fn nested(world: &mut World, kind: Kind) -> [Vec<MachineId>; 4] {
    let top = world.machines(3);
    let mut vms = Vec::new();
    let mut containers = Vec::new();
    let mut inner = Vec::new();
    for (number, hypervisor) in top[..2].iter().enumerate() {
        let names = [format!("vm {number}a"), format!("vm {number}b")];
        vms.extend(world.behind(*hypervisor, kind, &[&names[0], &names[1]]));
    }
    for (number, vm) in vms.clone().into_iter().enumerate() {
        containers.extend(world.behind(vm, kind, &[&format!("container {number}")]));
    }
    inner.extend(world.behind(containers[0], kind, &["inner"]));
    phone(world, top[2]);
    [top, vms, containers, inner]
}

fn require_full_members(world: &mut World) {
    world.require_agreement(30_000);
    world.run_ms(20_000);
    world.require_agreement(0);
    for from in 0..world.machines.len() {
        require_all_ping(world, from);
        require_all_version(world, from);
    }
    let count = world.machines.len();
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            require_ping(world, from, to);
        }
    }
}

pub fn three_levels(world: &mut World) {
    let levels = nested(world, Kind::LINUX);
    world.start_all();
    require_full_members(world);
    // Those inside are found to be hidden, and hang under what contains them.
    for id in levels[1..].iter().flatten() {
        let row = world.list(*id).remove(0);
        if !row.hidden || row.parent.is_empty() {
            world.fail(format!("{} is not shown as hidden: {row:?}", row.name));
        }
    }
    let inner = world.list(levels[3][0]).remove(0);
    if inner.parent != world.machines[levels[2][0]].spec.name {
        world.fail(format!("the innermost hangs under {}", inner.parent));
    }
    let hidden = levels[0].iter().any(|id| world.list(*id)[0].hidden);
    if hidden {
        world.fail("a node at the top is shown as hidden");
    }
    world.run_ms(300_000);
    require_full_members(world);
    require_nobody_down(world, 0, &[]);
}

/// Any kind of NAT.
pub fn any_kind(world: &mut World) {
    let kind = Kind::draw(&mut world.rng);
    nested(world, kind);
    world.start_all();
    require_full_members(world);
    world.run_ms(120_000);
    require_full_members(world);
    require_nobody_down(world, 0, &[]);
}

/// A hypervisor that lets nobody out: its VM is a full member all the same, and stays one when
/// the way out is opened.
pub fn host_only(world: &mut World) {
    let top = world.machines(3);
    let vms = world.behind(top[0], Kind::LINUX, &["vm 1", "vm 2"]);
    world.behind(vms[0], Kind::LINUX, &["container 1"]);
    phone(world, top[2]);
    let host = world.machines[top[0]].host;
    world.net.hosts[host].forwards = false;
    world.start_all();
    for forwards in [false, true] {
        world.net.hosts[host].forwards = forwards;
        world.run_ms(30_000);
        require_full_members(world);
        for vm in &vms {
            let row = world.list(*vm).remove(0);
            if !row.hidden || row.parent != world.machines[top[0]].spec.name {
                world.fail(format!("the VM of a host-only network: {row:?}"));
            }
        }
    }
    require_nobody_down(world, 0, &[]);
}

/// Nobody types anything: a lone VM joins the hypervisor at its gateway.
pub fn gateway(world: &mut World) {
    let top = world.machines(1);
    let vms = world.behind(top[0], Kind::LINUX, &["vm 1", "vm 2"]);
    world.behind(vms[0], Kind::LINUX, &["container 1"]);
    world.start_all();
    world.require_agreement(15_000);
    require_full_members(world);
}

/// Two nodes behind one NAT talk directly.
pub fn neighbours(world: &mut World) {
    let top = world.machines(2);
    let vms = world.behind(top[0], Kind::LINUX, &["vm 1", "vm 2"]);
    phone(world, top[1]);
    world.start_all();
    require_full_members(world);
    let direct = |world: &mut World| {
        super::row(world, vms[0], vms[1]).is_some_and(|row| row.route.starts_with("192.168."))
    };
    if !world.run_until(60_000, direct) {
        let row = super::row(world, vms[0], vms[1]);
        world.fail(format!("not direct: {row:?}"));
    }
}

/// The NAT box restarts: all is well after two heartbeats.
pub fn rebinding(world: &mut World) {
    let top = world.machines(3);
    let kind = Kind { keeps_port: false, ..Kind::LINUX };
    let vms = world.behind(top[0], kind, &["vm 1", "vm 2"]);
    phone(world, top[2]);
    world.start_all();
    require_full_members(world);
    for _ in 0..3 {
        world.rebind(top[0]);
        world.run_ms(2_500);
        for vm in &vms {
            require_ping(world, top[1], *vm);
            require_ping(world, *vm, top[2]);
        }
        world.run_ms(20_000);
    }
    world.require_agreement(0);
    require_nobody_down(world, 0, &[]);
}

/// Two sites with the same private addresses, whose nodes know each other.
pub fn overlap(world: &mut World) {
    let top = world.machines(3);
    let one = world.behind(top[0], Kind::LINUX, &["site 1 a", "site 1 b"]);
    let two = world.behind(top[1], Kind::LINUX, &["site 2 a", "site 2 b"]);
    phone(world, top[2]);
    world.start_all();
    require_full_members(world);
    if world.address(one[0]) != world.address(two[0]) {
        world.fail("the addresses of this scenario are to overlap");
    }
    world.run_ms(120_000);
    require_full_members(world);
    require_nobody_down(world, 0, &[]);
}
