//! The one loop, on one thread: waits, takes the time once, hands what arrived to the node, lets
//! it work, and carries out what it wants. Nothing in a turn waits.

use crate::daemon::control::Control;
use crate::daemon::discovery::Discovery;
use crate::daemon::guests;
use crate::daemon::homes::{self, Resolver};
use crate::daemon::interfaces::{self, Addresses};
use crate::daemon::logging;
use crate::daemon::metrics::{self, Metrics};
use crate::daemon::options::Settings;
use crate::daemon::pipes::Pipes;
use crate::daemon::signals::{Signals, Wish};
use crate::daemon::store::{Store, unix_s};
use crate::daemon::streams::Streams;
use crate::daemon::tokens::Source;
use crate::daemon::udp::Udp;
use crate::daemon::watchdog::Watchdog;
use crate::daemon::watcher::Watcher;
use crate::node::{Input, Node, Output, Socket};
use crate::wire::limits::GOODBYE_MS;
use crate::wire::time::Time;
use mio::event::Event;
use mio::{Events, Poll, Waker};
use nix::time::{ClockId, clock_gettime};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Events taken from the kernel at once; the rest comes in the next turn.
const EVENTS: usize = 256;
/// A time of day that differs by more from what it should be was set, seconds.
const CLOCK_SET_S: u64 = 1;
/// What a stopping node may take beyond its goodbye, milliseconds.
const STOP_SLACK_MS: u64 = 1_000;

/// Everything the loop owns.
pub struct World {
    pub poll: Poll,
    pub waker: Arc<Waker>,
    pub signals: Signals,
    pub main: Udp,
    pub ephemeral: Udp,
    pub streams: Streams,
    pub control: Control,
    pub pipes: Pipes,
    pub metrics: Option<Metrics>,
    pub store: Store,
    pub resolver: Option<Resolver>,
    pub log: logging::Handle,
    pub watcher: Watcher,
    pub discovery: Option<Discovery>,
    pub guests: guests::Watch,
    pub watchdog: Watchdog,
    /// What it runs with now.
    pub settings: Settings,
    /// Reads the configuration again, at SIGHUP.
    pub reload: Box<dyn Fn() -> Result<Settings, String>>,
}

/// The time since boot, sleep included.
pub fn now() -> Time {
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    Time(since_boot.as_micros() as u64)
}

/// Runs until the node has said goodbye.
pub fn run(mut world: World, mut node: Node) -> World {
    let mut events = Events::with_capacity(EVENTS);
    let mut state = Run { stop_by: None, stopped: false, booted_unix_s: booted_unix_s(now()) };
    while !state.stopped {
        world.wait(&mut events, state.timeout(&world, &node));
        let now = now();
        state.turn(&mut world, &mut node, &events, now);
    }
    world
}

/// What the loop remembers between two turns.
struct Run {
    /// The end, whether the goodbye is said or not.
    stop_by: Option<Time>,
    stopped: bool,
    /// By the time of day: another one means that this was set.
    booted_unix_s: u64,
}

fn booted_unix_s(now: Time) -> u64 {
    unix_s().saturating_sub(now.0 / 1_000_000)
}

impl Run {
    /// How long there is nothing to do.
    fn timeout(&self, world: &World, node: &Node) -> Duration {
        if world.more() {
            return Duration::ZERO;
        }
        let node = node.deadline().map(|(time, why)| {
            log::trace!("next: {why:?} at {} ms", time.0 / 1_000);
            time
        });
        let deadlines = [
            node,
            world.streams.deadline(),
            world.control.deadline(),
            world.pipes.deadline(),
            world.metrics.as_ref().and_then(Metrics::deadline),
            self.stop_by,
            Some(world.watcher.deadline()),
            world.watchdog.deadline(),
        ];
        let next = deadlines.into_iter().flatten().min().unwrap_or_default();
        Duration::from_micros(next.us_since(now()))
    }

    fn turn(&mut self, world: &mut World, node: &mut Node, events: &Events, now: Time) {
        let mut signalled = false;
        {
            let mut feed = |input: Input| node.handle(now, input);
            signalled |= world.note(events, now, &mut feed);
            world.receive(now, &mut feed);
        }
        if signalled {
            self.obey(world, node, now);
        }
        if let Some(Addresses { own, gateways }) = world.watcher.look(now) {
            node.handle(now, Input::Addresses { own, gateways });
        }
        if self.booted_unix_s.abs_diff(booted_unix_s(now)) > CLOCK_SET_S {
            self.booted_unix_s = booted_unix_s(now);
            node.handle(now, Input::Clock { unix_s: unix_s() });
        }
        if let Some(discovery) = &mut world.discovery {
            discovery.say(node.herd(), &world.watcher.current().own);
        }
        node.tick(now);
        while let Some(output) = node.poll() {
            self.stopped |= world.carry_out(now, output);
        }
        world.streams.flush(now);
        world.control.flush();
        world.pipes.flush();
        world.tell_metrics(now);
        world.watchdog.feed(now);
        self.stopped |= self.stop_by.is_some_and(|time| now >= time);
    }

    fn obey(&mut self, world: &mut World, node: &mut Node, now: Time) {
        for wish in world.signals.take() {
            match wish {
                // A second request to leave means: at once.
                Wish::Leave if self.stop_by.is_some() => self.stopped = true,
                Wish::Leave => {
                    log::info!("asked to stop");
                    self.stop_by = Some(now.plus_ms(GOODBYE_MS + STOP_SLACK_MS));
                    node.handle(now, Input::Leave);
                }
                Wish::Reload => world.reload(node, now),
            }
        }
    }
}

