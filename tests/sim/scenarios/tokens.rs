//! Join tokens: of all who show one, one gets in, and nobody else learns anything.

use super::{phone, require_all_ping, require_nobody_down};
use crate::machine::MachineId;
use crate::net::{HostId, Link};
use crate::world::{Origin, World};
use herd::wire::command::{Command, Scope};
use herd::wire::key::HerdKey;
use herd::wire::refusal::Outside;
use herd::wire::reply::Reply;
use herd::wire::token::{Answer, Attempt, Token};
use rand::RngExt;
use std::net::IpAddr;

const NEWCOMERS: usize = 20;
/// As a daemon that starts asks: so often, and so many times.
const AGAIN_MS: u64 = 300;
const TIMES: u64 = 6;

/// Somebody who holds a token, and what came of it.
struct Newcomer {
    host: HostId,
    attempt: Attempt,
    key: Option<HerdKey>,
    why: Option<Outside>,
}

fn token(world: &mut World, id: MachineId) -> Token {
    let parts = world.answer(id, Scope::Here, Command::Token);
    match parts.into_iter().next().map(|part| part.reply) {
        Some(Reply::Token(text)) => text.split_once('@').expect("an address").0.parse().unwrap(),
        other => world.fail(format!("no token: {other:?}")),
    }
}

fn newcomers(world: &mut World, token: &Token, count: usize) -> Vec<Newcomer> {
    let mut one = || {
        let attempt = Attempt::new(token, world.rng.random()).expect("an attempt");
        Newcomer { host: world.net.host(0), attempt, key: None, why: None }
    };
    (0..count).map(|_| one()).collect()
}

/// All show their token to this node, in any order, again and again.
fn show(world: &mut World, to: MachineId, all: &mut [Newcomer]) {
    let to = world.address(to);
    for _ in 0..TIMES {
        let first = world.rng.random_range(0..all.len());
        for at in (first..all.len()).chain(0..first) {
            let (host, bytes) = (all[at].host, all[at].attempt.question.clone());
            world.launch(host, (9_000, None), Origin::Raw(host), to, bytes);
        }
        world.recorded = Some(Vec::new());
        world.run_ms(AGAIN_MS);
        for (at, bytes) in world.recorded.take().unwrap_or_default() {
            let is_to =
                |one: &&mut Newcomer| IpAddr::from(world.net.hosts[one.host].address) == at.ip();
            let Some(one) = all.iter_mut().find(is_to) else { continue };
            match one.attempt.read(&bytes) {
                Answer::Key(key) => one.key = Some(key),
                Answer::Refused(why) => one.why = Some(why),
                Answer::Noise if one.key.is_none() => world.fail("an answer that is none"),
                Answer::Noise => {}
            }
        }
    }
}

fn keyed(world: &mut World) -> Vec<MachineId> {
    world.key = Some(HerdKey::first(&[1; 40]));
    let ids = world.machines(4);
    phone(world, ids[0]);
    world.start_all();
    world.require_agreement(10_000);
    ids
}

/// Many show one token at the same moment, with loss: one gets the key, and joins with it.
pub fn one_of_many(world: &mut World) {
    let ids = keyed(world);
    let settled_us = world.now_us;
    let lossy = world.rng.random_bool(0.5);
    let token = token(world, ids[1]);
    if lossy {
        world.net.link = Link { loss: 0.1, ..Link::LAN };
    }
    if world.rng.random_bool(0.3) {
        world.answer(ids[2], Scope::Here, Command::Rotate);
    }
    let mut all = newcomers(world, &token, NEWCOMERS);
    show(world, ids[1], &mut all);
    let refused = all.iter().filter(|one| one.why == Some(Outside::TokenUsed)).count();
    let mut winners = all.into_iter().filter_map(|one| one.key);
    let (winner, second) = (winners.next(), winners.next());
    if second.is_some() || refused == 0 || (winner.is_none() && !lossy) {
        world.fail(format!("let in: {winner:?} and {second:?}, told that it was used: {refused}"));
    }
    world.net.link = Link::LAN;
    let Some(key) = winner else { return };
    let guest = world.machine("guest");
    world.machines[guest].spec.key = Some(key);
    world.machines[guest].spec.homes = vec![world.address(ids[1])];
    world.start(guest);
    world.require_agreement(15_000);
    require_all_ping(world, guest);
    require_nobody_down(world, settled_us, &[]);
}

/// One that is too old, one that another node made, one that its maker forgot by a start.
pub fn no_good(world: &mut World) {
    let ids = keyed(world);
    let old = token(world, ids[0]);
    world.run_ms(600_000);
    let fresh = token(world, ids[0]);
    for (token, to, expected) in [
        (&old, ids[0], Outside::TokenExpired),
        (&fresh, ids[1], Outside::TokenUnknown),
        (&Token::new(fresh.herd() + 1, [1; 16]), ids[1], Outside::TokenOfOther),
    ] {
        let mut all = newcomers(world, token, 1);
        show(world, to, &mut all);
        if all[0].key.is_some() || all[0].why != Some(expected) {
            world.fail(format!("{:?} instead of {expected:?}", all[0].why));
        }
    }
    world.kill(ids[0]);
    world.start(ids[0]);
    let mut all = newcomers(world, &fresh, 1);
    show(world, ids[0], &mut all);
    if all[0].why != Some(Outside::TokenUnknown) {
        world.fail("a start forgets no token");
    }
}
