//! What a large herd costs, told instead of judged: `SIM_COST="8 100 1000"` prints a line of
//! figures for each size; `make bench` puts them into bench/RESULTS.md. More than 1,024 nodes need
//! the feature `large`.

use crate::machine::MachineId;
use crate::runner::cpu_time;
use crate::scenarios::phone;
use crate::world::World;
use herd::wire::info::State;
use std::collections::BTreeSet;

/// IPv4 and UDP headers of each datagram.
const HEADER_BYTES: usize = 28;
/// How many nodes are asked for their list; all of them together would cost more than the herd.
const SAMPLE: usize = 20;
const PATIENCE_MS: u64 = 120_000;
/// Until the news of a herd that started at once has died down.
const SETTLE_S: u64 = 120;
const IDLE_S: u64 = 20;

#[test]
fn cost() {
    let Ok(sizes) = std::env::var("SIM_COST") else { return };
    for size in sizes.split_whitespace() {
        measure(size.parse().expect("SIM_COST holds numbers of nodes"));
    }
}

/// What malloc has given out.
fn heap_bytes() -> usize {
    // SAFETY: takes nothing, and returns a plain structure of numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

fn measure(count: usize) {
    let mut world = World::new(0);
    let ids = world.machines(count + 1);
    phone(&mut world, ids[0]);
    let (newcomer, herd) = ids.split_last().expect("at least one");
    let began = cpu_time();
    herd.iter().for_each(|id| world.start(*id));
    let join_ms = time_ms("join", &mut world, |world| {
        // Nobody starts again here: what all of them kept of all is dropped.
        world.machines.iter_mut().for_each(|machine| machine.disk.entries.clear());
        sees_all(world, herd, count)
    });
    let joined_s = (cpu_time() - began).as_secs_f64();
    world.run_ms(SETTLE_S * 1_000);
    world.machines.iter_mut().for_each(|machine| machine.disk.entries.clear());
    let idle = idle(&mut world, count);
    let oldest_ms = oldest_ms(&mut world, herd);
    let silent = silent_host(&mut world, herd);
    world.start(*newcomer);
    let spread_ms = time_ms("newcomer", &mut world, |world| sees_all(world, herd, count));
    let memory_bytes = memory_a_node(&mut world, count);
    println!(
        "cost nodes={count} join_ms={join_ms} join_cpu_s={joined_s:.1} {idle} last_seen_ms={oldest_ms} \
         {silent} newcomer_ms={spread_ms} memory_bytes={memory_bytes}"
    );
}

/// Virtual time until it holds.
fn time_ms(what: &str, world: &mut World, holds: impl FnMut(&mut World) -> bool) -> u64 {
    let start_us = world.now_us;
    if !world.run_until(PATIENCE_MS, holds) {
        world.fail(format!("{what}: not within {PATIENCE_MS} ms"));
    }
    (world.now_us - start_us) / 1_000
}

fn sample(world: &World, herd: &[MachineId]) -> Vec<MachineId> {
    let step = (herd.len() / SAMPLE).max(1);
    herd.iter().step_by(step).copied().filter(|id| world.is_reachable(*id)).collect()
}

fn sees_all(world: &mut World, herd: &[MachineId], count: usize) -> bool {
    sample(world, herd).into_iter().all(|id| {
        let alive = |row: &&herd::wire::info::NodeInfo| row.state == State::Alive;
        world.list(id).iter().filter(alive).count() == count
    })
}

/// The oldest age shown of a living node.
fn oldest_ms(world: &mut World, herd: &[MachineId]) -> u64 {
    let shown = sample(world, herd).into_iter().flat_map(|id| world.list(id));
    shown.map(|row| row.last_seen_ms).max().unwrap_or(0)
}

/// Bytes of datagrams and CPU of a node in a second, and how fast the simulation is.
fn idle(world: &mut World, count: usize) -> String {
    let (mut bytes, mut datagrams) = (0, 0);
    let began = cpu_time();
    for _ in 0..IDLE_S {
        world.recorded = Some(Vec::new());
        world.run_ms(1_000);
        let sent = world.recorded.take().unwrap_or_default();
        datagrams += sent.len();
        bytes += sent.iter().map(|(_, bytes)| bytes.len() + HEADER_BYTES).sum::<usize>();
    }
    let cpu_s = (cpu_time() - began).as_secs_f64();
    let node_s = count as f64 * IDLE_S as f64;
    format!(
        "idle_bytes={:.0} idle_datagrams={:.2} idle_cpu_us={:.0} node_hours_a_s={:.1}",
        bytes as f64 / node_s,
        datagrams as f64 / node_s,
        cpu_s * 1e6 / node_s,
        node_s / 3_600.0 / cpu_s
    )
}

/// Until the first and until all others show a silent host down, and how many do in the end. Some
/// that never do are told, not judged: `inf`.
fn silent_host(world: &mut World, herd: &[MachineId]) -> String {
    let victim = herd[herd.len() / 2];
    let id = world.machines[victim].id.or_else(|| Some(world.list(victim)[0].id));
    let id = id.expect("a list has its own row");
    world.host_down(world.machines[victim].host);
    let start_us = world.now_us;
    let told = |world: &World| -> BTreeSet<MachineId> {
        let downs = world.checkers.shown.downs.iter().rev();
        let lately = downs.take_while(|(at_us, ..)| *at_us >= start_us);
        lately.filter(|(_, _, who)| *who == id).map(|down| down.1).collect()
    };
    let first_ms = time_ms("the first", world, |world| !told(world).is_empty());
    let all = world.run_until(PATIENCE_MS, |world| told(world).len() == herd.len() - 1);
    let all_ms = (world.now_us - start_us) / 1_000;
    let all_ms = if all { all_ms.to_string() } else { "inf".to_string() };
    let told = told(world).len();
    format!("silent_first_ms={first_ms} silent_all_ms={all_ms} silent_told={told}")
}

/// What the heap gets back when all processes go.
fn memory_a_node(world: &mut World, count: usize) -> usize {
    let before = heap_bytes();
    world.machines.iter_mut().for_each(|machine| machine.process = None);
    (before - heap_bytes()) / count
}
