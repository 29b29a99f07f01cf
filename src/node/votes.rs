//! Take-down by agreement (MeshNet's protocol): nobody is down because one node says so.
//!
//! 1. A node whose probe of another failed, or was refused, opens a ballot: it looks again itself
//!    and asks random live peers to look afresh. Silent voters are replaced.
//! 2. It passes the verdict when enough of those who answered see the node down too; the verdict
//!    carries their signed votes, and whoever receives it checks them.
//! 3. When the others see it up, only our path is broken: go around, keep quiet. When nobody
//!    answers, we are the one cut off: declare nobody down.

use crate::node::outbox::{Carry, Notice};
use crate::node::planted::{Bug, lie, testify};
use crate::node::tables::Tables;
use crate::node::trials::Trial;
use crate::wire::ids::NodeId;
use crate::wire::limits::VOTERS;
use crate::wire::message::{Ballot, Body, Down, Nonce, Vote};
use crate::wire::rumor::{Reason, SignedVote, Subject, Verdict};
use crate::wire::time::Time;
use crate::wire::why::{Outcome, Said};
use rand::RngExt;
use std::collections::BTreeMap;

/// Voters asked in the first round.
const FIRST_ROUND: usize = 5;
/// How long a round waits for votes: longer than a voter's own look takes.
const ROUND_MS: u64 = 2_200;
/// A question for a vote is repeated this often.
const ASK_AGAIN_MS: u64 = 350;
/// Tries of one look, each waiting a little longer than the one before.
const LOOK_TRIES: u32 = 6;
const LOOK_GROWS_MS: u64 = 25;
/// Tries of our own look before others are asked.
const TRIES_BEFORE_ASKING: u32 = 2;
/// Ballots open at once, and inquiries for others; more wait for the next failed probe.
const BALLOTS: usize = 128;
const INQUIRIES: usize = 512;
/// After a ballot without a verdict the next one about the same node waits, each time longer.
const REST_MS: u64 = 500;
const REST_MOST_MS: u64 = 15_000;
/// The window in which a node asks itself whether it is the one that is wrong.
const DOUBT_MS: u64 = 30_000;

/// A fresh look at one node, shared by all ballots and inquiries about it.
struct Look {
    since: Time,
    tries: u32,
    next: Time,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Looking,
    Up,
    Gone(Reason),
}

struct OpenBallot {
    subject: Subject,
    number: u64,
    opened: Time,
    round_ends: Time,
    ask_again: Time,
    voters: BTreeMap<NodeId, Option<Answered>>,
    /// There was nobody to ask.
    alone: bool,
}

#[derive(Clone)]
enum Answered {
    Up,
    Down(SignedVote, Reason),
}

struct Inquiry {
    subject: Subject,
    opened: Time,
    answered: bool,
}

#[derive(Default)]
pub struct Votes {
    looks: BTreeMap<NodeId, Look>,
    ballots: BTreeMap<NodeId, OpenBallot>,
    inquiries: BTreeMap<(NodeId, u64), Inquiry>,
    rests: BTreeMap<NodeId, (Time, u64)>,
    outcomes: Vec<(Time, bool)>,
}

impl Votes {
    /// A probe failed or was refused: look again, and ask others.
    pub fn doubt(&mut self, t: &mut Tables, id: NodeId) {
        let Some(peer) = t.roster.get(id).filter(|peer| peer.is_live()) else { return };
        let resting = self.rests.get(&id).is_some_and(|(until, _)| *until > t.now);
        let gone = t.routes.get(id).is_some_and(|path| path.refused.is_some());
        if self.ballots.contains_key(&id)
            || (resting && !gone)
            || self.ballots.len() >= BALLOTS
            || t.own.leaving
            || t.is_orphan(id)
        {
            return;
        }
        let subject = Subject { id, generation: peer.record.generation };
        let mut ballot = OpenBallot {
            subject,
            number: t.random.random(),
            opened: t.now,
            round_ends: t.now.plus_ms(ROUND_MS),
            ask_again: t.now,
            voters: BTreeMap::new(),
            alone: false,
        };
        ballot.alone = t.some_live(id).is_empty();
        self.look(t, id);
        self.ballots.insert(id, ballot);
    }

    fn look(&mut self, t: &Tables, id: NodeId) {
        self.looks.entry(id).or_insert(Look { since: t.now, tries: 0, next: t.now });
    }

