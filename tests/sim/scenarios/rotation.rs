//! Herd keys change while the herd runs: nobody who belongs to it is lost, whoever was away catches up,
//! and who was shut out is not heard.

use super::{phone, require_all_ping, require_nobody_down};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::net::Link;
use crate::world::{Act, World};
use herd::wire::command::{Command, Scope};
use herd::wire::info::{KeyInfo, State};
use herd::wire::key::HerdKey;
use herd::wire::limits::{ANSWER_MS, KEYS};
use herd::wire::reply::{ErrorCode, Reply};
use rand::RngExt;

/// A key is everywhere so soon after the network and all machines are well again.
const SPREAD_MS: u64 = 30_000;
/// Connected nodes drop who is shut out so soon, though datagrams get lost.
const SHUT_OUT_MS: u64 = 5_000;

/// Of a herd under load.
const COMMANDS_PER_SECOND: u64 = 50;

/// Some nodes at the top and three behind NAT, with a key, in agreement.
fn keyed(world: &mut World, top: usize) -> Vec<MachineId> {
    world.key = Some(HerdKey::first(&[1; 40]));
    let mut ids = world.machines(top);
    ids.extend(world.behind(ids[1], Kind::LINUX, &["vm 1", "vm 2", "vm 3"]));
    phone(world, ids[0]);
    world.start_all();
    world.require_agreement(20_000);
    ids
}

pub fn keys(world: &mut World, id: MachineId) -> Vec<KeyInfo> {
    let parts = world.answer(id, Scope::Here, Command::Keys);
    match parts.into_iter().next().map(|part| part.reply) {
        Some(Reply::Keys(keys)) => keys,
        other => world.fail(format!("keys of {id}: {other:?}")),
    }
}

pub fn newest(world: &mut World, id: MachineId) -> String {
    keys(world, id)[0].fingerprint.clone()
}

/// `daust key rotate`, or `revoke`, there.
fn change(world: &mut World, id: MachineId, command: Command) {
    let parts = world.answer(id, Scope::Here, command);
    if !matches!(parts[..], [ref part] if matches!(part.reply, Reply::Keys(_))) {
        world.fail(format!("{id} makes no key: {parts:?}"));
    }
}

fn revoke(world: &mut World, from: MachineId, victim: MachineId) {
    world.revoked.insert(victim);
    let name = world.machines[victim].spec.name.clone();
    change(world, from, Command::Revoke(name));
}

pub fn any(world: &mut World, ids: &[MachineId]) -> MachineId {
    ids[world.rng.random_range(0..ids.len())]
}

/// All of these run with one key, know that of each other, and are all there.
pub fn require_one_key(world: &mut World, ids: &[MachineId], within_ms: u64) {
    let one = |world: &mut World| {
        let newest = |id: &MachineId| keys(world, *id).into_iter().next().unwrap_or_default();
        let keys: Vec<KeyInfo> = ids.iter().map(newest).collect();
        let one = |key: &KeyInfo| key.fingerprint == keys[0].fingerprint && key.lacking.is_none();
        keys[0].epoch > 0 && keys.iter().all(one)
    };
    if !world.run_until(within_ms, one) {
        let all: Vec<_> = ids.iter().map(|id| keys(world, *id)).collect();
        world.fail(format!("no one key: {all:?}"));
    }
    world.require_agreement(SPREAD_MS);
    require_all_ping(world, ids[0]);
}

/// Sixteen, one datagram of five lost on the longest way: commands go on, nobody is called down.
pub fn under_loss(world: &mut World) {
    let ids = keyed(world, 13);
    let before = newest(world, ids[0]);
    world.net.link = Link { loss: 0.07, ..Link::LAN };
    let settled_us = world.now_us;
    for round in 0..3 {
        let maker = any(world, &ids);
        change(world, maker, Command::Rotate);
        for _ in 0..5 {
            let asker = any(world, &ids);
            require_all_ping(world, asker);
        }
        require_one_key(world, &ids, SPREAD_MS);
        let after = keys(world, ids[round]);
        if after[0].epoch != round as u32 + 2 || after[0].fingerprint == before {
            world.fail(format!("after rotation {round}: {after:?}"));
        }
    }
    world.run_ms(20_000);
    require_nobody_down(world, settled_us, &[]);
}

/// Commands from anybody to anybody but this one, so many a second for so long: all are answered.
fn load(world: &mut World, ids: &[MachineId], but: Option<MachineId>, seconds: u64) {
    let ids: Vec<MachineId> = ids.iter().copied().filter(|id| Some(*id) != but).collect();
    let mut asked = Vec::new();
    for _ in 0..seconds * COMMANDS_PER_SECOND {
        let (asker, to) = (any(world, &ids), any(world, &ids));
        let name = world.machines[to].spec.name.clone();
        asked.push((asker, world.ask(asker, Scope::Node(name), Command::Ping)));
        world.run_ms(1_000 / COMMANDS_PER_SECOND);
    }
    world.run_ms(ANSWER_MS);
    for (asker, number) in asked {
        let parts = world.answers.remove(&(asker, number)).unwrap_or_default();
        if !matches!(parts[..], [ref part] if part.reply == Reply::Pong) {
            world.fail(format!("a command of {asker} is lost: {parts:?}"));
        }
    }
}

