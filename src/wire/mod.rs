//! What crosses a socket, and nothing else: values, their encoding, and how they are sealed.
//!
//! Three layers, from outside in: [`header`] (clear, fixed size, a parent routes by it),
//! [`seal`] and [`noise`] (authenticate and encrypt; [`key`] is what a whole herd shares), [`message`] (what nodes say to each other).
//! Between a program and its local daemon the same values travel in [`control`] frames.

pub mod address;
pub mod codec;
pub mod command;
pub mod control;
pub mod copied;
pub mod discovery;
pub mod finding;
pub mod guest;
pub mod header;
pub mod hello;
pub mod history;
pub mod ids;
pub mod info;
pub mod key;
pub mod keyring;
pub mod life;
pub mod limits;
pub mod message;
pub mod noise;
pub mod pipe;
pub mod record;
pub mod refusal;
pub mod reply;
pub mod rumor;
pub mod seal;
pub mod targets;
pub mod time;
pub mod token;
pub mod why;

/// The port of every herd, UDP and TCP, unless `daustd -P` says else.
pub const PORT: u16 = 4040;
/// Version of the protocol between nodes. A peer that speaks another range is told so in a hello.
pub const PROTOCOL_VERSION: u8 = 1;
