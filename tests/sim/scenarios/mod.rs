//! One file a promise, and what they share.

pub mod adopt;
pub mod clones;
pub mod crash;
pub mod discovery;
pub mod doctor;
pub mod goodbye;
pub mod guests;
pub mod hidden;
pub mod history;
pub mod hostile;
pub mod islands;
pub mod join;
pub mod keyed;
pub mod last_seen;
pub mod lives;
pub mod loss;
pub mod moved;
pub mod one_way;
pub mod parents;
pub mod pause;
pub mod pipes;
pub mod rejoin;
pub mod replay;
pub mod rotation;
pub mod swarm;
pub mod tokens;

use crate::machine::MachineId;
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::ids::NodeId;
use herd::wire::info::{NodeInfo, State};
use herd::wire::reply::Reply;
use std::collections::BTreeSet;

/// How long a herd of some ten nodes may take to know itself.
pub const JOIN_MS: u64 = 5_000;

/// Machines at the top that phone the first one, started and in agreement.
pub fn herd(world: &mut World, count: usize) -> Vec<MachineId> {
    let ids = world.machines(count);
    phone(world, ids[0]);
    world.start_all();
    world.require_agreement(JOIN_MS);
    ids
}

/// Machines at the top that met by typed contacts and have no homes.
pub fn typed_herd(world: &mut World, count: usize) -> Vec<MachineId> {
    let ids = world.machines(count);
    world.start_all();
    world.run_ms(200);
    for id in &ids[1..] {
        world.contact(*id, ids[0]);
    }
    world.require_agreement(JOIN_MS);
    ids
}

/// Gives every other machine this home.
pub fn phone(world: &mut World, home: MachineId) {
    let address = world.address(home);
    for id in 0..world.machines.len() {
        if id != home {
            world.machines[id].spec.homes = vec![address];
        }
    }
}

/// How `observer` lists `subject`.
pub fn row(world: &mut World, observer: MachineId, subject: MachineId) -> Option<NodeInfo> {
    let id = world.machines[subject].id?;
    world.list(observer).into_iter().find(|row| row.id == id)
}

pub fn state(world: &mut World, observer: MachineId, subject: MachineId) -> Option<State> {
    row(world, observer, subject).map(|row| row.state)
}

/// Requires that all live machines show one in a state within a time.
pub fn require_state(world: &mut World, subject: MachineId, wanted: State, within_ms: u64) {
    let observers: Vec<MachineId> =
        (0..world.machines.len()).filter(|id| *id != subject && world.is_reachable(*id)).collect();
    let all = |world: &mut World| {
        observers.iter().all(|observer| state(world, *observer, subject) == Some(wanted))
    };
    if !world.run_until(within_ms, all) {
        let shown: Vec<_> = observers
            .iter()
            .map(|one| row(world, *one, subject).map(|row| (row.state, row.reason)))
            .collect();
        world.fail(format!("machine {subject} is not {} for all: {shown:?}", wanted.word()));
    }
}

/// `daust all ping` from one machine: all live ones answer, once each, and the others are named.
pub fn require_all_ping(world: &mut World, from: MachineId) {
    require_all(world, from, Command::Ping);
}

/// The same for an answer that no datagram holds.
pub fn require_all_version(world: &mut World, from: MachineId) {
    require_all(world, from, Command::Version);
}

fn require_all(world: &mut World, from: MachineId, command: Command) {
    let parts = world.answer(from, Scope::All, command.clone());
    let mut answered = BTreeSet::new();
    for part in &parts {
        if !matches!(part.reply, Reply::Error(_)) && !answered.insert(part.id) {
            world.fail(format!("{} answered twice", part.node));
        }
    }
    let live = (0..world.machines.len()).filter(|id| world.is_reachable(*id));
    let missing: Vec<_> =
        live.filter(|id| world.machines[*id].id.is_none_or(|id| !answered.contains(&id))).collect();
    if !missing.is_empty() || !parts.last().is_some_and(|part| part.done) {
        let failures = parts.iter().filter(|part| matches!(part.reply, Reply::Error(_)));
        let failures: Vec<_> = failures.map(|part| (&part.node, &part.reply)).collect();
        let text = format!("all {command:?} from {from}: {missing:?} did not answer: {failures:?}");
        world.fail(text);
    }
}

/// `daust remote NAME ping` from one machine to another.
pub fn require_ping(world: &mut World, from: MachineId, to: MachineId) {
    let name = world.machines[to].spec.name.clone();
    let parts = world.answer(from, Scope::Node(name), Command::Ping);
    let well = parts.len() == 1
        && parts[0].reply == Reply::Pong
        && parts[0].id == world.machines[to].id.unwrap_or_default();
    if !well {
        world.fail(format!("remote ping from {from} to {to}: {parts:?}"));
    }
}

/// Nobody was shown down by anybody from `since_us` on but the machines named.
pub fn require_nobody_down(world: &mut World, since_us: u64, but: &[MachineId]) {
    let lives = |id: &NodeId| {
        let machine = world.checkers.truth.machine(*id);
        machine.is_some_and(|one| world.machines[one].id == Some(*id) && !but.contains(&one))
    };
    let downs = &world.checkers.shown.downs;
    let wrong =
        downs.iter().find(|(at_us, _, subject)| *at_us >= since_us && lives(subject)).copied();
    if let Some((at_us, observer, subject)) = wrong {
        world.fail(format!("machine {observer} showed {subject} down at {} ms", at_us / 1_000));
    }
}
