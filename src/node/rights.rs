//! Table: who may have what done here: other nodes, by what the configuration accepts and the herd
//! is; local programs, by the rights of the control socket and what their user may.

use crate::node::boundary::{Options, User};
use crate::node::tables::Tables;
use crate::wire::address::is_private;
use crate::wire::command::{Command, Rank};
use crate::wire::ids::NodeId;
use crate::wire::reply::{ErrorCode, Failure};
use std::net::{IpAddr, SocketAddr};

/// Who wants a command carried out.
pub enum Asker {
    User(User),
    /// Another node, and where it was heard directly lately.
    Node {
        id: NodeId,
        name: String,
        address: Option<SocketAddr>,
    },
}

impl Asker {
    pub fn node(t: &Tables, id: NodeId) -> Asker {
        Asker::Node { id, name: t.name(id), address: t.routes.seen_directly(id, t.now) }
    }
}

/// What decides, beside the rank of the command itself.
struct Here {
    keyed: bool,
    /// What the configuration lets others do.
    accept: Rank,
    open_public: bool,
}

/// Why a command is not carried out; None: it is. Either way the log says who wanted to change
/// something.
pub fn refusal(t: &mut Tables, asker: &Asker, command: &Command) -> Option<Failure> {
    let rank = command.rank();
    let why = match asker {
        Asker::User(user) => why_no_user(user, rank),
        Asker::Node { .. } if command.is_local() => {
            Some("that is asked of a node by programs on its own machine only".to_string())
        }
        Asker::Node { id, .. } => {
            let here = Here {
                keyed: !t.own.identity.ring().takes_open(),
                accept: t.own.options.accept,
                open_public: t.own.options.open_public,
            };
            why_not(&here, rank, source(t, *id))
        }
    };
    if rank > Rank::Read {
        let word = if why.is_some() { "refused" } else { "allowed" };
        let who = match asker {
            Asker::User(user) => user.shown(),
            Asker::Node { id, name, .. } => format!("{name} ({id})"),
        };
        log::info!(target: "rights", "{command:?} asked by {who}: {word}");
    }
    let why = why?;
    t.own.count("commands refused by their rank");
    Some(Failure::new(ErrorCode::Refused, why))
}

/// Why a key that another node gives to this open herd is not taken: whoever may not stop this node
/// may not do that.
pub fn why_no_adoption(t: &Tables, from: NodeId) -> Option<Failure> {
    let Options { accept, open_public, .. } = t.own.options;
    let here = Here { keyed: false, accept, open_public };
    let why = why_not(&here, Rank::Operate, source(t, from))?;
    Some(Failure::new(ErrorCode::Refused, why))
}

/// Where a node is: where it is heard, and of one that others hand on, where it says that it is. None:
/// on private addresses, as far as is known.
fn source(t: &Tables, id: NodeId) -> Option<IpAddr> {
    let direct = t.routes.seen_directly(id, t.now).map(|address| address.ip());
    let addresses = t.roster.get(id).map(|peer| &peer.record.addresses[..]).unwrap_or_default();
    direct.or_else(|| addresses.iter().copied().find(|ip| !is_private(*ip)))
}

fn why_no_user(user: &User, rank: Rank) -> Option<String> {
    (rank > user.may).then(|| {
        format!(
            "{} may do no more than {} here (`readers` in the configuration)",
            user.shown(),
            user.may.word()
        )
    })
}

fn why_not(here: &Here, rank: Rank, source: Option<IpAddr>) -> Option<String> {
    if rank > here.accept {
        let accept = here.accept.word();
        return Some(format!(
            "it takes no command of rank {} from other nodes (accept = \"{accept}\" in its \
             configuration)",
            rank.word()
        ));
    }
    if here.keyed || rank == Rank::Read {
        return None;
    }
    if rank == Rank::Execute {
        let text = "it is in an open herd, where nothing is executed for others: `daust key new` \
                    makes a herd key";
        return Some(text.to_string());
    }
    let public = source.filter(|source| !is_private(*source) && !here.open_public)?;
    Some(format!(
        "it is in an open herd and takes no such command from a public address ({public}); \
         --open-public lifts that, a herd key (`daust key new`) is better"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cell: herd, rank, address, what the configuration accepts.
    #[test]
    fn who_may_do_what() {
        use Rank::*;
        let private: IpAddr = [10, 0, 0, 1].into();
        let public: IpAddr = [198, 51, 100, 1].into();
        for (keyed, accept, open_public, source, may) in [
            (false, Execute, false, Some(private), &[Read, Operate][..]),
            (false, Execute, false, Some(public), &[Read]),
            (false, Execute, false, None, &[Read, Operate]),
            (false, Execute, true, Some(public), &[Read, Operate]),
            (false, Operate, false, Some(private), &[Read, Operate]),
            (false, Read, true, Some(private), &[Read]),
            (true, Execute, false, Some(public), &[Read, Operate, Execute]),
            (true, Execute, false, Some(private), &[Read, Operate, Execute]),
            (true, Operate, false, None, &[Read, Operate]),
            (true, Read, true, Some(private), &[Read]),
        ] {
            let here = Here { keyed, accept, open_public };
            for rank in [Read, Operate, Execute] {
                let why = why_not(&here, rank, source);
                assert_eq!(
                    why.is_none(),
                    may.contains(&rank),
                    "{keyed} {accept:?} {rank:?}: {why:?}"
                );
            }
        }
        let open = Here { keyed: false, accept: Execute, open_public: true };
        assert!(why_not(&open, Execute, None).unwrap().contains("daust key new"));
    }
}
