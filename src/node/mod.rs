//! One node as a pure state machine: no socket, no clock, no file, no thread.
//!
//! [`Node::handle`] takes one input, [`Node::tick`] runs what is due, [`Node::poll`] gives what is
//! to be carried out. Features (`members`, `votes`, `hellos`, `nat`, `homes`, `sync`, `links`,
//! `relay`, `pipes`, `rotation`, `keeping`) change the tables and ask through the outbox; they never call
//! each other. What one learns and another needs is a notice, and `notice` below is the one place
//! where it is handed on.

mod admission;
mod ages;
mod answerer;
mod asleep;
mod boundary;
mod checkup;
mod clones;
mod contacts;
mod diagnosis;
mod dials;
mod digest;
mod discovery;
mod doctor;
mod execute;
mod forwards;
mod goodbye;
mod guests;
mod hearsay;
mod hellos;
mod homes;
mod host;
mod journal;
mod keeping;
mod keys;
mod link;
mod links;
mod lives;
mod members;
mod named;
mod nat;
mod news;
mod outbox;
mod own;
mod pace;
mod pair;
mod peer;
mod pipes;
pub mod planted;
mod post;
mod relay;
mod renewals;
mod rights;
mod roster;
mod rotation;
mod routes;
mod swim;
mod sync;
mod tables;
mod tokens;
mod trace;
mod trials;
mod verdicts;
mod votes;
mod why;

pub use boundary::{Closed, Input, Kept, Options, Output, Socket, Threshold, User, Why};
pub use keeping::remembered;
pub use keys::KEY_FILE;

use crate::wire::hello::Intent;
use crate::wire::history::EntryKind;
use crate::wire::ids::NodeId;
use crate::wire::info::{Event, EventKind};
use crate::wire::message::{Body, Nonce};
use crate::wire::rumor::{Rumor, Subject};
use crate::wire::time::Time;
use doctor::Doctor;
use goodbye::Goodbye;
use host::is_examination;
use journal::Journal;
use links::Arrived;
use outbox::{Matter, Met, Notice, Outbox};
use own::Own;
use planted::Bug;
use post::Came;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use relay::Greet;
use tables::Tables;

/// A deadline that is already past means "very soon": the loop never spins.
const SOON_MS: u64 = 10;

/// One node.
pub struct Node {
    t: Tables,
    members: members::Members,
    votes: votes::Votes,
    hellos: hellos::Hellos,
    nat: nat::Nat,
    homes: homes::Homes,
    sync: sync::Syncing,
    links: links::Links,
    relay: relay::Relay,
    rotation: rotation::Rotation,
    answerer: answerer::Answerer,
    pipes: pipes::Pipes,
    doctor: Doctor,
    keeping: keeping::Keeping,
    goodbye: Option<Goodbye>,
    /// What was told as the deadline last: a turn much later than this means that we slept.
    awaited: Option<Time>,
    /// After a late turn: the turn before it, and until when buffers are still being emptied.
    draining: Option<(Time, Time)>,
}

impl Node {
    pub fn new(options: Options, kept: Kept, seed: [u8; 32], now: Time) -> Node {
        let mut random = StdRng::from_seed(seed);
        let mut secret = [0; 64];
        rand::Rng::fill_bytes(&mut random, &mut secret);
        let (identity, keep) = keeping::identity(&kept, secret, options.suite);
        let unix_s = options.started_unix_s;
        let identity = identity.in_herd(keys::restored(options.key.clone(), &kept, unix_s));
        let noise = random.random();
        let own = Own::new(identity, options, kept.start_counter, noise, now);
        let mut t = Tables {
            now,
            arrived: now,
            own,
            roster: Default::default(),
            routes: Default::default(),
            tokens: Default::default(),
            out: Outbox::default(),
            random,
            awake_since: now,
            next_look: now,
            journal: Journal::new(&kept, now, unix_s),
            trials: Default::default(),
            discovery: discovery::Discovery::new(now),
            guests: None,
            next_forgetting: now,
        };
        t.journal.started(now, t.own.id, &keys::in_words(&t.own.identity));
        t.out.outputs.extend(keep);
        let mut keeping = keeping::Keeping::new(now);
        keeping.restore(&mut t, &kept);
        let mut node = Node {
            members: members::Members::new(&mut t),
            votes: Default::default(),
            hellos: hellos::Hellos::new(&mut t),
            nat: nat::Nat::new(now),
            homes: homes::Homes::new(now),
            sync: sync::Syncing::new(now),
            links: Default::default(),
            relay: Default::default(),
            rotation: rotation::Rotation::new(now),
            answerer: Default::default(),
            pipes: Default::default(),
            doctor: Default::default(),
            keeping,
            goodbye: None,
            awaited: None,
            draining: None,
            t,
        };
        node.settle();
        node
    }

