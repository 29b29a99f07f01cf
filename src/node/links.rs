//! Streams: what does not fit a datagram, and the line a hidden node holds to its parent.
//!
//! A link is one TCP stream between neighbours. It carries many numbered channels; each is a Noise
//! session from end to end, which a parent hands on without reading. A window of credit bounds what
//! is under way on each, so that a bulk transfer never blocks another channel.
//!
//! Frame: kind (1 byte), channel (4 bytes), payload. `Open` brings the outer header and the first
//! Noise message; the side that dialled the stream numbers its channels odd, the other even.

use crate::node::boundary::{Closed, Output};
use crate::node::link::{End, Link, accept, frame};
use crate::node::outbox::{Channel, Matter, Notice};
use crate::node::tables::Tables;
use crate::wire::header::{HEADER_BYTES, Header, Kind};
use crate::wire::ids::{NodeId, StreamId};
use crate::wire::limits::{
    CHANNEL_QUEUE_BYTES, CHANNEL_WINDOW_BYTES, CHANNELS_PER_STREAM, STREAMS, UNPROVED_MS,
};
use crate::wire::noise::{Read, Session};
use crate::wire::time::Time;
use rand::RngExt;
use std::collections::BTreeMap;

pub(super) const OPEN: u8 = 1;
const DATA: u8 = 2;
const CREDIT: u8 = 3;
pub(super) const CLOSE: u8 = 4;
/// The channel number that means the link itself.
const LINK: u32 = 0;
/// A link that carried nothing for so long is closed by who dialled it.
const IDLE_MS: u64 = 60_000;

/// What a frame gave the rest of the node.
pub enum Arrived {
    /// An envelope from `from`.
    Message { from: NodeId, channel: Channel, bytes: Vec<u8> },
    /// Somebody opened a channel to us with this key; the roster must say whether it is they.
    Caller { claimed: NodeId, agreement_key: [u8; 32], channel: Channel },
}

#[derive(Default)]
pub struct Links {
    pub(super) links: BTreeMap<StreamId, Link>,
    sessions: BTreeMap<NodeId, Channel>,
    pub(super) next_stream: u64,
    /// The link to this node is held open however idle it is.
    pub(super) held: Option<NodeId>,
    /// When it is dialled again, should it be gone.
    pub(super) next_hold: Time,
}

impl Links {
    /// Sends an envelope on a channel to `to`, opening what is missing. Gives the bytes back if
    /// there is no way to a channel.
    pub fn post(&mut self, t: &mut Tables, to: NodeId, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        if let Some(channel) = self.sessions.get(&to).copied() {
            return self.post_on(t, channel, to, bytes);
        }
        let Some(neighbour) = self.neighbour(t, to) else { return Err(bytes) };
        let Some(stream) = self.link_to(t, neighbour) else { return Err(bytes) };
        let Some(link) = self.links.get_mut(&stream) else { return Err(bytes) };
        if neighbour != to && !link.proved {
            if link.waiting.len() >= CHANNELS_PER_STREAM {
                return Err(bytes);
            }
            link.waiting.push((to, bytes));
            return Ok(());
        }
        self.open_session(t, stream, to);
        match self.sessions.get(&to).copied() {
            Some(channel) => self.post_on(t, channel, to, bytes),
            // A link still dialling: its own session is opened when it is up.
            None => match self.links.get_mut(&stream) {
                Some(link) if !link.open && link.waiting.len() < CHANNELS_PER_STREAM => {
                    link.waiting.push((to, bytes));
                    Ok(())
                }
                _ => Err(bytes),
            },
        }
    }

    /// Sends on the channel a message came on; falls back to any channel to its sender.
    pub fn post_on(
        &mut self,
        t: &mut Tables,
        channel: Channel,
        to: NodeId,
        bytes: Vec<u8>,
    ) -> Result<(), Vec<u8>> {
        let end = self.links.get_mut(&channel.stream).and_then(|l| l.ends.get_mut(&channel.number));
        let Some(end) = end.filter(|end| end.peer == to) else {
            return Err(bytes);
        };
        if end.queued_bytes + bytes.len() > CHANNEL_QUEUE_BYTES {
            t.own.count("messages dropped at the limit of a channel's queue");
            return Ok(());
        }
        end.queued_bytes += bytes.len();
        end.queue.push_back(bytes);
        self.flush(t, channel);
        Ok(())
    }

    /// Whether this node still counts as linked: dialling, or open.
    pub fn is_linked(&self, id: NodeId) -> bool {
        self.links.values().any(|link| link.peer == Some(id))
    }

    /// An address at one end is gone, ours or that of `peer`: so are the links that ended there,
    /// long before the kernel gives them up.
    pub fn moved(&mut self, t: &mut Tables, peer: Option<NodeId>) {
        let ends = |link: &Link| peer.is_none() || link.peer == peer;
        let gone = self.links.iter().filter(|(_, link)| ends(link)).map(|(id, _)| *id);
        for stream in gone.collect::<Vec<_>>() {
            self.hang_up(t, stream);
        }
    }

