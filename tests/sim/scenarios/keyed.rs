//! A keyed herd behaves as an open one, and whoever does not hold its key learns nothing, changes
//! nothing, and is told why.

use super::{herd, phone, require_all_ping, require_nobody_down, require_ping, swarm};
use crate::machine::MachineId;
use crate::nat::Kind;
use crate::net::Link;
use crate::world::{Origin, World};
use herd::wire::header::{Header, Kind as Sort};
use herd::wire::ids::NodeId;
use herd::wire::info::State;
use herd::wire::key::HerdKey;
use herd::wire::reply::{ErrorCode, Reply};
use herd::wire::seal::Suite;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// How soon somebody outside is told why.
const TOLD_MS: u64 = 2_000;

/// The same herd byte is the same herd id.
pub fn key(herd: u8, secret: u8) -> Option<HerdKey> {
    let mut random = [secret; 40];
    random[..8].fill(herd);
    Some(HerdKey::first(&random))
}

/// Ten minutes of everything, as in the swarm.
pub fn chaos(world: &mut World) {
    world.key = key(1, 1);
    swarm::swarm(world);
}

/// Eight nodes, three of them behind NAT, with one datagram of five lost on the longest way.
pub fn eight(world: &mut World) {
    world.key = key(1, 1);
    world.suite = Suite::Real;
    let ids = world.machines(5);
    world.behind(ids[1], Kind::LINUX, &["vm 1", "vm 2", "vm 3"]);
    world.net.link = Link { loss: 0.07, ..Link::LAN };
    phone(world, ids[0]);
    world.start_all();
    world.require_agreement(20_000);
    let settled_us = world.now_us;
    world.run_ms(120_000);
    for id in 0..world.machines.len() {
        require_all_ping(world, id);
    }
    require_nobody_down(world, settled_us, &[]);
    world.net.link = Link::LAN;
    world.require_agreement(15_000);
}

/// A keyed herd of four with real seals, and who is in it.
fn keyed_herd(world: &mut World) -> Vec<MachineId> {
    world.suite = Suite::Real;
    world.key = key(1, 1);
    let ids = herd(world, 4);
    world.run_ms(5_000);
    ids
}

/// The members list each other as alive, and nobody else is listed by anybody.
fn require_untouched(world: &mut World, members: &[MachineId]) {
    let mut list = |id| -> BTreeSet<(NodeId, State)> {
        world.list(id).iter().map(|row| (row.id, row.state)).collect()
    };
    let lists: Vec<_> = members.iter().map(|id| list(*id)).collect();
    let whole = lists[0].len() == members.len()
        && lists[0].iter().all(|(_, state)| *state == State::Alive)
        && lists.iter().all(|other| *other == lists[0]);
    if !whole {
        world.fail(format!("the members list {lists:?}"));
    }
}

/// Datagrams that went to this address meanwhile.
fn sent_to(world: &mut World, to: IpAddr) -> Vec<Vec<u8>> {
    let recorded = world.recorded.as_ref().expect("recording");
    recorded.iter().filter(|(at, _)| at.ip() == to).map(|(_, bytes)| bytes.clone()).collect()
}

/// Nothing but refusals went there: they name nobody.
fn require_only_refusals(world: &mut World, to: IpAddr) {
    for bytes in sent_to(world, to) {
        let (header, rest) = Header::parse(&bytes).expect("a header");
        let plain = Header::new(Sort::Refusal, header.destination, NodeId::ANYBODY);
        if header != plain || rest.len() != 25 {
            world.fail(format!("somebody outside is sent {} bytes: {header:?}", bytes.len()));
        }
    }
}

/// `daust remote ADDRESS ping` there ends in time with a sentence that has these words.
fn require_told(world: &mut World, from: MachineId, to: MachineId, words: &str) {
    let number = world.contact(from, to);
    let answered = world.run_until(TOLD_MS, |world| world.is_done(from, number));
    let parts = world.answers[&(from, number)].clone();
    let told = parts.iter().any(|part| match &part.reply {
        Reply::Error(failure) => {
            failure.code == ErrorCode::Refused && failure.detail.contains(words)
        }
        _ => false,
    });
    if !answered || !told {
        world.fail(format!("{from} is not told `{words}`: {parts:?}"));
    }
}

