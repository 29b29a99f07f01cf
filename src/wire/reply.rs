//! What comes back, and the one list of error codes.

use crate::wire::finding::Finding;
use crate::wire::history::Entry;
use crate::wire::ids::NodeId;
use crate::wire::info::{Event, Hop, KeyInfo, NodeInfo, TraceRow, VersionInfo};
use crate::wire::pipe::Piece;
use crate::wire::why::WhyInfo;
use minicbor::{Decode, Encode};

/// A node's answer, or a part of it (rows of one kind may come in several parts).
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub enum Reply {
    #[n(0)]
    Pong,
    /// The answering node first. `stale` says that it believes itself cut off, since when
    /// (milliseconds): its view is old.
    #[n(1)]
    Nodes {
        #[n(0)]
        nodes: Vec<NodeInfo>,
        #[n(1)]
        stale_ms: Option<u64>,
    },
    /// Reading order, with depths.
    #[n(2)]
    Tree(#[n(0)] Vec<TraceRow>),
    /// The path, a hop a row, the answering node first.
    #[n(3)]
    Path(#[n(0)] Vec<Hop>),
    /// The node said goodbye and ends.
    #[n(4)]
    Stopped,
    #[n(5)]
    Version(#[n(0)] VersionInfo),
    #[n(6)]
    Forgotten {
        #[n(0)]
        name: String,
        #[n(1)]
        id: NodeId,
    },
    #[n(7)]
    Event(#[n(0)] Event),
    #[n(8)]
    Error(#[n(0)] Failure),
    /// None: the herd is open.
    #[n(9)]
    Keys(#[n(0)] Vec<KeyInfo>),
    /// The text of a herd key: secret.
    #[n(10)]
    KeyText(#[n(0)] String),
    /// The text of a join token and the address that knows it, `TOKEN@ADDR:PORT`: secret.
    #[n(11)]
    Token(#[n(0)] String),
    /// The journal, the newest entry last.
    #[n(12)]
    History(#[n(0)] Vec<Entry>),
    #[n(13)]
    Why(#[n(0)] Box<WhyInfo>),
    #[n(14)]
    Findings(#[n(0)] Vec<Finding>),
    #[n(15)]
    Pipe(#[n(0)] Piece),
}

impl Reply {
    /// The nodes of a list; none of any other reply.
    pub fn nodes(&self) -> &[NodeInfo] {
        match self {
            Reply::Nodes { nodes, .. } => nodes,
            _ => &[],
        }
    }
}

/// What went wrong: a code for programs, a sentence for people that names the cause and, where
/// there is one, the way out.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Failure {
    #[n(0)]
    pub code: ErrorCode,
    #[n(1)]
    pub detail: String,
}

impl Failure {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Failure {
        Failure { code, detail: detail.into() }
    }
}

/// The one list of error codes, for the command line, JSON and C alike. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode)]
#[cbor(index_only)]
pub enum ErrorCode {
    /// Nobody in the herd is called that.
    #[n(0)]
    UnknownNode,
    /// More than one live node fits; the detail lists them.
    #[n(1)]
    Ambiguous,
    /// The node did not answer in time, or is known to be down.
    #[n(2)]
    NoAnswer,
    /// No way leads there: no address, no parent, refused.
    #[n(3)]
    Unreachable,
    /// The answering node does not know that command (it is older).
    #[n(4)]
    Unsupported,
    /// Not here, not now, not by you; the detail says why and what to do.
    #[n(5)]
    Refused,
    /// A named limit was reached.
    #[n(6)]
    Limit,
    /// What was asked makes no sense.
    #[n(7)]
    Invalid,
    /// The daemon is stopping.
    #[n(8)]
    Stopping,
    /// A fault of ours, a damaged answer, or a code that only a newer program knows.
    #[n(9)]
    Internal,
}

/// A newer program's code is still an error, and its detail says which.
impl<'b, C> Decode<'b, C> for ErrorCode {
    fn decode(
        d: &mut minicbor::Decoder<'b>,
        _: &mut C,
    ) -> Result<ErrorCode, minicbor::decode::Error> {
        Ok(match d.u32()? {
            0 => ErrorCode::UnknownNode,
            1 => ErrorCode::Ambiguous,
            2 => ErrorCode::NoAnswer,
            3 => ErrorCode::Unreachable,
            4 => ErrorCode::Unsupported,
            5 => ErrorCode::Refused,
            6 => ErrorCode::Limit,
            7 => ErrorCode::Invalid,
            8 => ErrorCode::Stopping,
            _ => ErrorCode::Internal,
        })
    }
}

impl ErrorCode {
    /// The stable word used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            ErrorCode::UnknownNode => "unknown_node",
            ErrorCode::Ambiguous => "ambiguous",
            ErrorCode::NoAnswer => "no_answer",
            ErrorCode::Unreachable => "unreachable",
            ErrorCode::Unsupported => "unsupported",
            ErrorCode::Refused => "refused",
            ErrorCode::Limit => "limit",
            ErrorCode::Invalid => "invalid",
            ErrorCode::Stopping => "stopping",
            ErrorCode::Internal => "internal",
        }
    }
}