    /// Who is shut out of the herd has no channel any more, nor a link.
    pub fn shut_out(&mut self, t: &mut Tables, id: NodeId) {
        let of = |link: &Link, number: &u32| link.ends[number].peer == id;
        let channels = self.links.iter().flat_map(|(stream, link)| {
            let numbers = link.ends.keys().filter(|number| of(link, number));
            numbers.map(|number| Channel { stream: *stream, number: *number })
        });
        for channel in channels.collect::<Vec<_>>() {
            self.close(t, channel);
        }
        self.moved(t, Some(id));
    }

    pub fn opened(&mut self, t: &mut Tables, stream: StreamId) {
        let full = self.links.len() >= STREAMS;
        match self.links.get_mut(&stream) {
            Some(link) => {
                link.open = true;
                link.opened = t.now;
                if let Some(peer) = link.peer {
                    self.open_session(t, stream, peer);
                }
            }
            None if full => {
                t.own.count("streams refused at their limit");
                t.out.output(Output::Hangup { stream });
            }
            None => {
                let mut link = Link::new(false, None, t.now);
                link.open = true;
                self.links.insert(stream, link);
            }
        }
    }

    fn open_session(&mut self, t: &mut Tables, stream: StreamId, to: NodeId) {
        if let Some(channel) = self.open_channel(t, stream, to, Kind::Channel) {
            self.sessions.insert(to, channel);
        }
    }

    /// A channel for one pipe; None: not yet, as its way is being dialled, or there is none.
    pub fn open_pipe(&mut self, t: &mut Tables, to: NodeId) -> Option<Channel> {
        let neighbour = self.neighbour(t, to)?;
        let stream = self.link_to(t, neighbour)?;
        self.links.get(&stream).filter(|link| link.proved)?;
        self.open_channel(t, stream, to, Kind::Pipe)
    }

    fn open_channel(
        &mut self,
        t: &mut Tables,
        stream: StreamId,
        to: NodeId,
        kind: Kind,
    ) -> Option<Channel> {
        let link = self.links.get_mut(&stream).filter(|link| link.open)?;
        if link.ends.len() + link.forwards.len() >= CHANNELS_PER_STREAM {
            t.own.count("channels refused at their limit");
            return None;
        }
        let herd = t.own.key_for(t.roster.get(to).map(|peer| &peer.record));
        let header = t.own.header(herd, kind, to);
        let seed = t.random.random();
        let (session, first) = Session::open(&t.own.identity, herd, &header, seed).ok()?;
        let number = link.number();
        link.ends.insert(number, End::new(to, session, kind));
        let payload = [&header.to_bytes()[..], &first].concat();
        frame(t, link, stream, OPEN, number, &payload);
        Some(Channel { stream, number })
    }

