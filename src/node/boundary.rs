//! The border of the core: everything that goes in and everything that comes out.
//!
//! Inputs carry no file descriptor and outputs no node id: the daemon knows sockets, the core
//! knows nodes, and between them are addresses, stream numbers and client numbers.

use crate::wire::command::Rank;
use crate::wire::control::{Part, Request};
use crate::wire::discovery::Discovered;
use crate::wire::guest::Guests;
use crate::wire::ids::{ClientId, Name, PipeId, StreamId};
use crate::wire::key::HerdKey;
use crate::wire::life::Class;
use crate::wire::limits::TIMEOUT_MS;
use crate::wire::pipe::Piece;
use crate::wire::seal::Suite;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// None: a name is made from the id.
    pub name: Option<Name>,
    /// The port told to others, UDP and TCP.
    pub port: u16,
    /// Own addresses, the internal ip first. At most [`ADDRESSES`](crate::wire::limits::ADDRESSES)
    /// are told.
    pub addresses: Vec<IpAddr>,
    /// Where packets for elsewhere go: a hypervisor, or the VM a container runs in.
    pub gateways: Vec<IpAddr>,
    /// Homes given by `-k`.
    pub homes: Vec<SocketAddr>,
    /// `-p`: overrides the public ip that was learnt.
    pub public_face: Option<IpAddr>,
    /// `-e`: answers, relays for nobody.
    pub deadend: bool,
    /// `--open-public`: an open herd takes peers on public addresses too.
    pub open_public: bool,
    /// The herd's key; None: the herd is open. And where it was found, for `key list`.
    pub key: Option<HerdKey>,
    pub key_source: String,
    /// What other nodes may have done here, at most.
    pub accept: Rank,
    /// What kind of life it leads.
    pub class: Class,
    /// It runs in a container: the node at its gateway may say that it ended.
    pub container: bool,
    pub threshold: Threshold,
    /// MeshNet's `timeout`, milliseconds.
    pub timeout_ms: u64,
    /// Seconds since the epoch at start. Only orders the starts of two clones of one identity.
    pub started_unix_s: u64,
    /// Program name and version, and how it was built, for `daust version`.
    pub program: String,
    pub build: String,
    pub suite: Suite,
    /// A bug planted on purpose, to prove that the simulator's checkers see it.
    #[cfg(feature = "testing")]
    pub planted: Option<crate::node::planted::Bug>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            name: None,
            port: 4040,
            addresses: Vec::new(),
            gateways: Vec::new(),
            homes: Vec::new(),
            public_face: None,
            deadend: false,
            open_public: false,
            accept: Rank::Execute,
            class: Class::default(),
            container: false,
            key: None,
            key_source: String::new(),
            threshold: Threshold::default(),
            timeout_ms: TIMEOUT_MS,
            started_unix_s: 0,
            program: format!("daustd {}", env!("CARGO_PKG_VERSION")),
            build: String::new(),
            suite: Suite::Real,
            #[cfg(feature = "testing")]
            planted: None,
        }
    }
}

/// MeshNet's `consensus_treshold`: how many of those who answered must see a node down.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Threshold {
    /// 0 to 1, of those who answered; 1.0 means all.
    Share(f64),
    /// That many.
    Count(u32),
}

impl Threshold {
    /// How many of `answered` must see a node down; at least one.
    pub fn needed(self, answered: u32) -> u32 {
        match self {
            Threshold::Share(share) => (share * f64::from(answered)).ceil().max(1.0) as u32,
            Threshold::Count(count) => count.max(1),
        }
    }
}

impl Default for Threshold {
    fn default() -> Threshold {
        Threshold::Share(0.5)
    }
}

/// What the state directory held at start.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// How often a daemon was started here, this start included; seconds since the epoch where
    /// that is not known any more. Stored before the node is made.
    pub start_counter: u64,
    /// Everything earlier lives asked to keep, by key.
    pub entries: BTreeMap<String, Vec<u8>>,
}

