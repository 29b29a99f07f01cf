//! What a feature may ask for. Features never import each other: what one learns and another
//! needs becomes a notice, and one `match` in `mod.rs` hands it on.

use crate::node::boundary::Output;
use crate::node::routes::Way;
use crate::wire::hello::Refusal;
use crate::wire::ids::{NodeId, PipeId, StreamId};
use crate::wire::message::Body;
use crate::wire::reply::Failure;
use crate::wire::rumor::{Reason, Subject, Verdict};
use crate::wire::time::Time;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carry {
    /// A datagram; one too large for it goes on a channel. The number counts attempts: each takes
    /// the next of the known ways.
    Best(usize),
    /// A datagram to this very place.
    At(Way),
    /// The channel it answers on, else like `Best(0)`.
    Channel(Option<Channel>),
    /// This channel and no other way.
    Pipe(Channel),
    /// A channel, dialled if need be; a datagram if no channel can be had and it fits.
    Stream,
}

/// A channel of a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Channel {
    pub stream: StreamId,
    pub number: u32,
}

#[derive(Debug)]
pub struct Send {
    pub to: NodeId,
    pub body: Body,
    pub carry: Carry,
}

/// Why an address is greeted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// A person waits for it until then.
    Typed {
        until: Time,
    },
    /// Given by `-k`: greeted for ever.
    Home,
    /// The default gateway: asked now and then.
    Gateway,
    Remembered,
    /// Found on the local network.
    Found,
    /// Somebody wants to know who is there and whether he would be let in, until then: nobody joins.
    Looked {
        until: Time,
    },
    /// Somebody unproved said that a lost node is there: greeted once, no more than it said itself.
    Claimed,
}

/// Who answered at an address that was looked at.
#[derive(Clone, PartialEq, Debug)]
pub struct Met {
    pub name: String,
    pub id: NodeId,
    /// Why it would not let this node in.
    pub refusal: Option<Refusal>,
}

/// Between a pipe and its channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Matter {
    /// A pipe wants a channel of its own to this node.
    Wanted { pipe: PipeId, to: NodeId },
    /// A pipe has said all on this channel.
    Over(Channel),
    /// A pipe's channel is closed.
    Lost(Channel),
}

/// A fact that one feature learnt and others may need.
#[derive(Clone, PartialEq, Debug)]
pub enum Notice {
    /// A node was met by hello and has proved itself: it lives. `greeted` says who began.
    Met {
        id: NodeId,
        greeted: bool,
    },
    /// A contact answered a hello at this address.
    Contacted {
        address: SocketAddr,
        id: NodeId,
    },
    /// Somebody wants to know who is at this address, until then.
    Look {
        address: SocketAddr,
        until: Time,
    },
    /// What a look at an address found: who is there, or the sentence that says why nobody.
    Looked {
        address: SocketAddr,
        found: Result<Met, String>,
    },
    /// A contact cannot be had.
    ContactFailed {
        address: SocketAddr,
        failure: Failure,
    },
    /// A record arrived that was not known, or a later life.
    Recorded(NodeId),
    /// A known node's record changed within its life; `rerouted` says that its parent did,
    /// `moved` that an address is gone.
    RecordChanged {
        id: NodeId,
        rerouted: bool,
        moved: bool,
    },
    /// A record is missing that this node named.
    Missing {
        named_by: NodeId,
    },
    /// Our own record changed.
    OwnChanged,
    /// A node seen down by the engine's probe.
    ProbeFailed(NodeId),
    /// The vote says down.
    Verdict(Verdict),
    /// With nobody to ask: down on this node's own word.
    AloneDown(Subject, Reason),
    /// The vote says up: only our path is broken.
    SeenUp {
        id: NodeId,
        by: NodeId,
    },
    /// Nobody answers us.
    CutOff,
    /// A state changed, whoever decided it.
    Up(NodeId),
    Suspect(NodeId),
    Down(NodeId),
    Left(NodeId),
    /// Somebody holds a later generation or a verdict against us.
    RenewAbove(crate::wire::ids::Generation),
    /// A later life of ours is known elsewhere.
    StartAbove(crate::wire::ids::Generation),
    /// A dead node is to be forgotten.
    Forget(Subject),
    /// This node was shut out of the herd.
    Revoked(NodeId),
    /// This node has no herd key, and is not heard any more without one.
    Keyless(NodeId),
    /// A local client waits for this node's word under this number: goodbye once it is sent.
    Stop,
    Pipe(Matter),
    /// A parent was chosen or lost.
    Parent(Option<NodeId>),
}

#[derive(Default)]
pub struct Outbox {
    pub outputs: VecDeque<Output>,
    pub sends: VecDeque<Send>,
    pub notices: VecDeque<Notice>,
}

/// Places that an empty queue keeps: a burst, such as a large herd's join, is over soon.
const KEPT_PLACES: usize = 64;

impl Outbox {
    /// All queues are empty: gives back the room of a burst.
    pub fn rest(&mut self) {
        self.outputs.shrink_to(KEPT_PLACES);
        self.sends.shrink_to(KEPT_PLACES);
        self.notices.shrink_to(KEPT_PLACES);
    }

    pub fn send(&mut self, to: NodeId, body: Body) {
        self.carry(to, body, Carry::Best(0));
    }

    pub fn carry(&mut self, to: NodeId, body: Body, carry: Carry) {
        self.sends.push_back(Send { to, body, carry });
    }

    pub fn notice(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }

    pub fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}

/// The sentence for who waits for an address.
pub fn no_answer(at: SocketAddr) -> String {
    format!("no daustd answers at {at}; `daust doctor {at}` says what is in the way")
}
