//! Byte pipes between a local program and a port of another node: `daust nc`, and `daust ssh` upon it.
//!
//! Each pipe has a channel of its own, so that a bulk transfer never blocks a command. Its two ends
//! are a client of one node's control socket and a connection that the other node's daemon made; what
//! they say to each other passes here unchanged. A pipe whose channel is lost has failed: nothing is
//! sent again.

use crate::node::boundary::{Output, User};
use crate::node::execute::why_dead;
use crate::node::named::{find, typed};
use crate::node::outbox::{Carry, Channel, Matter, Notice};
use crate::node::pace::Pace;
use crate::node::planted::Bug;
use crate::node::rights::{self, Asker};
use crate::node::tables::Tables;
use crate::wire::command::{Command, Scope};
use crate::wire::control::{Part, Request};
use crate::wire::ids::{ClientId, NodeId, PipeId};
use crate::wire::limits::{ANSWER_MS, PIPE_PIECE_BYTES, PIPE_WINDOW_BYTES, PIPES, PIPES_A_PEER};
use crate::wire::message::Body;
use crate::wire::pipe::Piece;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::time::Time;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How often a channel that cannot be had yet is asked for.
const AGAIN_MS: u64 = 50;
/// An idle pipe says so this often, or the links on its way would be closed as idle.
const KEEP_MS: u64 = 20_000;

enum Local {
    /// A program here, and the number of its request.
    Client(ClientId, u64),
    /// A connection that the daemon made.
    Connection,
}

struct Pipe {
    local: Local,
    peer: NodeId,
    port: u16,
    channel: Option<Channel>,
    /// Until it is open: when it has failed.
    until: Option<Time>,
    /// When the channel is asked for again, or the way kept open.
    next: Time,
    /// Sent to the other end and not taken there yet.
    sent_bytes: usize,
    /// Handed to the local end and not taken by it yet.
    handed_bytes: usize,
    local_ended: bool,
    other_ended: bool,
}

#[derive(Default)]
pub struct Pipes {
    pipes: BTreeMap<PipeId, Pipe>,
    /// Channels of pipes that are no more.
    spent: Vec<Channel>,
    /// Of pipes that others open to here.
    pace: Pace,
    next_number: u64,
}

/// Whether a request is about a pipe from this node to another one.
pub fn is_for_one(request: &Request) -> bool {
    let opens = |piece: &Piece| matches!(piece, Piece::Open(_));
    match (&request.command, &request.scope) {
        (Command::Pipe(piece), Scope::Node(_)) => opens(piece),
        (Command::Pipe(piece), Scope::Here) => !opens(piece),
        _ => false,
    }
}

impl Pipes {
    /// A local program opens a pipe, or goes on with one.
    pub fn request(&mut self, t: &mut Tables, client: ClientId, user: User, request: Request) {
        let (Command::Pipe(piece), number) = (request.command.clone(), request.number) else {
            return;
        };
        let (Piece::Open(port), Scope::Node(text)) = (&piece, &request.scope) else {
            let is_it = |local: &Local| matches!(local, Local::Client(c, n) if (*c, *n) == (client, number));
            let pipe = self.pipes.iter().find(|(_, pipe)| is_it(&pipe.local)).map(|(id, _)| *id);
            // One that has failed is not known any more: its program is about to learn it.
            if let Some(pipe) = pipe {
                self.local_said(t, pipe, piece);
            }
            return;
        };
        let asker = Asker::User(user);
        let peer = self.callable(t, &asker, &request.command, text);
        t.journal.note(t.now, &asker, &request.scope, &request.command, peer.as_ref().err());
        match peer {
            Ok(peer) => {
                let pipe = self.add(t, Local::Client(client, number), peer, *port, None);
                t.out.notice(Notice::Pipe(Matter::Wanted { pipe, to: peer }));
            }
            Err(failure) => t.tell(client, number, Reply::Error(failure)),
        }
    }

