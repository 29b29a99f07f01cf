//! Looks at the way to another node or address, for `doctor NODE`: do small datagrams come back, do
//! full ones, does a stream get through, who is there. Whoever is looked at joins nothing.
//!
//! What it means is said by `diagnosis`.

use crate::node::boundary::{Closed, Output};
use crate::node::diagnosis::{Found, Port, diagnosis};
use crate::node::outbox::{Carry, Met, Notice};
use crate::node::tables::Tables;
use crate::wire::command::Command;
use crate::wire::ids::{ClientId, NodeId, StreamId};
use crate::wire::limits::{DATAGRAM_BYTES, EXAMINATIONS};
use crate::wire::message::{Answer, Ask, Body, Full, Nonce};
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::seal::OVERHEAD_BYTES;
use crate::wire::time::Time;
use crate::wire::why::HeardOn;
use rand::RngExt;
use std::net::SocketAddr;

/// How long one examination takes at most: a person waits for it.
const LOOK_MS: u64 = 1_800;
/// Probes are said again so often: most lost ones are just that.
const AGAIN_MS: u64 = 250;
/// From this probe on that is not answered it is asked who is there.
const STRANGE_ATTEMPT: usize = 2;
/// What an envelope and a body add around the padding of a full datagram, bytes.
const AROUND_BYTES: usize = 40;
/// Asks and streams of ours have numbers that nobody else's reach. Those of streams become tokens of
/// the event loop, which have to fit half a word of 32 bits.
const ASKS: u64 = 1 << 63;
const STREAMS: u64 = 1 << 29;
const STREAM_NUMBERS: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Node(NodeId),
    Address(SocketAddr),
}

struct Case {
    client: ClientId,
    client_number: u64,
    subject: Subject,
    began: Time,
    next: Time,
    /// Of the small probe; the full one's is one more.
    nonce: u64,
    ask: u64,
    stream: StreamId,
    dialled: Option<SocketAddr>,
    /// Where it is asked who is there.
    looked_at: Option<SocketAddr>,
    found: Found,
}

#[derive(Default)]
pub struct Doctor {
    cases: Vec<Case>,
    next_stream: u64,
}

impl Doctor {
    pub fn is_own(stream: StreamId) -> bool {
        stream.0 >= STREAMS && stream.0 % 2 == 1
    }

    pub fn is_own_ask(number: u64) -> bool {
        number >= ASKS
    }

    /// Begins; gives the time at which the answer is there.
    pub fn begin(
        &mut self,
        t: &mut Tables,
        client: ClientId,
        client_number: u64,
        subject: Subject,
    ) -> Result<(), Failure> {
        if self.cases.len() >= EXAMINATIONS {
            let text = format!("limit of {EXAMINATIONS} examinations at once reached");
            return Err(Failure::new(ErrorCode::Limit, text));
        }
        let stream = StreamId(STREAMS + 2 * self.next_stream + 1);
        self.next_stream = (self.next_stream + 1) % STREAM_NUMBERS;
        let (nonce, ask): (u64, u64) = (t.random.random(), t.random.random());
        let mut case = Case {
            client,
            client_number,
            subject,
            began: t.now,
            next: t.now,
            nonce,
            ask: ask | ASKS,
            stream,
            dialled: None,
            looked_at: None,
            found: Found::default(),
        };
        case.dial(t);
        if let Subject::Address(address) = subject {
            case.look(t, address);
        }
        self.cases.push(case);
        Ok(())
    }

    pub fn opened(&mut self, t: &mut Tables, stream: StreamId) {
        t.out.output(Output::Hangup { stream });
        self.port(stream, Port::Open);
    }

    pub fn closed(&mut self, stream: StreamId, closed: Closed) {
        self.port(stream, if closed == Closed::Refused { Port::Refused } else { Port::Silent });
    }

    fn port(&mut self, stream: StreamId, port: Port) {
        for case in self.cases.iter_mut().filter(|case| case.stream == stream) {
            if case.found.port != Port::Open {
                case.found.port = port;
            }
        }
    }

    fn of(&mut self, from: NodeId) -> impl Iterator<Item = &mut Case> {
        self.cases.iter_mut().filter(move |case| case.subject == Subject::Node(from))
    }

    /// A small probe came back.
    pub fn echoed(&mut self, t: &Tables, from: NodeId, nonce: u64, hops: u8) {
        for case in self.of(from).filter(|case| case.nonce == nonce) {
            let us = t.now.us_since(case.began);
            case.found.small.get_or_insert((us, hops));
        }
    }

    pub fn full_echoed(&mut self, from: NodeId, nonce: u64) {
        for case in self.of(from).filter(|case| case.nonce.wrapping_add(1) == nonce) {
            case.found.full = true;
        }
    }

    /// An older node does not know the full probe: it arrived there all the same.
    pub fn full_arrived(&mut self, from: NodeId) {
        self.of(from).for_each(|case| case.found.full = true);
    }