    /// Somebody asks for this node's vote.
    pub fn asked(&mut self, t: &mut Tables, issuer: NodeId, vote: Vote) {
        let Vote { ballot, subject } = vote;
        if subject.id == t.own.id {
            return;
        }
        let known = t.roster.get(subject.id).map(|peer| (peer.is_live(), peer.record.generation));
        match known {
            // A later life is known: that one is up.
            Some((_, generation)) if generation > subject.generation => {
                t.out.send(issuer, Body::Ballot(Ballot { ballot, subject, down: None }));
            }
            Some((true, _)) if self.inquiries.len() < INQUIRIES => {
                let opened = t.now;
                self.inquiries
                    .entry((issuer, ballot))
                    .and_modify(|inquiry| inquiry.answered = false)
                    .or_insert(Inquiry { subject, opened, answered: false });
                self.look(t, subject.id);
            }
            Some((false, _)) => self.vote(t, issuer, ballot, subject, Some(Reason::Silent)),
            _ => {}
        }
    }

    fn vote(
        &self,
        t: &mut Tables,
        issuer: NodeId,
        ballot: u64,
        subject: Subject,
        down: Option<Reason>,
    ) {
        let down = down.map(|reason| Down {
            signature: SignedVote::sign(&t.own.identity, subject, ballot, issuer).signature,
            reason,
        });
        t.out.send(issuer, Body::Ballot(Ballot { ballot, subject, down }));
    }

    /// A vote arrived.
    pub fn answered(&mut self, t: &mut Tables, voter: NodeId, vote: Ballot) {
        let Some(ballot) = self.ballots.get_mut(&vote.subject.id) else { return };
        let Some(place) = ballot.voters.get_mut(&voter) else { return };
        if ballot.number != vote.ballot || ballot.subject != vote.subject {
            return;
        }
        *place = match vote.down {
            None => Some(Answered::Up),
            Some(down) => {
                let signed = SignedVote { voter, signature: down.signature };
                let keys = t.roster.get(voter).map(|peer| peer.record.keys());
                let authentic = keys.is_some_and(|keys| {
                    let suite = t.own.options.suite;
                    signed.is_authentic(suite, &keys, vote.subject, vote.ballot, t.own.id)
                });
                if !authentic {
                    t.own.count("votes forged");
                    return;
                }
                Some(Answered::Down(signed, down.reason))
            }
        };
    }

    pub fn tick(&mut self, t: &mut Tables) {
        if t.own.has(Bug::Lies) && t.random.random_bool(0.2) {
            lie(t);
        }
        if t.own.has(Bug::Testifies) && t.random.random_bool(0.2) {
            testify(t);
        }
        self.probe(t);
        self.answer_inquiries(t);
        let ids: Vec<NodeId> = self.ballots.keys().copied().collect();
        for id in ids {
            self.count(t, id);
        }
        let (ballots, inquiries) = (&self.ballots, &self.inquiries);
        self.looks.retain(|id, _| {
            ballots.contains_key(id)
                || inquiries.values().any(|inquiry| inquiry.subject.id == *id && !inquiry.answered)
        });
    }

    fn probe(&mut self, t: &mut Tables) {
        for (id, look) in &mut self.looks {
            if look.next <= t.now && look.tries < LOOK_TRIES {
                let nonce = t.random.random();
                let carry = Carry::Best(look.tries as usize);
                t.out.carry(*id, Body::Probe(Nonce { nonce }), carry);
                look.tries += 1;
                let growing_ms = u64::from(look.tries) * LOOK_GROWS_MS;
                look.next = t.now.plus_ms(t.patience_ms(*id) + growing_ms);
            }
        }
    }

    fn seen(&self, t: &Tables, id: NodeId, since: Time) -> Seen {
        let Some(look) = self.looks.get(&id) else { return Seen::Looking };
        if t.roster.get(id).and_then(|peer| peer.heard_here).is_some_and(|at| at > since) {
            return Seen::Up;
        }
        let path = t.routes.get(id);
        let refused = path.and_then(|path| path.refused);
        if refused.is_some_and(|at| at >= look.since.max(since)) {
            return Seen::Gone(Reason::ProcessGone);
        }
        if look.tries >= LOOK_TRIES && look.next <= t.now {
            // A kernel that closed its stream outlived the process; a host that is gone says nothing.
            let process_gone = path.is_some_and(|path| path.broke_off);
            return Seen::Gone(if process_gone { Reason::ProcessGone } else { Reason::Silent });
        }
        Seen::Looking
    }