    fn callable(
        &self,
        t: &mut Tables,
        asker: &Asker,
        command: &Command,
        text: &str,
    ) -> Result<NodeId, Failure> {
        if let Some(failure) = rights::refusal(t, asker, command) {
            return Err(failure);
        }
        let id = find(t, text)?;
        if id == t.own.id {
            let text = "that is this machine: connect to its port as ever";
            return Err(Failure::new(ErrorCode::Invalid, text));
        }
        if t.roster.get(id).is_some_and(|peer| peer.is_silent()) {
            return Err(why_dead(t, id));
        }
        self.too_many(id).map_or(Ok(id), Err)
    }

    /// One other node takes no more than its share of them.
    fn too_many(&self, peer: NodeId) -> Option<Failure> {
        let with_peer = self.pipes.values().filter(|pipe| pipe.peer == peer).count();
        let text = match self.pipes.len() {
            PIPES.. => format!("limit of {PIPES} pipes of one node reached"),
            _ if with_peer >= PIPES_A_PEER => {
                format!("limit of {PIPES_A_PEER} pipes between two nodes reached")
            }
            _ => return None,
        };
        Some(Failure::new(ErrorCode::Limit, text + ": end one of them"))
    }

    fn add(
        &mut self,
        t: &Tables,
        local: Local,
        peer: NodeId,
        port: u16,
        channel: Option<Channel>,
    ) -> PipeId {
        self.next_number += 1;
        let pipe = Pipe {
            local,
            peer,
            port,
            channel,
            until: Some(t.now.plus_ms(ANSWER_MS)),
            next: t.now.plus_ms(AGAIN_MS),
            sent_bytes: 0,
            handed_bytes: 0,
            local_ended: false,
            other_ended: false,
        };
        self.pipes.insert(PipeId(self.next_number), pipe);
        PipeId(self.next_number)
    }

    /// The channel that was wanted: what it is for goes first.
    pub fn has_channel(&mut self, t: &mut Tables, id: PipeId, channel: Channel) {
        match self.pipes.get_mut(&id).filter(|pipe| pipe.channel.is_none()) {
            Some(pipe) => {
                pipe.channel = Some(channel);
                send(t, pipe, Piece::Open(pipe.port));
            }
            None => t.out.notice(Notice::Pipe(Matter::Over(channel))),
        }
    }

