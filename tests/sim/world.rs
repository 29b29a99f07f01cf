//! The world: virtual time, the network, the machines, and the loop that brings to each node what
//! is due and carries out what it asks for. Everything follows from one seed.

use crate::checkers::Checkers;
use crate::machine::{Entries, Machine, MachineId, Stimulus};
use crate::net::{Arrival, HostId, Net, Protocol};
use crate::queue::Queue;
use crate::services::Service;
use crate::streams::{Connection, Step};
use crate::trace::{self, Hash};
use herd::node::{Output, Socket};
use herd::wire::control::Part;
use herd::wire::ids::PipeId;
use herd::wire::seal::Suite;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a datagram that an ICMP error quotes (Linux: 576 less the headers).
const QUOTED_BYTES: usize = 520;
/// Wake-ups of one node in one virtual second, inputs aside, beyond which it counts as spinning.
const WAKES_PER_SECOND: u32 = 500;
/// Datagrams one node sends in a second, and for each other node, beyond which it is a storm if
/// it lasts for so many seconds.
const DATAGRAMS_PER_SECOND: u32 = 200;
const DATAGRAMS_PER_NODE: u32 = 20;
const STORM_S: u32 = 5;
/// Outputs of one turn beyond which a node counts as unbounded.
const OUTPUTS_PER_TURN: usize = 20_000;
/// Real seconds since the epoch at which virtual time begins.
const EPOCH_S: u64 = 1_700_000_000;

/// How often something happened in one virtual second.
#[derive(Clone, Copy, Default)]
struct Rate {
    second: u64,
    count: u32,
    /// Seconds in a row in which there were too many.
    stormy: u32,
}

/// Counts one more for a machine.
fn count(rates: &mut Vec<Rate>, machine: MachineId, now_us: u64, most: u32) -> Rate {
    if rates.len() <= machine {
        rates.resize(machine + 1, Rate::default());
    }
    let rate = &mut rates[machine];
    let second = now_us / 1_000_000;
    if rate.second != second {
        let stormy = if rate.count > most { rate.stormy + 1 } else { 0 };
        *rate = Rate { second, count: 0, stormy };
    }
    rate.count += 1;
    *rate
}

pub enum Event {
    Datagram { arrival: Arrival, origin: Origin, sent_to: SocketAddr, bytes: Vec<u8> },
    Stimulus { machine: MachineId, life: u32, stimulus: Stimulus },
    Wake { machine: MachineId, life: u32 },
    Disk { machine: MachineId, life: u32, ticket: u64 },
    Stream(Step),
    Act(Act),
}

/// Things scenarios schedule.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Start(MachineId),
    Resume(MachineId),
    HostUp(HostId),
    Heal,
    Contact { from: MachineId, to: MachineId },
}

/// Who sent a datagram: a process, or something that is no node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Process(MachineId, u32),
    Raw(HostId),
}

/// What the disks do.
#[derive(Clone, Copy, Debug)]
pub struct DiskHabits {
    pub delay_us: (u64, u64),
    pub failure: f64,
}

pub struct World {
    pub now_us: u64,
    pub rng: SmallRng,
    pub net: Net,
    pub machines: Vec<Machine>,
    pub checkers: Checkers,
    pub connections: BTreeMap<u32, Connection>,
    pub next_connection: u32,
    pub answers: BTreeMap<(MachineId, u64), Vec<Part>>,
    /// Connections that pipes made to ports of machines.
    pub services: BTreeMap<(MachineId, PipeId), Service>,
    pub disks: DiskHabits,
    pub suite: Suite,
    /// The herd key of machines made from now on.
    pub key: Option<herd::wire::key::HerdKey>,
    pub planted: Option<herd::node::planted::Bug>,
    /// Machines that a herd shut out.
    pub revoked: std::collections::BTreeSet<MachineId>,
    pub hash: Hash,
    /// Node-seconds lived, in microseconds.
    pub lived_us: u64,
    pub datagrams: u64,
    /// Old datagrams for a replaying attacker, newest last; empty unless it records.
    pub recorded: Option<Vec<(SocketAddr, Vec<u8>)>>,
    /// Machines whose datagrams are bent on the way out, and how.
    pub liar: Option<(MachineId, crate::liar::Liar)>,
    pub(crate) events: Queue<Event>,
    outputs: Vec<Output>,
    wakes: Vec<Rate>,
    sends: Vec<Rate>,
    next_check_us: u64,
}

