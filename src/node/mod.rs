//! One node as a pure state machine: no socket, no clock, no file, no thread.

mod boundary;
#[cfg(feature = "testing")]
pub mod planted;

pub use boundary::{Closed, Input, Kept, Options, Output, Socket, Threshold, Why};

use crate::wire::time::Time;
use std::collections::VecDeque;

/// One node.
pub struct Node {
    outputs: VecDeque<Output>,
}

impl Node {
    pub fn new(_options: Options, _kept: Kept, _seed: [u8; 32], _now: Time) -> Node {
        Node { outputs: VecDeque::new() }
    }

    /// Takes one input. Never blocks, never panics on what comes from outside.
    pub fn handle(&mut self, _now: Time, input: Input) {
        use crate::wire::{command::Command, control::Part, ids::NodeId, reply::Reply};
        match input {
            Input::Request { client, request } => {
                let reply =
                    if request.command == Command::Stop { Reply::Stopped } else { Reply::Pong };
                let stop = reply == Reply::Stopped;
                self.outputs.push_back(Output::Part {
                    client,
                    part: Part {
                        number: request.number,
                        node: "stub".into(),
                        id: NodeId(1),
                        reply,
                        last: true,
                        done: true,
                    },
                });
                if stop {
                    self.outputs.push_back(Output::Stopped);
                }
            }
            Input::Leave => self.outputs.push_back(Output::Stopped),
            _ => {}
        }
    }

    /// Runs what is due. Call once a turn, after the inputs.
    pub fn tick(&mut self, _now: Time) {}

    /// The next thing to carry out; drain it each turn, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `tick` again at the latest, and what for.
    pub fn deadline(&self) -> Option<(Time, Why)> {
        None
    }
}
