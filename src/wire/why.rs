//! Why a node is shown as it is: what `why` says of it.

use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::rumor::Reason;
use minicbor::{Decode, Encode};
use std::net::SocketAddr;

/// Ages and times are milliseconds before the answer.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct WhyInfo {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub id: NodeId,
    #[n(2)]
    pub state: State,
    /// In this state since; of the answering node itself: it runs since.
    #[n(3)]
    pub state_ms: u64,
    /// Why it is suspect or down.
    #[n(4)]
    pub reason: String,
    #[n(5)]
    pub generation: u64,
    /// When anybody in the herd heard it last, and who that was: a shown name.
    #[n(6)]
    pub last_seen_ms: u64,
    #[n(7)]
    pub heard_by: String,
    /// How its word reached the answering node itself, the latest first.
    #[n(8)]
    pub heard: Vec<Heard>,
    #[n(9)]
    pub hidden: bool,
    /// The shown name of its parent; empty if it has none.
    #[n(10)]
    pub parent: String,
    /// How it is reached now: `self`, an address, or `via NAME`; empty if unknown.
    #[n(11)]
    pub route: String,
    /// When its host said that nobody listens there, if that was after its last word.
    #[n(12)]
    pub refused_ms: Option<u64>,
    /// Its end of a stream was closed without a goodbye after its last word.
    #[n(13)]
    pub broke_off: bool,
    /// The last vote about it that the answering node called or heard the end of.
    #[n(14)]
    pub vote: Option<VoteInfo>,
    /// This is the answering node itself.
    #[n(15)]
    pub own: bool,
    /// The answering node believes itself cut off since.
    #[n(16)]
    pub stale_ms: Option<u64>,
    /// What else keeps the two apart, such as a herd key that one of them lacks.
    #[n(17)]
    pub note: Option<String>,
}

/// Word of a node that arrived.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Heard {
    #[n(0)]
    pub path: HeardOn,
    /// Where the datagram came from.
    #[n(1)]
    pub address: Option<SocketAddr>,
    #[n(2)]
    pub age_ms: u64,
    /// The shown name of who handed a relayed one on, if it is known.
    #[n(3)]
    pub through: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum HeardOn {
    /// A datagram of its own.
    #[n(0)]
    Direct,
    /// A datagram that others handed on.
    #[n(1)]
    Relayed,
    #[n(2)]
    Stream,
}

#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct VoteInfo {
    #[n(0)]
    pub age_ms: u64,
    /// Who called it: a shown name.
    #[n(1)]
    pub called_by: String,
    #[n(2)]
    pub outcome: Outcome,
    #[n(3)]
    pub votes: Vec<VoterInfo>,
}

#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct VoterInfo {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub said: Said,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Said {
    #[n(0)]
    Up,
    /// Its host refuses: the process is gone.
    #[n(1)]
    Gone,
    #[n(2)]
    Silent,
    /// Down, for a reason that was not told on.
    #[n(3)]
    Down,
    /// No answer.
    #[n(4)]
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// The verdict was down.
    #[n(0)]
    Down,
    /// It was heard while they looked.
    #[n(1)]
    Heard,
    /// Others see it: only the path from whoever called the vote is broken.
    #[n(2)]
    SeenByOthers,
    /// Nobody answered.
    #[n(3)]
    NoAnswer,
    /// There was nobody to ask.
    #[n(4)]
    Alone,
}

impl From<Reason> for Said {
    fn from(reason: Reason) -> Said {
        match reason {
            Reason::ProcessGone => Said::Gone,
            Reason::Silent => Said::Silent,
        }
    }
}

impl HeardOn {
    /// The stable word used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            HeardOn::Direct => "direct",
            HeardOn::Relayed => "relayed",
            HeardOn::Stream => "stream",
        }
    }
}

impl Said {
    pub fn word(self) -> &'static str {
        match self {
            Said::Up => "up",
            Said::Gone => "process gone",
            Said::Silent => "silent",
            Said::Down => "down",
            Said::Nothing => "no answer",
        }
    }
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Down => "down",
            Outcome::Heard => "heard",
            Outcome::SeenByOthers => "seen_by_others",
            Outcome::NoAnswer => "no_answer",
            Outcome::Alone => "alone",
        }
    }
}