    fn answer_inquiries(&mut self, t: &mut Tables) {
        let mut answers = Vec::new();
        for ((issuer, number), inquiry) in &self.inquiries {
            if !inquiry.answered {
                match self.seen(t, inquiry.subject.id, inquiry.opened) {
                    Seen::Looking => {}
                    Seen::Up => answers.push((*issuer, *number, inquiry.subject, None)),
                    Seen::Gone(why) => {
                        answers.push((*issuer, *number, inquiry.subject, Some(why)));
                    }
                }
            }
        }
        for (issuer, number, subject, down) in answers {
            let down = if t.own.has(Bug::Lies) { Some(Reason::Silent) } else { down };
            self.vote(t, issuer, number, subject, down);
            if let Some(inquiry) = self.inquiries.get_mut(&(issuer, number)) {
                inquiry.answered = true;
            }
        }
        let now = t.now;
        self.inquiries.retain(|_, inquiry| now.ms_since(inquiry.opened) < 2 * ROUND_MS);
    }

    /// Counts one ballot and ends it when it is decided.
    fn count(&mut self, t: &mut Tables, id: NodeId) {
        let Some(ballot) = self.ballots.get(&id) else { return };
        let current = t.roster.get(id).filter(|peer| peer.is_live());
        if current.is_none_or(|peer| peer.record.generation != ballot.subject.generation) {
            self.ballots.remove(&id);
            return;
        }
        let own = self.seen(t, id, ballot.opened);
        if own == Seen::Up {
            if !ballot.voters.is_empty() {
                note(t, ballot, Said::Up, Outcome::Heard);
            }
            self.ballots.remove(&id);
            self.rests.remove(&id);
            return;
        }
        if ballot.alone {
            self.count_alone(t, id, own);
        } else if ballot.voters.is_empty() {
            self.ask_first(t, id, own);
        } else {
            self.count_votes(t, id, own);
        }
    }

    /// Others are asked when our own look got no answer at once: most lost pings are just that.
    fn ask_first(&mut self, t: &mut Tables, id: NodeId, own: Seen) {
        let tries = self.looks.get(&id).map_or(0, |look| look.tries);
        let Some(ballot) = self.ballots.get_mut(&id) else { return };
        if own != Seen::Looking || tries > TRIES_BEFORE_ASKING {
            ballot.alone = !add_voters(t, ballot, FIRST_ROUND);
        }
    }

    /// With two nodes nobody can be asked: refused is down, silence stays suspect.
    fn count_alone(&mut self, t: &mut Tables, id: NodeId, own: Seen) {
        let Seen::Gone(reason) = own else { return };
        let Some(ballot) = self.ballots.remove(&id) else { return };
        note(t, &ballot, reason.into(), Outcome::Alone);
        if reason == Reason::ProcessGone {
            t.out.notice(Notice::AloneDown(ballot.subject, reason));
        } else {
            self.rest(t, id);
            self.doubt_ourselves(t, ballot.opened);
        }
    }

    fn count_votes(&mut self, t: &mut Tables, id: NodeId, own: Seen) {
        let Some(ballot) = self.ballots.get_mut(&id) else { return };
        let answered: Vec<&Answered> = ballot.voters.values().flatten().collect();
        let mut down = Vec::new();
        for vote in &answered {
            if let Answered::Down(signed, reason) = vote {
                down.push((signed.clone(), *reason));
            }
        }
        let (asked, answered) = (ballot.voters.len(), answered.len());
        let over = ballot.round_ends <= t.now;
        let threshold = t.own.options.threshold;
        let counted = if over { answered } else { asked };
        let enough = !down.is_empty() && down.len() as u32 >= threshold.needed(counted as u32);
        if let (true, Seen::Gone(own_reason)) = (enough, own) {
            self.pass(t, id, answered as u32, down, own_reason);
        } else if answered == asked || (over && answered > 0) {
            if own != Seen::Looking {
                self.seen_up_by_others(t, id);
            }
        } else if over && !add_voters(t, ballot, VOTERS - FIRST_ROUND) {
            let (opened, subject) = (ballot.opened, ballot.subject);
            note(t, ballot, Said::Silent, Outcome::NoAnswer);
            self.ballots.remove(&id);
            if t.own.has(Bug::CutOffDeclares) {
                t.out.notice(Notice::AloneDown(subject, Reason::Silent));
                return;
            }
            self.rest(t, id);
            self.doubt_ourselves(t, opened);
        } else if ballot.ask_again <= t.now {
            ask(t, ballot);
        }
    }

