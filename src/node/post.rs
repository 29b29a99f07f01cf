//! The post office: datagrams in, opened, handed on or delivered; messages out, routed and sealed.
//! Routing happens here and nowhere else.

use crate::node::Node;
use crate::node::ages::{ages, told};
use crate::node::boundary::{Output, Socket};
use crate::node::outbox::{Carry, Channel, Send};
use crate::node::peer::Opened;
use crate::node::planted::Bug;
use crate::node::routes::Way;
use crate::node::tables::Tables;
use crate::wire::codec;
use crate::wire::header::{Header, Kind, Malformed};
use crate::wire::history::EntryKind;
use crate::wire::ids::NodeId;
use crate::wire::limits::{DATAGRAM_BYTES, HOPS};
use crate::wire::message::{Body, Envelope, Unsupported};
use crate::wire::seal::OVERHEAD_BYTES;
use rand::RngExt;
use std::net::SocketAddr;

/// Bytes an encoded envelope needs besides body and ages, at most.
const ENVELOPE_BYTES: usize = 16;

/// How a message came, and so how to answer it.
#[derive(Clone, Copy)]
pub struct Came {
    pub way: Option<Way>,
    pub hops: u8,
    pub channel: Option<Channel>,
}

impl Came {
    /// The carriage back the way it came.
    pub fn back(&self) -> Carry {
        self.way.map_or(Carry::Channel(self.channel), Carry::At)
    }
}

impl Node {
    pub(super) fn datagram(&mut self, socket: Socket, from: SocketAddr, bytes: &[u8]) {
        if bytes.len() > DATAGRAM_BYTES {
            self.t.own.count("oversized");
            return;
        }
        let (header, rest) = match Header::parse(bytes) {
            Ok(parsed) => parsed,
            Err(Malformed::Version(version)) => {
                self.t.own.count("other protocol version");
                log::debug!(target: "wire", "datagram of protocol version {version} from {from}");
                let way = Way { address: from, socket };
                return self.hellos.other_version(&mut self.t, way, bytes);
            }
            Err(_) => {
                self.t.own.count("malformed");
                return;
            }
        };
        let t = &mut self.t;
        let way = Way { address: from, socket };
        match header.kind {
            Kind::Refusal => self.hellos.contacts.outside(t, &header, rest),
            Kind::JoinQuestion => self.hellos.newcomer(t, way, &header, rest),
            _ if t.own.is_shut_out(header.sender) => {
                t.own.count("revoked nodes heard");
                self.hellos.outsider(t, way, &header, rest);
            }
            Kind::Sealed if t.relays_for(&header) => self.hand_on(from, &header, bytes),
            _ if !t.own.is_of_herd(&header) => {
                t.own.count("foreign herd");
                self.hellos.outsider(t, way, &header, rest);
            }
            Kind::HelloQuestion | Kind::HelloAnswer => {
                self.hellos.hello(t, way, &header, rest);
            }
            Kind::Sealed if header.destination == t.own.id => self.sealed(way, &header, rest),
            Kind::Sealed => self.hand_on(from, &header, bytes),
            Kind::Channel | Kind::Pipe | Kind::JoinAnswer => t.own.count("malformed"),
        }
    }

    /// A datagram for somebody else: on towards it, unread.
    fn hand_on(&mut self, from: SocketAddr, header: &Header, bytes: &[u8]) {
        let t = &mut self.t;
        let deadend = t.own.record.deadend && !t.own.has(Bug::DeadendRelays);
        if deadend || header.hops >= HOPS || !t.roster.contains(header.sender) {
            t.own.count("not relayed");
            return;
        }
        // What waited here while we slept is old news: its ages would lie.
        if t.is_late() {
            t.own.count("relayed too late");
            return;
        }
        // Not back to where it came from, unless its destination was itself heard there: two nodes
        // that each believe the other to be the way would play ball.
        let direct = t.routes.direct_way(header.destination, t.now);
        let onward = |way: &Way| {
            way.address != from && (way.address.ip() != from.ip() || Some(*way) == direct)
        };
        let ways = t.routes.ways(header.destination, &t.own, &t.roster, t.now);
        let Some(way) = ways.into_iter().find(onward) else {
            t.own.count("not relayed");
            return;
        };
        let mut bytes = bytes.to_vec();
        bytes[2] = header.hops + 1;
        t.own.count("relayed");
        t.out.output(Output::Datagram { socket: way.socket, to: way.address, bytes });
    }

