//! Two live instances of one identity, from a cloned image: whoever hears both tells the later one,
//! which draws a new identity and goes on.

use crate::node::boundary::{Kept, Output};
use crate::node::outbox::Notice;
use crate::node::post::envelope;
use crate::node::routes::Way;
use crate::node::{Node, keeping, keys};
use crate::wire::codec;
use crate::wire::hello::Intent;
use crate::wire::history::EntryKind;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::message::{Body, Envelope, Nonce, Taken, Undead};
use crate::wire::record::Record;
use rand::RngExt;

impl Node {
    /// Word under the key of a former life: it was under way for long, or another instance lives
    /// (a clone). Only what answers our question lives.
    pub(super) fn former_life(&mut self, id: NodeId, way: Way, plain: &[u8]) {
        let t = &mut self.t;
        let Ok(envelope) = codec::decode::<Envelope>(plain) else { return };
        let nonce = t.random.random();
        let Some(peer) = t.roster.get_mut(id) else { return };
        match Body::decode(envelope.number, &envelope.body) {
            Some(Ok(Body::ProbeAnswer(Nonce { nonce }))) if peer.former_lives(nonce) => {
                self.clone_lives(id, way);
            }
            _ if peer.challenge_former(nonce, t.now) => {
                self.send_to_former(id, way, &Body::Probe(Nonce { nonce }));
            }
            _ => {}
        }
    }

    /// Two lives of one identity live: the one that started later is told to draw a new one, the
    /// other to start above it.
    fn clone_lives(&mut self, id: NodeId, way: Way) {
        let t = &mut self.t;
        t.own.count("clones heard");
        log::warn!(target: "roster", "two live nodes bear the identity of {} ({id}): a cloned image?", t.name(id));
        let Some(peer) = t.roster.get(id) else { return };
        let Some((former, former_signed)) = peer.former() else { return };
        if former.instance > peer.record.instance {
            let record = peer.signed.clone();
            self.send_to_former(id, way, &Body::Taken(Taken { record }));
        } else {
            let record = former_signed.to_vec();
            let generation = peer.record.generation;
            t.out.send(id, Body::Taken(Taken { record }));
            self.send_to_former(id, way, &Body::Undead(Undead { generation }));
        }
    }

    fn send_to_former(&mut self, id: NodeId, way: Way, body: &Body) {
        let t = &mut self.t;
        let random = t.random.random();
        let plain = codec::encode(&envelope(body, Vec::new(), None));
        let peer = t.roster.get_mut(id);
        if let Some(bytes) = peer.and_then(|peer| peer.seal_to_former(&t.own, random, &plain)) {
            t.out.output(Output::Datagram { socket: way.socket, to: way.address, bytes });
        }
    }

    /// Another live instance bears our id. If it started earlier, this one draws a new identity
    /// and goes on.
    pub(super) fn taken(&mut self, taken: &Taken) {
        let t = &mut self.t;
        let Ok(record) = Record::open(t.own.options.suite, &taken.record) else { return };
        if record.id() != t.own.id || record.instance >= t.own.record.instance {
            return;
        }
        log::warn!(target: "node", "another live node has this node's identity (a cloned image?): drawing a new one");
        let mut secret = [0; 64];
        rand::Rng::fill_bytes(&mut t.random, &mut secret);
        let mut options = t.own.options.clone();
        options.name = Some(t.own.record.name.clone());
        let mut kept =
            Kept { start_counter: t.own.record.generation.start_counter(), ..Kept::default() };
        kept.entries.insert("identity".to_string(), secret.to_vec());
        let (name, keys) = keys::entry(t.own.identity.ring());
        kept.entries.insert(name, keys);
        let seed = t.random.random();
        let former: Vec<(NodeId, Record, Vec<u8>)> = t
            .roster
            .iter()
            .map(|(id, peer)| (id, peer.record.clone(), peer.signed.clone()))
            .collect();
        let outputs = std::mem::take(&mut t.out.outputs);
        let now = t.now;
        let relay = std::mem::take(&mut self.relay);
        let journal = t.journal.take(now);
        let original = t.own.id;
        *self = Node::new(options, kept, seed, now);
        self.t.own.change(|record| record.set_copy_of(original));
        self.relay = relay;
        self.t.journal = journal;
        let text = "under a new identity: another live node had this one's (a cloned image?)";
        self.t.journal.event(now, EntryKind::Started, self.t.own.id, "", text);
        for (_, record, signed) in former {
            let id = record.id();
            self.t.roster.put(record, signed, State::Suspect, now);
            self.t.roster.set_unheard(id, true);
            self.t.out.notice(Notice::Suspect(id));
        }
        let own = std::mem::replace(&mut self.t.out.outputs, outputs);
        self.t.out.outputs.extend(own);
        self.t.out.output(keeping::keep_identity(secret));
        self.hellos.contacts.greet_known(&mut self.t, Intent::Join);
    }
}
