//! Events: pulled by the program out of a descriptor that it polls itself, never called back.

use crate::client::{Connection, ask};
use crate::ffi::border::{Out, call, known, pointer};
use crate::ffi::errors::{Fault, HERD_AGAIN, HERD_ERR_INVALID, code};
use crate::ffi::handle::Handle;
use crate::wire::command::{Command, Scope};
use crate::wire::info::{self, EventKind};
use crate::wire::reply::Reply;
use std::ffi::{CString, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// A node is there, or there again.
pub const HERD_EVENT_UP: c_int = 1;
/// A node was not heard when it should have been.
pub const HERD_EVENT_SUSPECT: c_int = 2;
/// A node is down; the text is the reason.
pub const HERD_EVENT_DOWN: c_int = 3;
/// A node said goodbye.
pub const HERD_EVENT_LEFT: c_int = 4;
/// A node is reached in another way; the text is its parent, NULL if it is reached directly.
pub const HERD_EVENT_ROUTE: c_int = 5;
/// The local node believes itself cut off: what it shows is old. No node is meant.
pub const HERD_EVENT_STALE: c_int = 6;

/// One thing that happened: a line of daust watch.
pub struct Event {
    kind: EventKind,
    node: Option<CString>,
    text: Option<CString>,
}

pub struct Subscription {
    connection: Connection,
    number: u64,
}

impl Subscription {
    /// The daemon answers in order: once the ping is answered, nothing that happens is missed.
    fn new(handle: &Handle) -> Result<Subscription, Fault> {
        let mut connection = Connection::open(&handle.path)?;
        let number = connection.subscribe()?;
        ask::collect(&mut connection, &Scope::Here, &Command::Ping, 0)?;
        Ok(Subscription { connection, number })
    }

    fn next(&mut self) -> Result<info::Event, Fault> {
        let again = || Fault::new(HERD_AGAIN, "no event now: poll herd_fd() and try again");
        loop {
            let part = self.connection.next(Some(Duration::ZERO))?.ok_or_else(again)?;
            match part.reply {
                Reply::Event(event) if part.number == self.number => return Ok(event),
                Reply::Error(failure) => return Err(Fault::new(code(&failure), failure.detail)),
                _ => {}
            }
        }
    }
}

fn subscription(handle: &mut Handle) -> Result<&mut Subscription, Fault> {
    let none = || Fault::new(HERD_ERR_INVALID, "there are no events before herd_subscribe()");
    handle.events.as_mut().ok_or_else(none)
}

/// Begins to follow what happens, on a connection of its own: commands go on as before. Everything
/// that happens after it returned becomes an event. Called again it begins anew, on another
/// descriptor, as it must after herd_next_event() failed with anything but HERD_AGAIN.
#[unsafe(no_mangle)]
pub extern "C" fn herd_subscribe(handle: Option<&mut Handle>) -> c_int {
    call(handle, |handle| {
        handle.events = Some(Subscription::new(handle)?);
        Ok(())
    })
}

/// The descriptor to poll for reading, or a negative error if nothing is subscribed to. Only
/// herd_next_event() may read it. It stays open until herd_close() or the next herd_subscribe().
#[unsafe(no_mangle)]
pub extern "C" fn herd_fd(handle: Option<&mut Handle>) -> c_int {
    let mut descriptor = HERD_ERR_INVALID;
    let code = call(handle, |handle| {
        descriptor = subscription(handle)?.connection.as_fd().as_raw_fd();
        Ok(())
    });
    if code == 0 { descriptor } else { code }
}

/// Gets the next event without waiting; HERD_AGAIN if there is none now. Several may have come at
/// once: take them until HERD_AGAIN before polling again. Free each with herd_event_free().
#[unsafe(no_mangle)]
pub extern "C" fn herd_next_event(handle: Option<&mut Handle>, event: *mut *mut Event) -> c_int {
    call(handle, |handle| {
        let out = Out::new(event)?;
        let info::Event { kind, name, text, .. } = subscription(handle)?.next()?;
        out.give(Event { kind, node: known(&name), text: known(&text) });
        Ok(())
    })
}

/// What happened: one of HERD_EVENT_*; HERD_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_event_type(event: Option<&Event>) -> c_int {
    match event.map(|event| event.kind) {
        Some(EventKind::Up) => HERD_EVENT_UP,
        Some(EventKind::Suspect) => HERD_EVENT_SUSPECT,
        Some(EventKind::Down) => HERD_EVENT_DOWN,
        Some(EventKind::Left) => HERD_EVENT_LEFT,
        Some(EventKind::Route) => HERD_EVENT_ROUTE,
        Some(EventKind::Stale) => HERD_EVENT_STALE,
        None => HERD_ERR_INVALID,
    }
}

/// The name of the node it happened to; NULL if no node is meant. It lives as long as the event.
#[unsafe(no_mangle)]
pub extern "C" fn herd_event_node(event: Option<&Event>) -> *const c_char {
    pointer(event.and_then(|event| event.node.as_ref()))
}

/// The reason, or the parent of a route; NULL if there is none. It lives as long as the event.
#[unsafe(no_mangle)]
pub extern "C" fn herd_event_text(event: Option<&Event>) -> *const c_char {
    pointer(event.and_then(|event| event.text.as_ref()))
}

/// Frees the event and its strings. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn herd_event_free(event: Option<Box<Event>>) {
    drop(event);
}
