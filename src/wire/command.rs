//! What can be asked of a node, and of whom.

use minicbor::{Decode, Encode};

/// A request value: what a verb becomes. Numbers are never reused.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Command {
    #[n(0)]
    Ping,
    /// All known nodes, the answering node first.
    #[n(1)]
    List,
    /// The answering node alone.
    #[n(2)]
    Trace,
    /// The tree of routes as the answering node sees it.
    #[n(3)]
    TraceAll,
    /// The path to one node, named as on the command line.
    #[n(4)]
    TraceNode(#[n(0)] String),
    #[n(5)]
    Stop,
    #[n(6)]
    Version,
    /// Follow what happens: events come until the client goes. Local only.
    #[n(7)]
    Watch,
    /// Forget a dead node, named as on the command line.
    #[n(8)]
    Forget(#[n(0)] String),
    /// The herd keys in use, without their secrets.
    #[n(9)]
    Keys,
}

/// Whom a request is for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Scope {
    #[n(0)]
    Here,
    /// Name, id prefix, address or address:port, as on the command line.
    #[n(1)]
    Node(#[n(0)] String),
    #[n(2)]
    All,
}