    fn pass(
        &mut self,
        t: &mut Tables,
        id: NodeId,
        answered: u32,
        down: Vec<(SignedVote, Reason)>,
        own_reason: Reason,
    ) {
        let Some(ballot) = self.ballots.remove(&id) else { return };
        note(t, &ballot, own_reason.into(), Outcome::Down);
        let gone = own_reason == Reason::ProcessGone
            || down.iter().any(|(_, reason)| *reason == Reason::ProcessGone);
        self.outcomes.push((t.now, true));
        self.rests.remove(&id);
        let verdict = Verdict {
            subject: ballot.subject,
            ballot: ballot.number,
            issuer: t.own.id,
            reason: if gone { Reason::ProcessGone } else { Reason::Silent },
            answered,
            votes: down.into_iter().map(|(vote, _)| vote).collect(),
            signature: [0; 64],
            ending: None,
        };
        t.out.notice(Notice::Verdict(verdict.sign(&t.own.identity)));
    }

    fn seen_up_by_others(&mut self, t: &mut Tables, id: NodeId) {
        let Some(ballot) = self.ballots.remove(&id) else { return };
        note(t, &ballot, Said::Silent, Outcome::SeenByOthers);
        let up = |(voter, vote): (&NodeId, &Option<Answered>)| {
            matches!(vote, Some(Answered::Up)).then_some(*voter)
        };
        if let Some(by) = ballot.voters.iter().find_map(up) {
            t.out.notice(Notice::SeenUp { id, by });
        }
        self.rest(t, id);
        self.outcomes.push((t.now, false));
        let now = t.now;
        self.outcomes.retain(|(at, _)| now.ms_since(*at) < DOUBT_MS);
        let up = self.outcomes.iter().filter(|(_, down)| !down).count();
        if up >= 3 && up * 2 > self.outcomes.len() && t.own.may_doubt(t.now) {
            self.outcomes.clear();
            log::warn!(target: "votes", "most nodes this one lost are seen by others: renewing");
            t.out.notice(Notice::RenewAbove(t.own.record.generation));
        }
    }

    /// Nobody answered: if indeed no word at all came since, this node is the one cut off.
    fn doubt_ourselves(&mut self, t: &mut Tables, since: Time) {
        let heard = t.roster.iter().any(|(_, peer)| peer.heard_here.is_some_and(|at| at >= since));
        if !heard {
            t.out.notice(Notice::CutOff);
        }
    }

    fn rest(&mut self, t: &Tables, id: NodeId) {
        let interval_ms = self.rests.get(&id).map_or(REST_MS, |(_, ms)| (ms * 2).min(REST_MOST_MS));
        self.rests.insert(id, (t.now.plus_ms(interval_ms), interval_ms));
    }

    /// The process slept, or the view is dropped: every open question is void.
    pub fn clear(&mut self) {
        *self = Votes::default();
    }

    pub fn forget(&mut self, id: NodeId) {
        self.rests.remove(&id);
        self.ballots.remove(&id);
    }

    pub fn deadline(&self) -> Option<Time> {
        let looks = self.looks.values().map(|look| look.next);
        let ballots = self.ballots.values().filter(|ballot| !ballot.voters.is_empty());
        looks.chain(ballots.map(|ballot| ballot.round_ends.min(ballot.ask_again))).min()
    }
}

/// What a ballot came to, with what this node saw itself, for who asks.
fn note(t: &mut Tables, ballot: &OpenBallot, own: Said, outcome: Outcome) {
    let said = |vote: &Option<Answered>| match vote {
        None => Said::Nothing,
        Some(Answered::Up) => Said::Up,
        Some(Answered::Down(_, reason)) => (*reason).into(),
    };
    let others = ballot.voters.iter().map(|(id, vote)| (*id, said(vote)));
    let votes = [(t.own.id, own)].into_iter().chain(others).collect();
    let trial = Trial { ended: t.now, called_by: t.own.id, outcome, votes };
    t.trials.ended(ballot.subject.id, trial);
}

/// Asks up to `count` more peers; false if there are none.
fn add_voters(t: &mut Tables, ballot: &mut OpenBallot, count: usize) -> bool {
    let fresh = t.some_live(ballot.subject.id);
    let fresh = fresh.into_iter().filter(|id| !ballot.voters.contains_key(id));
    let room = VOTERS.saturating_sub(ballot.voters.len());
    let more: Vec<NodeId> = fresh.take(count.min(room)).collect();
    if more.is_empty() {
        return false;
    }
    ballot.voters.extend(more.iter().map(|id| (*id, None)));
    ballot.round_ends = t.now.plus_ms(ROUND_MS);
    ask(t, ballot);
    true
}

fn ask(t: &mut Tables, ballot: &mut OpenBallot) {
    ballot.ask_again = t.now.plus_ms(ASK_AGAIN_MS);
    let vote = Vote { ballot: ballot.number, subject: ballot.subject };
    for (voter, vote_so_far) in &ballot.voters {
        if vote_so_far.is_none() {
            t.out.send(*voter, Body::Vote(vote));
        }
    }
}