impl World {
    pub fn new(seed: u64) -> World {
        let rng = SmallRng::seed_from_u64(seed);
        World {
            now_us: 0,
            rng,
            net: Net::new(),
            machines: Vec::new(),
            checkers: Checkers::default(),
            connections: BTreeMap::new(),
            next_connection: 1,
            answers: BTreeMap::new(),
            services: BTreeMap::new(),
            disks: DiskHabits { delay_us: (500, 5_000), failure: 0.0 },
            suite: if seed % 10 == 9 { Suite::Real } else { Suite::Fast },
            key: None,
            planted: None,
            revoked: Default::default(),
            hash: Hash::default(),
            lived_us: 0,
            datagrams: 0,
            recorded: None,
            liar: None,
            events: Queue::default(),
            outputs: Vec::new(),
            wakes: Vec::new(),
            sends: Vec::new(),
            next_check_us: 0,
        }
    }

    pub fn unix_s(&self) -> u64 {
        EPOCH_S + self.now_us / 1_000_000
    }

    /// Ends the run: a promise is broken.
    pub fn fail(&self, what: impl std::fmt::Display) -> ! {
        panic!("at {} ms: {what}", self.now_us / 1_000)
    }

    pub fn require(&self, kept: Result<(), String>) {
        if let Err(what) = kept {
            self.fail(what);
        }
    }

    pub fn at(&mut self, at_us: u64, act: Act) {
        self.events.push(at_us.max(self.now_us), Event::Act(act));
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run_to(self.now_us + ms * 1_000);
    }

    fn run_to(&mut self, end_us: u64) {
        while self.step(end_us) {}
    }

    /// Runs until the condition holds, looking each 50 ms; false if it does not in time.
    pub fn run_until(&mut self, most_ms: u64, mut holds: impl FnMut(&mut World) -> bool) -> bool {
        let end_us = self.now_us + most_ms * 1_000;
        loop {
            if holds(self) {
                return true;
            }
            if self.now_us >= end_us {
                return false;
            }
            self.run_to((self.now_us + 50_000).min(end_us));
        }
    }

    /// One event, if one is due before `end_us`.
    fn step(&mut self, end_us: u64) -> bool {
        let due_us = self.events.next_us().filter(|at_us| *at_us <= end_us);
        let next_us = due_us.unwrap_or(end_us);
        while self.next_check_us <= next_us {
            self.advance(self.next_check_us);
            self.next_check_us += 1_000_000;
            self.check_second();
        }
        self.advance(next_us);
        if due_us.is_none() {
            return false;
        }
        // A check may have scheduled something earlier: it is then simply the next event.
        let (_, event) = self.events.pop().expect("peeked above");
        self.happen(event);
        true
    }

