//! herd: never lose track of a VM or a container again.
//!
//! Read in this order: [`wire`] is what crosses a socket; [`node`] is one node as a pure state
//! machine; [`daemon`] is the world around it (sockets, clock, disk); [`client`] talks to the
//! local daemon; [`cli`] is `daust`; `ffi` is libherd. ARCHITECTURE.md says who may import whom.

#![deny(unsafe_code)]

pub mod wire;

pub mod node;

pub mod daemon;

pub mod client;

pub mod cli;

#[allow(unsafe_code)]
mod ffi;
