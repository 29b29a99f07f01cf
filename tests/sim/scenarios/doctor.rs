//! A look at a node or an address: what it finds, that it is there within two seconds, and that
//! nobody joins by it.

use super::{require_state, typed_herd};
use crate::machine::MachineId;
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::finding::Verdict;
use herd::wire::info::State;
use herd::wire::reply::Reply;

const SOON_US: u64 = 2_000_000;

/// What was looked at, and how it was found.
fn look(world: &mut World, from: MachineId, at: &str) -> Vec<(String, Verdict)> {
    let since_us = world.now_us;
    let parts = world.answer(from, Scope::Here, Command::Doctor(Some(at.to_string())));
    if world.now_us - since_us > SOON_US {
        world.fail(format!("the look at {at} took {} us", world.now_us - since_us));
    }
    match &parts[..] {
        [part] => match &part.reply {
            Reply::Findings(found) => {
                found.iter().map(|one| (one.check.clone(), one.verdict)).collect()
            }
            other => world.fail(format!("doctor answers {other:?}")),
        },
        other => world.fail(format!("doctor answers {other:?}")),
    }
}

fn require(world: &mut World, from: MachineId, at: &str, wanted: &[(&str, Verdict)]) {
    let found = look(world, from, at);
    if !found.iter().map(|(check, verdict)| (check.as_str(), *verdict)).eq(wanted.iter().copied()) {
        world.fail(format!("{wanted:?} was to be found of {at}, not {found:?}"));
    }
}

pub fn nobody_joins(world: &mut World) {
    let ids = world.machines(2);
    world.start_all();
    world.run_ms(1_000);
    let at = world.address(ids[1]).to_string();
    for _ in 0..3 {
        require(world, ids[0], &at, &[("address", Verdict::Well)]);
    }
    world.run_ms(20_000);
    for id in &ids {
        if world.list(*id).len() != 1 {
            world.fail("a look made them meet");
        }
    }
    let journal = world.answer(ids[1], Scope::Here, Command::History(None));
    if format!("{journal:?}").contains("did not go on") {
        world.fail("who only looked was taken for one that hears nothing");
    }
    world.kill(ids[1]);
    require(world, ids[0], &at, &[("address", Verdict::Wrong)]);
}

pub fn way(world: &mut World) {
    use Verdict::{Well, Wrong};
    let ids = typed_herd(world, 4);
    world.run_ms(3_000);
    let name = world.machines[ids[3]].spec.name.clone();
    let well = [("known", Well), ("udp", Well), ("size", Well), ("tcp", Well)];
    for from in &ids[..3] {
        require(world, *from, &name, &well);
    }
    world.kill(ids[3]);
    require_state(world, ids[3], State::Down, 3_500);
    require(world, ids[0], &name, &[("known", Wrong), ("udp", Wrong)]);
}