    fn advance(&mut self, to_us: u64) {
        let passed_us = to_us.saturating_sub(self.now_us);
        let running = self.machines.iter().filter(|machine| machine.is_running()).count() as u64;
        self.lived_us += passed_us * running;
        self.now_us = self.now_us.max(to_us);
        trace::set_now(self.now_us);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { arrival, origin, sent_to, bytes } => {
                self.arrive(arrival, origin, sent_to, bytes);
            }
            Event::Stimulus { machine, life, stimulus } => {
                if self.machines[machine].life == life {
                    self.stimulate(machine, stimulus);
                }
            }
            Event::Wake { machine, life } => self.wake(machine, life),
            Event::Disk { machine, life, ticket } => self.disk_done(machine, life, ticket),
            Event::Stream(step) => self.stream_step(step),
            Event::Act(act) => self.act(act),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Start(id) => {
                let machine = &self.machines[id];
                if !machine.is_running() && self.net.hosts[machine.host].up {
                    self.start(id);
                }
            }
            Act::Resume(machine) => self.resume(machine),
            Act::HostUp(host) => self.host_up(host),
            Act::Heal => self.heal(),
            Act::Contact { from, to } => {
                if self.machines[from].is_live() {
                    self.contact(from, to);
                }
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival, origin: Origin, sent_to: SocketAddr, bytes: Vec<u8>) {
        if !self.net.hosts[arrival.host].up {
            return;
        }
        let on_host = |(_, machine): &(usize, &Machine)| machine.host == arrival.host;
        let found = self.machines.iter().enumerate().filter(on_host).find_map(|(id, machine)| {
            machine.socket(arrival.local.port()).map(|socket| (id, socket))
        });
        let Some((machine, socket)) = found else {
            return self.refuse(arrival, origin, sent_to, bytes);
        };
        trace::line(|| {
            let name = &self.machines[machine].spec.name;
            format!("{name} <- {} {}", arrival.from, trace::packet(&bytes))
        });
        match origin {
            Origin::Process(from, _) if from != machine => {
                let sender = bytes.get(24..32).map(|id| id.try_into().expect("eight bytes"));
                let sender = sender.map(herd::wire::ids::NodeId::from_bytes);
                self.checkers.ages.word([self.machines[from].id, sender], self.now_us);
            }
            Origin::Process(..) => {}
            Origin::Raw(_) => self.checkers.amplification.taken(machine, arrival.from, bytes.len()),
        }
        if let Some(process) = self.machines[machine].process.as_mut() {
            process.asked_as.insert((socket, arrival.from), arrival.local.ip());
        }
        self.stimulate(machine, Stimulus::Datagram { socket, from: arrival.from, bytes });
    }

    /// Nobody listens there: the host says so, unless the way back is cut.
    fn refuse(&mut self, arrival: Arrival, origin: Origin, to: SocketAddr, bytes: Vec<u8>) {
        let Origin::Process(machine, life) = origin else { return };
        let back = (arrival.host, self.machines[machine].host);
        if back.0 != back.1 && !self.net.is_open(back.0, back.1) {
            return;
        }
        let quoted = bytes[..bytes.len().min(QUOTED_BYTES)].to_vec();
        let stimulus = Stimulus::Refused { to, quoted };
        let at_us = self.now_us + arrival.delay_us;
        self.events.push(at_us, Event::Stimulus { machine, life, stimulus });
    }

    /// Brings one input to a process, or to what waits for it.
    pub(crate) fn stimulate(&mut self, machine: MachineId, stimulus: Stimulus) {
        if !self.machines[machine].is_running() {
            return;
        }
        if self.machines[machine].paused {
            self.machines[machine].wait(stimulus);
            return;
        }
        self.turn(machine, std::iter::once(stimulus));
    }

    fn wake(&mut self, machine: MachineId, life: u32) {
        let one = &mut self.machines[machine];
        if one.life != life {
            return;
        }
        let time = one.time(self.now_us);
        let paused = one.paused;
        let Some(process) = one.process.as_mut() else { return };
        if process.wake_us > self.now_us {
            return;
        }
        process.wake_us = u64::MAX;
        if paused {
            return;
        }
        if process.node.deadline().is_some_and(|(due, _)| due <= time) {
            self.count_wake(machine);
            self.turn(machine, std::iter::empty());
        } else {
            self.schedule_wake(machine);
        }
    }

    fn count_wake(&mut self, machine: MachineId) {
        if count(&mut self.wakes, machine, self.now_us, 0).count > WAKES_PER_SECOND {
            let why = self.machines[machine].process.as_ref().and_then(|one| one.node.deadline());
            self.fail(format!("{} spins: {why:?}", self.machines[machine].spec.name));
        }
    }

    /// One turn of a daemon's loop: inputs, tick, outputs.
    pub(crate) fn turn(&mut self, id: MachineId, stimuli: impl Iterator<Item = Stimulus>) {
        let machine = &mut self.machines[id];
        let time = machine.time(self.now_us);
        let Some(process) = machine.process.as_mut() else { return };
        for stimulus in stimuli {
            process.node.handle(time, stimulus.as_input());
        }
        process.node.tick(time);
        let life = machine.life;
        let executed = process.node.take_executed();
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.extend(std::iter::from_fn(|| process.node.poll()));
        for request in executed {
            let run = self.checkers.executed.run(id, life, request.origin, request.number);
            if let Err(fault) = run {
                self.fail(fault);
            }
        }
        if outputs.len() > OUTPUTS_PER_TURN {
            self.fail(format!(
                "{} puts out {} in one turn",
                self.machines[id].spec.name,
                outputs.len()
            ));
        }
        for output in outputs.drain(..) {
            self.carry_out(id, output);
        }
        self.outputs = outputs;
        self.schedule_wake(id);
    }

    pub(crate) fn schedule_wake(&mut self, id: MachineId) {
        let machine = &mut self.machines[id];
        let (offset_us, life) = (machine.boot_offset_us, machine.life);
        let Some(process) = machine.process.as_mut() else { return };
        let Some((due, _)) = process.node.deadline() else { return };
        let at_us = due.0.saturating_sub(offset_us).max(self.now_us + 1);
        if at_us < process.wake_us {
            process.wake_us = at_us;
            self.events.push(at_us, Event::Wake { machine: id, life });
        }
    }

    fn carry_out(&mut self, id: MachineId, output: Output) {
        self.hash.add(self.now_us);
        self.hash.add(id as u64);
        match output {
            Output::Datagram { socket, to, bytes } => self.send(id, socket, to, bytes),
            Output::Dial { stream, to } => self.dial(id, stream, to),
            Output::Frame { stream, bytes } => self.frame(id, stream, bytes),
            Output::Proved { stream } => self.proved(id, stream),
            Output::Hangup { stream } => self.hangup(id, stream),
            Output::Part { part, .. } => self.part(id, part),
            Output::Connect { pipe, to } => self.connect(id, pipe, &to),
            Output::Piece { pipe, piece } => self.piece(id, pipe, piece),
            Output::Keep { ticket, entries } => self.keep(id, ticket, entries),
            Output::Stopped => self.stopped(id),
        }
    }

    fn send(&mut self, id: MachineId, socket: Socket, to: SocketAddr, mut bytes: Vec<u8>) {
        self.hash.add_bytes(&bytes);
        if bytes.len() > herd::wire::limits::DATAGRAM_BYTES {
            self.fail(format!("a datagram of {} bytes was sent", bytes.len()));
        }
        let most = DATAGRAMS_PER_SECOND + DATAGRAMS_PER_NODE * self.machines.len() as u32;
        if count(&mut self.sends, id, self.now_us, most).stormy > STORM_S {
            self.fail(format!("a storm of datagrams from {}", self.machines[id].spec.name));
        }
        let machine = &self.machines[id];
        let Some(process) = machine.process.as_ref() else { return };
        let port = if socket == Socket::Main { machine.port } else { process.ephemeral_port };
        trace::line(|| format!("{} -> {to} {}", machine.spec.name, trace::packet(&bytes)));
        let (host, life) = (machine.host, machine.life);
        let answering_as = process.asked_as.get(&(socket, to)).copied();
        if let Some((liar, how)) = self.liar.as_mut().filter(|(liar, _)| *liar == id) {
            let _ = liar;
            how.bend(&mut bytes, &mut self.rng);
        }
        let kept = self.checkers.amplification.sent(id, to, bytes.len());
        self.require(kept);
        if let Some(recorded) = self.recorded.as_mut() {
            recorded.push((to, bytes.clone()));
        }
        self.launch(host, (port, answering_as), Origin::Process(id, life), to, bytes);
    }

    /// Puts a datagram on the network, from a port and perhaps as an answer from an address: maybe
    /// lost, maybe twice.
    pub fn launch(
        &mut self,
        host: HostId,
        source: (u16, Option<IpAddr>),
        origin: Origin,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        self.datagrams += 1;
        let twice = self.net.link.duplicate > 0.0 && self.rng.random_bool(self.net.link.duplicate);
        if twice {
            self.launch_once(host, source, origin, to, bytes.clone());
        }
        self.launch_once(host, source, origin, to, bytes);
    }

    fn launch_once(
        &mut self,
        host: HostId,
        source: (u16, Option<IpAddr>),
        origin: Origin,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let walked = self.net.walk(host, source, to, Protocol::Udp, self.now_us, &mut self.rng);
        let Some(arrival) = walked else { return };
        let at_us = self.now_us + arrival.delay_us;
        self.events.push(at_us, Event::Datagram { arrival, origin, sent_to: to, bytes });
    }

    fn keep(&mut self, id: MachineId, ticket: u64, entries: Entries) {
        for (key, value) in &entries {
            self.hash.add_bytes(key.as_bytes());
            self.hash.add_bytes(value.as_deref().unwrap_or_default());
        }
        let (low_us, high_us) = self.disks.delay_us;
        let delay_us = self.rng.random_range(low_us..=high_us);
        let machine = &mut self.machines[id];
        machine.disk.under_way.push_back((ticket, entries));
        let event = Event::Disk { machine: id, life: machine.life, ticket };
        self.events.push(self.now_us + delay_us, event);
    }

    /// A write came to its end. Writes are one after the other: an earlier one ends no later.
    fn disk_done(&mut self, id: MachineId, life: u32, ticket: u64) {
        if self.machines[id].life != life {
            return;
        }
        while let Some((done, entries)) = self.machines[id].disk.under_way.pop_front() {
            let failed = self.disks.failure > 0.0 && self.rng.random_bool(self.disks.failure);
            let result = if failed {
                Err("No space left on device".to_string())
            } else {
                self.machines[id].disk.apply(entries);
                Ok(())
            };
            self.stimulate(id, Stimulus::Kept { ticket: done, result });
            if done == ticket {
                break;
            }
        }
    }
}
