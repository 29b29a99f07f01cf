//! What must be true, apart from any scenario. Each checker takes plain facts, so that it can be
//! tested with bad histories made by hand.

use crate::machine::MachineId;
use herd::wire::ids::NodeId;
use herd::wire::info::{NodeInfo, State, TraceRow};
use herd::wire::limits::NODES;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// A false "down" may last so long, milliseconds.
pub const FALSE_DOWN_MS: u64 = 2_000;
/// After this time without a disturbance nobody may be newly called down.
pub const SETTLED_MS: u64 = 10_000;
/// After this time without a disturbance nobody may be called down any more.
pub const HEAL_MS: u64 = 90_000;
/// How much younger than the truth an age may be shown: ages travel, and the way takes time; the
/// network's longest way is added.
pub const AGE_TOLERANCE_MS: u64 = 1_000;

/// What rounding up adds to an age that passes through some hands.
const ROUNDED_MS: u64 = 4_000;

#[derive(Default)]
pub struct Checkers {
    pub requests: Requests,
    pub ages: Ages,
    pub amplification: Amplification,
    pub shown: Shown,
    pub truth: Truth,
    pub generations: Generations,
    pub executed: Executed,
}

impl Checkers {
    /// No live, reachable, unpaused node is shown down for long.
    pub fn downs(
        &mut self,
        reachable: &[bool],
        ids: &[Option<NodeId>],
        apart: &BTreeSet<(MachineId, MachineId)>,
        split: bool,
        now_us: u64,
    ) -> Result<(), String> {
        if split {
            return Ok(());
        }
        self.truth.apart_us.extend(apart.iter().map(|pair| (*pair, now_us)));
        for (observer, subject, since_us) in self.shown.down() {
            let subject_machine = self.truth.machine(subject);
            let Some(machine) = subject_machine.filter(|id| ids[*id] == Some(subject)) else {
                continue;
            };
            if observer == machine
                || !reachable[observer]
                || !reachable[machine]
                || apart.contains(&(observer, machine))
            {
                continue;
            }
            let steady_us = self.truth.steady_since(observer, machine);
            let fresh = since_us > steady_us + SETTLED_MS * 1_000;
            let end_us =
                if fresh { since_us + FALSE_DOWN_MS * 1_000 } else { steady_us + HEAL_MS * 1_000 };
            if now_us > end_us {
                return Err(format!(
                    "machine {observer} shows live machine {machine} ({subject}) down since {} ms; both steady since {} ms",
                    since_us / 1_000,
                    steady_us / 1_000
                ));
            }
        }
        Ok(())
    }
}

/// Every request gets exactly one `done`, in time.
#[derive(Default)]
pub struct Requests {
    open: BTreeMap<(MachineId, u64), u64>,
    done: BTreeSet<(MachineId, u64)>,
}

impl Requests {
    pub fn asked(&mut self, machine: MachineId, number: u64, until_us: u64) {
        self.open.insert((machine, number), until_us);
    }

    pub fn part(&mut self, machine: MachineId, number: u64, done: bool) -> Result<(), String> {
        if self.done.contains(&(machine, number)) {
            return Err(format!("request {number} of machine {machine}: a part after its end"));
        }
        if !self.open.contains_key(&(machine, number)) {
            return Err(format!("request {number} of machine {machine}: a part nobody asked for"));
        }
        if done {
            self.open.remove(&(machine, number));
            self.done.insert((machine, number));
        }
        Ok(())
    }

    /// The process is gone: nothing more is expected of it.
    pub fn forget(&mut self, machine: MachineId) {
        self.open.retain(|(of, _), _| *of != machine);
    }

    pub fn delay(&mut self, machine: MachineId, until_us: u64) {
        for (_, due_us) in self.open.iter_mut().filter(|((of, _), _)| *of == machine) {
            *due_us = (*due_us).max(until_us);
        }
    }

    pub fn overdue(&self, now_us: u64) -> Result<(), String> {
        match self.open.iter().find(|(_, until_us)| now_us > **until_us) {
            Some(((machine, number), _)) => {
                Err(format!("request {number} of machine {machine} was never answered"))
            }
            None => Ok(()),
        }
    }
}

/// Ages are true: never younger than the last word that reached anybody.
#[derive(Default)]
pub struct Ages {
    words: BTreeMap<NodeId, u64>,
    /// When streams delivered what had waited: it may be sealed word of anybody, handed on.
    late: Vec<u64>,
}

impl Ages {
    /// Something these nodes sent was handled by another node.
    pub fn word(&mut self, from: [Option<NodeId>; 2], now_us: u64) {
        for id in from.into_iter().flatten() {
            self.words.insert(id, now_us);
        }
    }

    /// A stream that was cut delivered what had waited.
    pub fn late(&mut self, now_us: u64) {
        self.late.push(now_us);
    }

