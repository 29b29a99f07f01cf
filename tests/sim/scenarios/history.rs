//! The journal: what became of a node, once each, and after a crash of whoever keeps it.

use super::{require_state, state, typed_herd};
use crate::machine::MachineId;
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::history::EntryKind;
use herd::wire::info::State;
use herd::wire::reply::Reply;

/// What the journal of `keeper` says became of `subject`.
fn became(world: &mut World, keeper: MachineId, subject: MachineId) -> Vec<EntryKind> {
    let id = world.machines[subject].id;
    let parts = world.answer(keeper, Scope::Here, Command::History(None));
    let entries = parts.into_iter().flat_map(|part| match part.reply {
        Reply::History(entries) => entries,
        other => world.fail(format!("history answers {other:?}")),
    });
    let about = entries.filter(|entry| Some(entry.id) == id);
    about.map(|entry| entry.kind).collect()
}

fn require(world: &mut World, keeper: MachineId, subject: MachineId, wanted: &[EntryKind]) {
    let found = became(world, keeper, subject);
    if found != wanted {
        world.fail(format!("{wanted:?} was to be in the journal, not {found:?}"));
    }
}

pub fn kept(world: &mut World) {
    use EntryKind::{Back, Down, Forgotten, Left, Started, Up};
    let ids = typed_herd(world, 5);
    let (victim, keeper) = (ids[4], ids[1]);
    world.run_ms(3_000);
    world.kill(victim);
    require_state(world, victim, State::Down, 3_500);
    world.start(victim);
    require_state(world, victim, State::Alive, 8_000);
    world.leave(victim);
    require_state(world, victim, State::Left, 3_500);
    world.run_ms(3_000);
    for id in &ids[..4] {
        require(world, *id, victim, &[Up, Down, Back, Left]);
    }
    world.kill(keeper);
    world.start(keeper);
    world.run_ms(10_000);
    require(world, keeper, victim, &[Up, Down, Back, Left]);
    require(world, keeper, ids[0], &[Up]);
    require(world, keeper, keeper, &[Started, Started]);
    world.answer(keeper, Scope::Here, Command::Forget(world.machines[victim].spec.name.clone()));
    world.run_ms(3_000);
    for id in &ids[..4] {
        if state(world, *id, victim).is_some() {
            world.fail("it is not forgotten");
        }
        require(world, *id, victim, &[Up, Down, Back, Left, Forgotten]);
    }
}

/// Cut off for a while, once or twice: each time both ends of it are told, and nothing else of itself.
pub fn in_touch(world: &mut World) {
    use EntryKind::{CutOff, InTouch, Started};
    let ids = typed_herd(world, 5);
    world.run_ms(5_000);
    let mut wanted = vec![Started];
    for _ in 0..2 {
        world.split(&ids[..1], 1);
        world.run_ms(20_000);
        world.heal();
        world.require_agreement(40_000);
        wanted.extend([CutOff, InTouch]);
        require(world, ids[0], ids[0], &wanted);
    }
}
