//! Links, continued: channels between two others, handed on frame by frame and read by nobody here.

use crate::node::link::frame;
use crate::node::links::{CLOSE, Links, OPEN};
use crate::node::outbox::Channel;
use crate::node::tables::Tables;
use crate::wire::header::Header;
use crate::wire::ids::NodeId;
use crate::wire::limits::HOPS;

impl Links {
    /// A channel for somebody else: handed on towards it, if we relay and the asker is proved.
    pub(super) fn open_forward(
        &mut self,
        t: &mut Tables,
        from: Channel,
        header: Header,
        first: &[u8],
    ) {
        let proved = self.links.get(&from.stream).is_some_and(|link| link.proved);
        let target = self.neighbour(t, header.destination);
        let target = target.filter(|_| proved && !t.own.record.deadend && header.hops < HOPS);
        let linked = |id: NodeId| self.links.iter().find(|(_, l)| l.peer == Some(id) && l.proved);
        let stream = target.and_then(linked).map(|(stream, _)| *stream);
        let stream = stream.filter(|stream| *stream != from.stream);
        let Some(link) = stream.and_then(|stream| self.links.get_mut(&stream)) else {
            t.own.count("channels not relayed");
            if let Some(link) = self.links.get_mut(&from.stream) {
                frame(t, link, from.stream, CLOSE, from.number, &[]);
            }
            // The asker tries again: then it is there.
            if let Some(id) = target {
                self.link_to(t, id);
            }
            return;
        };
        let stream = stream.expect("the link was found by it");
        let number = link.number();
        link.forwards.insert(number, from);
        let header = Header { hops: header.hops + 1, ..header };
        let payload = [&header.to_bytes()[..], first].concat();
        frame(t, link, stream, OPEN, number, &payload);
        t.own.count("channels relayed");
        if let Some(link) = self.links.get_mut(&from.stream) {
            link.forwards.insert(from.number, Channel { stream, number });
        }
    }

    /// One frame of a channel that was handed on.
    pub(super) fn forward(
        &mut self,
        t: &mut Tables,
        from: Channel,
        to: Channel,
        kind: u8,
        payload: &[u8],
    ) {
        if let Some(link) = self.links.get_mut(&to.stream) {
            link.used = t.now;
            frame(t, link, to.stream, kind, to.number, payload);
            if kind == CLOSE {
                link.forwards.remove(&to.number);
            }
        }
        if kind == CLOSE
            && let Some(link) = self.links.get_mut(&from.stream)
        {
            link.forwards.remove(&from.number);
        }
    }
}
