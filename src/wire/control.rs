//! The control socket: what a local program and its daemon say to each other.
//!
//! Each is one frame of [`codec`](crate::wire::codec). A client may have several requests under
//! way on one connection; parts carry the request's number.

use crate::wire::command::{Command, Scope};
use crate::wire::ids::NodeId;
use crate::wire::reply::Reply;
use minicbor::{Decode, Encode};

/// From a program to its daemon.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Request {
    /// Chosen by the client, repeated in every part.
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub scope: Scope,
    #[n(2)]
    pub command: Command,
    /// How long to wait for answers, milliseconds; 0 for the default.
    #[n(3)]
    pub timeout_ms: u64,
}

/// From the daemon to a program: one node's answer, or a piece of it.
///
/// A long list comes in several parts; `last` marks the last one of this node. `done` marks the
/// last part of the whole request (every request gets exactly one; only `watch` never does).
/// A request that fails as a whole is one part with an error and `done`.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Part {
    #[n(0)]
    pub number: u64,
    /// The answering (or silent) node, as shown to people; empty when no node is meant.
    #[n(1)]
    pub node: String,
    #[n(2)]
    pub id: NodeId,
    #[n(3)]
    pub reply: Reply,
    #[n(4)]
    pub last: bool,
    #[n(5)]
    pub done: bool,
}
