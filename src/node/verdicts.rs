//! Whether a verdict is believed: it carries the votes of those who saw the node down, or it is the
//! testimony of the host that the node itself named.

use crate::node::guests::is_testified;
use crate::node::planted::Bug;
use crate::node::tables::Tables;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::limits::VOTERS;
use crate::wire::rumor::{Reason, Verdict};
use crate::wire::seal::PublicKeys;

/// Word this fresh from a node outweighs the vote of others that it is silent.
const FRESH_WORD_MS: u64 = 1_000;

/// Whether a verdict proves itself and is not outweighed by what this node heard.
pub fn accepts(t: &mut Tables, verdict: &Verdict) -> bool {
    let subject = verdict.subject;
    let Some(peer) = t.roster.get(subject.id) else { return false };
    if peer.record.generation != subject.generation {
        return false;
    }
    if verdict.ending.is_some() {
        return accepts_testimony(t, verdict);
    }
    let fresh = peer.heard_here.is_some_and(|at| t.now.ms_since(at) < FRESH_WORD_MS);
    if !peer.is_live() || (fresh && verdict.reason == Reason::Silent) {
        return false;
    }
    if verdict.votes.len() > VOTERS {
        t.own.count("verdicts over the limit of voters");
        return false;
    }
    let mut voters: Vec<NodeId> = verdict.votes.iter().map(|vote| vote.voter).collect();
    voters.sort_unstable();
    voters.dedup();
    let enough = t.own.options.threshold.needed(verdict.answered.max(voters.len() as u32));
    let suite = t.own.options.suite;
    let authentic = is_issued(t, verdict)
        && verdict.votes.iter().all(|vote| {
            vote.voter != subject.id
                && vote.voter != verdict.issuer
                && keys(t, vote.voter).is_some_and(|keys| {
                    vote.is_authentic(suite, &keys, subject, verdict.ballot, verdict.issuer)
                })
        });
    if t.own.has(Bug::VotesUnchecked) {
        return true;
    }
    if !authentic || voters.len() != verdict.votes.len() || (voters.len() as u32) < enough {
        t.own.count("verdicts without enough votes");
        return false;
    }
    true
}

/// Its host alone may say that a node ended: who else says so is a liar, or behind the times. Said
/// twice it is no news, and a vote may have come first.
fn accepts_testimony(t: &mut Tables, verdict: &Verdict) -> bool {
    let Some(peer) = t.roster.get(verdict.subject.id) else { return false };
    let ends = peer.is_live() || peer.state == State::Down;
    if !ends || is_testified(peer) {
        return false;
    }
    let by_host = peer.record.host() == Some(verdict.issuer) || t.own.has(Bug::TestimonyUnchecked);
    if !by_host || !is_issued(t, verdict) {
        t.own.count("testimony of others than the host");
        return false;
    }
    true
}

fn is_issued(t: &Tables, verdict: &Verdict) -> bool {
    let keys = keys(t, verdict.issuer);
    keys.is_some_and(|keys| verdict.is_authentic(t.own.options.suite, &keys))
}

fn keys(t: &Tables, id: NodeId) -> Option<PublicKeys> {
    match id == t.own.id {
        true => Some(t.own.identity.public()),
        false => t.roster.get(id).map(|peer| peer.record.keys()),
    }
}