    pub fn id(&self) -> NodeId {
        self.t.own.id
    }

    /// Asks of others carried out since the last call, for the simulator's checkers.
    #[cfg(feature = "testing")]
    pub fn take_executed(&mut self) -> Vec<crate::wire::ids::RequestId> {
        std::mem::take(&mut self.t.own.executed)
    }

    /// Takes one input. Never blocks, never panics on what comes from outside.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.turn(now);
        let t = &mut self.t;
        match input {
            Input::Datagram { socket, from, bytes } => self.datagram(socket, from, bytes),
            Input::Refused { to, quoted } => self.refused(to, quoted),
            Input::StreamOpened { stream, .. } if Doctor::is_own(stream) => {
                self.doctor.opened(t, stream);
            }
            Input::StreamOpened { stream, .. } => self.links.opened(t, stream),
            Input::StreamFrame { stream, bytes } => {
                let arrived = self.links.frame(t, stream, bytes);
                self.arrived(arrived);
            }
            Input::StreamClosed { stream, closed } if Doctor::is_own(stream) => {
                self.doctor.closed(stream, closed);
            }
            Input::StreamClosed { stream, closed } => self.links.closed(t, stream, closed),
            Input::Request { client, request, .. } if is_examination(&request) => {
                self.examine(client, request);
            }
            Input::Request { client, user, request } if pipes::is_for_one(&request) => {
                self.pipes.request(t, client, user, request);
            }
            Input::Piece { pipe, piece } => self.pipes.local_said(t, pipe, piece),
            Input::Request { client, user, request } => {
                if let Some(Greet { address, why }) = self.relay.request(t, client, user, request) {
                    self.hellos.contacts.contact(t, address, NodeId::ANYBODY, Intent::Join, why);
                }
            }
            Input::ClientGone { client } => {
                self.relay.client_gone(client);
                self.doctor.client_gone(client);
                self.pipes.client_gone(t, client);
            }
            Input::Addresses { own, gateways } => self.addresses(&own, &gateways),
            Input::Homes(homes) => self.hellos.contacts.set_homes(t, &homes),
            Input::Kept { ticket, result } => self.keeping.kept(t, ticket, result),
            Input::Clock { unix_s } => t.journal.set_clock(t.now, unix_s),
            Input::Found(found) => discovery::found(t, found),
            Input::Guests(told) => guests::told(t, told),
            Input::Leave => t.out.notice(Notice::Stop),
        }
        self.settle();
    }

    /// Runs what is due. Call once a turn, after the inputs.
    pub fn tick(&mut self, now: Time) {
        self.turn(now);
        let t = &mut self.t;
        ages::look_at_silent(t);
        lives::look(t);
        self.members.tick(t);
        self.votes.tick(t);
        self.hellos.tick(t);
        self.nat.tick(t);
        self.homes.tick(t);
        self.sync.tick(t);
        self.links.tick(t);
        self.relay.tick(t);
        self.rotation.tick(t);
        self.doctor.tick(t);
        self.answerer.tick(t);
        self.pipes.tick(t);
        self.keeping.tick(t);
        self.say_goodbye();
        self.settle();
        self.awaited = None;
        self.awaited = self.deadline().map(|(at, _)| at);
    }

    /// The next thing to carry out; drain it each turn, in order.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.t.out.outputs.pop_front();
        if output.is_none() {
            self.t.out.rest();
        }
        output
    }

    /// When to call `tick` again at the latest, and what for.
    pub fn deadline(&self) -> Option<(Time, Why)> {
        let goodbye = self.goodbye.as_ref().map(|goodbye| goodbye.again.unwrap_or(goodbye.end));
        let all = [
            (self.members.deadline(), Why::Swim),
            (self.votes.deadline(), Why::Vote),
            (self.hellos.deadline(&self.t), Why::Join),
            (self.nat.deadline(), Why::Nat),
            (self.homes.deadline(), Why::Heartbeat),
            (self.links.deadline(), Why::Stream),
            (self.relay.deadline(), Why::Request),
            (self.rotation.deadline(), Why::Keys),
            (self.doctor.deadline(), Why::Request),
            (self.pipes.deadline(), Why::Pipe),
            (self.keeping.deadline(), Why::Keep),
            (goodbye, Why::Goodbye),
        ];
        let soon = self.t.now.plus_ms(SOON_MS);
        let next = all.into_iter().filter_map(|(at, why)| Some((at?.max(soon), why)));
        next.min()
    }

    fn arrived(&mut self, arrived: Option<Arrived>) {
        match arrived {
            None => {}
            Some(Arrived::Message { from, channel, bytes }) => {
                let came = Came { way: None, hops: 0, channel: Some(channel) };
                self.opened(from, came, &bytes);
            }
            Some(Arrived::Caller { claimed, agreement_key, channel }) => {
                let t = &mut self.t;
                let known = t.roster.get(claimed).map(|peer| peer.record.agreement_key);
                if known == Some(agreement_key) {
                    self.links.trust(t, channel);
                } else {
                    t.own.count("unknown sender");
                    self.links.close(t, channel);
                }
            }
        }
    }

    /// One authentic message.
    fn body(&mut self, from: NodeId, came: Came, body: Body) {
        let t = &mut self.t;
        match body {
            Body::Swim(packet) => self.members.packet(t, from, &packet),
            Body::Heartbeat(body) => {
                if let Some(way) = came.way {
                    self.homes.heartbeat(t, from, body, way);
                }
            }
            Body::HeartbeatAnswer(body) => {
                let saw = self.homes.answer(t, from, body);
                if came.hops == 0 {
                    self.nat.saw(t, from, saw);
                }
            }
            Body::Pull(pull) => self.sync.asked(t, from, &pull, came.channel),
            Body::Sync(sync) => self.synced(from, sync),
            Body::Test(Nonce { nonce }) => {
                if let Some(way) = came.way.filter(|_| came.hops == 0) {
                    self.nat.asked(t, from, nonce, way);
                }
            }
            Body::Saw(saw) if came.hops == 0 => self.nat.saw(t, from, saw),
            Body::Knock(Nonce { nonce }) if came.hops == 0 => self.nat.knocked(t, from, nonce),
            Body::Saw(_) | Body::Knock(_) => {}
            Body::Probe(nonce) => t.out.carry(from, Body::ProbeAnswer(nonce), came.back()),
            // To others, that it arrived is all there is to it.
            Body::ProbeAnswer(Nonce { nonce }) => self.doctor.echoed(t, from, nonce, came.hops),
            Body::Full(full) if came.way.is_some() => {
                t.out.carry(from, Body::FullAnswer(full), came.back());
            }
            Body::Full(_) => {}
            Body::FullAnswer(full) => self.doctor.full_echoed(from, full.nonce),
            Body::Vote(vote) => self.votes.asked(t, from, vote),
            Body::Ballot(ballot) => self.votes.answered(t, from, ballot),
            Body::Ask(ask) => self.answerer.asked(t, from, ask, came.back()),
            Body::Answer(answer) if Doctor::is_own_ask(answer.number) => {
                self.doctor.answered(t, from, &answer, came.channel.is_some());
            }
            Body::Answer(answer) => self.relay.answered(t, from, answer),
            Body::Undead(undead) if undead.generation >= t.own.record.generation => {
                self.members.renew(t, undead.generation);
            }
            Body::Undead(_) => {}
            Body::Taken(taken) => self.taken(&taken),
            Body::Tell(Rumor::Verdict(verdict)) => self.verdict(verdict, true),
            Body::Tell(rumor) => self.members.rumor(t, rumor),
            Body::Pipe(piece) => self.pipes.other_said(t, from, came.channel, piece),
            Body::KeyPull => self.rotation.asked(t, from, came.back()),
            Body::Key(gift) => self.rotation.given(t, from, &gift),
            Body::Unsupported(body) => match body.ask {
                Some(number) if Doctor::is_own_ask(number) => {
                    self.doctor.spoke(from, number, came.channel.is_some());
                }
                Some(number) => self.relay.unsupported(t, from, number),
                None if body.number == Body::FULL => self.doctor.full_arrived(from),
                None => {}
            },
        }
    }

    /// Hands notices on and messages out until nothing is left to do.
    fn settle(&mut self) {
        loop {
            if let Some(notice) = self.t.out.notices.pop_front() {
                self.notice(notice);
            } else if let Some(send) = self.t.out.sends.pop_front() {
                self.transmit(send);
            } else if let Some(subject) = self.t.roster.pushed_out.pop() {
                self.members.forgotten(&mut self.t, subject);
                self.votes.forget(subject.id);
                self.keeping.changed(&self.t, subject.id);
            } else {
                return;
            }
        }
    }

    /// The one place where what a feature learnt reaches the others.
    fn notice(&mut self, notice: Notice) {
        let t = &mut self.t;
        match notice {
            Notice::Met { id, greeted } => self.met(id, greeted),
            Notice::Look { address, until } => self.look(address, until),
            Notice::Looked { address, found } => self.doctor.looked(address, found),
            Notice::Contacted { address, id } => {
                let name = t.name(id);
                self.doctor.looked(address, Ok(Met { name, id, refusal: None }));
                self.homes.contacted(t, address, id);
                self.relay.contacted(t, address, id);
            }
            Notice::ContactFailed { address, failure } => {
                self.doctor.looked(address, Err(failure.detail.clone()));
                self.relay.contact_failed(t, address, &failure);
            }
            Notice::Recorded(id) => {
                self.rotation.told(t, id);
                self.sync.learnt();
                self.keeping.changed(t, id);
            }
            Notice::RecordChanged { id, rerouted, moved } => {
                self.record_changed(id, rerouted, moved);
            }
            Notice::Missing { named_by } => self.sync.missing(t, named_by),
            Notice::OwnChanged => self.members.own_changed(t),
            Notice::ProbeFailed(id) if t.own.has(Bug::DownWithoutVote) => {
                if let Some(peer) = t.roster.get(id) {
                    let generation = peer.record.generation;
                    self.members.down(t, Subject { id, generation }, "planted");
                }
            }
            Notice::ProbeFailed(id) => self.votes.doubt(t, id),
            Notice::Verdict(verdict) => self.verdict(verdict, false),
            Notice::AloneDown(subject, reason) => {
                self.members.down(t, subject, reason.text());
            }
            Notice::SeenUp { id, by } => t.routes.go_around(id, by, t.now),
            Notice::CutOff => self.cut_off(),
            Notice::Up(id) => self.up(id),
            Notice::Suspect(id) => self.event(EventKind::Suspect, id, String::new()),
            Notice::Down(id) => self.ended(id, EventKind::Down),
            Notice::Left(id) => self.ended(id, EventKind::Left),
            Notice::RenewAbove(generation) => {
                self.votes.clear();
                self.members.renew(t, generation);
            }
            Notice::StartAbove(generation) => {
                // Others cannot open our datagrams any more until they know our new life.
                if self.members.start_above(t, generation) {
                    self.hellos.contacts.greet_known(t, Intent::Return);
                }
            }
            Notice::Pipe(matter) => self.pipe(matter),
            Notice::Forget(subject) => self.forget(subject),
            Notice::Revoked(id) => self.shut_out(id),
            Notice::Keyless(id) => self.links.shut_out(t, id),
            Notice::Stop => self.stop(),
            Notice::Parent(parent) => {
                self.nat.judge_public(t);
                self.links.hold(t, parent);
                let text = parent.map(|parent| t.name(parent)).unwrap_or_default();
                let id = t.own.id;
                self.event(EventKind::Route, id, text);
            }
        }
    }

    /// Between a pipe and its channel.
    fn pipe(&mut self, matter: Matter) {
        let t = &mut self.t;
        match matter {
            Matter::Wanted { pipe, to } => {
                if let Some(channel) = self.links.open_pipe(t, to) {
                    self.pipes.has_channel(t, pipe, channel);
                }
            }
            Matter::Over(channel) => self.links.finish(t, channel),
            Matter::Lost(channel) => self.pipes.lost(t, channel),
        }
    }

    fn event(&mut self, kind: EventKind, id: NodeId, text: String) {
        let name = self.t.name(id);
        log::info!(target: "watch", "{} {name} {text}", kind.word());
        self.relay.event(&mut self.t, &Event { kind, name, id, text });
    }

    /// Nobody answers: this node is the one that is cut off.
    fn cut_off(&mut self) {
        let t = &mut self.t;
        if t.own.stale_since.is_none() {
            let heard = t.roster.iter().filter_map(|(_, peer)| peer.heard_here).max();
            t.own.stale_since = Some(heard.unwrap_or(t.now).max(t.awake_since));
            let text = "nobody answers: this node is cut off".to_string();
            let id = t.own.id;
            t.journal.event(t.now, EntryKind::CutOff, id, "", "nobody answers");
            self.event(EventKind::Stale, id, text);
        }
    }
}
