//! A running open herd is given a key: nobody who was named is lost or called down, no command goes
//! astray, and who was not named gets no key.

use super::rotation::{any, calm, disturb, keys, newest, require_one_key};
use super::{phone, require_all_ping, require_nobody_down, require_ping};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::net::Link;
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::ids::NodeId;
use herd::wire::info::State;
use herd::wire::limits::OPEN_GRACE_S;
use herd::wire::reply::Reply;
use herd::wire::token::{Answer, Attempt};
use rand::RngExt;
use std::collections::BTreeSet;

/// Everybody has the key, and open is over, so soon after the network and all machines are well.
const ADOPTED_MS: u64 = 60_000;

/// An open herd, some nodes at the top and three behind NAT.
fn open(world: &mut World, top: usize) -> Vec<MachineId> {
    let mut ids = world.machines(top);
    ids.extend(world.behind(ids[1], Kind::LINUX, &["vm 1", "vm 2", "vm 3"]));
    phone(world, ids[0]);
    world.start_all();
    world.require_agreement(20_000);
    ids
}

fn node_ids(world: &World, ids: &[MachineId]) -> Vec<NodeId> {
    ids.iter().filter_map(|id| world.machines[*id].id).collect()
}

/// `daust key adopt` there, for these.
fn adopt(world: &mut World, id: MachineId, members: &[MachineId]) {
    let members = node_ids(world, members);
    let parts = world.answer(id, Scope::Here, Command::Adopt(members));
    if !matches!(parts[..], [ref part] if matches!(part.reply, Reply::Keys(_))) {
        world.fail(format!("{id} adopts nobody: {parts:?}"));
    }
}

/// Whether none of these hears anybody without a key any more.
fn is_over(world: &mut World, ids: &[MachineId]) -> bool {
    ids.iter().all(|id| {
        let keys = keys(world, *id);
        !keys.is_empty() && keys.iter().all(|key| !key.source.contains("who has none"))
    })
}

fn require_over(world: &mut World, ids: &[MachineId], within_ms: u64) {
    if !world.run_until(within_ms, |world| is_over(world, ids)) {
        let all: Vec<_> = ids.iter().map(|id| keys(world, *id)).collect();
        world.fail(format!("open is not over: {all:?}"));
    }
}

/// Sixteen, one datagram of five lost on the longest way: commands go on, nobody is called down, and
/// all start with the key from then on.
pub fn under_loss(world: &mut World) {
    let ids = open(world, 13);
    world.net.link = Link { loss: 0.07, ..Link::LAN };
    let settled_us = world.now_us;
    let maker = any(world, &ids);
    adopt(world, maker, &ids);
    for _ in 0..10 {
        let (asker, asked) = (any(world, &ids), any(world, &ids));
        require_all_ping(world, asker);
        if asker != asked {
            require_ping(world, asker, asked);
        }
    }
    require_over(world, &ids, ADOPTED_MS);
    require_one_key(world, &ids, ADOPTED_MS);
    for _ in 0..5 {
        let asker = any(world, &ids);
        require_all_ping(world, asker);
    }
    world.run_ms(20_000);
    require_nobody_down(world, settled_us, &[]);
    let before = newest(world, ids[0]);
    world.net.link = Link::LAN;
    for id in &ids {
        world.kill(*id);
        world.start(*id);
        if newest(world, *id) != before {
            world.fail(format!("{id} starts with another key"));
        }
    }
    world.require_agreement(ADOPTED_MS);
}

/// A hundred and fifty: whom its people named fits no datagram.
pub fn many(world: &mut World) {
    let ids = super::join::many(world, 150, 5_000);
    let settled_us = world.now_us;
    adopt(world, ids[7], &ids);
    for _ in 0..5 {
        let asker = any(world, &ids);
        require_all_ping(world, asker);
    }
    require_over(world, &ids, ADOPTED_MS);
    require_one_key(world, &ids, ADOPTED_MS);
    require_nobody_down(world, settled_us, &[]);
}

/// A machine dies at any moment of it, perhaps the one that made the key, and comes back.
pub fn killed(world: &mut World) {
    let ids = open(world, 5);
    let maker = any(world, &ids);
    let victim = any(world, &ids);
    adopt(world, maker, &ids);
    let ms = world.rng.random_range(0..1_500);
    world.run_ms(ms);
    world.kill(victim);
    let ms = world.rng.random_range(0..20_000);
    world.run_ms(ms);
    world.start(victim);
    world.run_ms(1_000);
    // If the key died with the only one who had it, the herd is open as before.
    world.require_agreement(ADOPTED_MS);
    if ids.iter().all(|id| keys(world, *id).is_empty()) {
        if victim != maker {
            world.fail("the key is gone, and its maker lives");
        }
        adopt(world, maker, &ids);
    }
    require_one_key(world, &ids, ADOPTED_MS);
    require_over(world, &ids, ADOPTED_MS);
    require_all_ping(world, victim);
}

