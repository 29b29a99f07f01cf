//! Sits in the middle of every channel with the keys of both ends, so that what real nodes say to
//! each other on streams can be written down with its plain text. To each it plays the other, with
//! an ephemeral key of its own: whoever has that can read the recording for ever.

use crate::exchange::Item;
use crate::mesh::{Passing, Who};
use herd::wire::header::{HEADER_BYTES, Header};
use herd::wire::noise::{Read, Session};
use std::collections::BTreeMap;

pub const OPEN: u8 = 1;
pub const DATA: u8 = 2;

/// What it plays: the one who is called (towards the caller), and the caller.
const AS_CALLED: [u8; 32] = [0x71; 32];
const AS_CALLER: [u8; 32] = [0x72; 32];

#[derive(Default)]
pub struct Wiretap {
    pub whos: Vec<Who>,
    pub items: Vec<Item>,
    channels: BTreeMap<(usize, u64, u32), Tapped>,
}

/// One end of the channel, with the session played to it.
struct Side {
    member: usize,
    label: String,
    session: Session,
    waiting: Vec<Vec<u8>>,
}

struct Tapped {
    caller: Side,
    called: Side,
}

fn frame(kind: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes(), payload].concat()
}

impl Wiretap {
    pub fn pass(&mut self, passing: &Passing) -> Vec<(usize, Vec<u8>)> {
        let bytes = passing.bytes;
        let (kind, number) = (bytes[0], u32::from_be_bytes(bytes[1..5].try_into().expect("four")));
        let key = (passing.line.0, passing.line.1.0, number);
        match kind {
            OPEN => self.open(key, passing),
            DATA => self.data(key, passing),
            _ => vec![(passing.to, bytes.to_vec())],
        }
    }

    fn open(&mut self, key: (usize, u64, u32), passing: &Passing) -> Vec<(usize, Vec<u8>)> {
        let (header, first) = Header::parse(&passing.bytes[5..]).expect("a header");
        let who = |id| self.whos.iter().find(|who| who.id() == id).expect("a known node");
        let (caller, called) = (who(header.sender), who(header.destination));
        let mut near =
            Session::accept(&called.identity, called.identity.herd(), &header, AS_CALLED)
                .expect("a session");
        let (far, greeting) =
            Session::open(&caller.identity, caller.identity.herd(), &header, AS_CALLER)
                .expect("a session");
        let label = format!("{}.{}.{}", key.0, key.1, key.2);
        let (label_near, label_far) = (format!("{label}.near"), format!("{label}.far"));
        for (label, plays, seed) in
            [(&label_near, "called", AS_CALLED), (&label_far, "caller", AS_CALLER)]
        {
            let words = ["stream".to_string(), label.clone(), plays.to_string()];
            self.items
                .push(Item::new(words).with("header", &header.to_bytes()).with("seed", &seed));
        }
        let Ok(Read::Step { reply: Some(reply) }) = near.read(first) else {
            panic!("first message")
        };
        let reply = frame(DATA, key.2, &reply);
        let forward =
            frame(OPEN, key.2, &[&passing.bytes[5..5 + HEADER_BYTES], &greeting].concat());
        self.note(&label_near, "real", passing.bytes, None);
        self.note(&label_near, "played", &reply, None);
        self.note(&label_far, "played", &forward, None);
        let side = |member, label, session| Side { member, label, session, waiting: Vec::new() };
        let tapped = Tapped {
            caller: side(passing.from, label_near, near),
            called: side(passing.to, label_far, far),
        };
        self.channels.insert(key, tapped);
        vec![(passing.from, reply), (passing.to, forward)]
    }

    fn data(&mut self, key: (usize, u64, u32), passing: &Passing) -> Vec<(usize, Vec<u8>)> {
        let mut tapped = self.channels.remove(&key).expect("an open channel");
        let (from, to) = if passing.from == tapped.caller.member {
            (&mut tapped.caller, &mut tapped.called)
        } else {
            (&mut tapped.called, &mut tapped.caller)
        };
        let mut out = Vec::new();
        match from.session.read(&passing.bytes[5..]).expect("sound") {
            Read::Plain(plain) => {
                self.note(&from.label, "real", passing.bytes, Some(&plain));
                to.waiting.push(plain);
            }
            Read::Opened { reply, .. } => {
                self.note(&from.label, "real", passing.bytes, None);
                if let Some(third) = reply {
                    let third = frame(DATA, key.2, &third);
                    self.note(&from.label, "played", &third, None);
                    out.push((from.member, third));
                }
            }
            Read::Step { .. } => panic!("a fourth step"),
        }
        for side in [from, to] {
            while side.session.is_open() && !side.waiting.is_empty() {
                let plain = side.waiting.remove(0);
                let sealed = side.session.write(&plain).expect("an open session");
                let sealed = frame(DATA, key.2, &sealed);
                self.note(&side.label, "played", &sealed, Some(&plain));
                out.push((side.member, sealed));
            }
        }
        self.channels.insert(key, tapped);
        out
    }

    fn note(&mut self, label: &str, whose: &str, bytes: &[u8], plain: Option<&[u8]>) {
        let words = ["frame".to_string(), label.to_string(), whose.to_string()];
        let item = Item::new(words).with("bytes", bytes);
        self.items.push(match plain {
            Some(plain) => item.with("plain", plain),
            None => item,
        });
    }
}