    /// The local end says something.
    pub fn local_said(&mut self, t: &mut Tables, id: PipeId, piece: Piece) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let is_open = pipe.until.is_none();
        match &piece {
            Piece::Opened if !is_open && matches!(pipe.local, Local::Connection) => {
                pipe.until = None;
                pipe.next = t.now.plus_ms(KEEP_MS);
            }
            Piece::Bytes(bytes) if bytes.len() > PIPE_PIECE_BYTES => {
                let text = format!("a piece of a pipe has {PIPE_PIECE_BYTES} bytes at most");
                return self.fail(t, id, Failure::new(ErrorCode::Limit, text));
            }
            Piece::Bytes(bytes) if is_open && !pipe.local_ended => {
                pipe.sent_bytes += bytes.len();
                if pipe.sent_bytes > PIPE_WINDOW_BYTES {
                    return self.fail(t, id, over_the_window());
                }
            }
            Piece::Taken(bytes) => {
                pipe.handed_bytes = pipe.handed_bytes.saturating_sub(*bytes as usize);
            }
            Piece::End if is_open => pipe.local_ended = true,
            Piece::Failed(failure) => return self.fail(t, id, failure.clone()),
            Piece::Open(_) | Piece::Opened | Piece::Bytes(_) | Piece::End => return,
        }
        send(t, pipe, piece);
        self.end(t, id);
    }

    /// The other end says something, or a node opens a pipe to a port here.
    pub fn other_said(
        &mut self,
        t: &mut Tables,
        from: NodeId,
        channel: Option<Channel>,
        piece: Piece,
    ) {
        let Some(channel) = channel else { return t.own.count("pieces of no pipe") };
        let known = self.pipes.iter_mut().find(|(_, pipe)| pipe.channel == Some(channel));
        let Some((id, pipe)) = known.map(|(id, pipe)| (*id, pipe)) else {
            return match piece {
                Piece::Open(port) => self.called(t, from, channel, port),
                // What was on its way when the pipe ended.
                _ => t.own.count("pieces of no pipe"),
            };
        };
        match &piece {
            Piece::Opened if matches!(pipe.local, Local::Client(..)) => {
                pipe.until = None;
                pipe.next = t.now.plus_ms(KEEP_MS);
            }
            Piece::Bytes(bytes) if pipe.until.is_none() && !pipe.other_ended => {
                pipe.handed_bytes += bytes.len();
                if pipe.handed_bytes > PIPE_WINDOW_BYTES {
                    return self.fail(t, id, over_the_window());
                }
            }
            Piece::Taken(0) => return,
            Piece::Taken(bytes) => {
                pipe.sent_bytes = pipe.sent_bytes.saturating_sub(*bytes as usize);
            }
            Piece::End => pipe.other_ended = true,
            Piece::Failed(failure) => {
                let failure = failure.clone();
                return self.over(t, id, Some(failure));
            }
            Piece::Open(_) | Piece::Opened | Piece::Bytes(_) => return,
        }
        hand(t, id, pipe, piece);
        self.end(t, id);
    }

    fn called(&mut self, t: &mut Tables, from: NodeId, channel: Channel, port: u16) {
        let asker = Asker::node(t, from);
        let command = Command::Pipe(Piece::Open(port));
        let refusal = self.pace.too_many(t.now, from).or_else(|| self.too_many(from));
        let refusal = refusal.or_else(|| rights::refusal(t, &asker, &command));
        // As if from a neighbour: what listens on the loopback alone is not for others.
        let to: Vec<SocketAddr> =
            t.own.record.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let nowhere = || Failure::new(ErrorCode::Unreachable, "it has no address of its own");
        let refusal = refusal.or_else(|| to.is_empty().then(nowhere));
        t.journal.note(t.now, &asker, &Scope::Here, &command, refusal.as_ref());
        let pipe = self.add(t, Local::Connection, from, port, Some(channel));
        match refusal {
            Some(failure) => self.fail(t, pipe, failure),
            None => t.out.output(Output::Connect { pipe, to }),
        }
    }

    /// A channel is closed. One that was never open may have been too early: a parent on the way was
    /// not linked yet.
    pub fn lost(&mut self, t: &mut Tables, channel: Channel) {
        let lost = self.pipes.iter_mut().find(|(_, pipe)| pipe.channel == Some(channel));
        let Some((id, pipe)) = lost.map(|(id, pipe)| (*id, pipe)) else { return };
        pipe.channel = None;
        let has_all = pipe.local_ended && pipe.other_ended;
        match pipe.local {
            Local::Client(..) if pipe.until.is_some() => pipe.next = t.now.plus_ms(AGAIN_MS),
            // The other end was done first; this one takes its time.
            _ if has_all => {}
            _ => self.over(t, id, Some(lost_way())),
        }
    }

    /// A node went down or left: what is said to it comes to nothing.
    pub fn gone(&mut self, t: &mut Tables, peer: NodeId) {
        let to = self.pipes.iter().filter(|(_, pipe)| pipe.peer == peer).map(|(id, _)| *id);
        for id in to.collect::<Vec<_>>() {
            let failure = why_dead(t, peer);
            self.fail(t, id, failure);
        }
    }

    pub fn client_gone(&mut self, t: &mut Tables, client: ClientId) {
        let of = |pipe: &Pipe| matches!(pipe.local, Local::Client(one, _) if one == client);
        let gone: Vec<PipeId> =
            self.pipes.iter().filter(|(_, pipe)| of(pipe)).map(|(id, _)| *id).collect();
        for id in gone {
            let text = "the program at the other end is gone";
            self.fail(t, id, Failure::new(ErrorCode::Unreachable, text));
        }
    }

    /// Both ends are told why a pipe is no more.
    fn fail(&mut self, t: &mut Tables, id: PipeId, failure: Failure) {
        if let Some(pipe) = self.pipes.get(&id) {
            send(t, pipe, Piece::Failed(failure.clone()));
        }
        self.over(t, id, Some(failure));
    }

    /// Ends a pipe of which both sides have ended and everything is taken.
    fn end(&mut self, t: &mut Tables, id: PipeId) {
        let is_over = |pipe: &Pipe| pipe.local_ended && pipe.other_ended && pipe.handed_bytes == 0;
        if self.pipes.get(&id).is_some_and(is_over) {
            self.over(t, id, None);
        }
    }

    fn over(&mut self, t: &mut Tables, id: PipeId, failure: Option<Failure>) {
        let Some(pipe) = self.pipes.remove(&id) else { return };
        match (&pipe.local, failure) {
            (Local::Client(client, number), failure) => {
                let reply = failure.map_or(Reply::Pipe(Piece::End), Reply::Error);
                t.out.output(part(t, &pipe, *client, *number, reply, true));
            }
            (Local::Connection, Some(failure)) => {
                t.out.output(Output::Piece { pipe: id, piece: Piece::Failed(failure) });
            }
            (Local::Connection, None) => {}
        }
        self.spent.extend(pipe.channel);
    }

    pub fn tick(&mut self, t: &mut Tables) {
        // Not before: their last pieces were sent at the end of the last turn.
        for channel in self.spent.drain(..) {
            t.out.notice(Notice::Pipe(Matter::Over(channel)));
        }
        let mut late = Vec::new();
        for (id, pipe) in &mut self.pipes {
            if pipe.until.is_some_and(|until| until <= t.now) {
                late.push(*id);
            } else if pipe.next <= t.now && pipe.until.is_some() && pipe.channel.is_none() {
                pipe.next = t.now.plus_ms(AGAIN_MS);
                t.out.notice(Notice::Pipe(Matter::Wanted { pipe: *id, to: pipe.peer }));
            } else if pipe.next <= t.now && !t.own.has(Bug::PipeNotKept) {
                pipe.next = t.now.plus_ms(KEEP_MS);
                send(t, pipe, Piece::Taken(0));
            }
        }
        for id in late {
            let name = self.pipes.get(&id).map(|pipe| typed(&t.name(pipe.peer)));
            let text = format!(
                "no stream to it within {} s; `daust doctor {}` says what is in the way",
                ANSWER_MS / 1_000,
                name.unwrap_or_default()
            );
            self.fail(t, id, Failure::new(ErrorCode::NoAnswer, text));
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        let spent = self.spent.first().map(|_| Time(0));
        let next = self.pipes.values().map(|pipe| pipe.until.unwrap_or(pipe.next).min(pipe.next));
        next.chain(spent).min()
    }
}

