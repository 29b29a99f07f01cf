//! Membership: the SWIM engine, and what the herd says about its nodes.
//!
//! The engine decides nothing final by itself. This feature feeds it the nodes the roster knows,
//! takes its suspicions to the vote (`votes`), applies verdicts and goodbyes, spreads rumors on
//! its packets, and renews this node's generation when others hold it to be down.

use crate::node::outbox::{Carry, Notice};
use crate::node::planted::Bug;
use crate::node::swim::{
    Asked, Codec, Engine, IDS_BYTES, Shared, SwimId, SwimNotice, configuration, is_turn_undead,
    start_engine, suspicion,
};
use crate::node::tables::Tables;
use crate::wire::codec;
use crate::wire::ids::{Generation, NodeId};
use crate::wire::info::State;
use crate::wire::limits::RUMORS;
use crate::wire::message::{Body, Undead};
use crate::wire::record::Record;
use crate::wire::rumor::{Rumor, Subject};
use crate::wire::time::Time;
use foca::Member;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A ping unanswered for so long is followed up before the engine's own period ends.
const UNANSWERED_MS: u64 = 400;
/// The engine's probes come so much later while a home hears this node every second.
const WATCHED_MS: u64 = 1_000;
/// How often a node that answers is told that it is suspected, so that it refutes it.
const NUDGE_MS: u64 = 500;
/// What is new goes out at once, but what comes in a rush goes together.
const GOSSIP_AGAIN_MS: u64 = 30;
/// Least time between two words to one node that it is held to be down.
const UNDEAD_MS: u64 = 1_000;

pub struct Members {
    pub(super) engine: Engine,
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) timers: BTreeMap<(Time, u64), foca::Timer<SwimId>>,
    pub(super) timer_number: u64,
    pub(super) suspects: BTreeSet<NodeId>,
    pub(super) look_for_suspects: bool,
    pub(super) pinged: Option<(NodeId, Time)>,
    pub(super) nudged: Option<Time>,
    pub(super) renew_above: Option<Generation>,
    pub(super) told_undead: BTreeMap<NodeId, Time>,
    /// When what is new is to be told, and when that was done last.
    pub(super) gossip_at: Option<Time>,
    pub(super) gossiped: Time,
}

impl Members {
    pub fn new(t: &mut Tables) -> Members {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let engine = start_engine(t, &shared);
        Members {
            engine,
            shared,
            timers: BTreeMap::new(),
            timer_number: 0,
            suspects: BTreeSet::new(),
            look_for_suspects: false,
            pinged: None,
            nudged: None,
            renew_above: None,
            told_undead: BTreeMap::new(),
            gossip_at: None,
            gossiped: Time(0),
        }
    }

    /// A SWIM packet from `from`, without its ids.
    pub fn packet(&mut self, t: &mut Tables, from: NodeId, packet: &[u8]) {
        let ids = [&from.to_bytes()[..], &t.own.id.to_bytes(), packet].concat();
        if is_turn_undead(&ids) {
            let above = t.own.record.generation;
            self.renew(t, above);
            return;
        }
        let mut asked = Asked::default();
        if self.engine.handle_data(&ids, &mut asked).is_err() {
            t.own.count("swim packets not taken");
        }
        self.carry_out(t, asked);
        if std::mem::take(&mut self.shared.borrow_mut().missing) {
            t.out.notice(Notice::Missing { named_by: from });
        }
        let rumors = std::mem::take(&mut self.shared.borrow_mut().rumors);
        for rumor in rumors {
            match codec::decode::<Rumor>(&rumor) {
                Ok(rumor) => self.rumor(t, rumor),
                Err(_) => t.own.count("rumors not understood"),
            }
        }
    }

    /// This node lives, in the generation of its record.
    pub fn join(&mut self, t: &mut Tables, id: NodeId) {
        let known = t.roster.get(id).filter(|_| !t.own.is_shut_out(id));
        let Some(peer) = known else { return };
        let generation = peer.record.generation;
        t.roster.set_unheard(id, false);
        self.shared.borrow_mut().known.insert(id, generation);
        self.apply(t, Member::alive(SwimId { node: id, generation }));
        // The engine says nothing of one that it held alive all along: perhaps it heard of this
        // renewal before the record came.
        if t.roster.get(id).is_some_and(|peer| !peer.is_live())
            && self.held_alive(id) >= Some(generation)
            && t.roster.set_state(id, State::Alive, "", t.now)
        {
            t.out.notice(Notice::Up(id));
        }
    }

