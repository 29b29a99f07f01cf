//! What the machine itself says: ICMP errors, its addresses, and the local program that wants a way
//! examined.

use crate::node::Node;
use crate::node::boundary::Output;
use crate::node::doctor::Subject;
use crate::node::execute::{address_of, find, is_alive};
use crate::node::outbox::{Notice, Occasion};
use crate::node::peer::Peer;
use crate::wire::command::{Command, Scope};
use crate::wire::control::{Part, Request};
use crate::wire::header::Header;
use crate::wire::hello::Intent;
use crate::wire::ids::{ClientId, NodeId};
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::seal::counter_of;

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
        let address = address_of(text, t.own.record.port).filter(|_| !is_alive(t, text));
        let subject = match address {
            Some(address) => Ok(Subject::Address(address)),
            None => find(t, text).map(Subject::Node),
        };
        let own = Failure::new(ErrorCode::Invalid, OWN_WAY);
        let begun = match subject {
            Ok(Subject::Node(id)) if id == t.own.id => Err(own),
            Ok(Subject::Node(id)) if t.own.is_shut_out(id) => {
                Err(Failure::new(ErrorCode::Refused, SHUT_OUT))
            }
            Ok(subject) => {
                let until = self.doctor.begin(t, client, request.number, subject);
                until.map(|until| (subject, until))
            }
            Err(failure) => Err(failure),
        };
        match begun {
            Ok((Subject::Address(at), until)) => {
                let why = Occasion::Looked { until };
                self.hellos.contacts.contact(t, at, NodeId::ANYBODY, Intent::Return, why);
            }
            Ok((Subject::Node(_), _)) => {}
            Err(failure) => {
                let reply = Reply::Error(failure);
                let node = t.own.record.name.to_string();
                let (number, id) = (request.number, t.own.id);
                let part = Part { number, node, id, reply, last: true, done: true };
                t.out.output(Output::Part { client, part });
            }
        }
    }

    /// An ICMP error says that a process is gone. It counts only if it quotes what we sent.
    pub(super) fn refused(&mut self, to: std::net::SocketAddr, quoted: &[u8]) {
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
