//! What crosses a socket, and nothing else: values, their encoding, and how they are sealed.
//!
//! Three layers, from outside in: [`header`] (clear, fixed size, a parent routes by it),
//! [`seal`] and [`noise`] (authenticate and encrypt; [`key`] is what a whole herd shares), [`message`] (what nodes say to each other).
//! Between a program and its local daemon the same values travel in [`control`] frames.

pub mod codec;
pub mod command;
pub mod control;
pub mod header;
pub mod hello;
pub mod ids;
pub mod info;
pub mod key;
pub mod keyring;
pub mod limits;
pub mod message;
pub mod noise;
pub mod record;
pub mod refusal;
pub mod reply;
pub mod rumor;
pub mod seal;
pub mod time;

/// Version of the protocol between nodes. A peer that speaks another range is told so in a hello.
pub const PROTOCOL_VERSION: u8 = 1;