    /// The generation in which the engine knows this node alive or suspect.
    fn held_alive(&self, id: NodeId) -> Option<Generation> {
        let mut members = self.engine.iter_members();
        members.find(|member| member.id().node == id).map(|member| member.id().generation)
    }

    fn apply(&mut self, t: &mut Tables, member: Member<SwimId>) {
        let mut asked = Asked::default();
        let _ = self.engine.apply_many(std::iter::once(member), true, &mut asked);
        self.carry_out(t, asked);
    }

    /// Down by verdict, or by this node's own word when nobody else can be asked. False if it was
    /// so already, or a later generation lives, whose record may still be on its way.
    pub fn down(&mut self, t: &mut Tables, subject: Subject, reason: &str) -> bool {
        let Some(peer) = t.roster.get(subject.id) else { return false };
        let later = |member: &Member<SwimId>| {
            member.id().node == subject.id && member.id().generation > subject.generation
        };
        if peer.record.generation > subject.generation
            || !peer.is_live()
            || self.engine.iter_members().any(later)
        {
            return false;
        }
        self.end(t, subject, State::Down, reason);
        true
    }

    /// What ended a life spreads, and is kept for those who miss it.
    pub fn told_end(&mut self, t: &mut Tables, id: NodeId, end: Rumor) {
        self.spread(t, &end);
        if let Some(peer) = t.roster.get_mut(id) {
            peer.end = Some(Box::new(end));
        }
    }

    /// It was shut out of the herd: whatever generation others still hold to live is over.
    pub fn shut_out(&mut self, t: &mut Tables, id: NodeId) {
        let Some(peer) = t.roster.get(id) else { return };
        let generation = peer.record.generation.max(self.held_alive(id).unwrap_or_default());
        self.end(t, Subject { id, generation }, State::Down, "shut out of this herd");
    }

    pub(super) fn end(&mut self, t: &mut Tables, subject: Subject, state: State, reason: &str) {
        // A verdict on a life that is over: the record of the next one is on its way.
        if self.held_alive(subject.id) > Some(subject.generation) {
            return;
        }
        let changed = t.roster.set_state(subject.id, state, reason, t.now);
        let id = SwimId { node: subject.id, generation: subject.generation };
        self.apply(t, Member::new(id, u16::MAX, foca::State::Down));
        self.suspects.remove(&subject.id);
        if changed {
            let left = state == State::Left;
            t.out.notice(if left { Notice::Left(subject.id) } else { Notice::Down(subject.id) });
        }
    }

    /// The roster forgot a dead node: the engine and the routes do, too.
    pub fn forgotten(&mut self, t: &mut Tables, subject: Subject) {
        let id = SwimId { node: subject.id, generation: subject.generation };
        self.shared.borrow_mut().known.remove(&subject.id);
        let mut asked = Asked::default();
        let _ = self.engine.handle_timer(foca::Timer::RemoveDown(id), &mut asked);
        t.routes.forget(subject.id);
        t.trials.forget(subject.id);
    }

    pub fn forget(&mut self, t: &mut Tables, subject: Subject) -> bool {
        let Some(peer) = t.roster.get(subject.id) else { return false };
        if peer.is_live() || peer.record.generation > subject.generation {
            return false;
        }
        let known = Subject { id: subject.id, generation: peer.record.generation };
        t.roster.forget(subject.id);
        self.forgotten(t, known);
        self.spread(t, &Rumor::Forget { id: subject.id, generation: subject.generation });
        true
    }

    /// Authentic word from a rostered node: if the engine does not know it yet, it lives.
    pub fn heard_from(&mut self, t: &mut Tables, id: NodeId) {
        let Some(peer) = t.roster.get(id) else { return };
        if !peer.is_live() {
            self.heard_the_dead(t, id);
        } else if !self.shared.borrow().known.contains_key(&id) {
            self.join(t, id);
        }
    }

