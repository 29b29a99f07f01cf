//! A machine: one installation of daustd on a host, with its disk, its process while it runs, and
//! what waits for it while it is paused.

use crate::net::HostId;
use herd::node::{Closed, Input, Kept, Node, Socket, User};
use herd::wire::control::Request;
use herd::wire::discovery::Discovered;
use herd::wire::guest::Guests;
use herd::wire::ids::{ClientId, NodeId, PipeId, StreamId};
use herd::wire::life::Class;
use herd::wire::pipe::Piece;
use herd::wire::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Number of a machine in its world.
pub type MachineId = usize;

/// An input that owns its bytes: it may have to wait.
#[derive(Clone, Debug)]
pub enum Stimulus {
    Datagram { socket: Socket, from: SocketAddr, bytes: Vec<u8> },
    Refused { to: SocketAddr, quoted: Vec<u8> },
    StreamOpened { stream: StreamId, peer: SocketAddr },
    StreamFrame { stream: StreamId, bytes: Vec<u8> },
    StreamClosed { stream: StreamId, closed: Closed },
    Request { client: ClientId, request: Request },
    Addresses { own: Vec<IpAddr>, gateways: Vec<IpAddr> },
    Found(Vec<Discovered>),
    Guests(Guests),
    Kept { ticket: u64, result: Result<(), String> },
    Piece { pipe: PipeId, piece: Piece },
    Leave,
}

impl Stimulus {
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Stimulus::Datagram { socket, from, bytes } => {
                Input::Datagram { socket: *socket, from: *from, bytes }
            }
            Stimulus::Refused { to, quoted } => Input::Refused { to: *to, quoted },
            Stimulus::StreamOpened { stream, peer } => {
                Input::StreamOpened { stream: *stream, peer: *peer }
            }
            Stimulus::StreamFrame { stream, bytes } => {
                Input::StreamFrame { stream: *stream, bytes }
            }
            Stimulus::StreamClosed { stream, closed } => {
                Input::StreamClosed { stream: *stream, closed: *closed }
            }
            Stimulus::Request { client, request } => {
                let (client, request) = (*client, request.clone());
                Input::Request { client, user: User::default(), request }
            }
            Stimulus::Addresses { own, gateways } => {
                Input::Addresses { own: own.clone(), gateways: gateways.clone() }
            }
            Stimulus::Found(found) => Input::Found(found.clone()),
            Stimulus::Guests(told) => Input::Guests(told.clone()),
            Stimulus::Kept { ticket, result } => {
                Input::Kept { ticket: *ticket, result: result.clone() }
            }
            Stimulus::Piece { pipe, piece } => Input::Piece { pipe: *pipe, piece: piece.clone() },
            Stimulus::Leave => Input::Leave,
        }
    }
}

pub type Entries = Vec<(String, Option<Vec<u8>>)>;

/// A state directory. Writes under way may or may not be there after a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub start_counter: Option<u64>,
    pub entries: BTreeMap<String, Vec<u8>>,
    pub under_way: VecDeque<(u64, Entries)>,
}

impl Disk {
    pub fn apply(&mut self, entries: Entries) {
        for (key, value) in entries {
            match value {
                Some(mut value) => {
                    value.shrink_to_fit();
                    self.entries.insert(key, value)
                }
                None => self.entries.remove(&key),
            };
        }
    }

    /// Counts the start and gives what a new process finds.
    pub fn start(&mut self, unix_s: u64) -> Kept {
        let start_counter = self.start_counter.map_or(unix_s, |counter| counter + 1);
        self.start_counter = Some(start_counter);
        Kept { start_counter, entries: self.entries.clone() }
    }
}

/// What a machine is told on its command line.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub name: String,
    pub homes: Vec<SocketAddr>,
    pub deadend: bool,
    pub class: Class,
    pub container: bool,
    /// None: its herd is open.
    pub key: Option<herd::wire::key::HerdKey>,
    /// A bug in this machine's program alone.
    pub planted: Option<herd::node::planted::Bug>,
}

pub struct Process {
    pub node: Box<Node>,
    pub ephemeral_port: u16,
    /// The own address each remote one wrote to last: it is answered from there.
    pub asked_as: BTreeMap<(Socket, SocketAddr), IpAddr>,
    pub next_accepted: u64,
    pub streams: BTreeMap<StreamId, (u32, usize)>,
    /// The earliest wake-up that is scheduled.
    pub wake_us: u64,
    pub left_us: Option<u64>,
}

pub struct Machine {
    pub host: HostId,
    pub spec: Spec,
    pub port: u16,
    pub disk: Disk,
    pub boot_offset_us: u64,
    pub process: Option<Process>,
    /// Counts the processes: events for an earlier one are dropped.
    pub life: u32,
    pub paused: bool,
    /// What waits while the process is paused.
    pub backlog: VecDeque<Stimulus>,
    /// The id it showed last.
    pub id: Option<NodeId>,
    pub next_request: u64,
}

/// Datagrams a paused process's socket buffers hold.
pub const BACKLOG: usize = 600;

impl Machine {
    pub fn new(host: HostId, spec: Spec, boot_offset_us: u64) -> Machine {
        Machine {
            host,
            spec,
            port: 4040,
            disk: Disk::default(),
            boot_offset_us,
            process: None,
            life: 0,
            paused: false,
            backlog: VecDeque::new(),
            id: None,
            next_request: 1,
        }
    }

    pub fn time(&self, now_us: u64) -> Time {
        Time(now_us + self.boot_offset_us)
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub fn is_live(&self) -> bool {
        self.is_running() && !self.paused
    }

    /// The socket bound to this port.
    pub fn socket(&self, port: u16) -> Option<Socket> {
        let process = self.process.as_ref()?;
        if port == self.port {
            Some(Socket::Main)
        } else if port == process.ephemeral_port {
            Some(Socket::Ephemeral)
        } else {
            None
        }
    }

    /// Keeps an input for later; false if the buffers are full and it is lost.
    pub fn wait(&mut self, stimulus: Stimulus) -> bool {
        let is_datagram = matches!(stimulus, Stimulus::Datagram { .. });
        if is_datagram && self.backlog.len() >= BACKLOG {
            return false;
        }
        self.backlog.push_back(stimulus);
        true
    }
}
