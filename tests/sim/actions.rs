//! What scenarios do to the world: build it, start and stop processes, pause, cut, move, ask.

use crate::machine::{Disk, Machine, MachineId, Process, Spec, Stimulus};
use crate::nat::Kind;
use crate::net::HostId;
use crate::trace;
use crate::world::{Act, Event, World};
use herd::node::{KEY_FILE, Node, Options};
use herd::wire::discovery::Discovered;
use herd::wire::guest::Guests;
use herd::wire::limits::{GOODBYE_MS, READS_PER_TURN};
use rand::RngExt;
use std::collections::BTreeMap;
use std::net::SocketAddr;

impl World {
    /// A machine on a host of its own at the top of the network.
    pub fn machine(&mut self, name: &str) -> MachineId {
        let host = self.net.host(0);
        self.machine_on(host, name)
    }

    pub fn machine_on(&mut self, host: HostId, name: &str) -> MachineId {
        let boot_offset_us = self.rng.random_range(1_000_000..2_000_000_000_000);
        let (name, key) = (name.to_string(), self.key.clone());
        let spec = Spec { name, key, ..Spec::default() };
        self.machines.push(Machine::new(host, spec, boot_offset_us));
        self.machines.len() - 1
    }

    /// Machines node1, node2, ... at the top, not started.
    pub fn machines(&mut self, count: usize) -> Vec<MachineId> {
        (1..=count).map(|number| self.machine(&format!("node{number}"))).collect()
    }

    /// Makes the machine's host the NAT router of a new segment and puts machines behind it.
    pub fn behind(&mut self, router: MachineId, kind: Kind, names: &[&str]) -> Vec<MachineId> {
        let segment = self.net.inside(self.machines[router].host, kind);
        names
            .iter()
            .map(|name| {
                let host = self.net.host(segment);
                self.machine_on(host, name)
            })
            .collect()
    }

    pub fn address(&self, id: MachineId) -> SocketAddr {
        let machine = &self.machines[id];
        SocketAddr::new(self.net.hosts[machine.host].address.into(), machine.port)
    }

    pub fn start_all(&mut self) {
        for id in 0..self.machines.len() {
            self.start(id);
        }
    }

    pub fn start(&mut self, id: MachineId) {
        let unix_s = self.unix_s();
        let options = self.options(id);
        let seed: [u8; 32] = self.rng.random();
        let ephemeral_port = self.rng.random_range(32_768..60_999);
        let machine = &mut self.machines[id];
        assert!(!machine.is_running(), "{} is running", machine.spec.name);
        trace::line(|| format!("{} starts", machine.spec.name));
        let kept = machine.disk.start(unix_s);
        let time = machine.time(self.now_us);
        machine.life += 1;
        machine.paused = false;
        machine.backlog.clear();
        machine.process = Some(Process {
            node: Box::new(Node::new(options, kept, seed, time)),
            ephemeral_port,
            asked_as: BTreeMap::new(),
            next_accepted: 2,
            streams: BTreeMap::new(),
            wake_us: u64::MAX,
            left_us: None,
        });
        self.disturbed(id);
        self.turn(id, std::iter::empty());
        self.follow(id);
    }

    fn options(&mut self, id: MachineId) -> Options {
        let machine = &self.machines[id];
        let file = machine.disk.entries.get(KEY_FILE);
        let file = file.map(|text| String::from_utf8_lossy(text).parse().expect("a key's text"));
        Options {
            name: machine.spec.name.parse().ok(),
            port: machine.port,
            addresses: self.net.addresses(machine.host),
            gateways: self.net.gateways(machine.host),
            homes: machine.spec.homes.clone(),
            deadend: machine.spec.deadend,
            class: machine.spec.class,
            container: machine.spec.container,
            key: file.or_else(|| machine.spec.key.clone()),
            started_unix_s: self.unix_s(),
            program: "daustd sim".to_string(),
            suite: self.suite,
            planted: machine.spec.planted.or(self.planted),
            ..Options::default()
        }
    }

    /// kill -9: what was being written may be on disk or not; the kernel speaks for the dead.
    pub fn kill(&mut self, id: MachineId) {
        self.end_process(id, true);
    }

    fn end_process(&mut self, id: MachineId, host_lives: bool) {
        if !self.machines[id].is_running() {
            return;
        }
        trace::line(|| format!("{} is killed", self.machines[id].spec.name));
        self.close_all(id, host_lives);
        let mut under_way = std::mem::take(&mut self.machines[id].disk.under_way);
        while self.rng.random_bool(0.5) {
            let Some((_, entries)) = under_way.pop_front() else { break };
            self.machines[id].disk.apply(entries);
        }
        let machine = &mut self.machines[id];
        machine.process = None;
        machine.life += 1;
        machine.paused = false;
        machine.backlog.clear();
        self.checkers.requests.forget(id);
        self.checkers.shown.forget(id);
        self.answers.retain(|(machine, _), _| *machine != id);
        self.disturbed(id);
    }

    /// The host loses its power: nobody speaks for the dead.
    pub fn host_down(&mut self, host: HostId) {
        for id in self.on_host(host) {
            self.end_process(id, false);
        }
        trace::line(|| format!("host {host} goes down"));
        self.net.hosts[host].up = false;
        self.net.flush_nat(host);
        self.break_streams(host);
        self.disturbed_host(host);
    }

    /// The host boots: its clock since boot begins anew.
    pub fn host_up(&mut self, host: HostId) {
        if self.net.hosts[host].up {
            return;
        }
        self.net.hosts[host].up = true;
        self.disturbed_host(host);
        for id in self.on_host(host) {
            self.machines[id].boot_offset_us = self.rng.random_range(10_000_000..30_000_000);
            self.start(id);
        }
    }

