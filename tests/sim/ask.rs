//! Asking nodes, as local programs do, and the checks made from what they answer.

use crate::checkers::{self, HEAL_MS};
use crate::machine::{MachineId, Stimulus};
use crate::trace;
use crate::world::World;
use herd::wire::command::{Command, Scope};
use herd::wire::control::{Part, Request};
use herd::wire::ids::{ClientId, NodeId};
use herd::wire::info::{EventKind, NodeInfo, State, TraceRow};
use herd::wire::limits::ANSWER_MS;
use herd::wire::reply::Reply;
use std::collections::BTreeSet;

/// The program that follows events, and the one that asks.
const WATCHER: ClientId = ClientId(1);
const ASKER: ClientId = ClientId(2);
/// The number of the watcher's request.
const WATCH: u64 = u64::MAX;
/// From here on numbers are of pipes, which last as long as they are wanted.
const PIPES: u64 = 1 << 60;
/// How much later than promised an answer may come, milliseconds.
const GRACE_MS: u64 = 3_000;

impl World {
    /// Asks and gives the number under which the answer is collected.
    pub fn ask(&mut self, id: MachineId, scope: Scope, command: Command) -> u64 {
        self.ask_within(id, scope, command, 0)
    }

    pub fn ask_within(
        &mut self,
        id: MachineId,
        scope: Scope,
        command: Command,
        timeout_ms: u64,
    ) -> u64 {
        let number = self.machines[id].next_request;
        self.machines[id].next_request += 1;
        let wait_ms = if timeout_ms == 0 { ANSWER_MS } else { timeout_ms };
        self.checkers.requests.asked(id, number, self.now_us + (wait_ms + GRACE_MS) * 1_000);
        let request = Request { number, scope, command, timeout_ms };
        self.answers.insert((id, number), Vec::new());
        self.stimulate(id, Stimulus::Request { client: ASKER, request });
        number
    }

    /// A number for a pipe; what is said along it is collected under it.
    pub fn next_pipe(&mut self, id: MachineId) -> u64 {
        let number = PIPES + self.answers.len() as u64;
        self.answers.insert((id, number), Vec::new());
        number
    }

    /// What came along a pipe since it was looked at last.
    pub fn take_pieces(&mut self, id: MachineId, number: u64) -> Vec<Part> {
        std::mem::take(self.answers.entry((id, number)).or_default())
    }

    /// Starts to follow the events of a fresh process.
    pub(crate) fn follow(&mut self, id: MachineId) {
        let request =
            Request { number: WATCH, scope: Scope::Here, command: Command::Watch, timeout_ms: 0 };
        self.stimulate(id, Stimulus::Request { client: WATCHER, request });
    }

    /// A part of an answer came.
    pub(crate) fn part(&mut self, id: MachineId, part: Part) {
        self.hash.add(part.number);
        self.hash.add(part.id.0);
        if part.number == WATCH {
            if let Reply::Event(event) = part.reply {
                trace::line(|| {
                    let name = &self.machines[id].spec.name;
                    format!("{name}: {} {} {}", event.kind.word(), event.name, event.text)
                });
                self.event(id, event.kind, event.id);
            }
            return;
        }
        if self.machines[id].is_running() && part.number < PIPES {
            let kept = self.checkers.requests.part(id, part.number, part.done);
            self.require(kept);
        }
        if let Some(parts) = self.answers.get_mut(&(id, part.number)) {
            parts.push(part);
        }
    }

    fn event(&mut self, observer: MachineId, kind: EventKind, subject: NodeId) {
        let state = match kind {
            EventKind::Up => State::Alive,
            EventKind::Suspect => State::Suspect,
            EventKind::Down => State::Down,
            EventKind::Left => State::Left,
            EventKind::Route | EventKind::Stale => return,
        };
        self.checkers.shown.event(observer, subject, state, self.now_us);
    }

    pub fn is_done(&self, id: MachineId, number: u64) -> bool {
        self.answers
            .get(&(id, number))
            .is_none_or(|parts| parts.last().is_some_and(|part| part.done))
    }

    /// Runs until the answer is complete and gives it.
    pub fn answer(&mut self, id: MachineId, scope: Scope, command: Command) -> Vec<Part> {
        let number = self.ask(id, scope, command);
        self.run_until(ANSWER_MS + GRACE_MS, |world| world.is_done(id, number));
        self.answers.remove(&(id, number)).unwrap_or_default()
    }

