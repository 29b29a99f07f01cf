//! The control socket: local programs ask, the node answers.
//!
//! A client that asks nonsense is told so and hung up on; one that does not read its answers is
//! dropped; where all places are taken, one that never asked anything makes room. The loop never
//! waits for a client.

use crate::daemon::accept::Gate;
use crate::daemon::connection::{Connection, Next};
use crate::daemon::control_path::SocketFile;
use crate::daemon::tokens::Source;
use crate::daemon::users::Users;
use crate::node::{Closed, Input};
use crate::wire::codec::{decode, encode};
use crate::wire::control::{Part, Request};
use crate::wire::ids::{ClientId, NodeId};
use crate::wire::limits::{
    CLIENT_BUFFER_BYTES, CLIENT_SILENT_MS, CLIENTS, CLIENTS_OF_MASTERS, DRAIN_MS, FRAME_BYTES,
    READ_BYTES_PER_TURN, READS_PER_TURN,
};
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::time::Time;
use mio::event::Event;
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry};
use std::collections::BTreeMap;
use std::os::unix::net::UnixListener as StdListener;
use std::time::{Duration, Instant};

/// How long the end of the program waits for clients to take their last answers.
const LAST_WRITES: Duration = Duration::from_millis(500);

struct Client {
    connection: Connection<UnixStream>,
    /// While it has asked nothing: since when.
    silent: Option<Time>,
    /// Told why, and dropped when that is written or at this time.
    leaving: Option<Time>,
}

pub struct Control {
    registry: Registry,
    listener: UnixListener,
    _file: SocketFile,
    users: Users,
    gate: Gate,
    clients: BTreeMap<ClientId, Client>,
    /// Clients gone that the core has not heard of yet.
    gone: Vec<ClientId>,
    next_client: u64,
}

