//! Requests under way: from local programs to nodes, and from other nodes to us.
//!
//! An ask is repeated until it is answered, each time on another of the known ways, with the same
//! number: a node that carried it out already repeats its answer and does nothing twice.

use crate::node::boundary::{Output, User};
use crate::node::execute::{carry_out, hint, why_dead};
use crate::node::named::{address_of, find, is_alive};
use crate::node::outbox::{Carry, Occasion, no_answer};
use crate::node::planted::Bug;
use crate::node::rights::{self, Asker};
use crate::node::tables::Tables;
use crate::wire::command::{Command, Rank, Scope};
use crate::wire::control::{Part, Request};
use crate::wire::ids::{ClientId, NodeId};
use crate::wire::info::{Event, State};
use crate::wire::limits::{ANSWER_MAX_MS, ANSWER_MS, PARTS, REQUESTS};
use crate::wire::message::{Answer, Ask, Body};
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Longest wait between two tries of one ask.
const AGAIN_MOST_MS: u64 = 400;
/// From this attempt on a channel is tried too.
const STREAM_ATTEMPT: u32 = 4;
/// A contact that a parked request waits for: to be greeted until then.
pub struct Greet {
    pub address: SocketAddr,
    pub why: Occasion,
}

struct Waiting {
    client: ClientId,
    client_number: u64,
    command: Command,
    deadline: Time,
    wait_ms: u64,
    /// Every node is asked, this one too, by him.
    all: Option<Asker>,
    targets: BTreeMap<NodeId, Target>,
}

struct Target {
    next: Time,
    attempts: u32,
    parts: BTreeMap<u16, Answer>,
    /// Parts handed to the client so far.
    handed: u16,
}

struct Parked {
    address: SocketAddr,
    client: ClientId,
    request: Request,
    deadline: Time,
}

#[derive(Default)]
pub struct Relay {
    next_number: u64,
    waiting: BTreeMap<u64, Waiting>,
    parked: Vec<Parked>,
    watching: BTreeSet<(ClientId, u64)>,
}

impl Relay {
    /// A local program asks. Gives a contact to greet first, if the request needs one.
    pub fn request(
        &mut self,
        t: &mut Tables,
        client: ClientId,
        user: User,
        request: Request,
    ) -> Option<Greet> {
        let full = self.waiting.len() + self.parked.len() + self.watching.len() >= REQUESTS;
        if full || request.timeout_ms > ANSWER_MAX_MS {
            let text = if full {
                format!("limit of {REQUESTS} requests under way reached")
            } else {
                format!("the longest time-out is {ANSWER_MAX_MS} ms")
            };
            fail(t, client, request.number, NOBODY, Failure::new(ErrorCode::Limit, text), true);
            return None;
        }
        if request.command == Command::Watch && request.scope == Scope::Here {
            self.watching.insert((client, request.number));
            return None;
        }
        let asker = Asker::User(user);
        let refusal = rights::refusal(t, &asker, &request.command);
        // What is carried out here is noted where that is done.
        if refusal.is_some() || request.scope != Scope::Here {
            t.journal.note(t.now, &asker, &request.scope, &request.command, refusal.as_ref());
        }
        if let Some(failure) = refusal {
            fail(t, client, request.number, NOBODY, failure, true);
            return None;
        }
        match request.scope.clone() {
            Scope::Here => self.here(t, client, &asker, &request, true),
            Scope::All => self.all(t, client, asker, request),
            Scope::Node(text) => return self.one(t, client, asker, request, &text),
        }
        None
    }

    fn here(
        &mut self,
        t: &mut Tables,
        client: ClientId,
        asker: &Asker,
        request: &Request,
        done: bool,
    ) {
        let replies = carry_out(t, asker, &request.command);
        let count = replies.len();
        for (at, reply) in replies.into_iter().enumerate() {
            let last = at + 1 == count;
            let part = Part {
                number: request.number,
                node: t.own.record.name.to_string(),
                id: t.own.id,
                reply,
                last,
                done: done && last,
            };
            t.out.output(Output::Part { client, part });
        }
    }