/// A hundred with commands going on: none is lost and nobody called down, though two make a key at
/// once, and another is made while one node is dead.
pub fn hundred(world: &mut World) {
    world.key = Some(HerdKey::first(&[1; 40]));
    let ids = super::join::many(world, 100, 5_000);
    let settled_us = world.now_us;
    load(world, &ids, None, 2);
    for maker in [any(world, &ids), any(world, &ids)] {
        change(world, maker, Command::Rotate);
    }
    load(world, &ids, None, 10);
    require_one_key(world, &ids, SPREAD_MS);
    require_nobody_down(world, settled_us, &[]);
    let maker = any(world, &ids);
    change(world, maker, Command::Rotate);
    let ms = world.rng.random_range(0..200);
    world.run_ms(ms);
    let victim = any(world, &ids);
    world.kill(victim);
    load(world, &ids, Some(victim), 10);
    world.start(victim);
    load(world, &ids, Some(victim), 2);
    require_one_key(world, &ids, SPREAD_MS);
    require_nobody_down(world, settled_us, &[victim]);
}

/// A machine dies at any moment of it, perhaps the one that made the key, and comes back.
pub fn killed(world: &mut World) {
    let ids = keyed(world, 5);
    for _ in 1..KEYS {
        let maker = any(world, &ids);
        let victim = any(world, &ids);
        change(world, maker, Command::Rotate);
        let ms = world.rng.random_range(0..1_500);
        world.run_ms(ms);
        world.kill(victim);
        let ms = world.rng.random_range(0..20_000);
        world.run_ms(ms);
        world.start(victim);
        world.run_ms(1_000);
        world.require_agreement(SPREAD_MS);
        require_one_key(world, &ids, SPREAD_MS);
    }
}

/// A node is away while two keys come, another half of the herd is cut off for one of them.
pub fn away(world: &mut World) {
    let ids = keyed(world, 6);
    let absent = any(world, &ids[1..]);
    world.kill(absent);
    change(world, ids[0], Command::Rotate);
    world.run_ms(10_000);
    let half: Vec<MachineId> = ids[3..].to_vec();
    world.split(&half, 1);
    change(world, ids[0], Command::Rotate);
    world.run_ms(60_000);
    world.start(absent);
    world.run_ms(5_000);
    world.heal();
    require_one_key(world, &ids, 90_000);
    let after = keys(world, absent);
    if after.iter().map(|key| key.epoch).collect::<Vec<_>>() != [3, 2, 1]
        && after.iter().map(|key| key.epoch).collect::<Vec<_>>() != [3, 1]
    {
        world.fail(format!("who was away holds {after:?}"));
    }
    // The first key still is what its file gives: what was kept wins.
    for id in &ids {
        world.kill(*id);
    }
    for id in &ids {
        world.start(*id);
        if keys(world, *id)[0].epoch != 3 {
            world.fail(format!("{id} starts with an old key"));
        }
    }
    world.require_agreement(SPREAD_MS);
}

/// Two people type it at once, on two sides of a cut as well.
pub fn two_at_once(world: &mut World) {
    let ids = keyed(world, 5);
    let cut = world.rng.random_bool(0.5);
    if cut {
        world.split(&ids[3..], 1);
    }
    change(world, ids[0], Command::Rotate);
    let ms = world.rng.random_range(0..300);
    world.run_ms(ms);
    change(world, ids[4], Command::Rotate);
    let ms = world.rng.random_range(0..40_000);
    world.run_ms(ms);
    world.heal();
    require_one_key(world, &ids, 90_000);
}

/// None of these lists it as alive, or heard it since.
fn require_unheard(world: &mut World, ids: &[MachineId], victim: MachineId, since_us: u64) {
    let id = world.machines[victim].id.expect("it was listed");
    for observer in ids {
        let list = world.list(*observer);
        let Some(row) = list.into_iter().find(|row| row.id == id) else { continue };
        let since_ms = (world.now_us - since_us) / 1_000;
        if row.state != State::Down || row.last_seen_ms + SHUT_OUT_MS < since_ms {
            world.fail(format!("{observer} shows who was shut out {since_ms} ms ago as {row:?}"));
        }
    }
}

