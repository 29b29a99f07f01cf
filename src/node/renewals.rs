//! Membership, continued: a new generation of this node when others hold it to be down, a new start
//! of the engine when the process slept.

use crate::node::members::Members;
use crate::node::outbox::Notice;
use crate::node::swim::{Asked, SwimId, SwimNotice, start_engine};
use crate::node::tables::Tables;
use crate::wire::ids::Generation;
use crate::wire::info::State;
use foca::Member;

impl Members {
    /// Takes a generation above `above` as soon as that is allowed: at most once a minute.
    pub fn renew(&mut self, t: &mut Tables, above: Generation) {
        if t.own.leaving || t.own.record.generation > above {
            return;
        }
        if above.start_counter() > t.own.record.generation.start_counter() {
            t.out.notice(Notice::StartAbove(above));
            return;
        }
        if !t.own.may_renew(t.now) {
            self.renew_above = Some(self.renew_above.unwrap_or_default().max(above));
            return;
        }
        self.renew_above = None;
        t.own.renew(above, t.now);
        log::info!(target: "members", "others held this node to be down: it goes on in a new generation");
        let id = SwimId { node: t.own.id, generation: t.own.record.generation };
        self.shared.borrow_mut().own = Some(id);
        let mut asked = Asked::default();
        let _ = self.engine.change_identity(id, &mut asked);
        self.rejoin_all(t, &mut asked);
        self.carry_out(t, asked);
        t.out.notice(Notice::OwnChanged);
    }

    /// Another node knows a later life of ours than this one (our state was lost or restored, or
    /// a clone runs): start above it.
    pub fn start_above(&mut self, t: &mut Tables, above: Generation) -> bool {
        if t.own.leaving || !t.own.may_renew(t.now) || t.own.record.generation > above {
            return false;
        }
        log::warn!(target: "members", "a later life of this node is known elsewhere: starting above it");
        t.own.renew(Generation::first(above.start_counter() + 1), t.now);
        t.roster.iter_mut().for_each(|peer| peer.renew_keys(t.now));
        self.restart(t);
        t.out.notice(Notice::OwnChanged);
        true
    }

    /// After a change of identity the engine waits for a word; it already knows who lives.
    fn rejoin_all(&mut self, t: &Tables, asked: &mut Asked) {
        let alive: Vec<Member<SwimId>> = t
            .roster
            .live()
            .map(|(node, peer)| SwimId { node, generation: peer.record.generation })
            .map(Member::alive)
            .collect();
        let _ = self.engine.apply_many(alive.into_iter(), false, &mut *asked);
        // Who was up before is no news.
        let is_news = |notice: &SwimNotice| match notice {
            SwimNotice::Up(id) => t.roster.get(id.node).is_none_or(|p| p.state != State::Alive),
            _ => true,
        };
        asked.notices.retain(is_news);
    }

    /// The process slept: nothing the engine was about to conclude is worth anything.
    pub fn woke(&mut self, t: &mut Tables) {
        self.restart(t);
    }

    fn restart(&mut self, t: &mut Tables) {
        self.timers.clear();
        self.pinged = None;
        self.engine = start_engine(t, &self.shared);
        let mut asked = Asked::default();
        self.rejoin_all(t, &mut asked);
        self.carry_out(t, asked);
    }
}
