//! Table: one link, that is one TCP stream between neighbours, and the ends of sessions on it.

use crate::node::boundary::Output;
use crate::node::outbox::Channel;
use crate::node::tables::Tables;
use crate::wire::header::{HEADER_BYTES, Header, Kind};
use crate::wire::ids::{NodeId, StreamId};
use crate::wire::limits::CHANNEL_WINDOW_BYTES;
use crate::wire::noise::{Read, Session};
use crate::wire::time::Time;
use rand::RngExt;
use std::collections::{BTreeMap, VecDeque};

pub struct Link {
    pub dialled: bool,
    pub open: bool,
    pub opened: Time,
    pub used: Time,
    /// Who is at the other end: expected of a dialled link, proved by its first session.
    pub peer: Option<NodeId>,
    pub proved: bool,
    pub next_number: u32,
    pub ends: BTreeMap<u32, End>,
    pub forwards: BTreeMap<u32, Channel>,
    /// Channels to open once the peer has proved itself.
    pub waiting: Vec<(NodeId, Vec<u8>)>,
}

/// One end of a session.
pub struct End {
    /// For one byte pipe and nothing else.
    pub pipe: bool,
    /// Closed when its queue is sent.
    pub closing: bool,
    pub peer: NodeId,
    pub session: Session,
    pub credit_bytes: u32,
    pub unacknowledged_bytes: u32,
    pub queue: VecDeque<Vec<u8>>,
    pub queued_bytes: usize,
}

impl Link {
    pub fn new(dialled: bool, peer: Option<NodeId>, now: Time) -> Link {
        Link {
            dialled,
            open: false,
            opened: now,
            used: now,
            peer,
            proved: false,
            next_number: if dialled { 1 } else { 2 },
            ends: BTreeMap::new(),
            forwards: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// The next free number for a channel that this side opens.
    pub fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(2);
        number
    }
}

impl End {
    pub fn new(peer: NodeId, session: Session, kind: Kind) -> End {
        End {
            pipe: kind == Kind::Pipe,
            closing: false,
            peer,
            session,
            credit_bytes: CHANNEL_WINDOW_BYTES,
            unacknowledged_bytes: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }
}

/// Sends one frame on a link.
pub fn frame(
    t: &mut Tables,
    link: &mut Link,
    stream: StreamId,
    kind: u8,
    number: u32,
    payload: &[u8],
) {
    debug_assert!(link.open && payload.len() <= HEADER_BYTES + (64 << 10));
    let mut bytes = Vec::with_capacity(5 + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(payload);
    t.out.output(Output::Frame { stream, bytes });
}

/// The called end of a session whose first message one of our keys opens, and what it replies.
pub fn accept(t: &mut Tables, header: &Header, first: &[u8]) -> Option<(Session, Vec<u8>)> {
    let seed = t.random.random();
    t.own.identity.ring().fitting(header).into_iter().find_map(|herd| {
        let mut session = Session::accept(&t.own.identity, herd, header, seed).ok()?;
        match session.read(first) {
            Ok(Read::Step { reply: Some(reply) }) => Some((session, reply)),
            _ => None,
        }
    })
}