/// Which UDP socket. A node behind NAT sends from an ephemeral port: from 4040 it could take over
/// its hypervisor's own 4040 at the masquerade.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Socket {
    Main,
    Ephemeral,
}

/// Why a stream is no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The dial was refused: nobody listens there.
    Refused,
    /// The peer's kernel reset it: the process is gone.
    Reset,
    /// The peer closed it.
    Ended,
    /// The dial timed out or found no way.
    Unreachable,
    /// A limit was passed; the daemon closed it.
    Limit,
}

/// Who sits behind a local program, as the kernel says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub uid: u32,
    /// Empty where the machine has no name for it.
    pub name: String,
    /// What it may do at most.
    pub may: Rank,
}

impl User {
    /// For people.
    pub fn shown(&self) -> String {
        match self.name.as_str() {
            "" => format!("uid {}", self.uid),
            name => format!("user {name} (uid {})", self.uid),
        }
    }
}

impl Default for User {
    fn default() -> User {
        User { uid: 0, name: "root".to_string(), may: Rank::Execute }
    }
}

#[derive(Debug)]
pub enum Input<'a> {
    Datagram {
        socket: Socket,
        from: SocketAddr,
        bytes: &'a [u8],
    },
    /// An ICMP error says that nobody listens at `to`; `quoted` is the start of our own datagram.
    Refused {
        to: SocketAddr,
        quoted: &'a [u8],
    },
    /// A dial succeeded (a number this node gave) or a stream was accepted (the daemon's number).
    StreamOpened {
        stream: StreamId,
        peer: SocketAddr,
    },
    StreamFrame {
        stream: StreamId,
        bytes: &'a [u8],
    },
    StreamClosed {
        stream: StreamId,
        closed: Closed,
    },
    /// A local program asks.
    Request {
        client: ClientId,
        user: User,
        request: Request,
    },
    ClientGone {
        client: ClientId,
    },
    /// Own addresses or gateways changed (or were read again: no harm).
    Addresses {
        own: Vec<IpAddr>,
        gateways: Vec<IpAddr>,
    },
    /// The containers that an Engine on this machine runs, and those that ended just now.
    Guests(Guests),
    /// All that discovery sees on the local network now.
    Found(Vec<Discovered>),
    /// The homes of the configuration, resolved (again).
    Homes(Vec<SocketAddr>),
    /// What was asked to be kept under this ticket is on disk, or why it is not.
    Kept {
        ticket: u64,
        result: Result<(), String>,
    },
    /// The time of day, in seconds since the epoch: at least where it is not what it was plus the
    /// time since.
    Clock {
        unix_s: u64,
    },
    /// From the connection at the far end of a pipe.
    Piece {
        pipe: PipeId,
        piece: Piece,
    },
    /// SIGTERM: say goodbye; `Stopped` follows.
    Leave,
}

#[derive(Debug)]
pub enum Output {
    Datagram {
        socket: Socket,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Dial {
        stream: StreamId,
        to: SocketAddr,
    },
    Frame {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    /// The peer of this stream has proved itself: the small limits are lifted.
    Proved {
        stream: StreamId,
    },
    /// Close after what was queued is sent.
    Hangup {
        stream: StreamId,
    },
    Part {
        client: ClientId,
        part: Part,
    },
    /// Write these (None removes), sync, and say so with `Kept`. Nothing waits for it but what
    /// carries the same ticket.
    Keep {
        ticket: u64,
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Connect to the first of these that answers, as the far end of a pipe.
    Connect {
        pipe: PipeId,
        to: Vec<SocketAddr>,
    },
    /// For that connection. It ends by itself when both sides have, or at once when the pipe failed.
    Piece {
        pipe: PipeId,
        piece: Piece,
    },
    /// The goodbye is said: the process may end.
    Stopped,
}

/// What the next wake-up is for, so that `daustd -v` can say why it woke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Why {
    Swim,
    Vote,
    Heartbeat,
    Join,
    Nat,
    Request,
    Keys,
    Stream,
    Pipe,
    Keep,
    Goodbye,
}
