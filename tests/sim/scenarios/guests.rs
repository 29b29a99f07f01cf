//! What an Engine says of its containers: certain by the word of the host that they named, and worth
//! nothing by anybody else's.

use super::{phone, require_all_ping, require_nobody_down, require_state, row};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::world::World;
use herd::node::planted::Bug;
use herd::wire::guest::{Guest, GuestState};
use herd::wire::info::State;
use herd::wire::life::Class;
use herd::wire::rumor::Ending;
use rand::RngExt;

pub const KILLED: GuestState = GuestState::Ended(Ending { exit_status: Some(137) });
const WORD: &str = "container ended: exit status 137";

/// Four hosts, containers in the first two whose private addresses are the same, and one on the
/// first in which no daustd runs.
struct Fleet {
    top: Vec<MachineId>,
    first: Vec<MachineId>,
    silent: MachineId,
}

impl Fleet {
    fn new(world: &mut World) -> Fleet {
        let top = world.machines(4);
        let mut first = world.behind(top[0], Kind::LINUX, &["a 1", "a 2", "a 3", "silent"]);
        let second = world.behind(top[1], Kind::LINUX, &["b 1", "b 2", "b 3"]);
        phone(world, top[2]);
        let silent = first.pop().expect("the last");
        for id in first.iter().chain(&second) {
            world.machines[*id].spec.container = true;
            world.machines[*id].spec.class = Class::Ephemeral;
        }
        for id in top.iter().chain(&first).chain(&second) {
            world.start(*id);
        }
        world.require_agreement(30_000);
        world.run_ms(10_000);
        Fleet { top, first, silent }
    }

    /// The first host's Engine: all run, but for one.
    fn engine(&self, world: &mut World, one: MachineId, state: GuestState) {
        let all = self.first.iter().chain([&self.silent]);
        let state = |id: MachineId| if id == one { state } else { GuestState::Running };
        let told = all.map(|id| guest(world, *id, state(*id))).collect();
        world.engine(self.top[0], Ok(told));
    }
}

/// A container as its Engine knows it.
pub fn guest(world: &World, id: MachineId, state: GuestState) -> Guest {
    let machine = &world.machines[id];
    let addresses = world.net.addresses(machine.host);
    Guest { id: format!("id {id}"), name: machine.spec.name.clone(), addresses, state }
}

fn require_word(world: &mut World, subject: MachineId, within_ms: u64) {
    let observers: Vec<MachineId> =
        (0..world.machines.len()).filter(|id| *id != subject && world.is_reachable(*id)).collect();
    let told = |world: &mut World, observer: MachineId| {
        row(world, observer, subject)
            .is_some_and(|row| row.state == State::Down && row.reason == WORD)
    };
    let all = |world: &mut World| observers.iter().all(|observer| told(world, *observer));
    if !world.run_until(within_ms, all) {
        let shown: Vec<_> = observers
            .iter()
            .map(|one| row(world, *one, subject).map(|row| (row.state, row.reason)))
            .collect();
        world.fail(format!("not all know within {within_ms} ms how it ended: {shown:?}"));
    }
}

/// A container is killed: all know within a second, by the Engine's word, whether its kernel said
/// something or not, and whether the vote was faster or not. It comes back under a new life.
pub fn killed(world: &mut World) {
    let fleet = Fleet::new(world);
    let (since_us, one) = (world.now_us, fleet.first[0]);
    fleet.engine(world, fleet.silent, GuestState::Running);
    let silent = world.tree(fleet.top[0])[0].silent.clone().unwrap_or_default();
    if silent.names != ["silent"] {
        world.fail(format!("silent are {silent:?}"));
    }
    let with_word = world.rng.random_bool(0.5);
    if with_word {
        world.kill(one);
    } else {
        world.pause(one);
    }
    let late_ms = [5, 50, 200, 1_500][world.rng.random_range(0..4)];
    world.run_ms(late_ms);
    fleet.engine(world, one, KILLED);
    require_word(world, one, 1_000);
    require_nobody_down(world, since_us, &[one]);
    world.kill(one);
    let newcomer = world.machine("newcomer");
    world.machines[newcomer].spec.homes = vec![world.address(fleet.top[2])];
    world.start(newcomer);
    world.run_ms(3_000);
    require_word(world, one, 0);
    fleet.engine(world, fleet.silent, GuestState::Running);
    world.start(one);
    fleet.engine(world, one, GuestState::Running);
    world.require_agreement(15_000);
    require_all_ping(world, one);
    require_nobody_down(world, since_us, &[one]);
}

/// Frozen is not gone: only that it is silent is known.
pub fn frozen(world: &mut World) {
    let fleet = Fleet::new(world);
    let one = fleet.first[1];
    world.pause(one);
    fleet.engine(world, one, GuestState::Paused);
    require_state(world, one, State::Down, 15_000);
    let reason = row(world, fleet.top[3], one).map(|row| row.reason);
    if reason.as_deref() != Some("silent") {
        world.fail(format!("a frozen container is down by {reason:?}"));
    }
    world.resume(one);
    fleet.engine(world, one, GuestState::Running);
    world.require_agreement(15_000);
}

/// A host that says of everybody that they ended, and has none of them: nobody believes it.
pub fn liar(world: &mut World) {
    let fleet = Fleet::new(world);
    let since_us = world.now_us;
    let liar = fleet.top[3];
    world.kill(liar);
    world.machines[liar].spec.planted = Some(Bug::Testifies);
    world.start(liar);
    world.run_ms(60_000);
    world.require_agreement(0);
    require_nobody_down(world, since_us, &[liar]);
}

/// An Engine that errs about one that lives: its own word wins. Of an address that two bear nothing is
/// said.
pub fn doubtful(world: &mut World) {
    let fleet = Fleet::new(world);
    let (since_us, one) = (world.now_us, fleet.first[2]);
    let ended = guest(world, one, KILLED);
    let heir = Guest { id: "heir".into(), state: GuestState::Running, ..ended.clone() };
    world.engine(fleet.top[0], Ok(vec![ended, heir]));
    world.run_ms(5_000);
    world.require_agreement(0);
    require_nobody_down(world, since_us, &[]);
    fleet.engine(world, one, KILLED);
    world.run_ms(1_000);
    world.require_agreement(10_000);
    world.run_ms(120_000);
    world.require_agreement(0);
    require_nobody_down(world, since_us, &[one]);
    world.engine(fleet.top[0], Err("it restarts".into()));
    world.run_ms(10_000);
    world.require_agreement(0);
}