/// One is shut out: at once for all, for good, and it is told why. Who was away learns of it.
pub fn revoked(world: &mut World) {
    let mut ids = keyed(world, 6);
    let victim = ids.remove(world.rng.random_range(2..ids.len()));
    let absent = ids.remove(world.rng.random_range(2..ids.len()));
    world.kill(absent);
    world.run_ms(10_000);
    let settled_us = world.now_us;
    let old = newest(world, victim);
    revoke(world, ids[0], victim);
    let since_us = world.now_us;
    world.run_ms(SHUT_OUT_MS);
    require_unheard(world, &ids, victim, since_us);
    world.start(absent);
    world.run_ms(20_000);
    ids.push(absent);
    require_one_key(world, &ids, SPREAD_MS);
    require_unheard(world, &ids, victim, since_us);
    // Who looks for it or asks it opens no way for it.
    let name = world.machines[victim].spec.name.clone();
    for (scope, command) in
        [(Scope::Here, Command::Doctor(Some(name.clone()))), (Scope::Node(name), Command::Version)]
    {
        let parts = world.answer(ids[0], scope, command);
        if !matches!(parts[..], [ref part] if matches!(part.reply, Reply::Error(_))) {
            world.fail(format!("who was shut out is asked: {parts:?}"));
        }
    }
    let member = world.machines[ids[0]].spec.name.clone();
    let parts = world.answer(victim, Scope::Node(member), Command::List);
    if !matches!(parts[..], [ref part] if matches!(part.reply, Reply::Error(_))) {
        world.fail(format!("who was shut out is answered: {parts:?}"));
    }
    // It starts again and greets everybody.
    world.kill(victim);
    world.start(victim);
    world.run_ms(1_500);
    let to = any(world, &ids);
    let number = world.contact(victim, to);
    world.run_until(2_500, |world| world.is_done(victim, number));
    let parts = world.answers[&(victim, number)].clone();
    let told = parts.iter().any(|part| {
        matches!(&part.reply, Reply::Error(failure) if failure.code == ErrorCode::Refused
            && failure.detail.contains("shut this node out"))
    });
    let reachable = to < 6 || victim >= 6;
    if reachable && !told {
        world.fail(format!("who was shut out is not told: {parts:?}"));
    }
    // A newcomer with the key that it holds does not get in.
    let thief = world.machine("thief");
    world.revoked.insert(thief);
    world.machines[thief].spec.homes = vec![world.address(ids[0])];
    world.start(thief);
    world.run_ms(60_000);
    require_unheard(world, &ids, victim, since_us);
    let listed = world.list(ids[0]).iter().any(|row| row.name == "thief");
    if listed || newest(world, victim) != old {
        world.fail("the old key opens the herd, or the new one got to who was shut out");
    }
    require_nobody_down(world, settled_us, &[victim, absent]);
}

/// Some do not hear of it at first, and make a key of their own, which who is shut out gets.
pub fn revoked_and_rotated(world: &mut World) {
    let mut ids = keyed(world, 6);
    let victim = ids.remove(5);
    // The other side has the one that is shut out.
    world.split(&[3, 4, victim], 1);
    revoke(world, ids[0], victim);
    world.run_ms(1_000);
    change(world, 3, Command::Rotate);
    if world.rng.random_bool(0.5) {
        world.run_ms(1_000);
        change(world, 4, Command::Rotate);
    }
    if !world.run_until(SPREAD_MS, |world| keys(world, victim)[0].epoch > 1) {
        world.fail("it was to get the other side's key");
    }
    world.heal();
    require_one_key(world, &ids, 90_000);
    world.run_ms(5_000);
    require_one_key(world, &ids, SPREAD_MS);
    if newest(world, victim) == newest(world, ids[0]) {
        world.fail("who was shut out holds the key of the herd");
    }
    let since_us = world.now_us - SHUT_OUT_MS * 1_000;
    world.run_ms(30_000);
    require_unheard(world, &ids, victim, since_us);
}

/// One of these is killed for a while, but not who is spared; or paused; or half of them are cut off;
/// or, in the rest of so many cases, one makes a key.
pub fn disturb(world: &mut World, ids: &[MachineId], spared: Option<MachineId>, cases: u32) {
    let id = any(world, ids);
    let back_us = world.now_us + world.rng.random_range(50_000..30_000_000);
    match world.rng.random_range(0..cases) {
        0 if spared != Some(id) && world.machines[id].is_running() => {
            world.kill(id);
            world.at(back_us, Act::Start(id));
        }
        1 if world.machines[id].is_live() => {
            let ms = world.rng.random_range(100..20_000);
            world.pause_for(id, ms);
        }
        2 => {
            let half: Vec<MachineId> =
                ids.iter().copied().filter(|_| world.rng.random_bool(0.5)).collect();
            world.split(&half, 1);
            world.at(back_us, Act::Heal);
        }
        // Beyond the limit of keys it is refused.
        _ if world.machines[id].is_live() => {
            world.answer(id, Scope::Here, Command::Rotate);
        }
        _ => {}
    }
}

/// The network is whole and all of these run.
pub fn calm(world: &mut World, ids: &[MachineId]) {
    world.heal();
    world.net.link = Link::LAN;
    for id in ids {
        world.resume(*id);
        if !world.machines[*id].is_running() {
            world.start(*id);
        }
    }
}

/// Sixteen that are killed, paused, cut off and lose datagrams, with keys made all the while.
pub fn chaos(world: &mut World) {
    let ids = keyed(world, 13);
    world.net.link = Link { loss: world.rng.random_range(0.0..0.07), ..Link::LAN };
    for _ in 0..12 {
        let wait_ms = world.rng.random_range(500..20_000);
        world.run_ms(wait_ms);
        disturb(world, &ids, None, 5);
    }
    calm(world, &ids);
    require_one_key(world, &ids, 120_000);
}