    fn one(
        &mut self,
        t: &mut Tables,
        client: ClientId,
        asker: Asker,
        request: Request,
        text: &str,
    ) -> Option<Greet> {
        // What is typed as an address is greeted if no node that is known to live bears it.
        if let Some(address) = address_of(text, t.own.record.port).filter(|_| !is_alive(t, text)) {
            if let Asker::User(user) = &asker
                && user.may == Rank::Read
            {
                let text = format!(
                    "no node of this herd is at {address}, and {} may only look: a contact may join \
                     another herd",
                    user.shown()
                );
                let failure = Failure::new(ErrorCode::Refused, text);
                fail(t, client, request.number, NOBODY, failure, true);
                return None;
            }
            return self.park(t, client, request, address);
        }
        match find(t, text) {
            Ok(id) if id == t.own.id => self.here(t, client, &asker, &request, true),
            Ok(id) if t.roster.get(id).is_some_and(|peer| peer.is_silent()) => {
                let why = why_dead(t, id);
                fail(t, client, request.number, (&t.name(id), id), why, true);
            }
            Ok(id) => self.ask(t, client, request, vec![id], None),
            Err(failure) => fail(t, client, request.number, NOBODY, failure, true),
        }
        None
    }

    fn park(
        &mut self,
        t: &Tables,
        client: ClientId,
        request: Request,
        address: SocketAddr,
    ) -> Option<Greet> {
        let deadline = t.now.plus_ms(wait_ms(&request));
        self.parked.push(Parked { address, client, request, deadline });
        Some(Greet { address, why: Occasion::Typed { until: deadline } })
    }

    fn all(&mut self, t: &mut Tables, client: ClientId, asker: Asker, request: Request) {
        let mut ask = Vec::new();
        let mut dead = Vec::new();
        for (id, peer) in t.roster.iter() {
            match peer.state {
                State::Left => {}
                State::Down if t.roster.is_replaced(peer, &t.own.record) => {}
                State::Down if peer.is_silent() => dead.push(id),
                State::Down | State::Alive | State::Suspect => ask.push(id),
            }
        }
        let stops = request.command == Command::Stop;
        let done = ask.is_empty();
        for id in dead {
            let why = why_dead(t, id);
            let name = t.name(id);
            fail(t, client, request.number, (&name, id), why, false);
        }
        // `all stop`: the others first, then this node.
        if !stops || done {
            self.here(t, client, &asker, &request, done);
        }
        if !done {
            self.ask(t, client, request, ask, Some(asker));
        }
    }

    fn ask(
        &mut self,
        t: &mut Tables,
        client: ClientId,
        request: Request,
        ids: Vec<NodeId>,
        all: Option<Asker>,
    ) {
        let wait_ms = wait_ms(&request);
        let target =
            |id| (id, Target { next: t.now, attempts: 0, parts: BTreeMap::new(), handed: 0 });
        let waiting = Waiting {
            client,
            client_number: request.number,
            command: request.command.clone(),
            deadline: t.now.plus_ms(wait_ms),
            wait_ms,
            all,
            targets: ids.into_iter().map(target).collect(),
        };
        // Numbers of a later start are higher, so that no node takes them for a repeat.
        self.next_number = self.next_number.max(t.own.record.generation.0 << 8) + 1;
        self.waiting.insert(self.next_number, waiting);
        self.tries(t);
    }

    fn tries(&mut self, t: &mut Tables) {
        for (number, waiting) in &mut self.waiting {
            let left_ms = waiting.deadline.ms_since(t.now);
            for (id, target) in &mut waiting.targets {
                if target.next > t.now {
                    continue;
                }
                let again_ms = t.patience_ms(*id) << target.attempts.min(4);
                target.next = t.now.plus_ms(again_ms.min(AGAIN_MOST_MS));
                let command = waiting.command.clone();
                let ask = Ask { number: *number, wait_ms: left_ms, command };
                let carry = carry_for(t, *id, target.attempts);
                target.attempts += 1;
                t.out.carry(*id, Body::Ask(ask), carry);
            }
        }
    }

