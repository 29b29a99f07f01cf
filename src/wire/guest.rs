//! What an Engine on this machine says of a container that it runs. The daemon reads it there and hands
//! it to the node; between nodes only the [`Ending`](crate::wire::rumor::Ending) of one travels.

use crate::wire::rumor::Ending;
use std::net::IpAddr;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// The Engine's own, of this container alone.
    pub id: String,
    /// For people.
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub state: GuestState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestState {
    Running,
    /// Frozen, and not gone.
    Paused,
    Ended(Ending),
}

/// All guests there are, or why nothing is known of any.
pub type Guests = Result<Vec<Guest>, String>;