    pub fn list(&self, rows: &[NodeInfo], way_ms: u64, now_us: u64) -> Result<(), String> {
        for row in rows.iter().skip(1) {
            let Some(word_us) = self.words.get(&row.id) else { continue };
            let true_ms = now_us.saturating_sub(*word_us) / 1_000;
            let tolerance_ms = AGE_TOLERANCE_MS + way_ms;
            let heard_ms = (now_us / 1_000).saturating_sub(row.last_seen_ms);
            // Hearsay of it is older by what rounding up added.
            let was_late = |late_us: &u64| {
                let late_ms = late_us / 1_000;
                heard_ms <= late_ms + tolerance_ms
                    && heard_ms + tolerance_ms + ROUNDED_MS >= late_ms
            };
            if row.last_seen_ms + tolerance_ms < true_ms && !self.late.iter().any(was_late) {
                return Err(format!(
                    "{} is shown as seen {} ms ago, but nobody heard it for {true_ms} ms",
                    row.name, row.last_seen_ms
                ));
            }
        }
        Ok(())
    }
}

/// No more goes to an address that is no node than came from it.
#[derive(Default)]
pub struct Amplification {
    balance: BTreeMap<(MachineId, SocketAddr), i64>,
}

impl Amplification {
    pub fn taken(&mut self, by: MachineId, from: SocketAddr, bytes: usize) {
        *self.balance.entry((by, from)).or_default() += bytes as i64;
    }

    pub fn sent(&mut self, by: MachineId, to: SocketAddr, bytes: usize) -> Result<(), String> {
        let Some(balance) = self.balance.get_mut(&(by, to)) else { return Ok(()) };
        *balance -= bytes as i64;
        if *balance < 0 {
            return Err(format!("machine {by} sent {to} {} bytes more than it got", -*balance));
        }
        Ok(())
    }
}

/// What each node shows of each other, from its events and lists.
#[derive(Default)]
pub struct Shown {
    states: BTreeMap<(MachineId, NodeId), (State, u64)>,
    /// Where each last listed the others to be.
    addresses: BTreeMap<(MachineId, NodeId), IpAddr>,
    /// When who first showed whom down, in order.
    pub downs: Vec<(u64, MachineId, NodeId)>,
}

impl Shown {
    pub fn event(&mut self, observer: MachineId, subject: NodeId, state: State, now_us: u64) {
        let before = self.states.insert((observer, subject), (state, now_us));
        if state == State::Down && before.is_none_or(|(state, _)| state != State::Down) {
            self.downs.push((now_us, observer, subject));
        }
    }

    /// The list must say what the events said.
    pub fn list(
        &mut self,
        observer: MachineId,
        rows: &[NodeInfo],
        now_us: u64,
    ) -> Result<(), String> {
        let listed: BTreeSet<NodeId> = rows.iter().map(|row| row.id).collect();
        let of_observer = (observer, NodeId(0))..=(observer, NodeId(u64::MAX));
        let known = self.states.range(of_observer).map(|((_, id), _)| *id);
        let gone: Vec<NodeId> = known.filter(|id| !listed.contains(id)).collect();
        for id in gone {
            self.states.remove(&(observer, id));
        }
        let told = |row: &NodeInfo| Some(((observer, row.id), row.internal_ip?));
        self.addresses.extend(rows.iter().filter_map(told));
        for row in rows.iter().skip(1) {
            let known = self.states.get(&(observer, row.id));
            if known.is_some_and(|(state, _)| *state == row.state) {
                continue;
            }
            if let Some((state, since_us)) = known {
                // The list was made in this very turn, before the event.
                if *since_us == now_us {
                    continue;
                }
                return Err(format!(
                    "lists {} as {}, its events said {} at {} ms",
                    row.name,
                    row.state.word(),
                    state.word(),
                    since_us / 1_000
                ));
            }
            // Learnt from another's list, no accusation of its own.
            self.states.insert((observer, row.id), (row.state, 0));
        }
        Ok(())
    }

    pub fn forget(&mut self, observer: MachineId) {
        self.states.retain(|(of, _), _| *of != observer);
    }

    /// Who shows whom as suspect or down.
    pub fn accused(&self) -> impl Iterator<Item = (MachineId, NodeId)> {
        let accused = |state: &State| matches!(state, State::Suspect | State::Down);
        self.states.iter().filter(move |(_, (state, _))| accused(state)).map(|(pair, _)| *pair)
    }

    /// Whether `observer` knows that node, and that it is at this address.
    pub fn knows(&self, observer: MachineId, id: NodeId, at: IpAddr) -> bool {
        let listed = self.addresses.get(&(observer, id));
        self.states.contains_key(&(observer, id)) && listed.is_none_or(|listed| *listed == at)
    }

    fn down(&self) -> Vec<(MachineId, NodeId, u64)> {
        let down = self.states.iter().filter(|(_, (state, _))| *state == State::Down);
        down.map(|((observer, subject), (_, since_us))| (*observer, *subject, *since_us)).collect()
    }
}

