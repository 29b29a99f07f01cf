//! An open herd is given a key: who is handed it, who takes it, and until when others are heard.

use crate::crowd::{address, greet, heard, join, say, who};
use crate::mesh::{Mesh, address_of, options, record};
use herd::node::Options;
use herd::wire::command::{Command, Rank, Scope};
use herd::wire::ids::NodeId;
use herd::wire::info::KeyInfo;
use herd::wire::key::HerdKey;
use herd::wire::keyring::Keyring;
use herd::wire::limits::*;
use herd::wire::message::Body;
use herd::wire::reply::{ErrorCode, Reply};
use herd::wire::rumor::Rumor;
use std::collections::BTreeMap;

/// Two of an open herd; the second lets others do so much.
fn pair(accept: Rank) -> Mesh {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    let second = Options { accept, ..options("node2", 1, &[address_of(0)]) };
    mesh.add_with(second, BTreeMap::new());
    mesh.run_ms(3_000);
    assert_eq!(mesh.list(0).len(), 2);
    mesh
}

fn adopt(mesh: &mut Mesh, members: Vec<NodeId>) -> Reply {
    let number = mesh.request(0, Scope::Here, Command::Adopt(members));
    mesh.parts(0, number)[0].reply.clone()
}

fn keys(mesh: &mut Mesh, member: usize) -> Vec<KeyInfo> {
    let number = mesh.request(member, Scope::Here, Command::Keys);
    match &mesh.parts(member, number)[0].reply {
        Reply::Keys(keys) => keys.clone(),
        other => panic!("{other:?}"),
    }
}

fn both(mesh: &Mesh) -> Vec<NodeId> {
    mesh.members.iter().map(|member| member.who.id()).collect()
}

fn pings(mesh: &mut Mesh, to: &str) -> bool {
    let number = mesh.request(0, Scope::Node(to.into()), Command::Ping);
    mesh.run_ms(6_000);
    mesh.parts(0, number).iter().any(|part| part.reply == Reply::Pong)
}

#[test]
fn open_ends_when_all_who_were_named_have_the_key() {
    let mut mesh = pair(Rank::Execute);
    let members = both(&mesh);
    assert!(matches!(adopt(&mut mesh, members.clone()), Reply::Keys(_)));
    mesh.run_ms(1_000);
    let (one, other) = (keys(&mut mesh, 0), keys(&mut mesh, 1));
    assert_eq!((one[0].epoch, &one[0].fingerprint), (2, &other[0].fingerprint));
    assert!(one[0].source.contains("heard for 5"), "{one:?}");
    mesh.run_ms(15_000);
    assert_eq!(keys(&mut mesh, 0)[0].source, "adoption");
    assert!(pings(&mut mesh, "node2"));
    assert!(matches!(adopt(&mut mesh, members), Reply::Error(failure)
        if failure.code == ErrorCode::Refused && failure.detail.contains("a key already")));
    // And the key is where the next start finds it.
    let file = mesh.members[1].kept[herd::node::KEY_FILE].clone();
    let key: herd::wire::key::HerdKey = std::str::from_utf8(&file).unwrap().parse().unwrap();
    assert_eq!(key.fingerprint(), other[0].fingerprint);
}

/// Who was named and never takes it is heard to the end of the grace, and not a second longer.
#[test]
fn the_grace_of_who_has_no_key() {
    let mut mesh = pair(Rank::Read);
    let members = both(&mesh);
    adopt(&mut mesh, members);
    mesh.run_ms((OPEN_GRACE_S - 10) * 1_000);
    assert!(keys(&mut mesh, 1).is_empty(), "it lets others change nothing");
    assert!(pings(&mut mesh, "node2"));
    let lacking = keys(&mut mesh, 0)[0].lacking.clone().unwrap();
    assert_eq!(
        (&lacking.names[..], lacking.refusing),
        (&["node2".to_string()][..], Some(vec!["node2".into()]))
    );
    assert_eq!(mesh.list(0)[1].accept.as_deref(), Some("read"));
    // It asks for nothing that it will not take, and says so once.
    assert_eq!(mesh.counter(1, "herd keys not taken"), 0);
    let number = mesh.request(1, Scope::Here, Command::History(None));
    let lines = format!("{:?}", mesh.parts(1, number));
    assert_eq!(lines.matches("\"key adopt\"").count(), 1, "{lines}");
    assert!(lines.contains("accept = ") && lines.contains("`daust token` there"), "{lines}");
    let advice = doctor(&mut mesh, 1);
    assert!(
        advice.contains("which this node did not get: it takes no command of rank"),
        "{advice}"
    );
    mesh.run_ms(5_000);
    assert_eq!(keys(&mut mesh, 0)[0].source, "adoption");
    mesh.run_ms(10_000);
    assert!(!pings(&mut mesh, "node2"));
    // Each end knows that it is the key.
    mesh.run_ms(60_000);
    assert!(why(&mut mesh, 0, "node2").contains("none of the herd keys that are held here"));
    assert!(why(&mut mesh, 1, "node1").contains("is in a keyed herd; this node has no key"));
    let advice = doctor(&mut mesh, 1);
    assert!(advice.contains("type `daust token` there"), "{advice}");
}

