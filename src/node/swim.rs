//! The border to the SWIM engine (foca): its identity, its packet format, what it may ask for.
//!
//! What the engine promises: probe everybody in turn, ask others when a probe fails, spread what
//! changed. What it does not: it never decides here that a node is down. A `Down` read from the
//! wire becomes a `Suspect`; only a verdict, a goodbye or a refused connection with nobody left
//! to ask turns a node down (see `members` and `votes`). Nor does it learn of nodes whose record
//! is not known here: they are named to `members`, which has the record fetched.

use crate::node::tables::Tables;
use crate::wire::ids::{Generation, NodeId};
use crate::wire::limits::DATAGRAM_BYTES;
use crate::wire::seal::OVERHEAD_BYTES;
use bytes::{Buf, BufMut};
use foca::{Codec as _, Foca, Header, Member, Message, State};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroUsize};
use std::rc::Rc;
use std::time::Duration;

/// A node as the engine knows it: which one, and which life and renewal of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwimId {
    pub node: NodeId,
    pub generation: Generation,
}

impl foca::Identity for SwimId {
    type Addr = NodeId;

    /// Renewal is ours: at most once a minute.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}

/// What the codec needs to know and what it found: shared with `members`, which owns the engine.
#[derive(Default)]
pub struct Shared {
    /// Nodes whose record is known, with the generation in it.
    pub known: BTreeMap<NodeId, Generation>,
    pub own: Option<SwimId>,
    /// Nodes named by a packet whose record, or newest life, is not known here.
    pub missing: bool,
    /// A packet named a suspect.
    pub suspects: bool,
    /// Rumors heard, not checked yet.
    pub rumors: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub struct Codec(pub Rc<RefCell<Shared>>);

#[derive(Debug)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed or oversized SWIM packet")
    }
}

impl std::error::Error for Malformed {}

/// Bytes at the start of an encoded packet that the outer header carries too: source and
/// destination id.
pub const IDS_BYTES: usize = 16;
/// The message number of "the receiver is considered down by the sender".
const TURN_UNDEAD: u8 = 11;

/// Whether a packet (with its ids) tells its receiver that it is considered down.
pub fn is_turn_undead(packet: &[u8]) -> bool {
    let mut rest = packet;
    read_header(&mut rest).is_ok_and(|header| header.message == Message::TurnUndead)
}

impl foca::Codec<SwimId> for Codec {
    type Error = Malformed;

    fn encode_header(
        &mut self,
        header: &Header<SwimId>,
        mut out: impl BufMut,
    ) -> Result<(), Malformed> {
        let mut bytes = Vec::with_capacity(64);
        bytes.put_u64(header.src.node.0);
        bytes.put_u64(header.dst.node.0);
        put_number(&mut bytes, header.src.generation.0);
        put_number(&mut bytes, header.dst.generation.0);
        put_number(&mut bytes, u64::from(header.src_incarnation));
        let (number, probe, about) = match &header.message {
            Message::Ping(probe) => (1, Some(*probe), None),
            Message::Ack(probe) => (2, Some(*probe), None),
            Message::PingReq { target, probe_number } => (3, Some(*probe_number), Some(target)),
            Message::IndirectPing { origin, probe_number } => {
                (4, Some(*probe_number), Some(origin))
            }
            Message::IndirectAck { target, probe_number } => (5, Some(*probe_number), Some(target)),
            Message::ForwardedAck { origin, probe_number } => {
                (6, Some(*probe_number), Some(origin))
            }
            Message::Announce => (7, None, None),
            Message::Feed => (8, None, None),
            Message::Gossip => (9, None, None),
            Message::Broadcast => (10, None, None),
            Message::TurnUndead => (TURN_UNDEAD, None, None),
        };
        bytes.put_u8(number);
        bytes.extend(probe);
        if let Some(id) = about {
            put_id(&mut bytes, *id);
        }
        put_all(&mut out, &bytes)
    }

    fn decode_header(&mut self, mut buffer: impl Buf) -> Result<Header<SwimId>, Malformed> {
        read_header(&mut buffer)
    }

    fn encode_member(
        &mut self,
        member: &Member<SwimId>,
        mut out: impl BufMut,
    ) -> Result<(), Malformed> {
        let mut bytes = Vec::with_capacity(24);
        put_id(&mut bytes, *member.id());
        put_number(&mut bytes, u64::from(member.incarnation()));
        bytes.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put_all(&mut out, &bytes)
    }

