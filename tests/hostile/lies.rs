//! Words without proof: what a stranger repeats, and what a member says of others.

use crate::mesh::{self, Mesh, Sent, address_of};
use crate::world::{HONEST, VICTIM, World, stranger};
use herd::node::Input;
use herd::wire::header::{Header, Kind};
use herd::wire::ids::Generation;
use herd::wire::info::State;
use herd::wire::message::{Body, Sync, SyncEntry, Taken};
use herd::wire::rumor::{Left, Reason, Rumor, SignedVote, Subject, Verdict};

/// Who hears all, but has no key, repeats a hello and a sealed word from elsewhere: neither may move
/// the way to the honest node, nor send anything but the answer to the hello to the stranger.
#[test]
fn repeated_words_move_no_route() {
    let mut world = World::new();
    let to_victim =
        world.mesh.sent.clone().into_iter().filter(|sent| sent.to == address_of(VICTIM));
    let (mut hellos, mut words) = (Vec::new(), Vec::new());
    for sent in to_victim {
        match Header::parse(&sent.bytes).expect("a header").0.kind {
            Kind::HelloQuestion => hellos.push(sent),
            _ => words.push(sent),
        }
    }
    world.datagram(hellos[0].from, address_of(VICTIM), &hellos[0].bytes);
    let replayed = world.mesh.counter(VICTIM, "replayed");
    for sent in &words {
        world.datagram(stranger(), address_of(VICTIM), &sent.bytes);
    }
    assert_eq!(world.sent_to_stranger(), 0);
    let counted = world.mesh.counter(VICTIM, "replayed") - replayed;
    assert_eq!(counted, words.len() as u64, "all of {} are counted", words.len());
}

/// A member spreads that the victim, or the honest node, lives in a later generation already: were
/// it believed, the older words of that node would be worth nothing.
#[test]
fn nobody_is_outdated_by_hearsay() {
    let mut world = World::new();
    let ids = [VICTIM, HONEST].map(|at| world.mesh.members[at].who.id());
    let insider = world.insider.id();
    for subject in ids {
        let number = |number: u64| {
            let septets = (0..10).map(|at| (number >> (7 * at)) as u8 & 0x7f);
            let used = septets.collect::<Vec<u8>>();
            let last = used.iter().rposition(|septet| *septet != 0).unwrap_or(0);
            let more = |at: usize| if at < last { 0x80 } else { 0 };
            (0..=last).map(|at| used[at] | more(at)).collect::<Vec<u8>>()
        };
        // Gossip of one member: its id, a generation 40,000 renewals later, alive.
        let generation = (5 << 16) + 40_000;
        let packet = [
            number(3 << 16),
            number(5 << 16),
            number(0),
            vec![9, 0, 1],
            subject.to_bytes().to_vec(),
            number(generation),
            number(0),
            vec![0],
        ];
        world.lie(1, packet.concat(), Vec::new());
    }
    assert_eq!(world.mesh.counter(VICTIM, "swim packets not taken"), 0, "the lie is well made");
    assert!(world.mesh.state(VICTIM, insider).is_some());
    world.settle();
    for (at, id) in ids.into_iter().enumerate() {
        let rows = world.mesh.list(at);
        let row = rows.iter().find(|row| row.id == id).expect("its own row");
        assert_eq!(row.generation, 5 << 16, "{} had to renew itself", row.name);
    }
}

/// What a member may say of another without that one's signature or a vote: nothing.
#[test]
fn unproved_words_about_others_change_nothing() {
    let mut world = World::new();
    let honest = world.mesh.members[HONEST].who.clone();
    let subject = Subject { id: honest.id(), generation: Generation::first(5) };
    let forged = Left::sign(&world.insider.identity, subject.generation);
    let vote = SignedVote::sign(&world.insider.identity, subject, 1, world.insider.id());
    let verdict = |votes: Vec<SignedVote>| {
        let issuer = world.insider.id();
        let reason = Reason::ProcessGone;
        let (ballot, answered, signature) = (1, 1, [0; 64]);
        let ending = None;
        let verdict =
            Verdict { subject, ballot, issuer, reason, answered, votes, signature, ending };
        verdict.sign(&world.insider.identity)
    };
    let record = mesh::record(&honest, "taken", HONEST).sign(&world.insider.identity);
    let sync = Sync {
        entries: vec![SyncEntry { record: record.clone(), state: State::Down, age_ms: 0 }],
        last: true,
    };
    let lies = [
        Body::Tell(Rumor::Forget { id: honest.id(), generation: Generation(u64::MAX) }),
        Body::Tell(Rumor::Left(Left { subject, ..forged })),
        Body::Tell(Rumor::Verdict(verdict(Vec::new()))),
        Body::Tell(Rumor::Verdict(verdict(vec![vote.clone()]))),
        Body::Tell(Rumor::Verdict(verdict(vec![vote; 9]))),
        Body::Tell(Rumor::Record(record.clone())),
        Body::Taken(Taken { record }),
        Body::Sync(sync),
    ];
    for lie in &lies {
        world.lie(lie.number(), lie.encode(), Vec::new());
        assert_eq!(world.mesh.state(VICTIM, honest.id()), Some(State::Alive), "{lie:?}");
    }
    assert_eq!(world.mesh.counter(VICTIM, "verdicts without enough votes"), 3);
    assert!(world.mesh.list(VICTIM).iter().all(|row| row.name != "taken"));
    world.settle();
}

/// Forged refusals call a node gone where nobody can be asked. It lives, and says so.
#[test]
fn a_node_wrongly_called_gone_comes_back() {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    mesh.add("node2", &[address_of(VICTIM)]);
    mesh.run_ms(1_500);
    let honest = mesh.members[HONEST].who.id();
    for _ in 0..100 {
        let to_honest = |sent: &&Sent| sent.to.ip() == address_of(HONEST).ip();
        let sent = mesh.sent.iter().rev().find(to_honest).expect("a datagram").clone();
        mesh.turn(VICTIM, Some(Input::Refused { to: sent.to, quoted: &sent.bytes }));
        mesh.run_ms(7);
    }
    mesh.run_ms(20_000);
    assert_eq!(mesh.state(VICTIM, honest), Some(State::Alive));
}
