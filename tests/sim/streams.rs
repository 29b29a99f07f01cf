//! Streams as TCP gives them: dialled outward only, ordered, reset when a process dies, silent
//! when the way is cut.

use crate::machine::{MachineId, Stimulus};
use crate::net::{HostId, Protocol};
use crate::trace;
use crate::world::{Event, World};
use herd::node::Closed;
use herd::wire::ids::StreamId;
use herd::wire::limits::UNPROVED_MS;
use rand::RngExt;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

/// How long a dial is tried, and how long unacknowledged bytes are sent again.
const DIAL_MS: u64 = 5_000;
const SILENCE_MS: u64 = 20_000;
const RETRY_MS: u64 = 300;
/// Frames queued on one stream beyond which the daemon closes it.
const QUEUED: usize = 4_096;

#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The first packet of a dial arrives, or is tried again.
    Dial { connection: u32, since_us: u64 },
    /// The front of one direction's queue is due.
    Deliver { connection: u32, direction: usize },
    /// The peer had its time to prove itself.
    Proof { connection: u32, end: usize },
}

enum Item {
    Frame(Vec<u8>),
    End(Closed),
}

struct End {
    machine: MachineId,
    life: u32,
    stream: StreamId,
    open: bool,
    proved: bool,
}

/// One TCP connection; direction 0 is from the dialling end to the accepting one.
pub struct Connection {
    ends: [Option<End>; 2],
    to: SocketAddr,
    path: Vec<(HostId, HostId)>,
    delay_us: u64,
    /// An address on the way changed: what was one connection is none any more.
    broken: bool,
    queues: [VecDeque<(u64, Item)>; 2],
    blocked_since: [Option<u64>; 2],
}

impl World {
    pub(crate) fn dial(&mut self, id: MachineId, stream: StreamId, to: SocketAddr) {
        trace::line(|| format!("{} dials {to} as {stream:?}", self.machines[id].spec.name));
        let connection = self.next_connection;
        self.next_connection += 1;
        let life = self.machines[id].life;
        let end = End { machine: id, life, stream, open: true, proved: false };
        let one = Connection {
            ends: [Some(end), None],
            to,
            path: Vec::new(),
            delay_us: 0,
            broken: false,
            queues: [VecDeque::new(), VecDeque::new()],
            blocked_since: [None, None],
        };
        self.connections.insert(connection, one);
        if let Some(process) = self.machines[id].process.as_mut() {
            process.streams.insert(stream, (connection, 0));
        }
        self.stream_step(Step::Dial { connection, since_us: self.now_us });
    }

    pub(crate) fn stream_step(&mut self, step: Step) {
        match step {
            Step::Dial { connection, since_us } => self.try_dial(connection, since_us),
            Step::Deliver { connection, direction } => self.deliver(connection, direction),
            Step::Proof { connection, end } => {
                if self.connections.get(&connection).is_some_and(|one| {
                    one.ends[end].as_ref().is_some_and(|end| end.open && !end.proved)
                }) {
                    self.close_end(connection, end, Closed::Limit);
                    self.push_item(connection, end, Item::End(Closed::Reset));
                }
            }
        }
    }

    fn try_dial(&mut self, connection: u32, since_us: u64) {
        let Some(one) = self.connections.get(&connection) else { return };
        let Some(dialler) = one.ends[0].as_ref().filter(|end| end.open) else { return };
        let (machine, to) = (dialler.machine, one.to);
        if self.machines[machine].life != dialler.life {
            self.connections.remove(&connection);
            return;
        }
        let host = self.machines[machine].host;
        let port = self.rng.random_range(32_768..60_999);
        let now_us = self.now_us;
        let walked = self.net.walk(host, (port, None), to, Protocol::Tcp, now_us, &mut self.rng);
        let way_back = self.net.path.iter().all(|(from, to)| self.net.is_open(*to, *from));
        let loss = self.net.link.loss;
        let lost = loss > 0.0 && self.net.path.iter().any(|_| self.rng.random_bool(loss));
        let Some(arrival) = walked.filter(|_| way_back && !lost) else {
            if now_us >= since_us + DIAL_MS * 1_000 {
                return self.close_end(connection, 0, Closed::Unreachable);
            }
            let again = Event::Stream(Step::Dial { connection, since_us });
            self.events.push(now_us + 1_000_000, again);
            return;
        };
        let listening = self.machines.iter().position(|machine| {
            machine.host == arrival.host
                && machine.is_running()
                && machine.port == arrival.local.port()
        });
        let Some(listener) = listening else {
            let life = self.machines[machine].life;
            let stream = self.forget_end(connection, 0);
            let stimulus = Stimulus::StreamClosed { stream, closed: Closed::Refused };
            self.events
                .push(now_us + 2 * arrival.delay_us, Event::Stimulus { machine, life, stimulus });
            return;
        };
        self.establish(connection, listener, arrival.from, arrival.delay_us);
    }