/// One without a key, one of another herd, one with another key of this herd: each phones a member
/// and a person there types its address.
pub fn strangers(world: &mut World) {
    let members = keyed_herd(world);
    let home = world.address(members[0]);
    world.recorded = Some(Vec::new());
    let outsiders = [
        (None, "this node has no key"),
        (key(2, 2), "in another keyed herd"),
        (key(1, 2), "has another key"),
    ];
    let mut strangers = Vec::new();
    for (number, (key, _)) in outsiders.iter().enumerate() {
        let id = world.machine(&format!("stranger{number}"));
        world.machines[id].spec.homes = vec![home];
        world.machines[id].spec.key = key.clone();
        world.start(id);
        strangers.push(id);
    }
    world.run_ms(1_500);
    for (stranger, (_, words)) in strangers.iter().zip(&outsiders) {
        require_told(world, *stranger, members[0], words);
        require_told(world, *stranger, members[1], words);
    }
    world.run_ms(40_000);
    require_untouched(world, &members);
    for stranger in &strangers {
        require_untouched(world, &[*stranger]);
        let address = world.address(*stranger).ip();
        require_only_refusals(world, address);
    }
    require_ping(world, members[3], members[0]);
    require_nobody_down(world, 0, &strangers);
}

/// Somebody without a key greets five hundred times a second: one answer a second, if any.
pub fn flood(world: &mut World) {
    let members = keyed_herd(world);
    let attacker = world.net.host(0);
    let to = world.address(members[0]);
    world.recorded = Some(Vec::new());
    crate::attacker::flood(world, attacker, to, 2_000);
    let address = world.net.hosts[attacker].address.into();
    require_only_refusals(world, address);
    let told = sent_to(world, address).len();
    if !(1..=3).contains(&told) {
        world.fail(format!("{told} refusals in two seconds"));
    }
    require_untouched(world, &members);
    require_nobody_down(world, 0, &[]);
}

/// What members said to each other, said again by somebody outside, at once and much later.
pub fn replayed(world: &mut World) {
    world.recorded = Some(Vec::new());
    let members = keyed_herd(world);
    let attacker = world.net.host(0);
    for wait_ms in [0, 120_000] {
        world.run_ms(wait_ms);
        let recorded: Vec<(SocketAddr, Vec<u8>)> = world.recorded.clone().unwrap_or_default();
        for (to, bytes) in recorded.into_iter().take(2_000) {
            world.launch(attacker, (9_000, None), Origin::Raw(attacker), to, bytes);
            world.run_ms(2);
        }
        require_untouched(world, &members);
    }
    require_all_ping(world, members[1]);
    require_nobody_down(world, 0, &[]);
}

/// An open herd becomes a keyed one by starts: who has no key yet is out, and back once it has it.
pub fn restarted(world: &mut World) {
    world.suite = Suite::Real;
    let ids = herd(world, 4);
    world.run_ms(5_000);
    let (late, early) = ids.split_last().expect("four");
    for id in early {
        world.kill(*id);
        world.machines[*id].spec.key = key(1, 1);
        world.start(*id);
    }
    let alive = |world: &mut World, observer: MachineId| -> BTreeSet<NodeId> {
        let rows = world.list(observer);
        let alive = rows.iter().filter(|row| row.state == State::Alive);
        alive.map(|row| row.id).collect()
    };
    let members: BTreeSet<NodeId> = early.iter().filter_map(|id| world.machines[*id].id).collect();
    let alone: BTreeSet<NodeId> = world.machines[*late].id.into_iter().collect();
    let apart = world.run_until(60_000, |world| {
        early.iter().all(|id| alive(world, *id) == members) && alive(world, *late) == alone
    });
    if !apart {
        let lists: Vec<_> = ids.iter().map(|id| alive(world, *id)).collect();
        world.fail(format!("alive for each: {lists:?}"));
    }
    world.kill(*late);
    world.machines[*late].spec.key = key(1, 1);
    world.start(*late);
    world.require_agreement(15_000);
    require_all_ping(world, *late);
}

/// A node with a key greets an open herd: it is told, and the open herd goes on.
pub fn open_herd(world: &mut World) {
    let members = herd(world, 3);
    let guest = world.machine("guest");
    world.machines[guest].spec.key = key(1, 1);
    world.start(guest);
    world.run_ms(500);
    require_told(world, guest, members[0], "in an open herd");
    world.run_ms(10_000);
    require_untouched(world, &members);
    require_untouched(world, &[guest]);
}
