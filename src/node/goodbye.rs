//! The clean end of a node: everybody is told, what is under way is relayed a little longer.

use crate::node::Node;
use crate::node::boundary::Output;
use crate::node::planted::Bug;
use crate::wire::history::EntryKind;
use crate::wire::limits::GOODBYE_MS;
use crate::wire::message::Body;
use crate::wire::rumor::{Left, Rumor};
use crate::wire::time::Time;

/// A stopping node gives its last answers and goodbyes this long before it ends.
const LINGER_MS: u64 = 250;
/// The goodbye is said twice, this far apart.
const AGAIN_MS: u64 = 100;

pub(super) struct Goodbye {
    pub(super) again: Option<Time>,
    pub(super) end: Time,
    latest: Time,
}

impl Node {
    /// Begins the goodbye; the process may end when it is said.
    pub(super) fn stop(&mut self) {
        let t = &mut self.t;
        if t.own.leaving {
            return;
        }
        t.own.leaving = true;
        self.goodbye = Some(Goodbye {
            again: Some(t.now.plus_ms(AGAIN_MS)),
            end: t.now.plus_ms(LINGER_MS),
            latest: t.now.plus_ms(GOODBYE_MS),
        });
        t.journal.event(t.now, EntryKind::Stopped, t.own.id, "", "");
        self.tell_left();
        self.keeping.flush(&mut self.t, true);
    }

    fn tell_left(&mut self) {
        let t = &mut self.t;
        if t.own.has(Bug::GoodbyeUntold) {
            return;
        }
        let left = Left::sign(&t.own.identity, t.own.record.generation);
        for id in t.some_live(t.own.id) {
            t.out.send(id, Body::Tell(Rumor::Left(left.clone())));
        }
    }

    pub(super) fn say_goodbye(&mut self) {
        let now = self.t.now;
        let Some(goodbye) = &mut self.goodbye else { return };
        if goodbye.again.is_some_and(|at| at <= now) {
            goodbye.again = None;
            self.tell_left();
        } else if goodbye.end <= now {
            if self.relay.is_busy() && now < goodbye.latest {
                goodbye.end = now.plus_ms(AGAIN_MS).min(goodbye.latest);
                return;
            }
            self.goodbye = None;
            self.links.goodbye(&mut self.t);
            self.t.out.output(Output::Stopped);
        }
    }
}