    /// What the node there says of us: when it heard our datagrams.
    pub fn answered(&mut self, t: &Tables, from: NodeId, answer: &Answer, on_stream: bool) {
        let now = t.now;
        let asked = self.of(from).find(|case| case.ask == answer.number && on_stream);
        if let (Reply::Why(why), Some(case)) = (&answer.reply, asked) {
            let datagrams = why.heard.iter().filter(|heard| heard.path != HeardOn::Stream);
            let youngest_ms = datagrams.map(|heard| heard.age_ms).min();
            case.found.arrives = Some(youngest_ms.is_some_and(|ms| ms <= now.ms_since(case.began)));
        }
        self.spoke(from, answer.number, on_stream);
    }

    /// It answered, whatever it said.
    pub fn spoke(&mut self, from: NodeId, number: u64, on_stream: bool) {
        for case in self.of(from).filter(|case| case.ask == number && on_stream) {
            case.found.stream = true;
        }
    }

    /// What the look at an address found.
    pub fn looked(&mut self, address: SocketAddr, found: Result<Met, String>) {
        for case in &mut self.cases {
            let at = case.looked_at;
            if at == Some(address) && case.found.met.is_none() {
                case.found.met = Some(found.clone());
            }
        }
    }

    pub fn client_gone(&mut self, client: ClientId) {
        self.cases.retain(|case| case.client != client);
    }

    pub fn tick(&mut self, t: &mut Tables) {
        for case in &mut self.cases {
            if case.next <= t.now {
                case.next = t.now.plus_ms(AGAIN_MS);
                case.probe(t);
            }
        }
        let over = |case: &Case| case.is_done() || t.now.ms_since(case.began) >= LOOK_MS;
        let (over, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.cases).into_iter().partition(over);
        self.cases = open;
        over.into_iter().for_each(|case| case.tell(t));
    }

    pub fn deadline(&self) -> Option<Time> {
        self.cases.iter().map(|case| case.next.min(case.began.plus_ms(LOOK_MS))).min()
    }
}

impl Case {
    /// Whether anybody listens for streams there. A hidden node's own addresses are no way to it.
    fn dial(&mut self, t: &mut Tables) {
        let to = match self.subject {
            Subject::Address(at) => Some(at),
            Subject::Node(id) if t.roster.get(id).is_some_and(|peer| peer.record.hidden) => None,
            Subject::Node(id) => t.routes.dial(id, &t.own, &t.roster, t.now),
        };
        self.dialled = to;
        if let Some(to) = to {
            t.out.output(Output::Dial { stream: self.stream, to });
        }
    }

    /// Asks who is there: any node answers that, or refuses with the reason.
    fn look(&mut self, t: &mut Tables, address: SocketAddr) {
        self.looked_at = Some(address);
        t.out.notice(Notice::Look { address, until: self.began.plus_ms(LOOK_MS) });
    }

    fn probe(&mut self, t: &mut Tables) {
        let Subject::Node(id) = self.subject else { return };
        let attempt = (t.now.ms_since(self.began) / AGAIN_MS) as usize;
        if attempt == 1 {
            // By stream or not at all: it says whether the first of our datagrams arrived there.
            let command = Command::Why(t.own.id.to_string());
            let ask = Ask { number: self.ask, wait_ms: LOOK_MS, command };
            t.out.carry(id, Body::Ask(ask), Carry::Stream);
        }
        // It may be another node by now, or have another key.
        if attempt == STRANGE_ATTEMPT
            && self.found.small.is_none()
            && let Some(at) = self.dialled
        {
            self.look(t, at);
        }
        let Some(way) = t.way(id, attempt / 2) else { return };
        if self.found.small.is_none() {
            let nonce = Nonce { nonce: self.nonce };
            t.out.carry(id, Body::Probe(nonce), Carry::At(way));
        }
        if !self.found.full {
            let padding = vec![0; DATAGRAM_BYTES - OVERHEAD_BYTES - AROUND_BYTES];
            let full = Full { nonce: self.nonce.wrapping_add(1), padding };
            t.out.carry(id, Body::Full(full), Carry::At(way));
        }
    }

    fn is_done(&self) -> bool {
        match self.subject {
            Subject::Node(_) => self.found.small.is_some() && self.found.full && self.found.stream,
            Subject::Address(_) => self.found.met.is_some(),
        }
    }

    fn tell(mut self, t: &mut Tables) {
        if self.dialled.is_some() && self.found.port == Port::Unknown {
            self.found.port = Port::Silent;
            t.out.output(Output::Hangup { stream: self.stream });
        }
        let reply = Reply::Findings(diagnosis(t, self.subject_id(), &self.place(t), &self.found));
        t.tell(self.client, self.client_number, reply);
    }

    fn subject_id(&self) -> Option<NodeId> {
        match self.subject {
            Subject::Node(id) => Some(id),
            Subject::Address(_) => None,
        }
    }

    /// What to call it, and its port.
    fn place(&self, t: &Tables) -> (String, u16) {
        match self.subject {
            Subject::Node(id) => {
                (t.name(id), t.roster.get(id).map_or(t.own.record.port, |peer| peer.record.port))
            }
            Subject::Address(at) => (at.to_string(), at.port()),
        }
    }
}