impl World {
    fn wait(&mut self, events: &mut Events, timeout: Duration) {
        if let Err(e) = self.poll.poll(events, Some(timeout))
            && e.kind() != ErrorKind::Interrupted
        {
            // Nothing but a fault of ours makes epoll fail; do not spin on it.
            log::error!("can not wait for events: {e}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether something is known to be left over from the last turn.
    fn more(&self) -> bool {
        self.main.more()
            || self.ephemeral.more()
            || self.streams.more()
            || self.control.more()
            || self.pipes.more()
            || self.metrics.as_ref().is_some_and(Metrics::more)
            || self.watcher.more()
    }

    /// Notes what is ready; true when a signal came.
    fn note(&mut self, events: &Events, now: Time, feed: &mut dyn FnMut(Input)) -> bool {
        let mut signalled = false;
        for event in events {
            match Source::of(event.token()) {
                Source::Waker => {}
                Source::Signals => signalled = true,
                Source::MainUdp => self.main.on_event(event),
                Source::EphemeralUdp => self.ephemeral.on_event(event),
                Source::StreamListener => self.streams.on_listener(),
                Source::ClientListener => self.control.on_listener(),
                Source::Addresses => self.watcher.on_event(),
                Source::Stream(id) => self.streams.on_event(now, id, event, feed),
                Source::Client(id) => self.control.on_event(id, event),
                Source::Pipe(id) => self.pipes.on_event(id, event),
                Source::MetricsListener | Source::Scraper(_) => self.note_scraper(event),
            }
        }
        signalled
    }

    fn receive(&mut self, now: Time, feed: &mut dyn FnMut(Input)) {
        while let Some(written) = self.store.take() {
            feed(Input::Kept { ticket: written.ticket, result: written.result });
        }
        if let Some(homes) = self.resolver.as_ref().and_then(Resolver::take) {
            feed(Input::Homes(homes));
        }
        if let Some(found) = self.discovery.as_mut().and_then(Discovery::take) {
            feed(Input::Found(found));
        }
        while let Some(told) = self.guests.take() {
            feed(Input::Guests(told));
        }
        self.main.receive(now, feed);
        self.ephemeral.receive(now, feed);
        self.streams.turn(now, feed);
        self.control.turn(now, feed);
        self.pipes.turn(now, feed);
        if let Some(metrics) = &mut self.metrics {
            metrics.turn(now, feed);
        }
    }

    fn note_scraper(&mut self, event: &Event) {
        let Some(metrics) = &mut self.metrics else { return };
        match Source::of(event.token()) {
            Source::Scraper(id) => metrics.on_event(id, event),
            _ => metrics.on_listener(),
        }
    }

    /// The node has answered: the loop's own figures are all that lacks.
    fn tell_metrics(&mut self, now: Time) {
        let Some(metrics) = &mut self.metrics else { return };
        if metrics.wants_figures() {
            let daemon = metrics::Daemon {
                traffic: self.main.traffic.plus(&self.ephemeral.traffic),
                streams: self.streams.count() as u64,
                clients: self.control.count() as u64,
                writes_waiting: self.store.waiting,
                writes_failed: self.store.failed,
                ..metrics::Daemon::default()
            };
            metrics.answer(now, daemon);
        }
        metrics.flush(now);
    }

    /// Does what the node wants; true when it wants to end.
    fn carry_out(&mut self, now: Time, output: Output) -> bool {
        match output {
            Output::Datagram { socket: Socket::Main, to, bytes } => self.main.send(now, to, &bytes),
            Output::Datagram { socket: Socket::Ephemeral, to, bytes } => {
                self.ephemeral.send(now, to, &bytes)
            }
            Output::Dial { stream, to } => self.streams.dial(now, stream, to),
            Output::Frame { stream, bytes } => self.streams.send(stream, &bytes),
            Output::Proved { stream } => self.streams.proved(stream),
            Output::Hangup { stream } => self.streams.hang_up(now, stream),
            Output::Part { client: metrics::CLIENT, part } => {
                if let Some(metrics) = &mut self.metrics {
                    metrics.take(part);
                }
            }
            Output::Part { client, part } => self.control.send(client, &part),
            Output::Connect { pipe, to } => self.pipes.connect(now, pipe, to),
            Output::Piece { pipe, piece } => self.pipes.carry_out(pipe, piece),
            Output::Keep { ticket, entries } => self.store.keep(ticket, entries),
            Output::Stopped => return true,
        }
        false
    }

    /// SIGHUP: log, homes and interface are used anew; of the rest is said that it needs a start.
    fn reload(&mut self, node: &mut Node, now: Time) {
        let fresh = match (self.reload)() {
            Ok(fresh) => fresh,
            Err(e) => {
                self.log.reopen(self.settings.log_target());
                return log::error!("the configuration stays as it was: {e}");
            }
        };
        self.settings.logfile.clone_from(&fresh.logfile);
        self.log.reopen(self.settings.log_target());
        log::info!("configuration and log opened again");
        self.use_homes(node, now, &fresh);
        match interfaces::check(fresh.interface.as_deref()) {
            Ok(()) => self.watcher.use_interface(fresh.interface.clone()),
            Err(e) => log::error!("the interface stays as it was: {e}"),
        }
        let fixed = self.settings.fixed_changes(&fresh);
        if !fixed.is_empty() {
            log::warn!("restart daustd to use what changed of {}", fixed.join(", "));
        }
    }

    /// Where host names are among the homes, all of them come from the resolver.
    fn use_homes(&mut self, node: &mut Node, now: Time, fresh: &Settings) {
        match Resolver::start(fresh.homes.clone(), self.waker.clone()) {
            Ok(resolver) => self.resolver = resolver,
            Err(e) => log::error!("{e}"),
        }
        if self.resolver.is_none() {
            node.handle(now, Input::Homes(homes::addresses(&fresh.homes)));
        }
    }
}
