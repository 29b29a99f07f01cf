//! The world around the core: the only sockets, clock, disk and threads.
//!
//! [`main`] starts the parts in order and stops them in reverse. [`event_loop`] is where the
//! daemon spends its life.

mod accept;
mod configuration;
mod connection;
mod container;
mod control;
mod control_path;
mod discovery;
mod event_loop;
mod guests;
mod homes;
mod interfaces;
mod join;
mod keys;
mod local_addresses;
mod log_sink;
mod logging;
mod metrics;
pub mod options;
mod pipes;
mod process;
mod remembered;
mod sandbox;
mod signals;
pub mod state_file;
mod store;
mod streams;
mod tokens;
mod udp;
mod users;
mod watchdog;
mod watcher;

use crate::node::{self, Node, Socket};
use crate::wire::ids::Name;
use crate::wire::seal::Suite;
use discovery::Discovery;
use event_loop::World;
use join::Invitation;
use keys::Found;
use metrics::Metrics;
use options::{Asked, Environment, Settings};
use process::{Detached, Starter};
use std::io::Read;
use std::sync::Arc;
use store::{State, Store};
use streams::Streams;
use tokens::Source;
use udp::Udp;
use watchdog::Watchdog;
use watcher::Watcher;

const ALREADY_RUNNING: &str = "daustd is already running";
/// The command line makes no sense.
const WRONG_WORDS: i32 = 2;

/// Runs the daemon with these arguments, the program's name first; gives the exit status.
pub fn main(arguments: Vec<String>) -> i32 {
    let mut words: Vec<String> = arguments.into_iter().skip(1).collect();
    let environment = Environment::of_process();
    let settings = match options::read(&words, &environment) {
        Ok(Asked::Run(settings)) => *settings,
        Ok(Asked::Remembered(settings)) => return remembered::print(&settings),
        Ok(Asked::Print(text)) => {
            print!("{text}");
            return 0;
        }
        Err(sentence) => {
            eprintln!("daustd: {sentence}");
            return WRONG_WORDS;
        }
    };
    if let Some(join) = &settings.join {
        join::hide(join, &mut words);
    }
    // Before any thread and any file: nothing this program makes is for others to read.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    process::ignore_file_size_signal();
    // Before standard input is let go.
    let invited = settings.join.as_deref().map(|join| join::read(join, &environment.directory));
    let invitation = match invited.transpose() {
        Ok(invitation) => invitation,
        Err(sentence) => {
            eprintln!("daustd: {sentence}");
            return 1;
        }
    };
    let starter = match detach_if_asked(&settings) {
        Ok(Detached::Daemon(starter)) => starter,
        Ok(Detached::Starter { status }) => return status,
        Err(sentence) => {
            eprintln!("daustd: {sentence}");
            return 1;
        }
    };
    let reload = move || match options::read(&words, &environment)? {
        Asked::Run(settings) => Ok(*settings),
        Asked::Print(_) | Asked::Remembered(_) => {
            Err("these are no options to run with".to_string())
        }
    };
    let log_is_read = !settings.detach && settings.logfile.is_none();
    match start(settings, invitation, Box::new(reload)) {
        Ok((world, node)) => run(world, node, starter),
        Err(sentence) => {
            if !log_is_read {
                log::error!("{sentence}");
            }
            log::logger().flush();
            starter.failed(&sentence);
            1
        }
    }
}

fn detach_if_asked(settings: &Settings) -> Result<Detached, String> {
    if !settings.detach {
        return Ok(Detached::Daemon(Starter::Foreground));
    }
    // Else `daust doctor` says so.
    if settings.verbose > 0 && settings.logfile.is_none() && !log_sink::syslog_listens() {
        eprintln!("daustd: no syslog answers here: -l PATH names a file for the log");
    }
    process::detach()
}

