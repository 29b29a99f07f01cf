//! Runs scenarios over seeds, and says for a failing one how to see it again.

use crate::trace::{self, Hash};
use crate::world::World;
use herd::node::planted::Bug;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub type Scenario = fn(&mut World);

/// Trace lines shown of a failing seed.
const SHOWN_LINES: usize = 200;
/// Each so manieth seed runs twice and must give the same hash.
const TWICE_EACH: u64 = 50;

pub struct Outcome {
    pub failure: Option<String>,
    pub hash: Hash,
    pub lived_us: u64,
    pub datagrams: u64,
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// While a seed runs, a panic is its result and not news.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        trace::install_log();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                PANIC.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
}

pub fn run_seed(seed: u64, scenario: Scenario, planted: Option<Bug>) -> Outcome {
    install_hook();
    let mut world = World::new(seed);
    world.planted = planted;
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| scenario(&mut world)));
    QUIET.set(false);
    Outcome {
        failure: result.err().map(|_| PANIC.take()),
        hash: world.hash,
        lived_us: world.lived_us,
        datagrams: world.datagrams,
    }
}

/// Runs a seed again, with its trace, and panics with everything a person needs.
fn report(name: &str, seed: u64, scenario: Scenario, failure: &str) -> ! {
    trace::start();
    run_seed(seed, scenario, None);
    let lines = trace::take();
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    panic!(
        "{shown}\n\nscenario {name}, seed {seed}: {failure}\nagain:  SIM_SEED={seed} cargo test --profile sim --features testing --test sim -- --exact {name}\n(SIM_TRACE=1 prints every line)\n"
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, it is {text:?}"))
    })
}

/// What this thread computed so far.
pub fn cpu_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).expect("every thread has this clock").into()
}

/// One promise over a few seeds, or over the one of `SIM_SEED`.
pub fn check(name: &str, seeds: u64, scenario: Scenario) {
    let chosen = number("SIM_SEED");
    let (first, last) = chosen.map_or((0, seeds), |seed| (seed, seed + 1));
    for seed in first..last {
        if std::env::var_os("SIM_TRACE").is_some() {
            trace::start();
        }
        let outcome = run_seed(seed, scenario, None);
        if let Some(failure) = outcome.failure {
            report(name, seed, scenario, &failure);
        }
    }
}

/// A scenario over many seeds on two threads, with figures.
pub fn swarm(name: &str, default_seeds: u64, scenario: Scenario) {
    if number("SIM_SEED").is_some() {
        return check(name, 1, scenario);
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(default_seeds);
    let budget = number("SIM_SECONDS").map(Duration::from_secs);
    let all = std::env::var_os("SIM_ALL").is_some();
    let next = AtomicU64::new(first);
    let (ran, lived_us, datagrams) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let work = || -> (Option<(u64, String)>, Duration) {
        let mut busy = Duration::ZERO;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || budget.is_some_and(|budget| began.elapsed() > budget) {
                return (None, busy);
            }
            let start = cpu_time();
            let outcome = run_seed(seed, scenario, None);
            let again = seed.is_multiple_of(TWICE_EACH) && outcome.failure.is_none();
            let differs = again && run_seed(seed, scenario, None).hash != outcome.hash;
            busy += cpu_time() - start;
            ran.fetch_add(1, Ordering::Relaxed);
            lived_us.fetch_add(outcome.lived_us, Ordering::Relaxed);
            datagrams.fetch_add(outcome.datagrams, Ordering::Relaxed);
            let differs = differs.then(|| "run twice, it gives two hashes".to_string());
            if let Some(failure) = outcome.failure.or(differs) {
                if all {
                    println!("seed {seed}: {}", failure.replace('\n', " "));
                    continue;
                }
                next.store(first + seeds, Ordering::Relaxed);
                return (Some((seed, failure)), busy);
            }
        }
    };
    let results = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().expect("seeds catch their panics"))
    });
    let busy_s: f64 = results.iter().map(|(_, busy)| busy.as_secs_f64()).sum();
    let hours = lived_us.load(Ordering::Relaxed) as f64 / 3.6e9;
    println!(
        "{name}: {} seeds, {hours:.1} node-hours, {} datagrams, {busy_s:.1} s of CPU, {:.1} node-hours a second of CPU",
        ran.load(Ordering::Relaxed),
        datagrams.load(Ordering::Relaxed),
        hours / busy_s.max(0.001),
    );
    let failed = results.into_iter().filter_map(|(failure, _)| failure).min_by_key(|one| one.0);
    if let Some((seed, failure)) = failed {
        report(name, seed, scenario, &failure);
    }
}