/// One that is named is away all the while: it is told how to get the key, gets it, and is back.
pub fn away(world: &mut World) {
    let ids = open(world, 4);
    let absent = ids[world.rng.random_range(2..4)];
    let others: Vec<MachineId> = ids.iter().copied().filter(|id| *id != absent).collect();
    let named = if world.rng.random_bool(0.5) { &ids } else { &others };
    world.kill(absent);
    world.run_ms(10_000);
    let settled_us = world.now_us;
    adopt(world, ids[0], named);
    require_over(world, &others, OPEN_GRACE_S * 1_000 + ADOPTED_MS);
    world.revoked.insert(absent);
    world.start(absent);
    world.run_ms(1_500);
    let number = world.contact(absent, ids[0]);
    world.run_until(2_500, |world| world.is_done(absent, number));
    let parts = world.answers[&(absent, number)].clone();
    let told = parts.iter().any(|part| {
        matches!(&part.reply, Reply::Error(failure) if failure.detail.contains("daust token"))
    });
    if !told {
        world.fail(format!("who has no key is not told how to get it: {parts:?}"));
    }
    world.run_ms(20_000);
    let listed = world.list(ids[0]);
    let id = world.machines[absent].id.expect("it was listed");
    if listed.iter().any(|row| row.id == id && row.state == State::Alive) {
        world.fail("who has no key is listed as alive");
    }
    let parts = world.answer(ids[0], Scope::Here, Command::Token);
    let Some(Reply::Token(text)) = parts.into_iter().next().map(|part| part.reply) else {
        world.fail("no token")
    };
    world.kill(absent);
    let token = text.split_once('@').expect("an address").0.parse().expect("a token");
    let mut attempt = Attempt::new(&token, world.rng.random()).expect("an attempt");
    let (host, to) = (world.machines[absent].host, world.address(ids[0]));
    world.recorded = Some(Vec::new());
    let origin = crate::world::Origin::Raw(host);
    world.launch(host, (9_000, None), origin, to, attempt.question.clone());
    world.run_ms(100);
    let key =
        world.recorded.take().unwrap_or_default().into_iter().find_map(|(_, bytes)| match attempt
            .read(&bytes)
        {
            Answer::Key(key) => Some(key),
            _ => None,
        });
    world.machines[absent].spec.key = key;
    world.revoked.clear();
    world.start(absent);
    require_one_key(world, &ids, ADOPTED_MS);
    require_nobody_down(world, settled_us, &[absent]);
}

/// Two people type it at once.
pub fn two_at_once(world: &mut World) {
    let ids = open(world, 5);
    let settled_us = world.now_us;
    adopt(world, ids[0], &ids);
    let ms = world.rng.random_range(0..100);
    world.run_ms(ms);
    // By now it may have the other key.
    let other = ids[world.rng.random_range(1..ids.len())];
    let members = node_ids(world, &ids);
    world.answer(other, Scope::Here, Command::Adopt(members));
    require_one_key(world, &ids, ADOPTED_MS);
    require_over(world, &ids, ADOPTED_MS);
    require_nobody_down(world, settled_us, &[]);
    world.kill(other);
    world.start(other);
    require_one_key(world, &ids, ADOPTED_MS);
}

/// Somebody joined whom nobody named: it never gets the key, and is out in the end.
pub fn stranger(world: &mut World) {
    let mut ids = open(world, 5);
    let stranger = ids.remove(world.rng.random_range(2..5));
    let settled_us = world.now_us;
    let maker = any(world, &ids);
    adopt(world, maker, &ids);
    world.revoked.insert(stranger);
    require_over(world, &ids, ADOPTED_MS);
    let since_us = world.now_us;
    world.run_ms(30_000);
    // It is an honest one: a key that it was handed, and not meant to have, it counts.
    let counts = world.answer(stranger, Scope::Here, Command::Version);
    let handed = counts.iter().any(|part| match &part.reply {
        Reply::Version(info) => info.counters.iter().any(|one| one.name == "herd keys not taken"),
        _ => false,
    });
    if handed || !keys(world, stranger).is_empty() {
        world.fail("somebody who was not named was handed the key");
    }
    let id = world.machines[stranger].id.expect("it was listed");
    for observer in &ids {
        let Some(row) = world.list(*observer).into_iter().find(|row| row.id == id) else {
            continue;
        };
        let over_ms = (world.now_us - since_us) / 1_000;
        if row.state == State::Alive || row.last_seen_ms + 1_000 < over_ms {
            world.fail(format!("{observer} hears who has no key: {row:?}"));
        }
    }
    let all: BTreeSet<String> = ids.iter().map(|id| newest(world, *id)).collect();
    if all.len() != 1 {
        world.fail(format!("several keys: {all:?}"));
    }
    require_all_ping(world, maker);
    require_nobody_down(world, settled_us, &[stranger]);
}

/// Sixteen that are killed, paused, cut off and lose datagrams all the while.
pub fn chaos(world: &mut World) {
    let ids = open(world, 13);
    world.net.link = Link { loss: world.rng.random_range(0.0..0.07), ..Link::LAN };
    adopt(world, ids[0], &ids);
    for _ in 0..8 {
        let wait_ms = world.rng.random_range(100..10_000);
        world.run_ms(wait_ms);
        disturb(world, &ids, Some(ids[0]), 4);
    }
    calm(world, &ids);
    require_one_key(world, &ids, 120_000);
    require_over(world, &ids, ADOPTED_MS);
}