    fn establish(&mut self, connection: u32, listener: MachineId, from: SocketAddr, delay_us: u64) {
        let path = self.net.path.clone();
        let accepting = &mut self.machines[listener];
        let life = accepting.life;
        let Some(process) = accepting.process.as_mut() else { return };
        let stream = StreamId(process.next_accepted);
        process.next_accepted += 2;
        process.streams.insert(stream, (connection, 1));
        let Some(one) = self.connections.get_mut(&connection) else { return };
        one.ends[1] = Some(End { machine: listener, life, stream, open: true, proved: false });
        one.path = path;
        one.delay_us = delay_us;
        let dialler = one.ends[0].as_ref().expect("a dial has a dialler");
        let opened = [
            (dialler.machine, dialler.life, dialler.stream, one.to, 2 * delay_us),
            (listener, life, stream, from, delay_us),
        ];
        for (end, (machine, life, stream, peer, delay_us)) in opened.into_iter().enumerate() {
            let stimulus = Stimulus::StreamOpened { stream, peer };
            let at_us = self.now_us + delay_us;
            self.events.push(at_us, Event::Stimulus { machine, life, stimulus });
            let proof = Event::Stream(Step::Proof { connection, end });
            self.events.push(at_us + UNPROVED_MS * 1_000, proof);
        }
    }

    fn end_of(&self, id: MachineId, stream: StreamId) -> Option<(u32, usize)> {
        self.machines[id].process.as_ref()?.streams.get(&stream).copied()
    }

    pub(crate) fn frame(&mut self, id: MachineId, stream: StreamId, bytes: Vec<u8>) {
        self.hash.add_bytes(&bytes);
        if bytes.len() > herd::wire::limits::FRAME_BYTES {
            self.fail(format!("a frame of {} bytes was sent", bytes.len()));
        }
        if let Some((connection, end)) = self.end_of(id, stream) {
            self.push_item(connection, end, Item::Frame(bytes));
        }
    }

    pub(crate) fn proved(&mut self, id: MachineId, stream: StreamId) {
        if let Some((connection, end)) = self.end_of(id, stream)
            && let Some(one) = self.connections.get_mut(&connection)
            && let Some(end) = one.ends[end].as_mut()
        {
            end.proved = true;
        }
    }

    pub(crate) fn hangup(&mut self, id: MachineId, stream: StreamId) {
        if let Some((connection, end)) = self.end_of(id, stream) {
            self.forget_end(connection, end);
            self.push_item(connection, end, Item::End(Closed::Ended));
        }
    }

    /// The process of a machine died: its peers are told by its kernel, if its host still runs.
    pub(crate) fn close_all(&mut self, id: MachineId, host_lives: bool) {
        let Some(process) = self.machines[id].process.as_ref() else { return };
        let streams: Vec<_> = process.streams.values().copied().collect();
        for (connection, end) in streams {
            self.forget_end(connection, end);
            if host_lives {
                // A kernel resets only where bytes were left unread; else it just ends.
                let closed = [Closed::Reset, Closed::Ended][self.rng.random_range(0..2)];
                self.push_item(connection, end, Item::End(closed));
            }
        }
    }

    /// Whether a stream stands between the two, as they live now.
    pub fn holds_stream(&self, one: MachineId, other: MachineId) -> bool {
        let ends = |connection: &Connection| -> BTreeSet<MachineId> {
            let ends = connection.ends.iter().flatten();
            let live = ends.filter(|end| end.open && self.machines[end.machine].life == end.life);
            live.map(|end| end.machine).collect()
        };
        self.connections.values().any(|connection| ends(connection) == [one, other].into())
    }

    /// Streams that cross this host's outer address, or its NAT, are none any more.
    pub(crate) fn break_streams(&mut self, host: HostId) {
        for one in self.connections.values_mut() {
            let touches = |(from, to): &(HostId, HostId)| *from == host || *to == host;
            one.broken |= one.path.iter().any(touches);
        }
    }