    /// What a question about the node itself gives, at once.
    fn here(&mut self, id: MachineId, command: Command) -> Vec<Part> {
        let number = self.ask(id, Scope::Here, command.clone());
        if !self.is_done(id, number) {
            self.fail(format!(
                "{} does not answer {command:?} at once",
                self.machines[id].spec.name
            ));
        }
        self.answers.remove(&(id, number)).unwrap_or_default()
    }

    pub fn list(&mut self, id: MachineId) -> Vec<NodeInfo> {
        let parts = self.here(id, Command::List);
        let rows: Vec<NodeInfo> = parts
            .into_iter()
            .flat_map(|part| match part.reply {
                Reply::Nodes { nodes, .. } => nodes,
                other => self.fail(format!("list answers {other:?}")),
            })
            .collect();
        let Some(own) = rows.first() else { self.fail("an empty list") };
        if self.machines[id].id != Some(own.id) {
            self.machines[id].id = Some(own.id);
            self.checkers.truth.identity(id, own.id);
        }
        rows
    }

    pub fn tree(&mut self, id: MachineId) -> Vec<TraceRow> {
        let parts = self.here(id, Command::TraceAll);
        parts
            .into_iter()
            .flat_map(|part| match part.reply {
                Reply::Tree(rows) => rows,
                other => self.fail(format!("trace all answers {other:?}")),
            })
            .collect()
    }

    /// A person types `daust remote ADDRESS ping` on `from`.
    pub fn contact(&mut self, from: MachineId, to: MachineId) -> u64 {
        let address = self.address(to).to_string();
        self.ask(from, Scope::Node(address), Command::Ping)
    }

    /// Everybody lists everybody that runs as alive, and nobody else.
    pub fn agreement(&mut self) -> Result<(), String> {
        let live: Vec<_> = (0..self.machines.len()).filter(|id| self.is_reachable(*id)).collect();
        let lists: Vec<_> = live.iter().map(|id| self.list(*id)).collect();
        let ids: BTreeSet<NodeId> = lists.iter().map(|rows| rows[0].id).collect();
        if ids.len() != lists.len() {
            return Err("two nodes bear one id".to_string());
        }
        checkers::agree(&lists, &ids)
    }

    /// Requires that all agree within a time.
    pub fn require_agreement(&mut self, within_ms: u64) {
        if !self.run_until(within_ms, |world| world.agreement().is_ok()) {
            let why = self.agreement().expect_err("it did not hold a moment ago");
            self.fail(format!("no agreement within {within_ms} ms: {why}"));
        }
    }

    /// The dear checks, each virtual second for some of the nodes.
    pub(crate) fn check_second(&mut self) {
        for id in 0..self.machines.len() {
            if self.machines[id].paused {
                let until_us = self.now_us + (ANSWER_MS + GRACE_MS) * 1_000;
                self.checkers.requests.delay(id, until_us);
            }
        }
        self.require(self.checkers.requests.overdue(self.now_us));
        self.check_goodbyes();
        let second = self.now_us / 1_000_000;
        let every = 5.max(self.machines.len() as u64 / 4);
        for id in 0..self.machines.len() {
            if self.machines[id].is_live() && (id as u64 + second).is_multiple_of(every) {
                self.check_node(id);
            }
        }
        self.check_downs();
    }

    fn check_node(&mut self, id: MachineId) {
        let leaving = self.machines[id].process.as_ref().is_some_and(|one| one.left_us.is_some());
        if leaving {
            return;
        }
        // What is due now is done first, so that nothing changes between the two answers.
        self.turn(id, std::iter::empty());
        let rows = self.list(id);
        let tree = self.tree(id);
        let name = self.machines[id].spec.name.clone();
        let way_ms = self.net.longest_ways_ms();
        let checkers = &mut self.checkers;
        let kept = checkers::tree(&rows, &tree)
            .and_then(|()| checkers::bounds(&rows))
            .and_then(|()| checkers.ages.list(&rows, way_ms, self.now_us))
            .and_then(|()| checkers.generations.list(id, &rows[0]))
            .and_then(|()| checkers.shown.list(id, &rows, self.now_us));
        self.require(kept.map_err(|what| format!("{name}: {what}")));
    }

    fn check_downs(&mut self) {
        let reachable: Vec<bool> =
            (0..self.machines.len()).map(|id| self.is_reachable(id)).collect();
        let split = self.net.is_split() || self.net.link.loss > 0.31;
        let ids: Vec<Option<NodeId>> = self.machines.iter().map(|machine| machine.id).collect();
        let apart = self.apart(&ids);
        let downs = self.checkers.downs(&reachable, &ids, &apart, split, self.now_us);
        if let Err(what) = downs {
            self.fail(format!("{what} (bounds: 2 s, {HEAL_MS} ms after a disturbance)"));
        }
    }
}