    fn decode_member(&mut self, mut buffer: impl Buf) -> Result<Member<SwimId>, Malformed> {
        let id = get_id(&mut buffer)?;
        let incarnation = get_number(&mut buffer)?.try_into().map_err(|_| Malformed)?;
        let state = match get_byte(&mut buffer)? {
            0 => State::Alive,
            1 | 2 => State::Suspect,
            _ => return Err(Malformed),
        };
        let mut shared = self.0.borrow_mut();
        let own = shared.own.unwrap_or(id);
        let is_own = id.node == own.node;
        let known = shared.known.get(&id.node).copied();
        let known = if is_own { Some(own.generation) } else { known };
        // Nobody lives in a generation that its own signed record does not show: else anybody
        // could outdate it by hearsay.
        let is_shown = known.is_some_and(|known| {
            known >= id.generation && known.start_counter() == id.generation.start_counter()
        });
        if !is_shown {
            // A word about ourselves that changes nothing stands in for what is not known here.
            shared.missing |= !is_own && known.is_none_or(|known| known < id.generation);
            return Ok(Member::alive(own));
        }
        shared.suspects |= state == State::Suspect;
        Ok(Member::new(id, incarnation, state))
    }
}

fn read_header(buffer: &mut impl Buf) -> Result<Header<SwimId>, Malformed> {
    if buffer.remaining() < IDS_BYTES {
        return Err(Malformed);
    }
    let source = NodeId(buffer.get_u64());
    let destination = NodeId(buffer.get_u64());
    let src = SwimId { node: source, generation: Generation(get_number(buffer)?) };
    let dst = SwimId { node: destination, generation: Generation(get_number(buffer)?) };
    let src_incarnation = get_number(buffer)?.try_into().map_err(|_| Malformed)?;
    let number = get_byte(buffer)?;
    let probe_number = if number <= 6 { get_byte(buffer)? } else { 0 };
    let message = match number {
        1 => Message::Ping(probe_number),
        2 => Message::Ack(probe_number),
        3 => Message::PingReq { target: get_id(buffer)?, probe_number },
        4 => Message::IndirectPing { origin: get_id(buffer)?, probe_number },
        5 => Message::IndirectAck { target: get_id(buffer)?, probe_number },
        6 => Message::ForwardedAck { origin: get_id(buffer)?, probe_number },
        7 => Message::Announce,
        8 => Message::Feed,
        9 => Message::Gossip,
        10 => Message::Broadcast,
        TURN_UNDEAD => Message::TurnUndead,
        _ => return Err(Malformed),
    };
    Ok(Header { src, src_incarnation, dst, message })
}

fn put_all(out: &mut impl BufMut, bytes: &[u8]) -> Result<(), Malformed> {
    if out.remaining_mut() < bytes.len() {
        return Err(Malformed);
    }
    out.put_slice(bytes);
    Ok(())
}

fn put_id(out: &mut Vec<u8>, id: SwimId) {
    out.put_u64(id.node.0);
    put_number(out, id.generation.0);
}

/// Seven bits a byte, lowest first; the highest bit says that more follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get_byte(buffer: &mut impl Buf) -> Result<u8, Malformed> {
    if buffer.has_remaining() { Ok(buffer.get_u8()) } else { Err(Malformed) }
}

fn get_number(buffer: &mut impl Buf) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = get_byte(buffer)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

fn get_id(buffer: &mut impl Buf) -> Result<SwimId, Malformed> {
    if buffer.remaining() < 8 {
        return Err(Malformed);
    }
    let node = NodeId(buffer.get_u64());
    Ok(SwimId { node, generation: Generation(get_number(buffer)?) })
}

/// Rumors ride on the engine's broadcasts: it repeats each as often as the herd's size needs.
pub struct Rumors(pub Rc<RefCell<Shared>>);

/// What a rumor is about: a newer one of the same kind about the same node replaces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    pub kind: u8,
    pub id: NodeId,
}

impl foca::Invalidates for About {
    fn invalidates(&self, other: &Self) -> bool {
        self == other
    }
}

/// Rumors one packet may bring before the rest of it is dropped.
const RUMORS_PER_PACKET: usize = 64;

impl foca::BroadcastHandler<SwimId> for Rumors {
    type Key = About;
    type Error = Malformed;

    /// A rumor from others is laid aside to be checked and goes no further; one that this node
    /// adds itself was checked before: its first nine bytes say what it is about.
    fn receive_item(
        &mut self,
        data: &[u8],
        sender: Option<&SwimId>,
    ) -> Result<Option<About>, Malformed> {
        let (about, rumor) = data.split_first_chunk::<9>().ok_or(Malformed)?;
        if sender.is_some() {
            let mut shared = self.0.borrow_mut();
            if shared.rumors.len() < RUMORS_PER_PACKET {
                shared.rumors.push(rumor.to_vec());
            }
            return Ok(None);
        }
        let id = NodeId::from_bytes(about[1..].try_into().map_err(|_| Malformed)?);
        Ok(Some(About { kind: about[0], id }))
    }
}

