//! What is said along a byte pipe between a local program and a port of another node.
//!
//! The same pieces go all the way: over the control socket, over a channel of its own between the two
//! nodes, and to the daemon that holds the connection to the port. Nobody on the way keeps count:
//! each end sends at most [`PIPE_WINDOW_BYTES`](crate::wire::limits::PIPE_WINDOW_BYTES) that the
//! other end has not taken, so that one who does not read stops the other, and nothing grows.

use crate::wire::reply::Failure;
use minicbor::{Decode, Encode};

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Piece {
    /// Connect me to this port.
    #[n(0)]
    Open(#[n(0)] u16),
    #[n(1)]
    Opened,
    #[n(2)]
    Bytes(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// So many more bytes were taken: as many may follow. 0 keeps an idle pipe's way open.
    #[n(3)]
    Taken(#[n(0)] u32),
    /// No more bytes follow from this side.
    #[n(4)]
    End,
    #[n(5)]
    Failed(#[n(0)] Failure),
}
