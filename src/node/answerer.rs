//! Requests of other nodes, carried out here, each once: a repeated ask gets the answer again.

use crate::node::execute::carry_out;
use crate::node::outbox::Carry;
use crate::node::pace::Pace;
use crate::node::planted::Bug;
use crate::node::rights::{self, Asker};
use crate::node::tables::Tables;
use crate::wire::codec;
use crate::wire::command::{Command, Rank, Scope};
use crate::wire::ids::{NodeId, RequestId};
use crate::wire::limits::{ANSWER_MAX_MS, ANSWER_MS, PARTS, REQUESTS, REQUESTS_REMEMBERED};
use crate::wire::message::{Answer, Ask, Body};
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes of answers kept for asks that may be repeated.
const KEPT_ANSWERS_BYTES: usize = 8 << 20;

/// How long a request is known to be carried out.
const SEEN_MS: u64 = ANSWER_MAX_MS + ANSWER_MS;

struct Executed {
    answers: Vec<Answer>,
    bytes: usize,
    until: Time,
    /// How often it was asked for.
    asked: usize,
}

#[derive(Default)]
pub struct Answerer {
    executed: BTreeMap<RequestId, Executed>,
    /// What was carried out, oldest first: a stream that was cut may bring an ask again when its
    /// answer is long forgotten.
    seen: BTreeSet<RequestId>,
    seen_since: VecDeque<(Time, RequestId)>,
    kept_bytes: usize,
    /// Of commands that change something.
    pace: Pace,
}

impl Answerer {
    /// Another node asks; `back` is the way it came.
    pub fn asked(&mut self, t: &mut Tables, from: NodeId, ask: Ask, back: Carry) {
        let request = RequestId { origin: from, number: ask.number };
        if self.seen.contains(&request) && !self.executed.contains_key(&request) {
            t.own.count("asks repeated too late");
            return;
        }
        if !self.executed.contains_key(&request) || t.own.has(Bug::ExecutedAgain) {
            if self.executed.len() >= REQUESTS || self.kept_bytes >= KEPT_ANSWERS_BYTES {
                // Not carried out, so not remembered: a repeat may fare better.
                t.own.count("asks refused at the limit of requests under way");
                let text = format!("its limit of {REQUESTS} requests under way is reached");
                let failure = Failure::new(ErrorCode::Limit, text);
                let asker = Asker::node(t, from);
                t.journal.note(t.now, &asker, &Scope::Here, &ask.command, Some(&failure));
                let reply = Reply::Error(failure);
                let answer = Answer { number: ask.number, part: 0, last: true, reply };
                t.out.carry(from, Body::Answer(answer), back);
                return;
            }
            let answers = self.carry_out(t, request, &ask.command);
            self.remember(t, request, ask.wait_ms, answers);
        }
        let Some(executed) = self.executed.get_mut(&request) else { return };
        // Who asks again did not get the answer: it goes by another way every other time.
        let carry = match back {
            Carry::At(_) if executed.asked % 2 == 1 => Carry::Best(executed.asked / 2),
            _ => back,
        };
        executed.asked += 1;
        for answer in executed.answers.clone() {
            t.out.carry(from, Body::Answer(answer), carry);
        }
    }

    /// Carries it out if its asker may have it.
    fn carry_out(&mut self, t: &mut Tables, request: RequestId, command: &Command) -> Vec<Reply> {
        let asker = Asker::node(t, request.origin);
        let changes = command.rank() > Rank::Read;
        let refusal = changes.then(|| self.pace.too_many(t.now, request.origin)).flatten();
        let Some(failure) = refusal.or_else(|| rights::refusal(t, &asker, command)) else {
            #[cfg(feature = "testing")]
            t.own.executed.push(request);
            return carry_out(t, &asker, command);
        };
        t.journal.note(t.now, &asker, &Scope::Here, command, Some(&failure));
        vec![Reply::Error(failure)]
    }

    fn remember(&mut self, t: &Tables, request: RequestId, wait_ms: u64, replies: Vec<Reply>) {
        let count = replies.len().min(PARTS);
        let answers: Vec<Answer> = replies
            .into_iter()
            .take(PARTS)
            .enumerate()
            .map(|(at, reply)| Answer {
                number: request.number,
                part: at as u16,
                last: at + 1 == count,
                reply,
            })
            .collect();
        let bytes = answers.iter().map(|answer| codec::encode(answer).len()).sum();
        self.kept_bytes += bytes;
        self.see(request, t.now);
        // A late duplicate may still be on its way when the asker has given up.
        let until = t.now.plus_ms(wait_ms.min(ANSWER_MAX_MS) + ANSWER_MS);
        self.executed.insert(request, Executed { answers, bytes, until, asked: 0 });
    }

    fn see(&mut self, request: RequestId, now: Time) {
        if self.seen.insert(request) {
            self.seen_since.push_back((now, request));
        }
        let over = |(at, _): &(Time, RequestId)| now.ms_since(*at) >= SEEN_MS;
        while self.seen_since.len() > REQUESTS_REMEMBERED
            || self.seen_since.front().is_some_and(over)
        {
            if let Some((_, request)) = self.seen_since.pop_front() {
                self.seen.remove(&request);
            }
        }
    }

    pub fn tick(&mut self, t: &mut Tables) {
        let now = t.now;
        let kept_bytes = &mut self.kept_bytes;
        self.executed.retain(|_, executed| {
            let keep = executed.until > now;
            *kept_bytes -= if keep { 0 } else { executed.bytes };
            keep
        });
    }
}