/// What the engine asked for in one call.
#[derive(Default)]
pub struct Asked {
    pub sends: Vec<(SwimId, Vec<u8>)>,
    pub timers: Vec<(foca::Timer<SwimId>, std::time::Duration)>,
    pub notices: Vec<SwimNotice>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SwimNotice {
    Up(SwimId),
    Down(SwimId),
    Renamed(SwimId),
    Defunct,
    ProbeFailed(SwimId),
    Pinged(NodeId),
    Acknowledged(NodeId),
}

impl foca::Runtime<SwimId> for &mut Asked {
    fn notify(&mut self, notification: foca::Notification<'_, SwimId>) {
        use foca::Notification as N;
        self.notices.push(match notification {
            N::MemberUp(id) => SwimNotice::Up(*id),
            N::MemberDown(id) => SwimNotice::Down(*id),
            N::Rename(_, id) => SwimNotice::Renamed(*id),
            N::Defunct => SwimNotice::Defunct,
            N::ProbeFailed(_, id) => SwimNotice::ProbeFailed(*id),
            N::DataSent(header) if matches!(header.message, Message::Ping(_)) => {
                SwimNotice::Pinged(header.dst.node)
            }
            N::DataReceived(header) if matches!(header.message, Message::Ack(_)) => {
                SwimNotice::Acknowledged(header.src.node)
            }
            _ => return,
        });
    }

    fn send_to(&mut self, to: SwimId, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: foca::Timer<SwimId>, after: std::time::Duration) {
        self.timers.push((event, after));
    }
}

/// Room an envelope needs around a SWIM packet, bytes; what else is left carries ages.
const ENVELOPE_BYTES: usize = 24;
const PACKET_BYTES: usize = DATAGRAM_BYTES - OVERHEAD_BYTES - ENVELOPE_BYTES + IDS_BYTES;
const PROBE_PERIOD: Duration = Duration::from_millis(1_000);
const PROBE_RTT: Duration = Duration::from_millis(400);
const GOSSIP: Duration = Duration::from_millis(200);

pub type Engine = Foca<SwimId, Codec, StdRng, Rumors>;

/// A new engine for this node, in the generation of its record.
pub fn start_engine(t: &mut Tables, shared: &Rc<RefCell<Shared>>) -> Engine {
    let id = SwimId { node: t.own.id, generation: t.own.record.generation };
    shared.borrow_mut().own = Some(id);
    let random = StdRng::from_seed(t.random.random());
    let (codec, rumors) = (Codec(shared.clone()), Rumors(shared.clone()));
    Foca::with_custom_broadcast(id, configuration(t.roster.len()), random, codec, rumors)
}

/// How the engine works in a herd of so many.
pub fn configuration(members: usize) -> foca::Config {
    let nonzero = |n: usize| NonZeroUsize::new(n).expect("a constant above zero");
    // A rumor reaches everybody in about log n rounds of three; whom it misses, the checksum of
    // the list tells (`sync`).
    let repeats = 4 + (members as u32 + 1).ilog10() as u8;
    foca::Config {
        probe_period: PROBE_PERIOD,
        probe_rtt: PROBE_RTT,
        num_indirect_probes: nonzero(3),
        max_transmissions: NonZeroU8::new(repeats).expect("at least 4"),
        // Held back for ever: `votes` decides.
        suspect_to_down_after: Duration::from_secs(3_600),
        remove_down_after: None,
        max_packet_size: nonzero(PACKET_BYTES),
        notify_down_members: true,
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(foca::PeriodicParams { frequency: GOSSIP, num_members: nonzero(3) }),
    }
}

/// A packet (without its ids) that tells a node that it is suspected.
pub fn suspicion(mut codec: Codec, own: SwimId, member: &Member<SwimId>) -> Vec<u8> {
    let header = foca::Header {
        src: own,
        src_incarnation: 0,
        dst: *member.id(),
        message: foca::Message::Gossip,
    };
    let mut packet = Vec::new();
    // Writing to memory does not fail.
    let _ = codec.encode_header(&header, &mut packet);
    packet.extend_from_slice(&1u16.to_be_bytes());
    let _ = codec.encode_member(member, &mut packet);
    packet.split_off(IDS_BYTES)
}