impl Control {
    pub fn listen(
        registry: Registry,
        listener: StdListener,
        file: SocketFile,
        users: Users,
    ) -> std::io::Result<Control> {
        listener.set_nonblocking(true)?;
        let mut listener = UnixListener::from_std(listener);
        let token = Source::ClientListener.token();
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Control {
            registry,
            listener,
            _file: file,
            users,
            gate: Gate::default(),
            clients: BTreeMap::new(),
            gone: Vec::new(),
            next_client: 1,
        })
    }

    pub fn on_listener(&mut self) {
        self.gate.on_event();
    }

    pub fn on_event(&mut self, id: ClientId, event: &Event) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.connection.on_event(event);
        }
    }

    /// Whether there is something to do without waiting for the kernel.
    pub fn more(&self) -> bool {
        self.gate.more()
            || !self.gone.is_empty()
            || self.clients.values().any(|client| client.connection.active())
    }

    pub fn deadline(&self) -> Option<Time> {
        self.clients.values().filter_map(|client| client.leaving).chain(self.gate.deadline()).min()
    }

    /// How many clients are connected.
    pub fn count(&self) -> usize {
        self.clients.len()
    }

    /// One turn: hands on what clients ask, and accepts new ones. In this order, so that nobody
    /// makes room as one who never asked while his request is there.
    pub fn turn(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        let overdue = |client: &Client| client.leaving.is_some_and(|time| time <= now);
        let overdue = self.ids(overdue);
        overdue.into_iter().for_each(|id| self.remove(id));
        for id in self.ids(|client| client.connection.active()) {
            self.read(now, id, feed);
        }
        self.accept(now);
        for client in std::mem::take(&mut self.gone) {
            feed(Input::ClientGone { client });
        }
    }

    /// Sends what the outputs of this turn queued.
    pub fn flush(&mut self) {
        let mut done = Vec::new();
        for (id, client) in &mut self.clients {
            let failed = client.connection.flush().is_err();
            if failed || (client.leaving.is_some() && client.connection.queued_bytes() == 0) {
                done.push(*id);
            }
        }
        done.into_iter().for_each(|id| self.remove(id));
    }

    pub fn send(&mut self, id: ClientId, part: &Part) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.leaving.is_none()
            && client.connection.queue(&encode(part), CLIENT_BUFFER_BYTES).is_err()
        {
            log::warn!("a client does not read: {CLIENT_BUFFER_BYTES} bytes wait for it");
            self.remove(id);
        }
    }

    /// The last answers go out even if a client is slow, but not for ever.
    pub fn finish(mut self) {
        self.flush();
        let end = Instant::now() + LAST_WRITES;
        for client in self.clients.values_mut().filter(|c| c.connection.queued_bytes() > 0) {
            let left = end.saturating_duration_since(Instant::now());
            let socket = socket2::SockRef::from(&client.connection.socket);
            // A time-out of zero would mean none.
            let _ = socket.set_write_timeout(Some(left.max(Duration::from_millis(1))));
            let _ = socket.set_nonblocking(false);
            let _ = client.connection.flush_waiting();
        }
    }

    fn ids(&self, wanted: impl Fn(&Client) -> bool) -> Vec<ClientId> {
        self.clients.iter().filter(|(_, client)| wanted(client)).map(|(id, _)| *id).collect()
    }

    fn accept(&mut self, now: Time) {
        for _ in 0..READS_PER_TURN {
            if !self.gate.open(now) {
                return;
            }
            // One that has just come may not have been able to ask yet.
            if let Some(time) = self.room_at().filter(|time| *time > now) {
                return self.gate.close_until(time);
            }
            if let Some((socket, _)) = self.gate.accepted(now, self.listener.accept()) {
                self.admit(now, socket);
            }
        }
    }

    /// Where all places are taken: when the first of the silent ones makes room.
    fn room_at(&self) -> Option<Time> {
        let served = self.clients.values().filter(|client| client.leaving.is_none());
        let since = served.clone().filter_map(|client| client.silent).min()?;
        (served.count() >= CLIENTS).then(|| since.plus_ms(CLIENT_SILENT_MS))
    }

    fn admit(&mut self, now: Time, mut socket: UnixStream) {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(e) = self.registry.register(&mut socket, Source::Client(id).token(), interests) {
            log::warn!("a client is not served: {e}");
            return;
        }
        let client =
            Client { connection: Connection::new(socket), silent: Some(now), leaving: None };
        let served = self.ids(|client| client.leaving.is_none());
        let is_master = self.users.is_master(&client.connection.socket);
        let places = if is_master { CLIENTS } else { CLIENTS - CLIENTS_OF_MASTERS };
        if self.clients.len() >= 2 * CLIENTS {
            log::warn!("a client is not served: {} others have not left yet", 2 * CLIENTS);
            return;
        }
        self.clients.insert(id, client);
        if served.len() >= places {
            let is_over = |since: Time| now.ms_since(since) >= CLIENT_SILENT_MS;
            let silent = |id: &ClientId| self.clients[id].silent.is_some_and(is_over);
            let silent = served.into_iter().find(silent);
            let detail = format!("{places} clients at once are the limit: try again later");
            self.refuse(now, silent.unwrap_or(id), ErrorCode::Limit, detail);
        }
    }

    fn read(&mut self, now: Time, id: ClientId, feed: &mut dyn FnMut(Input)) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.leaving.is_some() {
            if client.connection.discard() {
                self.remove(id);
            }
            return;
        }
        let mut budget_bytes = READ_BYTES_PER_TURN;
        for _ in 0..READS_PER_TURN {
            match client.connection.next_frame(FRAME_BYTES, &mut budget_bytes) {
                Next::Frame(bytes) => match decode::<Request>(&bytes) {
                    Ok(request) => {
                        client.silent = None;
                        let user = self.users.user(&client.connection.socket, &request.command);
                        feed(Input::Request { client: id, user, request });
                    }
                    Err(e) => {
                        let detail = format!("this request is not understood: {e}");
                        return self.refuse(now, id, ErrorCode::Invalid, detail);
                    }
                },
                Next::Nothing | Next::Later => return,
                Next::Closed(Closed::Limit) => {
                    let detail = format!("a request over {FRAME_BYTES} bytes is refused");
                    return self.refuse(now, id, ErrorCode::Limit, detail);
                }
                Next::Closed(_) => return self.remove(id),
            }
        }
        client.connection.stop_for_now();
    }

    /// Tells a client why it is hung up on. To the core it is gone.
    fn refuse(&mut self, now: Time, id: ClientId, code: ErrorCode, detail: String) {
        let part = Part {
            number: 0,
            node: String::new(),
            id: NodeId::ANYBODY,
            reply: Reply::Error(Failure::new(code, detail)),
            last: true,
            done: true,
        };
        self.send(id, &part);
        if let Some(client) = self.clients.get_mut(&id) {
            client.leaving = Some(now.plus_ms(DRAIN_MS));
            self.gone.push(id);
        }
    }

    fn remove(&mut self, id: ClientId) {
        if let Some(mut client) = self.clients.remove(&id) {
            let _ = self.registry.deregister(&mut client.connection.socket);
            if client.leaving.is_none() {
                self.gone.push(id);
            }
        }
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