    /// A part of an answer arrived.
    pub fn answered(&mut self, t: &mut Tables, from: NodeId, answer: Answer) {
        let Some(waiting) = self.waiting.get_mut(&answer.number) else { return };
        let Some(target) = waiting.targets.get_mut(&from) else { return };
        if usize::from(answer.part) >= PARTS {
            t.own.count("answer parts over their limit");
            return;
        }
        if answer.part < target.handed {
            return;
        }
        let number = answer.number;
        target.parts.insert(answer.part, answer);
        let mut finished = false;
        let mut ready = Vec::new();
        while let Some(next) = target.parts.remove(&target.handed) {
            target.handed += 1;
            finished = next.last;
            ready.push(next);
            if finished {
                break;
            }
        }
        if finished {
            waiting.targets.remove(&from);
        }
        let all_done = waiting.targets.is_empty();
        let (client, client_number) = (waiting.client, waiting.client_number);
        let last_is_local = waiting.command == Command::Stop && waiting.all.is_some();
        for answer in ready {
            let done = answer.last && all_done && !last_is_local || t.own.has(Bug::DoneTwice);
            let part = Part {
                number: client_number,
                node: t.name(from),
                id: from,
                reply: answer.reply,
                last: answer.last,
                done,
            };
            t.out.output(Output::Part { client, part });
        }
        if all_done {
            self.finish(t, number);
        }
    }

    /// A request has no targets left: `all stop` ends with this node itself.
    fn finish(&mut self, t: &mut Tables, number: u64) {
        let Some(waiting) = self.waiting.remove(&number) else { return };
        if let (Command::Stop, Some(asker)) = (waiting.command, waiting.all) {
            let request = Request {
                number: waiting.client_number,
                scope: Scope::Here,
                command: Command::Stop,
                timeout_ms: 0,
            };
            self.here(t, waiting.client, &asker, &request, true);
        }
    }

    /// One node will not answer any more.
    fn give_up(&mut self, t: &mut Tables, number: u64, id: NodeId, failure: Failure) {
        self.end(t, number, id, Reply::Error(failure));
    }

    /// Ends what one node was asked with this reply.
    fn end(&mut self, t: &mut Tables, number: u64, id: NodeId, reply: Reply) {
        let Some(waiting) = self.waiting.get_mut(&number) else { return };
        if waiting.targets.remove(&id).is_none() {
            return;
        }
        let all_done = waiting.targets.is_empty();
        let last_is_local = waiting.command == Command::Stop && waiting.all.is_some();
        let (client, client_number) = (waiting.client, waiting.client_number);
        let name = t.name(id);
        let part = Part {
            number: client_number,
            node: name,
            id,
            reply,
            last: true,
            done: all_done && !last_is_local,
        };
        t.out.output(Output::Part { client, part });
        if all_done {
            self.finish(t, number);
        }
    }

