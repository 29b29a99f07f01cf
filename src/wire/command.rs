//! What can be asked of a node, and of whom.

use crate::wire::ids::NodeId;
use crate::wire::pipe::Piece;
use minicbor::{Decode, Encode};
use std::str::FromStr;

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
    /// Make the next herd key. Local only, as are the next two.
    #[n(10)]
    Rotate,
    /// Shut this node out, named as on the command line, and make the next herd key.
    #[n(11)]
    Revoke(#[n(0)] String),
    /// The newest herd key as text, for a new machine.
    #[n(12)]
    KeyText,
    /// A join token, with this node's address. Local only.
    #[n(13)]
    Token,
    /// Give this open herd a key, which these nodes get and nobody else. Local only.
    #[n(14)]
    Adopt(#[n(0)] Vec<NodeId>),
    /// What is in the journal, or what of it is about one node.
    #[n(15)]
    History(#[n(0)] Option<String>),
    /// Why a node is shown as it is, named as on the command line.
    #[n(16)]
    Why(#[n(0)] String),
    /// Look for what is wrong: with the asked node, or (local only) with the way to another node or
    /// address.
    #[n(17)]
    Doctor(#[n(0)] Option<String>),
    /// A byte pipe to a port of one node: `Open` begins it, what follows goes along it under the same
    /// number. Local only, for another node.
    #[n(18)]
    Pipe(#[n(0)] Piece),
}

/// What a command does to the herd. Whoever may do one may do those before it, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// Looks, and changes nothing.
    Read,
    /// Changes presence.
    Operate,
    /// Runs programs or moves data.
    Execute,
}

impl Rank {
    const ALL: [Rank; 3] = [Rank::Read, Rank::Operate, Rank::Execute];

    /// As in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Rank::Read => "read",
            Rank::Operate => "operate",
            Rank::Execute => "execute",
        }
    }
}

impl FromStr for Rank {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Rank, &'static str> {
        let rank = Rank::ALL.into_iter().find(|rank| rank.word() == word);
        rank.ok_or("a rank is read, operate or execute")
    }
}

impl Command {
    pub fn rank(&self) -> Rank {
        match self {
            Command::Ping
            | Command::List
            | Command::Trace
            | Command::TraceAll
            | Command::TraceNode(_)
            | Command::Version
            | Command::Watch
            | Command::Keys
            | Command::History(_)
            | Command::Why(_)
            | Command::Doctor(_) => Rank::Read,
            Command::Stop
            | Command::Forget(_)
            | Command::Rotate
            | Command::Revoke(_)
            | Command::KeyText
            | Command::Adopt(_)
            | Command::Token => Rank::Operate,
            Command::Pipe(_) => Rank::Execute,
        }
    }

    /// The words that a person types for it.
    pub fn words(&self) -> String {
        if let Command::Pipe(Piece::Open(port)) = self {
            return format!("{} {port}", self.verb());
        }
        match self.argument() {
            Some(node) => format!("{} {node}", self.verb()),
            None => self.verb().to_string(),
        }
    }

    /// The same without its argument.
    pub fn verb(&self) -> &'static str {
        match self {
            Command::Ping => "ping",
            Command::List => "list",
            Command::Trace | Command::TraceNode(_) => "trace",
            Command::TraceAll => "trace all",
            Command::Stop => "stop",
            Command::Version => "version",
            Command::Watch => "watch",
            Command::Forget(_) => "forget",
            Command::Keys => "key list",
            Command::Rotate => "key rotate",
            Command::Revoke(_) => "key revoke",
            Command::KeyText => "key show",
            Command::Token => "token",
            Command::Adopt(_) => "key adopt",
            Command::History(_) => "history",
            Command::Why(_) => "why",
            Command::Doctor(_) => "doctor",
            Command::Pipe(_) => "nc",
        }
    }

    fn argument(&self) -> Option<&str> {
        match self {
            Command::TraceNode(node)
            | Command::Forget(node)
            | Command::Revoke(node)
            | Command::Why(node) => Some(node),
            Command::History(node) | Command::Doctor(node) => node.as_deref(),
            _ => None,
        }
    }

    /// Whether only programs on the node's own machine may ask for it. (`Watch` says so itself.)
    pub fn is_local(&self) -> bool {
        matches!(
            self,
            Command::Rotate
                | Command::Revoke(_)
                | Command::KeyText
                | Command::Adopt(_)
                | Command::Token
                | Command::Doctor(Some(_))
        )
    }
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