fn doctor(mesh: &mut Mesh, member: usize) -> String {
    let number = mesh.request(member, Scope::Here, Command::Doctor(None));
    format!("{:?}", mesh.parts(member, number)[0].reply)
}

fn why(mesh: &mut Mesh, member: usize, name: &str) -> String {
    let number = mesh.request(member, Scope::Here, Command::Why(name.into()));
    match &mesh.parts(member, number)[0].reply {
        Reply::Why(info) => info.note.clone().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

/// Somebody who is a member of the open herd tells of a newer key: whether he is asked for it.
fn is_believed(mesh: &mut Mesh, name: bool) -> bool {
    let (mallory, from) = (who(3), address(1, 7));
    assert!(join(mesh, &mallory, from).is_some());
    mesh.run_ms(100);
    if name {
        let members = both(mesh);
        adopt(mesh, members);
    }
    mesh.run_ms(100);
    let since = mesh.sent.len();
    let mut record = record(&mallory, "crowd", 60);
    record.sequence = 1;
    record.tell_keys(Some("2:ffffff 1:000000".to_string()));
    let record = record.sign(&mallory.identity);
    say(mesh, &mallory, from, 2, &Body::Tell(Rumor::Record(record)));
    mesh.run_ms(400);
    let asked = heard(mesh, &mallory, since).contains(&Body::KeyPull);
    let key = HerdKey::adopted(&[9; 40]);
    let mut ring = Keyring::default();
    ring.adopt(key.clone(), &both(mesh), 0);
    say(mesh, &mallory, from, 3, &Body::Key(ring.gift(0).unwrap()));
    mesh.run_ms(100);
    let taken = keys(mesh, 0).iter().any(|info| info.fingerprint == key.fingerprint());
    assert_eq!(asked, taken);
    taken
}

/// Any member may give an open herd a key. Once somebody did, the unnamed can not give another.
#[test]
fn who_was_not_named_gives_no_key() {
    let mut mesh = pair(Rank::Read);
    assert!(!is_believed(&mut mesh, true));
    let mut mesh = pair(Rank::Read);
    assert!(is_believed(&mut mesh, false));
}

#[test]
fn nobody_new_comes_in_without_the_key() {
    let mut mesh = pair(Rank::Read);
    let members = both(&mesh);
    assert!(greet(&mut mesh, &who(0), address(1, 7)).is_some());
    adopt(&mut mesh, members);
    mesh.run_ms(1_000);
    let before = mesh.counter(0, "hellos under an old herd key");
    assert!(greet(&mut mesh, &who(1), address(2, 7)).is_none());
    assert_eq!(mesh.counter(0, "hellos under an old herd key"), before + 1);
}

#[test]
fn who_is_named_and_how_many() {
    let mut mesh = pair(Rank::Execute);
    let own = both(&mesh)[0];
    for members in [vec![], vec![NodeId(7)], (0..NODES as u64).map(NodeId).chain([own]).collect()] {
        assert!(matches!(adopt(&mut mesh, members), Reply::Error(failure)
            if failure.code == ErrorCode::Invalid && failure.detail.contains("not named")));
    }
    assert!(keys(&mut mesh, 0).is_empty());
    let most = (1..NODES as u64).map(NodeId).chain([own]).collect();
    assert!(matches!(adopt(&mut mesh, most), Reply::Keys(_)));
    mesh.run_ms(5_000);
    assert!(keys(&mut mesh, 1).is_empty(), "who was not named got it");
}