/// What the world knows: who is who, and since when each is steady.
#[derive(Default)]
pub struct Truth {
    machines: BTreeMap<NodeId, MachineId>,
    disturbed_us: BTreeMap<MachineId, u64>,
    network_disturbed_us: u64,
    /// When a node accused another last that it had no way to.
    apart_us: BTreeMap<(MachineId, MachineId), u64>,
}

impl Truth {
    pub fn identity(&mut self, machine: MachineId, id: NodeId) {
        self.machines.insert(id, machine);
    }

    pub fn machine(&self, id: NodeId) -> Option<MachineId> {
        self.machines.get(&id).copied()
    }

    pub fn disturbed(&mut self, machine: MachineId, now_us: u64) {
        self.disturbed_us.insert(machine, now_us);
    }

    pub fn network_disturbed(&mut self, now_us: u64) {
        self.network_disturbed_us = now_us;
    }

    fn steady_since(&self, one: MachineId, other: MachineId) -> u64 {
        let disturbed_us = |machine| self.disturbed_us.get(machine).copied().unwrap_or(0);
        let apart_us = self.apart_us.get(&(one, other)).copied().unwrap_or(0);
        let own_us = disturbed_us(&one).max(disturbed_us(&other));
        own_us.max(apart_us).max(self.network_disturbed_us)
    }
}

/// The generation of an identity never goes back, through crashes too.
#[derive(Default)]
pub struct Generations {
    highest: BTreeMap<(MachineId, NodeId), u64>,
}

impl Generations {
    pub fn list(&mut self, machine: MachineId, own: &NodeInfo) -> Result<(), String> {
        let highest = self.highest.entry((machine, own.id)).or_default();
        if own.generation < *highest {
            return Err(format!("generation went back from {highest} to {}", own.generation));
        }
        *highest = own.generation;
        Ok(())
    }
}

/// No command runs twice at one node.
#[derive(Default)]
pub struct Executed {
    seen: BTreeSet<(MachineId, u32, NodeId, u64)>,
}

impl Executed {
    /// Machine and life that executed, origin and number of the request.
    pub fn run(
        &mut self,
        machine: MachineId,
        life: u32,
        origin: NodeId,
        number: u64,
    ) -> Result<(), String> {
        if self.seen.insert((machine, life, origin, number)) {
            return Ok(());
        }
        Err(format!("machine {machine} executed request {number} of {origin} twice"))
    }
}

/// All lists show just these as alive, and nobody else.
pub fn agree(lists: &[Vec<NodeInfo>], live: &BTreeSet<NodeId>) -> Result<(), String> {
    for rows in lists {
        let alive: BTreeSet<NodeId> =
            rows.iter().filter(|row| row.state == State::Alive).map(|row| row.id).collect();
        let name = &rows[0].name;
        if let Some(missing) = live.difference(&alive).next() {
            let shown = rows.iter().find(|row| row.id == *missing);
            let shown = shown.map_or("nothing".to_string(), |row| {
                format!("{} {} ({})", row.name, row.state.word(), row.reason)
            });
            return Err(format!("{name} does not show {missing} as alive, but {shown}"));
        }
        if let Some(extra) = alive.difference(live).next() {
            return Err(format!("{name} shows {extra} as alive, which it is not"));
        }
    }
    Ok(())
}

/// The tree holds every node that has not left exactly once, and its depths are those of a tree.
pub fn tree(rows: &[NodeInfo], tree: &[TraceRow]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut depth = None;
    for row in tree {
        if !seen.insert(row.id) {
            return Err(format!("the tree holds {} twice", row.name));
        }
        if row.depth > depth.map_or(0, |above| above + 1) {
            return Err(format!("{} hangs at depth {} under nobody", row.name, row.depth));
        }
        depth = Some(row.depth);
    }
    if tree.first().map(|row| row.id) != rows.first().map(|row| row.id) {
        return Err("the tree does not begin with the asked node".to_string());
    }
    let drawn = rows.iter().filter(|row| row.state != State::Left);
    let listed: BTreeSet<NodeId> = drawn.clone().map(|row| row.id).collect();
    // A dead node whose name and address a live one took need not be shown.
    let needed: BTreeSet<NodeId> = drawn.filter(|row| !row.replaced).map(|row| row.id).collect();
    if let Some(missing) = needed.difference(&seen).next() {
        let row = rows.iter().find(|row| row.id == *missing);
        return Err(format!("the tree lacks {missing}: {row:?}, tree {tree:?}"));
    }
    if let Some(extra) = seen.difference(&listed).next() {
        return Err(format!("the tree holds {extra}, which left or is not listed"));
    }
    Ok(())
}

/// Nobody is listed twice, and no more than the limit.
pub fn bounds(rows: &[NodeInfo]) -> Result<(), String> {
    let ids: BTreeSet<NodeId> = rows.iter().map(|row| row.id).collect();
    if ids.len() != rows.len() {
        return Err("a node is listed twice".to_string());
    }
    if rows.len() > NODES + 1 {
        return Err(format!("{} nodes listed, the limit is {NODES}", rows.len()));
    }
    Ok(())
}
