//! How long who is gone is remembered, by class: listed to the last millisecond, and then no more.

use crate::mesh::{Mesh, address_of, options};
use herd::node::{Closed, Options};
use herd::wire::command::{Command, Scope};
use herd::wire::info::State;
use herd::wire::life::Class;
use herd::wire::limits::{CATTLE_MS, EPHEMERAL_MS};
use std::collections::BTreeMap;

/// The dead are looked through once a second, at a heartbeat.
const LOOK_MS: u64 = 2_000;

/// A pet, and a node of this class that met it.
fn pair(class: Class) -> Mesh {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    let second = Options { class, ..options("node2", 1, &[address_of(0)]) };
    mesh.add_with(second, BTreeMap::new());
    mesh.run_ms(3_000);
    assert_eq!(mesh.list(0)[1].class.as_deref(), Some(class.word()));
    mesh
}

fn require_forgotten(mut mesh: Mesh, state: State, limit_ms: u64) {
    mesh.run_ms(1_000);
    let seen_ms = mesh.list(0)[1].last_seen_ms;
    mesh.run_ms(limit_ms - seen_ms - 1);
    let rows = mesh.list(0);
    assert_eq!((rows.len(), rows[1].state, rows[1].last_seen_ms), (2, state, limit_ms - 1));
    mesh.run_ms(LOOK_MS);
    assert_eq!(mesh.list(0).len(), 1);
}

#[test]
fn the_minute_of_an_ephemeral_one_that_left() {
    let mut mesh = pair(Class::Ephemeral);
    mesh.request(1, Scope::Here, Command::Stop);
    require_forgotten(mesh, State::Left, EPHEMERAL_MS);
}

#[test]
fn the_hour_of_cattle_and_of_who_ended_without_a_word() {
    for class in [Class::Cattle, Class::Ephemeral] {
        let mut mesh = pair(class);
        mesh.end(1, Closed::Reset);
        require_forgotten(mesh, State::Down, CATTLE_MS);
    }
}

#[test]
fn a_pet_is_never_forgotten() {
    let mut mesh = pair(Class::Pet);
    mesh.end(1, Closed::Reset);
    mesh.run_ms(3 * CATTLE_MS);
    assert_eq!(mesh.state(0, mesh.members[1].who.id()), Some(State::Down));
}