    fn on_host(&self, host: HostId) -> Vec<MachineId> {
        (0..self.machines.len()).filter(|id| self.machines[*id].host == host).collect()
    }

    /// SIGTERM.
    pub fn leave(&mut self, id: MachineId) {
        let now_us = self.now_us;
        if let Some(process) = self.machines[id].process.as_mut() {
            process.left_us.get_or_insert(now_us);
            self.stimulate(id, Stimulus::Leave);
        }
    }

    /// The node said that its process may end.
    pub(crate) fn stopped(&mut self, id: MachineId) {
        trace::line(|| format!("{} stopped", self.machines[id].spec.name));
        self.checkers.requests.forget(id);
        self.end_process(id, true);
    }

    pub(crate) fn check_goodbyes(&self) {
        for machine in &self.machines {
            let left_us = machine.process.as_ref().and_then(|process| process.left_us);
            // A second on top: checked each second, and a stopping disk may be slow.
            if !machine.paused
                && left_us
                    .is_some_and(|left_us| self.now_us > left_us + (GOODBYE_MS + 1_000) * 1_000)
            {
                self.fail(format!("{} said goodbye and does not stop", machine.spec.name));
            }
        }
    }

    /// SIGSTOP: nothing is handled until [`resume`](World::resume).
    pub fn pause(&mut self, id: MachineId) {
        trace::line(|| format!("{} is paused", self.machines[id].spec.name));
        self.machines[id].paused = true;
        self.disturbed(id);
    }

    pub fn pause_for(&mut self, id: MachineId, ms: u64) {
        self.pause(id);
        self.at(self.now_us + ms * 1_000, Act::Resume(id));
    }

    pub fn resume(&mut self, id: MachineId) {
        if !self.machines[id].paused {
            return;
        }
        trace::line(|| format!("{} goes on", self.machines[id].spec.name));
        self.machines[id].paused = false;
        if let Some(process) = self.machines[id].process.as_mut() {
            process.left_us = process.left_us.map(|_| self.now_us);
        }
        self.disturbed(id);
        let mut waiting = std::mem::take(&mut self.machines[id].backlog);
        while !waiting.is_empty() {
            let batch = waiting.drain(..waiting.len().min(READS_PER_TURN)).collect::<Vec<_>>();
            self.turn(id, batch.into_iter());
        }
        self.turn(id, std::iter::empty());
    }

    /// A new disk: the machine forgets who it was.
    pub fn wipe(&mut self, id: MachineId) {
        self.machines[id].disk = Disk::default();
    }

    /// Another machine with a copy of this one's disk.
    pub fn clone_machine(&mut self, id: MachineId, host: HostId, name: &str) -> MachineId {
        let copy = self.machine_on(host, name);
        self.machines[copy].disk = self.machines[id].disk.clone();
        self.machines[copy].disk.under_way.clear();
        copy
    }

    /// A new lease for the machine's host; told to the process a moment later.
    pub fn move_machine(&mut self, id: MachineId) {
        let host = self.machines[id].host;
        self.break_streams(host);
        let address = self.net.move_host(host);
        trace::line(|| format!("{} moves to {address}", self.machines[id].spec.name));
        self.disturbed_host(host);
        for id in self.on_host(host) {
            self.disturbed(id);
            let stimulus = Stimulus::Addresses {
                own: self.net.addresses(host),
                gateways: self.net.gateways(host),
            };
            let life = self.machines[id].life;
            let at_us = self.now_us + self.rng.random_range(10_000..500_000);
            self.events.push(at_us, Event::Stimulus { machine: id, life, stimulus });
        }
    }

    /// Discovery sees these, and tells the process after this time.
    pub fn discovered(&mut self, id: MachineId, found: Vec<Discovered>, after_us: u64) {
        let (life, stimulus) = (self.machines[id].life, Stimulus::Found(found));
        let event = Event::Stimulus { machine: id, life, stimulus };
        self.events.push(self.now_us + after_us, event);
    }

    /// The Engine beside this process says which containers there are, or why it does not.
    pub fn engine(&mut self, id: MachineId, told: Guests) {
        self.stimulate(id, Stimulus::Guests(told));
    }

    /// The NAT box on this host restarts.
    pub fn rebind(&mut self, router: MachineId) {
        let host = self.machines[router].host;
        trace::line(|| format!("NAT of {} forgets", self.machines[router].spec.name));
        self.net.flush_nat(host);
        // Streams of the inside only; the host's own go on, but a reset now and then does no harm.
        self.break_streams(host);
        self.disturbed_host(host);
    }

    /// Splits the hosts of some machines from all others.
    pub fn split(&mut self, machines: &[MachineId], group: u32) {
        trace::line(|| format!("{machines:?} are split off as group {group}"));
        for id in machines {
            self.net.hosts[self.machines[*id].host].group = group;
        }
        self.checkers.truth.network_disturbed(self.now_us);
    }

    pub fn cut_one_way(&mut self, from: MachineId, to: MachineId) {
        self.net.cut(self.machines[from].host, self.machines[to].host);
        self.checkers.truth.network_disturbed(self.now_us);
    }

    pub fn heal(&mut self) {
        trace::line(|| "the network is whole again".to_string());
        self.net.heal();
        self.checkers.truth.network_disturbed(self.now_us);
    }

    fn disturbed(&mut self, id: MachineId) {
        self.checkers.truth.disturbed(id, self.now_us);
    }

    /// Everything on this host and behind it.
    fn disturbed_host(&mut self, host: HostId) {
        for id in 0..self.machines.len() {
            let mut at = Some(self.machines[id].host);
            while let Some(one) = at {
                if one == host {
                    self.disturbed(id);
                }
                at = self.net.router_of(one);
            }
        }
    }
}