    fn sealed(&mut self, way: Way, header: &Header, rest: &[u8]) {
        let t = &mut self.t;
        let id = header.sender;
        let proof = self.hellos.proof(&t.own, header, rest);
        let life = t.roster.get(id).map(|peer| peer.record.generation.start_counter());
        if proof.is_some() && proof != life {
            self.hellos.proved(t, id, way);
        }
        let Some(peer) = t.roster.get_mut(id) else {
            t.own.count("unknown sender");
            self.sync.stranger(t);
            return;
        };
        let start = t.own.record.generation.start_counter();
        match peer.open(header, rest, &t.own.identity, start, t.now) {
            Opened::Plain(plain) => {
                // Of a life known before, only what is no replay proves anything.
                if proof.is_some() && proof == life {
                    self.hellos.proved(t, id, way);
                }
                let came = Came { way: Some(way), hops: header.hops, channel: None };
                self.opened(id, came, &plain);
            }
            Opened::Replayed(plain) if t.own.has(Bug::ReplayTaken) => {
                let came = Came { way: Some(way), hops: header.hops, channel: None };
                self.opened(id, came, &plain);
            }
            Opened::Replayed(_) => t.own.count("replayed"),
            Opened::Forged => {
                t.own.count("forged");
                self.hellos.contacts.hurry(t, id, way.address.ip());
            }
            Opened::Former(plain) => self.former_life(id, way, &plain),
        }
    }

    /// Authentic word from a rostered node, however it came.
    pub(super) fn opened(&mut self, from: NodeId, came: Came, plain: &[u8]) {
        // By whatever way it got here: under an old key, on a stream of before.
        if self.t.own.is_shut_out(from) {
            self.t.own.count("revoked nodes heard");
            return;
        }
        let Ok(envelope) = codec::decode::<Envelope>(plain) else {
            self.t.own.count("malformed");
            return;
        };
        self.heard(from, came);
        self.ages(from, came, &envelope);
        match Body::decode(envelope.number, &envelope.body) {
            Some(Ok(body)) => self.body(from, came, body),
            Some(Err(_)) if envelope.number == ASK => self.not_understood(from, came, &envelope),
            Some(Err(_)) => self.t.own.count("malformed"),
            None => self.not_understood(from, came, &envelope),
        }
    }

    fn not_understood(&mut self, from: NodeId, came: Came, envelope: &Envelope) {
        self.t.own.count("bodies not understood");
        let ask = first_number(&envelope.body).filter(|_| envelope.number == ASK);
        let body = Body::Unsupported(Unsupported { number: envelope.number, ask });
        self.t.out.carry(from, body, came.back());
    }

    fn heard(&mut self, from: NodeId, came: Came) {
        let t = &mut self.t;
        if let Some(way) = came.way {
            t.routes.heard(from, way, came.hops, t.now);
            if came.hops == 0 {
                self.nat.saw_peer(t, from, way);
            }
        } else {
            t.routes.stream_heard(from, t.now);
        }
        t.roster.heard(from, t.own.id, t.arrived);
        if let Some(since) = t.own.stale_since.take() {
            let text = format!("after {} s", t.now.ms_since(since) / 1_000);
            log::info!(target: "members", "heard again {text} cut off");
            t.journal.event(t.now, EntryKind::InTouch, t.own.id, "", &text);
        }
        self.members.heard_from(t, from);
    }

    fn ages(&mut self, from: NodeId, came: Came, envelope: &Envelope) {
        let t = &mut self.t;
        let Some(digest) = envelope.digest else { return };
        // A stream may deliver late: only a datagram's ages are worth something.
        if came.way.is_some() && digest == t.digest() {
            let refresh = t.own.has(Bug::HearsayRefreshes);
            told(t, from, &envelope.ages, refresh);
        }
        self.sync.digest(t, from, digest);
    }