    /// Takes an end out of its machine's table without a word to the node.
    fn forget_end(&mut self, connection: u32, end: usize) -> StreamId {
        let one = self.connections.get_mut(&connection).expect("an end has its connection");
        let end = one.ends[end].as_mut().expect("only ends that exist are forgotten");
        end.open = false;
        let (machine, life, stream) = (end.machine, end.life, end.stream);
        if one.ends.iter().flatten().all(|end| !end.open) && one.queues.iter().all(|q| q.is_empty())
        {
            self.connections.remove(&connection);
        }
        if self.machines[machine].life == life
            && let Some(process) = self.machines[machine].process.as_mut()
        {
            process.streams.remove(&stream);
        }
        stream
    }

    fn close_end(&mut self, connection: u32, end: usize, closed: Closed) {
        let Some(one) = self.connections.get(&connection) else { return };
        let Some(End { machine, life, open: true, .. }) = one.ends[end] else { return };
        let stream = self.forget_end(connection, end);
        if self.machines[machine].life == life {
            trace::line(|| format!("{} {stream:?} {closed:?}", self.machines[machine].spec.name));
            self.stimulate(machine, Stimulus::StreamClosed { stream, closed });
        }
    }

    fn push_item(&mut self, connection: u32, direction: usize, item: Item) {
        let now_us = self.now_us;
        let Some(one) = self.connections.get_mut(&connection) else { return };
        let mut delay_us = one.delay_us;
        let loss = self.net.link.loss;
        for _ in &one.path {
            let mut again_us = 200_000;
            while loss > 0.0 && self.rng.random_bool(loss.min(0.9)) && again_us < 10_000_000 {
                delay_us += again_us;
                again_us *= 2;
            }
        }
        let queue = &mut one.queues[direction];
        let last_us = queue.back().map_or(0, |(at_us, _)| *at_us);
        let at_us = last_us.max(now_us + delay_us);
        queue.push_back((at_us, item));
        let queued = queue.len();
        if queued == 1 {
            self.events.push(at_us, Event::Stream(Step::Deliver { connection, direction }));
        } else if queued > QUEUED {
            queue.clear();
            self.close_end(connection, direction, Closed::Limit);
        }
    }

    fn deliver(&mut self, connection: u32, direction: usize) {
        let now_us = self.now_us;
        let Some(one) = self.connections.get_mut(&connection) else { return };
        if one.queues[direction].is_empty() {
            return;
        }
        let net = &self.net;
        let both_ways =
            |(from, to): &(HostId, HostId)| net.is_open(*from, *to) && net.is_open(*to, *from);
        let blocked = !one.path.iter().all(both_ways) || (one.broken && direction == 1);
        if blocked {
            let since_us = *one.blocked_since[direction].get_or_insert(now_us);
            if now_us > since_us + SILENCE_MS * 1_000 {
                one.queues[direction].clear();
                return self.close_end(connection, direction, Closed::Unreachable);
            }
            let again = Event::Stream(Step::Deliver { connection, direction });
            self.events.push(now_us + RETRY_MS * 1_000, again);
            return;
        }
        if one.blocked_since[direction].take().is_some() {
            self.checkers.ages.late(now_us);
        }
        let receiver = one.ends[1 - direction].as_ref();
        let gone =
            receiver.is_none_or(|end| !end.open || self.machines[end.machine].life != end.life);
        if gone || one.broken {
            one.queues[direction].clear();
            return self.close_end(connection, direction, Closed::Reset);
        }
        let (machine, stream) = receiver.map(|end| (end.machine, end.stream)).expect("not gone");
        let (_, item) = one.queues[direction].pop_front().expect("checked above");
        if let Some((at_us, _)) = one.queues[direction].front() {
            let next = Event::Stream(Step::Deliver { connection, direction });
            self.events.push((*at_us).max(now_us), next);
        }
        let sender = one.ends[direction].as_ref().map(|end| end.machine);
        match item {
            Item::Frame(bytes) => {
                let word = sender.and_then(|sender| self.machines[sender].id);
                self.checkers.ages.word([word, None], now_us);
                self.stimulate(machine, Stimulus::StreamFrame { stream, bytes });
            }
            Item::End(closed) => self.close_end(connection, 1 - direction, closed),
        }
    }
}