/// Opens everything, in order: log, state, sockets, node.
fn start(
    mut settings: Settings,
    invitation: Option<Invitation>,
    reload: Box<dyn Fn() -> Result<Settings, String>>,
) -> Result<(World, Node), String> {
    // Root may have to read it, from where the sandbox does not reach.
    let look = if invitation.is_some() { keys::look } else { keys::find };
    let mut found = look(settings.key_file.as_deref(), &settings.state_dir)?;
    let missing = if settings.sandbox { sandbox::enter(&settings) } else { Vec::new() };
    let log = logging::start(settings.log_target(), settings.verbose)?;
    for sentence in missing {
        log::warn!("{sentence}");
    }
    let state = State::open(&settings.state_dir)?;
    if let Some(invitation) = invitation {
        found = Some(join::join(invitation, found, &mut settings)?);
    }
    if let Some(Found { key, path, dumps }) = &found {
        if let Err(e) = dumps {
            log::warn!("core dumps can not be switched off ({e}): one would hold the herd key");
        }
        keys::mark(&settings.state_dir, key);
        log::info!("herd key {} from {}", key.fingerprint(), path.display());
    }
    if let (Some(sentence), true) = (state.refusal(), settings.detach) {
        eprintln!("daustd: {sentence}");
    }
    let (poll, waker, signals) = make_poll()?;
    let registry = || poll.registry().try_clone().map_err(|e| no_poll(&e));
    let mut main = bind_udp(Socket::Main, &settings, settings.port)?;
    let mut ephemeral = bind_udp(Socket::Ephemeral, &settings, 0)?;
    register(&poll, main.source(), Source::MainUdp)?;
    register(&poll, ephemeral.source(), Source::EphemeralUdp)?;
    let streams =
        Streams::listen(registry()?, settings.bind, settings.port, process::raise_file_limit())
            .map_err(|e| no_port("TCP", &settings, settings.port, &e))?;
    let (listener, file) = control_path::bind(&settings.socket, &control_path::CONTROL)?;
    let users = users::Users::new(settings.readers.as_deref())?;
    let control =
        control::Control::listen(registry()?, listener, file, users).map_err(|e| no_poll(&e))?;
    let pipes = pipes::Pipes::new(registry()?);
    let metrics = match &settings.metrics {
        Some(place) => Some(Metrics::listen(registry()?, place, event_loop::now())?),
        None => None,
    };
    if settings.sandbox
        && let Err(why) = sandbox::bound()
    {
        log::warn!("the last rights of root stay: {why}");
    }
    interfaces::check(settings.interface.as_deref())?;
    let interface = settings.interface.clone();
    let watcher = Watcher::start(poll.registry(), interface, settings.bind, event_loop::now());
    let options = node_options(&settings, watcher.current(), found);
    let kept = state.kept.clone();
    let store = Store::start(state, waker.clone())?;
    let resolver = homes::Resolver::start(settings.homes.clone(), waker.clone())?;
    let node = Node::new(options, kept, seed()?, event_loop::now());
    let discovery = Discovery::start(&settings, seed()?, waker.clone());
    let guests = guests::Watch::start(&settings, waker.clone())?;
    if let Some(mark) = settings.container {
        log::info!("this is a container ({mark}); its class is {}", settings.class);
    }
    log::info!(
        "daustd {} on port {}, own addresses {:?}",
        env!("CARGO_PKG_VERSION"),
        settings.port,
        watcher.current().own
    );
    let world = World {
        poll,
        waker,
        signals,
        main,
        ephemeral,
        streams,
        control,
        pipes,
        metrics,
        store,
        resolver,
        log,
        watcher,
        discovery,
        guests,
        watchdog: Watchdog::start(event_loop::now()),
        settings,
        reload,
    };
    Ok((world, node))
}

/// Tells whoever waits, lives, and ends in order.
fn run(world: World, node: Node, starter: Starter) -> i32 {
    if let Err(sentence) = starter.ready() {
        log::error!("{sentence}");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let world = event_loop::run(world, node);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    world.control.finish();
    if let Some(discovery) = world.discovery {
        discovery.finish();
    }
    // Whoever starts next waits for this lock and then wants our ports.
    let lock = world.store.finish();
    drop((world.main, world.ephemeral, world.streams, world.metrics));
    drop(lock);
    log::info!("stopped");
    world.log.flush();
    0
}

fn make_poll() -> Result<(mio::Poll, Arc<mio::Waker>, signals::Signals), String> {
    let poll = mio::Poll::new().map_err(|e| no_poll(&e))?;
    let waker = mio::Waker::new(poll.registry(), Source::Waker.token()).map_err(|e| no_poll(&e))?;
    let signals = signals::Signals::listen(poll.registry(), Source::Signals.token())?;
    Ok((poll, Arc::new(waker), signals))
}

fn no_poll(e: &std::io::Error) -> String {
    format!("can not make the event loop: {e}")
}

fn bind_udp(which: Socket, settings: &Settings, port: u16) -> Result<Udp, String> {
    Udp::bind(which, settings.bind, port).map_err(|e| no_port("UDP", settings, port, &e))
}

fn no_port(protocol: &str, settings: &Settings, port: u16, e: &std::io::Error) -> String {
    let place = settings.bind.map_or(String::new(), |ip| format!(" of {ip}"));
    format!("can not use {protocol} port {port}{place}: {e}; -P PORT and -b ADDR choose others")
}

fn register(
    poll: &mio::Poll,
    socket: &mut mio::net::UdpSocket,
    source: Source,
) -> Result<(), String> {
    poll.registry()
        .register(socket, source.token(), mio::Interest::READABLE)
        .map_err(|e| no_poll(&e))
}

fn node_options(
    settings: &Settings,
    addresses: &interfaces::Addresses,
    found: Option<Found>,
) -> node::Options {
    let path = found.as_ref().map(|found| found.path.display().to_string());
    node::Options {
        key: found.map(|found| found.key),
        key_source: path.unwrap_or_default(),
        name: settings.name.clone().or_else(host_name),
        port: settings.port,
        addresses: addresses.own.clone(),
        gateways: addresses.gateways.clone(),
        homes: homes::addresses(&settings.homes),
        public_face: settings.public_face,
        deadend: settings.deadend,
        open_public: settings.open_public,
        accept: settings.accept,
        class: settings.class,
        container: settings.container.is_some(),
        threshold: settings.threshold,
        timeout_ms: settings.timeout_ms,
        started_unix_s: store::unix_s(),
        program: format!("daustd {}", env!("CARGO_PKG_VERSION")),
        build: build(),
        suite: Suite::Real,
        ..node::Options::default()
    }
}

/// The host name where it is a valid name.
fn host_name() -> Option<Name> {
    let name = nix::unistd::gethostname().ok()?;
    match name.to_str()?.parse() {
        Ok(name) => Some(name),
        Err(e) => {
            log::info!("the host name is no name for a node ({e}); -n NAME gives one");
            None
        }
    }
}

/// How this program was built, for `daust version -v`.
fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{}-{}, {profile}", std::env::consts::ARCH, std::env::consts::OS)
}

/// From the system's generator: everything random in the node grows from it.
fn seed<const BYTES: usize>() -> Result<[u8; BYTES], String> {
    let mut seed = [0; BYTES];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .map_err(|e| format!("no random numbers from /dev/urandom: {e}"))?;
    Ok(seed)
}
