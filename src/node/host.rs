//! What the machine itself says: ICMP errors, its addresses, and the local program that wants a way
//! examined.

use crate::node::Node;
use crate::node::doctor::Subject;
use crate::node::named::{address_of, find};
use crate::node::outbox::{Notice, Occasion};
use crate::node::peer::Peer;
use crate::wire::command::{Command, Scope};
use crate::wire::control::Request;
use crate::wire::header::Header;
use crate::wire::hello::Intent;
use crate::wire::ids::{ClientId, NodeId};
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::seal::counter_of;
use crate::wire::time::Time;
use std::net::SocketAddr;

/// Whether a request is for the way to another node: it takes its time.
pub(super) fn is_examination(request: &Request) -> bool {
    request.scope == Scope::Here && matches!(request.command, Command::Doctor(Some(_)))
}

/// To who asks for the way to the asked node itself.
const OWN_WAY: &str = "that is the asked node itself: `daust doctor` looks at it";

/// To who asks for the way to a node that no way leads to any more.
const SHUT_OUT: &str = "that node was shut out of this herd (`daust key revoke`): if it is to come \
                        back, give it a new identity (an empty state directory) and the newest key";

impl Node {
    /// The id of its herd, 0 when it is open: discovery shows a mark of it.
    pub fn herd(&self) -> u64 {
        self.t.own.identity.herd_and_epoch().0
    }

    /// Begins to look at the way to a node or an address, or says at once why not.
    pub(super) fn examine(&mut self, client: ClientId, request: Request) {
        let t = &mut self.t;
        let Command::Doctor(Some(text)) = &request.command else { return };
        let subject = match (find(t, text), address_of(text, t.own.record.port)) {
            (Ok(id), _) => Ok(Subject::Node(id)),
            (Err(_), Some(address)) => Ok(Subject::Address(address)),
            (Err(failure), None) => Err(failure),
        };
        let begun = subject.and_then(|subject| match subject {
            Subject::Node(id) if id == t.own.id => Err(Failure::new(ErrorCode::Invalid, OWN_WAY)),
            Subject::Node(id) if t.own.is_shut_out(id) => {
                Err(Failure::new(ErrorCode::Refused, SHUT_OUT))
            }
            subject => self.doctor.begin(t, client, request.number, subject),
        });
        if let Err(failure) = begun {
            t.tell(client, request.number, Reply::Error(failure));
        }
    }

    /// Asks who is at an address, until then.
    pub(super) fn look(&mut self, address: SocketAddr, until: Time) {
        let (why, anybody) = (Occasion::Looked { until }, NodeId::ANYBODY);
        self.hellos.contacts.contact(&mut self.t, address, anybody, Intent::Return, why);
    }

    /// An ICMP error says that a process is gone. It counts only if it quotes what we sent.
    pub(super) fn refused(&mut self, to: SocketAddr, quoted: &[u8]) {
        let t = &mut self.t;
        let Ok((header, rest)) = Header::parse(quoted) else { return };
        // Behind a NAT the refusal is the NAT's: a mapping ended, not a process.
        let own_address = |peer: &Peer| peer.record.addresses.contains(&to.ip());
        if !t.roster.get(header.destination).is_some_and(own_address) {
            t.routes.lost(header.destination, to);
            return;
        }
        let counter = counter_of(rest);
        let peer = t.roster.get(header.destination);
        let sent = counter.zip(peer).is_some_and(|(counter, peer)| peer.was_sent(counter));
        if header.sender != t.own.id || !sent || t.routes.id_at(to) != Some(header.destination) {
            t.routes.lost(header.destination, to);
            t.own.count("refusals not believed");
            return;
        }
        t.routes.refused(header.destination, t.now);
        self.votes.doubt(t, header.destination);
    }

    pub(super) fn addresses(&mut self, own: &[std::net::IpAddr], gateways: &[std::net::IpAddr]) {
        let t = &mut self.t;
        if t.own.options.gateways != gateways {
            t.own.gateways_met.retain(|at, _| gateways.contains(at));
            self.hellos.contacts.set_gateways(t, gateways);
            if t.own.tell_host() {
                t.out.notice(Notice::OwnChanged);
            }
        }
        let lost = t.own.options.addresses.iter().any(|address| !own.contains(address));
        if t.own.set_addresses(own) {
            log::info!(target: "node", "own addresses changed");
            if lost {
                self.links.moved(t, None);
            }
            self.nat.moved(t);
            self.homes.phone_now(t);
            t.out.notice(Notice::OwnChanged);
        }
    }
}
