//! Recording anew: three real nodes meet, look after each other, lose one, and say goodbye.

use crate::examples;
use crate::exchange::Item;
use crate::mesh::{Mesh, Sent, Who, address_of};
use crate::say::{body, open, say};
use crate::wiretap::Wiretap;
use herd::node::Input;
use herd::wire::command::{Command, Scope};
use herd::wire::header::{Header, Kind};
use herd::wire::key::HerdKey;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Datagrams written down of each kind from one node to another; a replay is a network that
/// loses the others.
const OF_A_KIND: u32 = 3;

/// What an open herd says, or the one of this key.
pub fn record(key: Option<HerdKey>) -> Vec<Item> {
    let tap = Rc::new(RefCell::new(Wiretap::default()));
    let mut mesh = Mesh::new();
    mesh.key = key.clone();
    let homes = [address_of(0)];
    tap.borrow_mut().whos =
        (1..=3).map(|secret| Who::new(secret, 5).in_herd(key.clone())).collect();
    let tapping = tap.clone();
    mesh.tap = Some(Box::new(move |passing| tapping.borrow_mut().pass(passing)));
    let a = mesh.add("node1", &[]);
    let b = mesh.add("node2", &homes);
    mesh.run_ms(300);
    let c = mesh.add("vm 3", &homes);
    mesh.run_ms(3_000);
    let text = key.as_ref().map(|key| key.to_text());
    let key_item = text.map(|text| Item::new(["key".to_string(), text.to_string()]));
    let nodes = [a, b, c].into_iter().map(|at| node(&mesh, at));
    let mut items: Vec<Item> = key_item.into_iter().chain(nodes).collect();
    for command in [Command::Ping, Command::List, Command::TraceAll, Command::Version] {
        mesh.request(b, Scope::All, command);
        mesh.run_ms(100);
    }
    mesh.request(b, Scope::Node("node1".to_string()), Command::TraceNode("vm 3".to_string()));
    mesh.run_ms(2_000);
    mesh.vanish(c);
    mesh.run_ms(8_000);
    mesh.turn(b, Some(Input::Leave));
    mesh.run_ms(1_000);
    let whos = tap.borrow().whos.clone();
    items.extend(datagrams(&mesh.sent, &whos));
    items.append(&mut tap.borrow_mut().items);
    items.extend(examples::items());
    for item in &mut items {
        item.said = say(item, &whos);
    }
    items
}

/// Who a node is and what it kept: the replay starts from there.
fn node(mesh: &Mesh, at: usize) -> Item {
    let member = &mesh.members[at];
    let words = ["node".to_string(), at.to_string(), member.who.start_counter.to_string()];
    let mut item = Item::new(words);
    for (key, value) in &member.kept {
        item = item.with(key, value);
    }
    item
}

fn datagrams(sent: &[Sent], whos: &[Who]) -> Vec<Item> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut items = Vec::new();
    for sent in sent {
        let plain = open(&sent.bytes, whos).map(|(_, plain)| plain);
        let (header, _) = Header::parse(&sent.bytes).expect("a header");
        let kind = match &plain {
            Some(plain) => examples::kind(&body(plain)),
            None => format!("{:?}", header.kind),
        };
        let count = counts.entry(format!("{:?} {:?} {kind}", sent.from.ip(), sent.to.ip()));
        let count = count.or_default();
        *count += 1;
        if *count > OF_A_KIND && header.kind == Kind::Sealed {
            continue;
        }
        let words = ["datagram".to_string(), sent.at.0.to_string()];
        let mut item = Item::new(words).with("sealed", &sent.bytes);
        item.words.extend([sent.from.to_string(), sent.to.to_string()]);
        items.push(match &plain {
            Some(plain) => item.with("plain", plain),
            None => item,
        });
    }
    items
}
