//! Bugs planted on purpose: each must be found by the simulator within its budget of seeds. Only
//! builds with the feature `testing` can switch one on; elsewhere the question is always "no".

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
}
