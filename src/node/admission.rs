//! Table: how many hellos are answered and how many new nodes let in, by source, so that a flood of
//! invented nodes costs little and pushes nobody out.

use crate::wire::limits::{
    HELLO_SOURCES, HELLOS_PER_ADDRESS, HELLOS_PER_SECOND, HELLOS_PER_SOURCE, NEW_IDS_PER_MINUTE,
    REFUSALS_PER_SECOND, REFUSALS_PER_SOURCE,
};
use crate::wire::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;
/// How often the log names one source that is refused, milliseconds.
const SAID_AGAIN_MS: u64 = 600_000;

#[derive(Default)]
pub struct Admission {
    sources: BTreeMap<SocketAddr, (Time, u32)>,
    addresses: BTreeMap<IpAddr, (Time, u32)>,
    new_ids: BTreeMap<IpAddr, (Time, u32)>,
    answered: (Time, u32),
    refused: BTreeMap<IpAddr, (Time, u32)>,
    refusals: (Time, u32),
    /// Sources outside the herd that the log named, and as what.
    said: BTreeMap<(IpAddr, String), Time>,
}

impl Admission {
    /// Whether one more hello of this source is answered now.
    pub fn may_answer(&mut self, now: Time, source: SocketAddr) -> bool {
        if now.ms_since(self.answered.0) >= SECOND_MS {
            self.answered = (now, 0);
        }
        if self.sources.len() >= HELLO_SOURCES {
            self.sources.retain(|_, (at, _)| now.ms_since(*at) < SECOND_MS);
            self.addresses.retain(|_, (at, _)| now.ms_since(*at) < SECOND_MS);
        }
        if self.answered.1 >= HELLOS_PER_SECOND || self.sources.len() >= HELLO_SOURCES {
            return false;
        }
        // The address first: one host with many ports takes no more places than that.
        let may = is_below(&mut self.addresses, now, source.ip(), HELLOS_PER_ADDRESS, SECOND_MS)
            && is_below(&mut self.sources, now, source, HELLOS_PER_SOURCE, SECOND_MS);
        self.answered.1 += u32::from(may);
        may
    }

    /// Whether a source outside the herd is told so now: once a second each, and so many in all.
    pub fn may_refuse(&mut self, now: Time, source: IpAddr) -> bool {
        if now.ms_since(self.refusals.0) >= SECOND_MS {
            self.refusals = (now, 0);
            self.refused.retain(|_, (at, _)| now.ms_since(*at) < SECOND_MS);
        }
        let may = self.refusals.1 < REFUSALS_PER_SECOND
            && is_below(&mut self.refused, now, source, REFUSALS_PER_SOURCE, SECOND_MS);
        self.refusals.1 += u32::from(may);
        may
    }

    /// Whether the log says this of a source outside the herd: once, and again after a long time.
    pub fn may_say(&mut self, now: Time, source: IpAddr, why: &str) -> bool {
        self.said.retain(|_, at| now.ms_since(*at) < SAID_AGAIN_MS);
        let what = (source, why.to_string());
        let may = self.said.len() < HELLO_SOURCES && !self.said.contains_key(&what);
        if may {
            self.said.insert(what, now);
        }
        may
    }

    /// At most so many ids made known by one source address in a minute.
    pub fn may_admit(&mut self, now: Time, source: IpAddr) -> bool {
        self.new_ids.retain(|_, (at, _)| now.ms_since(*at) < MINUTE_MS);
        if self.new_ids.len() >= HELLO_SOURCES {
            return false;
        }
        is_below(&mut self.new_ids, now, source, NEW_IDS_PER_MINUTE, MINUTE_MS)
    }
}

/// Counts one more for this key; false if it had so many within that time.
fn is_below<K: Ord>(
    counts: &mut BTreeMap<K, (Time, u32)>,
    now: Time,
    key: K,
    most: u32,
    within_ms: u64,
) -> bool {
    let count = counts.entry(key).or_insert((now, 0));
    if now.ms_since(count.0) >= within_ms {
        *count = (now, 0);
    }
    count.1 += 1;
    count.1 <= most
}