    /// Routes, seals and sends one message.
    pub(super) fn transmit(&mut self, send: Send) {
        let Send { to, body, carry } = send;
        if to == self.t.own.id || self.t.own.is_shut_out(to) {
            return;
        }
        let rider = rider(&self.t, &body);
        let letter = envelope(&body, Vec::new(), None);
        let fits = letter.body.len() + ENVELOPE_BYTES + OVERHEAD_BYTES <= DATAGRAM_BYTES;
        let attempt = match carry {
            Carry::At(way) if fits => return self.send_datagram(to, letter, rider, way),
            Carry::Best(attempt) if fits => attempt,
            Carry::Channel(None) if fits => 0,
            Carry::Pipe(channel) => {
                // Lost with its channel: what comes by another way would come out of order.
                let _ = self.links.post_on(&mut self.t, channel, to, codec::encode(&letter));
                return;
            }
            Carry::Channel(channel) => return self.send_on(channel, to, letter, fits),
            _ => return self.send_on(None, to, letter, fits),
        };
        if let Some(way) = self.t.way(to, attempt) {
            self.send_datagram(to, letter, rider, way);
        }
    }

    fn send_on(&mut self, channel: Option<Channel>, to: NodeId, letter: Envelope, fits: bool) {
        let t = &mut self.t;
        let bytes = codec::encode(&letter);
        let posted = match channel {
            Some(channel) => self.links.post_on(t, channel, to, bytes),
            None => Err(bytes),
        };
        let posted = posted.or_else(|bytes| self.links.post(t, to, bytes));
        if posted.is_err() {
            match self.t.way(to, 0).filter(|_| fits) {
                Some(way) => self.send_datagram(to, letter, Rider::None, way),
                None => self.t.own.count("messages without a way"),
            }
        }
    }

    fn send_datagram(&mut self, to: NodeId, mut letter: Envelope, rider: Rider, way: Way) {
        let t = &mut self.t;
        if rider != Rider::None {
            letter.digest = Some(t.digest());
        }
        if rider == Rider::Ages {
            let used = OVERHEAD_BYTES + ENVELOPE_BYTES + letter.body.len();
            letter.ages = ages(t, DATAGRAM_BYTES.saturating_sub(used));
        }
        let plain = codec::encode(&letter);
        let herd = t.own.key_for(t.roster.get(to).map(|peer| &peer.record));
        let header = t.own.header(herd, Kind::Sealed, to);
        let random = t.random.random();
        let start = t.own.record.generation.start_counter();
        let Some(peer) = t.roster.get_mut(to) else { return };
        if let Some((counter, key)) = peer.seal_with(herd, &t.own.identity, start) {
            let bytes = key.seal(&header, counter, random, &plain);
            t.out.output(Output::Datagram { socket: way.socket, to: way.address, bytes });
        }
    }
}

/// What rides in the spare room of a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rider {
    None,
    Digest,
    Ages,
}

/// A home hears many and answers every second; what it knows it tells its own home as well. Who
/// has no home tells everybody in turn.
fn rider(t: &Tables, body: &Body) -> Rider {
    match body {
        Body::HeartbeatAnswer(_) => Rider::Ages,
        Body::Heartbeat(_) if t.own.phoned_until > t.now => Rider::Ages,
        Body::Swim(_) if !t.own.is_watched(t.now) => Rider::Ages,
        Body::Swim(_) => Rider::Digest,
        _ => Rider::None,
    }
}

const ASK: u16 = 13;

pub(super) fn envelope(body: &Body, ages: Vec<u8>, digest: Option<u64>) -> Envelope {
    Envelope { number: body.number(), body: body.encode(), ages, digest }
}

/// The first field of an encoded body, if it is a number.
fn first_number(body: &[u8]) -> Option<u64> {
    let mut decoder = minicbor::Decoder::new(body);
    decoder.array().ok()?;
    decoder.u64().ok()
}