fn over_the_window() -> Failure {
    let text = format!("more than {PIPE_WINDOW_BYTES} bytes were sent that nobody took yet");
    Failure::new(ErrorCode::Limit, text)
}

fn lost_way() -> Failure {
    Failure::new(
        ErrorCode::Unreachable,
        "the stream to it broke: it, or a parent on the way, is gone",
    )
}

/// To the other end.
fn send(t: &mut Tables, pipe: &Pipe, piece: Piece) {
    if let Some(channel) = pipe.channel {
        t.out.carry(pipe.peer, Body::Pipe(piece), Carry::Pipe(channel));
    }
}

/// To the local end.
fn hand(t: &mut Tables, id: PipeId, pipe: &Pipe, piece: Piece) {
    let output = match pipe.local {
        Local::Client(client, number) => part(t, pipe, client, number, Reply::Pipe(piece), false),
        Local::Connection => Output::Piece { pipe: id, piece },
    };
    t.out.output(output);
}

fn part(
    t: &Tables,
    pipe: &Pipe,
    client: ClientId,
    number: u64,
    reply: Reply,
    done: bool,
) -> Output {
    let (node, id) = (t.name(pipe.peer), pipe.peer);
    Output::Part { client, part: Part { number, node, id, reply, last: done, done } }
}