    /// One frame arrived.
    pub fn frame(&mut self, t: &mut Tables, stream: StreamId, bytes: &[u8]) -> Option<Arrived> {
        let (kind, rest) = bytes.split_first()?;
        let (number, payload) = rest.split_first_chunk::<4>()?;
        let channel = Channel { stream, number: u32::from_be_bytes(*number) };
        let link = self.links.get_mut(&stream)?;
        link.used = t.now;
        if payload.len() > HEADER_BYTES + CHANNEL_WINDOW_BYTES as usize {
            // No window is so wide. Its session misses it and breaks.
            t.own.count("stream frames over the window");
            return None;
        }
        if let Some(other) = link.forwards.get(&channel.number).copied() {
            if t.is_late() && *kind != CLOSE {
                t.own.count("relayed too late");
                frame(t, link, stream, CLOSE, channel.number, &[]);
                self.forward(t, channel, other, CLOSE, &[]);
            } else {
                self.forward(t, channel, other, *kind, payload);
            }
            return None;
        }
        match *kind {
            OPEN => {
                self.open_frame(t, channel, payload);
                None
            }
            DATA => self.data(t, channel, payload),
            CREDIT => {
                let granted = payload.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))?;
                let end = self.links.get_mut(&stream)?.ends.get_mut(&channel.number)?;
                end.credit_bytes =
                    end.credit_bytes.saturating_add(granted).min(CHANNEL_WINDOW_BYTES);
                self.flush(t, channel);
                None
            }
            CLOSE => {
                self.closed_by_peer(t, channel);
                None
            }
            _ => {
                t.own.count("stream frames not understood");
                None
            }
        }
    }

    fn open_frame(&mut self, t: &mut Tables, channel: Channel, payload: &[u8]) {
        let Ok((header, first)) = Header::parse(payload) else {
            t.own.count("malformed");
            return;
        };
        let Some(link) = self.links.get_mut(&channel.stream) else { return };
        if t.is_foreign(&header) || t.own.is_shut_out(header.sender) {
            t.own.count("foreign herd");
            // One that nobody proved is ended as a whole.
            let number = if link.proved { channel.number } else { LINK };
            return self.close(t, Channel { number, ..channel });
        }
        let full = link.ends.len() + link.forwards.len() >= CHANNELS_PER_STREAM;
        let taken = link.ends.contains_key(&channel.number) || channel.number == LINK;
        if full {
            t.own.count("channels refused at their limit");
        }
        let wrong = !matches!(header.kind, Kind::Channel | Kind::Pipe);
        if wrong || full || taken {
            frame(t, link, channel.stream, CLOSE, channel.number, &[]);
            return;
        }
        if header.destination != t.own.id {
            self.open_forward(t, channel, header, first);
            return;
        }
        match accept(t, &header, first) {
            Some((session, reply)) => {
                link.ends.insert(channel.number, End::new(header.sender, session, header.kind));
                frame(t, link, channel.stream, DATA, channel.number, &reply);
            }
            None => frame(t, link, channel.stream, CLOSE, channel.number, &[]),
        }
    }

    fn data(&mut self, t: &mut Tables, channel: Channel, payload: &[u8]) -> Option<Arrived> {
        let link = self.links.get_mut(&channel.stream)?;
        let end = link.ends.get_mut(&channel.number)?;
        let peer = end.peer;
        match end.session.read(payload) {
            Ok(Read::Plain(bytes)) => {
                end.unacknowledged_bytes += payload.len() as u32;
                if end.unacknowledged_bytes >= CHANNEL_WINDOW_BYTES / 2 {
                    let granted = std::mem::take(&mut end.unacknowledged_bytes).to_be_bytes();
                    frame(t, link, channel.stream, CREDIT, channel.number, &granted);
                }
                Some(Arrived::Message { from: peer, channel, bytes })
            }
            Ok(Read::Step { reply }) => {
                if let Some(reply) = reply {
                    frame(t, link, channel.stream, DATA, channel.number, &reply);
                }
                None
            }
            Ok(Read::Opened { agreement_key, reply }) => {
                let called = reply.is_none();
                if let Some(reply) = reply {
                    frame(t, link, channel.stream, DATA, channel.number, &reply);
                }
                if called {
                    let claimed = peer;
                    return Some(Arrived::Caller { claimed, agreement_key, channel });
                }
                let expected = t.roster.get(peer).map(|peer| peer.record.agreement_key);
                if expected == Some(agreement_key) {
                    self.trust(t, channel);
                } else {
                    self.close(t, channel);
                }
                None
            }
            Err(_) => {
                t.own.count("stream messages forged");
                self.close(t, channel);
                None
            }
        }
    }

    /// The other end of a channel is who it claimed to be.
    pub fn trust(&mut self, t: &mut Tables, channel: Channel) {
        let Some(link) = self.links.get_mut(&channel.stream) else { return };
        let Some(end) = link.ends.get(&channel.number) else { return };
        let (peer, pipe) = (end.peer, end.pipe);
        let first = !link.proved && (link.peer.is_none() || link.peer == Some(peer));
        if !pipe {
            self.sessions.insert(peer, channel);
        }
        if first {
            link.proved = true;
            link.peer = Some(peer);
            t.out.output(Output::Proved { stream: channel.stream });
            for (to, bytes) in std::mem::take(&mut link.waiting) {
                let _ = self.post(t, to, bytes);
            }
        }
        self.flush(t, channel);
    }

    /// Closes one channel when all that was posted on it is sent.
    pub fn finish(&mut self, t: &mut Tables, channel: Channel) {
        let link = self.links.get_mut(&channel.stream);
        if let Some(end) = link.and_then(|link| link.ends.get_mut(&channel.number)) {
            end.closing = true;
            self.flush(t, channel);
        }
    }

    /// Closes one channel at both ends.
    pub fn close(&mut self, t: &mut Tables, channel: Channel) {
        if let Some(link) = self.links.get_mut(&channel.stream) {
            frame(t, link, channel.stream, CLOSE, channel.number, &[]);
        }
        self.closed_by_peer(t, channel);
    }

    fn closed_by_peer(&mut self, t: &mut Tables, channel: Channel) {
        let Some(link) = self.links.get_mut(&channel.stream) else { return };
        if channel.number == LINK {
            return self.hang_up(t, channel.stream);
        }
        let Some(end) = link.ends.remove(&channel.number) else { return };
        if self.sessions.get(&end.peer) == Some(&channel) {
            self.sessions.remove(&end.peer);
        }
        if end.pipe {
            return t.out.notice(Notice::Pipe(Matter::Lost(channel)));
        }
        let neighbour = link.peer == Some(end.peer) || link.peer.is_none();
        if neighbour {
            self.hang_up(t, channel.stream);
        }
    }

    /// The stream is gone. A peer that broke it off is looked at afresh.
    pub fn closed(&mut self, t: &mut Tables, stream: StreamId, closed: Closed) {
        let Some(link) = self.remove(t, stream) else { return };
        let Some(peer) = link.peer else { return };
        match closed {
            Closed::Refused | Closed::Reset | Closed::Ended if link.proved => {
                t.routes.broke_off(peer);
                t.out.notice(Notice::ProbeFailed(peer));
            }
            // Nobody is there, or somebody else.
            _ => t.routes.failed(peer),
        }
    }

    fn hang_up(&mut self, t: &mut Tables, stream: StreamId) {
        t.out.output(Output::Hangup { stream });
        self.remove(t, stream);
    }

    /// Takes a link out and closes what it carried for others.
    fn remove(&mut self, t: &mut Tables, stream: StreamId) -> Option<Link> {
        let link = self.links.remove(&stream)?;
        self.sessions.retain(|_, channel| channel.stream != stream);
        for other in link.forwards.values() {
            if let Some(link) = self.links.get_mut(&other.stream) {
                link.forwards.remove(&other.number);
                frame(t, link, other.stream, CLOSE, other.number, &[]);
            }
        }
        for (number, end) in &link.ends {
            if end.pipe {
                t.out.notice(Notice::Pipe(Matter::Lost(Channel { stream, number: *number })));
            } else {
                self.salvage(t, end.peer, end.queue.iter());
            }
        }
        for (to, bytes) in &link.waiting {
            self.salvage(t, *to, std::iter::once(bytes));
        }
        Some(link)
    }

    /// What was not sent and fits a datagram goes as one.
    fn salvage<'a>(&self, t: &mut Tables, to: NodeId, messages: impl Iterator<Item = &'a Vec<u8>>) {
        for bytes in messages {
            let envelope = crate::wire::codec::decode::<crate::wire::message::Envelope>(bytes);
            let body = envelope.ok().and_then(|envelope| {
                crate::wire::message::Body::decode(envelope.number, &envelope.body)
            });
            if let Some(Ok(body)) = body.filter(|_| bytes.len() < 1_000) {
                t.out.send(to, body);
            }
        }
    }

    fn flush(&mut self, t: &mut Tables, channel: Channel) {
        let Some(link) = self.links.get_mut(&channel.stream) else { return };
        link.used = t.now;
        while let Some(end) = link.ends.get_mut(&channel.number) {
            let fits = |bytes: &&Vec<u8>| bytes.len() as u32 + 16 <= end.credit_bytes;
            if end.closing && end.queue.is_empty() {
                link.ends.remove(&channel.number);
                return frame(t, link, channel.stream, CLOSE, channel.number, &[]);
            }
            if !end.session.is_open() || end.queue.front().filter(fits).is_none() {
                return;
            }
            let Some(plain) = end.queue.pop_front() else { return };
            end.queued_bytes -= plain.len();
            let Ok(sealed) = end.session.write(&plain) else { return };
            end.credit_bytes -= sealed.len() as u32;
            frame(t, link, channel.stream, DATA, channel.number, &sealed);
        }
    }

    pub fn tick(&mut self, t: &mut Tables) {
        self.dial_held(t);
        let held = self.held;
        let over = |link: &Link| {
            let unproved = !link.proved && t.now.ms_since(link.opened) > 2 * UNPROVED_MS;
            let idle = link.dialled && t.now.ms_since(link.used) > IDLE_MS;
            unproved || (idle && (link.peer != held || held.is_none()))
        };
        let ending: Vec<StreamId> =
            self.links.iter().filter(|(_, link)| over(link)).map(|(id, _)| *id).collect();
        for stream in ending {
            if let Some(link) = self.links.get_mut(&stream).filter(|link| link.open) {
                frame(t, link, stream, CLOSE, LINK, &[]);
            }
            self.hang_up(t, stream);
        }
    }

    /// Tells all neighbours that the links end on purpose.
    pub fn goodbye(&mut self, t: &mut Tables) {
        for (stream, link) in &mut self.links {
            if link.open {
                frame(t, link, *stream, CLOSE, LINK, &[]);
            }
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        let ends = self.links.values().filter_map(|link| {
            if !link.proved {
                return Some(link.opened.plus_ms(2 * UNPROVED_MS + 1));
            }
            let idles = link.dialled && (link.peer != self.held || self.held.is_none());
            idles.then(|| link.used.plus_ms(IDLE_MS + 1))
        });
        let hold = self.held.filter(|id| !self.is_linked(*id)).map(|_| self.next_hold);
        ends.chain(hold).min().map(Time::on_grid)
    }
}