    /// A node went down or left: whoever waits for it need not.
    pub fn gone(&mut self, t: &mut Tables, id: NodeId) {
        let numbers: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.targets.contains_key(&id))
            .map(|(number, _)| *number)
            .collect();
        let left = t.roster.get(id).is_some_and(|peer| peer.state == State::Left);
        for number in numbers {
            let stops = self.waiting.get(&number).is_some_and(|w| w.command == Command::Stop);
            let reply = if stops && left {
                // Its goodbye came before its answer.
                Reply::Stopped
            } else {
                Reply::Error(why_dead(t, id))
            };
            self.end(t, number, id, reply);
        }
    }

    /// The body of an ask was not understood there: it is older than the command.
    pub fn unsupported(&mut self, t: &mut Tables, from: NodeId, number: u64) {
        let text = "it does not know this command: its program is older";
        self.give_up(t, number, from, Failure::new(ErrorCode::Unsupported, text));
    }

    /// A contact answered: requests parked for its address go on.
    pub fn contacted(&mut self, t: &mut Tables, address: SocketAddr, id: NodeId) {
        let (ready, parked): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.parked).into_iter().partition(|p| p.address == address);
        self.parked = parked;
        for Parked { client, request, .. } in ready {
            self.ask(t, client, request, vec![id], None);
        }
    }

    pub fn contact_failed(&mut self, t: &mut Tables, address: SocketAddr, failure: &Failure) {
        self.fail_parked(t, failure, |parked| parked.address == address);
    }

    fn fail_parked(&mut self, t: &mut Tables, failure: &Failure, over: impl Fn(&Parked) -> bool) {
        let (over, parked): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.parked).into_iter().partition(over);
        self.parked = parked;
        for Parked { client, request, .. } in over {
            let node = match &request.scope {
                Scope::Node(text) => text.clone(),
                _ => String::new(),
            };
            fail(t, client, request.number, (&node, NodeId::ANYBODY), failure.clone(), true);
        }
    }

    pub fn client_gone(&mut self, client: ClientId) {
        self.watching.retain(|(watching, _)| *watching != client);
        self.parked.retain(|parked| parked.client != client);
        self.waiting.retain(|_, waiting| waiting.client != client);
    }

    /// Something happened: whoever watches is told.
    pub fn event(&self, t: &mut Tables, event: &Event) {
        for (client, number) in &self.watching {
            let part = Part {
                number: *number,
                node: t.own.record.name.to_string(),
                id: t.own.id,
                reply: Reply::Event(event.clone()),
                last: false,
                done: false,
            };
            t.out.output(Output::Part { client: *client, part });
        }
    }

    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn tick(&mut self, t: &mut Tables) {
        self.tries(t);
        let now = t.now;
        let mut over = Vec::new();
        for (number, waiting) in self.waiting.iter().filter(|(_, w)| w.deadline <= now) {
            for id in waiting.targets.keys() {
                over.push((*number, *id, waiting.wait_ms));
            }
        }
        for (number, id, wait_ms) in over {
            let (seconds, rest_ms) = (wait_ms / 1_000, wait_ms % 1_000);
            let rest = if rest_ms == 0 { String::new() } else { format!(".{rest_ms:03}") };
            let text = format!("no answer within {seconds}{rest} s{}", hint(t, id));
            self.give_up(t, number, id, Failure::new(ErrorCode::NoAnswer, text));
        }
        while let Some(late) = self.parked.iter().find(|parked| parked.deadline <= now) {
            let address = late.address;
            let failure = Failure::new(ErrorCode::Unreachable, no_answer(address));
            self.fail_parked(t, &failure, |one| one.deadline <= now && one.address == address);
        }
        t.own.requests = self.waiting.len() + self.parked.len();
    }

    pub fn deadline(&self) -> Option<Time> {
        let waiting = self.waiting.values().flat_map(|waiting| {
            waiting.targets.values().map(|target| target.next.min(waiting.deadline))
        });
        let parked = self.parked.iter().map(|parked| parked.deadline);
        waiting.chain(parked).min()
    }
}

fn wait_ms(request: &Request) -> u64 {
    match request.timeout_ms {
        0 => ANSWER_MS,
        given => given,
    }
}

/// Attempts take the known ways in turn; from the third on every other one goes through a third
/// node, and one by channel.
fn carry_for(t: &mut Tables, id: NodeId, attempt: u32) -> Carry {
    if attempt == STREAM_ATTEMPT {
        return Carry::Stream;
    }
    if attempt >= 2 && attempt % 2 == 1 {
        let through = t.some_live(id).into_iter().find(|other| {
            t.roster.get(*other).is_some_and(|peer| !peer.record.hidden && !peer.record.deadend)
        });
        if let Some(way) = through.and_then(|other| t.way(other, 0)) {
            return Carry::At(way);
        }
    }
    Carry::Best(attempt as usize)
}

/// A failure that is no node's.
const NOBODY: (&str, NodeId) = ("", NodeId::ANYBODY);

fn fail(
    t: &mut Tables,
    client: ClientId,
    number: u64,
    (node, id): (&str, NodeId),
    failure: Failure,
    done: bool,
) {
    let node = node.to_string();
    let part = Part { number, node, id, reply: Reply::Error(failure), last: true, done };
    t.out.output(Output::Part { client, part });
}