    /// Word from or of a node that is held to be down or gone: either that was only hearsay, and
    /// the node lives; or its generation is spent, and it is told so.
    pub(super) fn heard_the_dead(&mut self, t: &mut Tables, id: NodeId) {
        let Some(peer) = t.roster.get(id).filter(|peer| !peer.is_live()) else { return };
        let generation = peer.record.generation;
        let swim_id = SwimId { node: id, generation };
        let spent = self
            .engine
            .iter_membership_state()
            .any(|member| *member.id() == swim_id && member.state() == foca::State::Down);
        if !spent && peer.state != State::Left {
            self.join(t, id);
            return;
        }
        let told = self.told_undead.get(&id).copied();
        if told.is_none_or(|told| t.now.ms_since(told) >= UNDEAD_MS) {
            self.told_undead.retain(|_, at| t.now.ms_since(*at) < UNDEAD_MS);
            self.told_undead.insert(id, t.now);
            t.out.send(id, Body::Undead(Undead { generation }));
        }
    }

    pub fn own_changed(&mut self, t: &mut Tables) {
        let signed = t.own.signed.clone();
        self.spread(t, &Rumor::Record(signed));
    }

    pub fn spread(&mut self, t: &mut Tables, rumor: &Rumor) {
        let (kind, id) = match rumor {
            Rumor::Record(signed) => match Record::peek(signed) {
                // What waited here while this node slept is no sign that another lives.
                Ok(record) if record.id() != t.own.id && t.is_late() => {
                    return;
                }
                Ok(record) => (0, record.id()),
                Err(_) => return,
            },
            Rumor::Verdict(verdict) => (1, verdict.subject.id),
            Rumor::Left(left) => (1, left.subject.id),
            Rumor::Forget { id, .. } => (2, *id),
        };
        // With nobody to tell it would wait, and be old when somebody comes.
        if !self.engine.iter_members().any(|member| member.id().node != id) {
            return;
        }
        if self.engine.custom_broadcast_backlog() >= RUMORS && matches!(rumor, Rumor::Record(_)) {
            t.own.count("records not told on while many wait");
            return;
        }
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&id.to_bytes());
        bytes.extend_from_slice(&codec::encode(rumor));
        if self.engine.add_broadcast(&bytes).is_err() {
            t.own.count("rumors too large to spread");
        }
        self.gossip_at.get_or_insert(t.now.max(self.gossiped.plus_ms(GOSSIP_AGAIN_MS)));
    }

    /// Spreads what is new at once instead of at the next turn of gossip.
    fn gossip_now(&mut self, t: &mut Tables) {
        self.gossip_at = None;
        self.gossiped = t.now;
        let mut asked = Asked::default();
        let _ = self.engine.gossip(&mut asked);
        self.carry_out(t, asked);
    }

    pub fn tick(&mut self, t: &mut Tables) {
        if self.gossip_at.is_some_and(|at| at <= t.now) {
            self.gossip_now(t);
        }
        let later = self.timers.split_off(&(Time(t.now.0 + 1), 0));
        let due = std::mem::replace(&mut self.timers, later);
        let mut due: Vec<_> = due.into_iter().map(|((at, _), timer)| (at, timer)).collect();
        due.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        for (_, timer) in due {
            let mut asked = Asked::default();
            let _ = self.engine.handle_timer(timer, &mut asked);
            self.carry_out(t, asked);
        }
        if let Some((id, at)) = self.pinged.filter(|(_, at)| t.now.ms_since(*at) >= UNANSWERED_MS) {
            self.pinged = None;
            if t.roster.get(id).and_then(|peer| peer.heard_here).is_none_or(|heard| heard < at) {
                t.out.notice(Notice::ProbeFailed(id));
            }
        }
        if let Some(above) = self.renew_above.filter(|_| t.own.may_renew(t.now)) {
            self.renew(t, above);
        }
        let seen = std::mem::take(&mut self.shared.borrow_mut().suspects);
        if seen || std::mem::take(&mut self.look_for_suspects) || !self.suspects.is_empty() {
            self.refresh_suspects(t);
        }
    }

    fn refresh_suspects(&mut self, t: &mut Tables) {
        let is_suspect = |member: &&Member<SwimId>| member.state() == foca::State::Suspect;
        let members = self.engine.iter_members();
        let now: BTreeSet<NodeId> = members.filter(is_suspect).map(|m| m.id().node).collect();
        for id in now.difference(&self.suspects).copied().collect::<Vec<_>>() {
            let reason = if t.is_orphan(id) { "parent down" } else { "does not answer" };
            if t.roster.set_state(id, State::Suspect, reason, t.now) {
                t.out.notice(Notice::Suspect(id));
            }
        }
        for id in self.suspects.difference(&now).copied().collect::<Vec<_>>() {
            let suspect = t.roster.get(id).is_some_and(|peer| peer.state == State::Suspect);
            if suspect && t.roster.set_state(id, State::Alive, "", t.now) {
                t.out.notice(Notice::Up(id));
            }
        }
        self.suspects = now;
        self.nudge(t);
    }

    /// A suspect that is heard has not heard that it is suspected: the engine repeats that only so
    /// often, and waits for the node itself to refute it.
    fn nudge(&mut self, t: &mut Tables) {
        if t.own.has(Bug::NotNudged) || self.nudged.is_some_and(|at| t.now.ms_since(at) < NUDGE_MS)
        {
            return;
        }
        let is_heard = |member: &&Member<SwimId>| {
            let peer = t.roster.get(member.id().node);
            member.state() == foca::State::Suspect
                && peer.is_some_and(|peer| peer.heard_here.is_some_and(|at| at > peer.state_since))
        };
        let heard: Vec<Member<SwimId>> =
            self.engine.iter_members().filter(is_heard).cloned().collect();
        for member in heard {
            self.nudged = Some(t.now);
            let packet = suspicion(Codec(self.shared.clone()), *self.engine.identity(), &member);
            t.out.send(member.id().node, Body::Swim(packet));
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        // A renewal or a ping that waits is looked at with the engine's next timer: it gossips
        // five times a second.
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        timer.into_iter().chain(self.gossip_at).min()
    }

    pub(super) fn carry_out(&mut self, t: &mut Tables, asked: Asked) {
        for (timer, after) in asked.timers {
            // `votes` decides who is down, not the engine's clock.
            if matches!(timer, foca::Timer::ChangeSuspectToDown { .. }) {
                continue;
            }
            let mut at = t.now.plus_ms(after.as_millis() as u64).on_grid();
            if t.own.is_watched(t.now) && matches!(timer, foca::Timer::ProbeRandomMember(_)) {
                at = at.plus_ms(WATCHED_MS);
            }
            self.timer_number += 1;
            self.timers.insert((at, self.timer_number), timer);
        }
        for notice in asked.notices {
            self.notice(t, notice);
        }
        for (to, packet) in asked.sends {
            let body = Body::Swim(packet[IDS_BYTES.min(packet.len())..].to_vec());
            t.out.carry(to.node, body, Carry::Best(0));
        }
    }

    fn notice(&mut self, t: &mut Tables, notice: SwimNotice) {
        match notice {
            SwimNotice::Up(id) if t.own.is_shut_out(id.node) => self.shut_out(t, id.node),
            SwimNotice::Up(id) => {
                let config = configuration(self.engine.num_members());
                let _ = self.engine.set_config(config);
                if t.roster.set_state(id.node, State::Alive, "", t.now) {
                    self.suspects.remove(&id.node);
                }
                t.out.notice(Notice::Up(id.node));
            }
            SwimNotice::Renamed(id) => {
                let stale = t
                    .roster
                    .get(id.node)
                    .is_some_and(|peer| peer.record.generation < id.generation);
                if stale {
                    t.out.notice(Notice::Missing { named_by: id.node });
                }
            }
            SwimNotice::ProbeFailed(id) => {
                self.look_for_suspects = true;
                t.routes.failed(id.node);
                t.out.notice(Notice::ProbeFailed(id.node));
            }
            SwimNotice::Pinged(id) => self.pinged = Some((id, t.now)),
            SwimNotice::Acknowledged(id) => {
                if let Some((_, at)) = self.pinged.filter(|(pinged, _)| *pinged == id) {
                    t.routes.measured(id, t.now.us_since(at));
                    self.pinged = None;
                }
            }
            SwimNotice::Down(_) => {}
            SwimNotice::Defunct => {
                let above = t.own.record.generation;
                self.renew(t, above);
            }
        }
    }
}
