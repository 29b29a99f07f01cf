//! Bugs planted on purpose: each must be found by the simulator within its budget of seeds. Only
//! builds with the feature `testing` can switch one on; elsewhere the question is always "no".

use crate::node::tables::Tables;
use crate::wire::message::Body;
use crate::wire::rumor::{Ending, Reason, Rumor, SignedVote, Subject, Verdict};
use rand::RngExt;

/// One planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A failed probe is a death: nobody is asked.
    DownWithoutVote,
    /// A verdict is believed whatever votes it carries.
    VotesUnchecked,
    /// A node that nobody answers declares the others down.
    CutOffDeclares,
    /// Whoever names a node refreshes when it was last seen.
    HearsayRefreshes,
    /// A datagram is taken however often it comes.
    ReplayTaken,
    /// A repeated ask is carried out again.
    ExecutedAgain,
    /// Every part of an answer says that it is the last of the request.
    DoneTwice,
    /// `-e` relays all the same.
    DeadendRelays,
    /// A suspect is not told, and never refutes.
    NotNudged,
    /// Nodes that are gone are never greeted again.
    NotGreeted,
    /// Nobody is ever found to be hidden.
    NeverHidden,
    /// A parent is kept though it is silent.
    ParentKept,
    /// The question of a hello is not padded.
    NotPadded,
    /// Not a bug but a liar: it votes down whoever it is asked about, and forges verdicts.
    Lies,
    /// The goodbye is told to nobody.
    GoodbyeUntold,
    /// In a keyed herd an open hello is answered all the same.
    OpenHelloTaken,
    /// Whoever holds another key is told so as often as it asks.
    RefusedAlways,
    /// A new herd key is not asked for.
    KeyNotPulled,
    /// What a node holds is sealed for by its newest key, whether the other has it or not.
    KeySealsAtOnce,
    /// Keys are not kept: a node that starts again has those of its file.
    KeysNotKept,
    /// A key made by who did not know whom to shut out stays.
    NotRemade,
    /// Who is only looked at is let in.
    LookJoins,
    /// What is in the journal is not kept.
    JournalNotKept,
    /// Who is shut out is heard all the same.
    RevokedHeard,
    /// A join token lets in whoever shows it, however often.
    TokenUsedAgain,
    /// A node that was given its open herd's key hears nobody without it from that moment on.
    OpenEndsAtOnce,
    /// A key for an open herd is handed to whoever asks.
    AdoptedByAnybody,
    /// An idle pipe keeps nobody's link open.
    PipeNotKept,
    /// Everybody who is gone is forgotten.
    PetsForgotten,
    /// Whoever says that a container ended is believed.
    TestimonyUnchecked,
    /// Not a bug but a liar: it testifies that everybody ended.
    Testifies,
}

/// What a lone liar does: it passes verdicts on everybody, with votes of its own making.
pub fn lie(t: &mut Tables) {
    let others = t.some_live(t.own.id);
    for id in &others {
        let Some(peer) = t.roster.get(*id) else { continue };
        let subject = Subject { id: *id, generation: peer.record.generation };
        let issuer = if t.random.random() { t.own.id } else { others[0] };
        let vote = SignedVote::sign(&t.own.identity, subject, 1, issuer);
        let verdict = Verdict {
            subject,
            ballot: 1,
            issuer,
            reason: Reason::ProcessGone,
            answered: 1,
            votes: vec![vote],
            signature: [0; 64],
            ending: None,
        };
        let rumor = Rumor::Verdict(verdict.sign(&t.own.identity));
        t.out.send(others[others.len() - 1], Body::Tell(rumor));
    }
}

/// What a lone liar does that has a container: everybody ended.
pub fn testify(t: &mut Tables) {
    let others = t.some_live(t.own.id);
    for id in &others {
        let Some(peer) = t.roster.get(*id) else { continue };
        let subject = Subject { id: *id, generation: peer.record.generation };
        let ending = Ending { exit_status: Some(137) };
        let verdict = Verdict::testimony(&t.own.identity, subject, ending);
        t.out.send(others[others.len() - 1], Body::Tell(Rumor::Verdict(verdict)));
    }
}
