//! Table: what this node knows and says of itself.

use crate::node::boundary::Options;
use crate::node::planted::Bug;
use crate::wire::address::is_private;
use crate::wire::command::Rank;
use crate::wire::header::{Header, Kind};
use crate::wire::hello;
use crate::wire::ids::{Generation, Name, NodeId};
use crate::wire::key::HerdKey;
use crate::wire::limits::{ADDRESSES, RENEWAL_MS, UNDEAD_RENEWAL_MS};
use crate::wire::record::Record;
use crate::wire::refusal::Outside;
use crate::wire::seal::Identity;
use crate::wire::time::Time;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

pub struct Own {
    pub identity: Identity,
    pub id: NodeId,
    pub options: Options,
    pub record: Record,
    /// The record as it is handed to others.
    pub signed: Vec<u8>,
    pub started: Time,
    /// None: not tested yet, so not hidden for now.
    pub hidden: Option<bool>,
    /// Who answers at our default gateways.
    pub gateways_met: BTreeMap<IpAddr, NodeId>,
    pub last_renewal: Option<Time>,
    /// Said goodbye, or is about to.
    pub leaving: bool,
    /// Until then a home is known to hear this node every second.
    pub watched_until: Time,
    /// Until then this node is a home itself.
    pub phoned_until: Time,
    /// Since when this node believes itself cut off.
    pub stale_since: Option<Time>,
    /// Who said that this node is outside its herd, and when that was said in the log: nobody can
    /// prove it.
    pub outside: BTreeMap<SocketAddr, (Outside, Time)>,
    /// Why the last write to the disk failed, if it did.
    pub not_kept: Option<String>,
    /// Of local programs, under way at the last tick.
    pub requests: usize,
    counters: BTreeMap<&'static str, u64>,
    /// Asks of others carried out here, for the simulator's checkers.
    #[cfg(feature = "testing")]
    pub executed: Vec<crate::wire::ids::RequestId>,
}

impl Own {
    pub fn new(
        identity: Identity,
        options: Options,
        start_counter: u64,
        noise: u64,
        now: Time,
    ) -> Own {
        let id = identity.id();
        let keys = identity.public();
        let name = options.name.clone().unwrap_or_else(|| Name::fallback(id));
        let mut record = Record {
            agreement_key: keys.agreement,
            signing_key: keys.signing,
            generation: Generation::first(start_counter),
            sequence: 0,
            name,
            addresses: told(&options.addresses),
            port: options.port,
            parent: None,
            hidden: false,
            instance: (options.started_unix_s << 24) | (noise & 0xff_ffff),
            public_ip: options.public_face,
            deadend: options.deadend,
            homes: Vec::new(),
            attributes: Vec::new(),
        };
        // Of `daustd 0.1.0` the second word.
        if let Some((_, version)) = options.program.split_once(' ') {
            record.tell_version(version);
        }
        record.tell_keys(identity.ring().told());
        if options.accept == Rank::Read {
            record.tell_accept(options.accept.word());
        }
        record.tell_class(options.class);
        let signed = record.sign(&identity);
        let own = Own {
            identity,
            id,
            options,
            record,
            signed,
            started: now,
            hidden: None,
            gateways_met: BTreeMap::new(),
            last_renewal: None,
            leaving: false,
            watched_until: now,
            phoned_until: now,
            stale_since: None,
            outside: BTreeMap::new(),
            not_kept: None,
            requests: 0,
            counters: BTreeMap::new(),
            #[cfg(feature = "testing")]
            executed: Vec::new(),
        };
        own.say_exposed();
        own
    }

    /// The header of what this node sends under this key of its herd.
    pub fn header(&self, herd: Option<&HerdKey>, kind: Kind, destination: NodeId) -> Header {
        let (herd, epoch) = herd.map_or((0, 0), |key| (key.herd(), key.epoch()));
        Header { herd, epoch, ..Header::new(kind, destination, self.id) }
    }

    /// Whether what bears this header comes from the same herd, as far as it says so itself.
    pub fn is_of_herd(&self, header: &Header) -> bool {
        let open = self.identity.ring().takes_open() || self.has(Bug::OpenHelloTaken);
        let strange = open && header.herd == 0;
        header.herd == self.identity.herd_and_epoch().0 || strange
    }

    /// Whether this node was shut out of the herd.
    pub fn is_shut_out(&self, id: NodeId) -> bool {
        self.identity.ring().is_revoked(id) && !self.has(Bug::RevokedHeard)
    }

    /// What a hello of this herd says after its header, and the key it is sealed with; None if it is
    /// of somebody who holds none of ours.
    pub fn open_hello<'a>(
        &self,
        header: &Header,
        rest: &'a [u8],
    ) -> Option<(Cow<'a, [u8]>, Option<HerdKey>)> {
        if self.has(Bug::OpenHelloTaken) && header.herd == 0 {
            return Some((Cow::Borrowed(rest), self.identity.herd().cloned()));
        }
        self.identity.ring().fitting(header).into_iter().find_map(|key| match key {
            Some(key) => {
                let plain = hello::open(header, rest, key, self.options.suite)?;
                Some((Cow::Owned(plain), Some(key.clone())))
            }
            None => Some((Cow::Borrowed(rest), None)),
        })
    }

    /// The key to seal with for the node of this record.
    pub fn key_for(&self, record: Option<&Record>) -> Option<&HerdKey> {
        let ring = self.identity.ring();
        if self.has(Bug::KeySealsAtOnce) {
            return ring.newest();
        }
        ring.common(record.and_then(Record::told_keys))
    }

    /// Says anew which keys of the herd this node holds; true if that is something new.
    pub fn tell_keys(&mut self) -> bool {
        let told = self.identity.ring().told();
        self.change(|record| record.tell_keys(told))
    }

    /// Says anew, in a container, who is at the default gateway: that node's word that the container
    /// ended is good. True if that is something new.
    pub fn tell_host(&mut self) -> bool {
        let met = self.options.gateways.iter().find_map(|ip| self.gateways_met.get(ip)).copied();
        let host = met.filter(|_| self.options.container);
        self.change(|record| record.tell_host(host))
    }

    /// Seconds since the epoch, by the clock at start.
    pub fn unix_s(&self, now: Time) -> u64 {
        self.options.started_unix_s + now.ms_since(self.started) / 1_000
    }

    /// An open herd where the world may look in is seldom meant.
    pub fn exposed(&self) -> Option<String> {
        let mut public = self.options.addresses.iter().filter(|address| !is_private(**address));
        let address = public.next().filter(|_| self.identity.herd().is_none())?;
        let who = if self.options.open_public { "anybody" } else { "who has a private address" };
        Some(format!(
            "this node has the public address {address} and no herd key: {who} may join its \
             herd; `daust key new` makes a key"
        ))
    }

    fn say_exposed(&self) {
        if let Some(sentence) = self.exposed() {
            log::warn!(target: "node", "{sentence}");
        }
    }

    /// Changes the record; true if that made a difference and it was signed anew.
    pub fn change(&mut self, change: impl FnOnce(&mut Record)) -> bool {
        let before = self.record.clone();
        change(&mut self.record);
        if self.record == before {
            return false;
        }
        self.record.sequence += 1;
        self.signed = self.record.sign(&self.identity);
        true
    }

    /// Says the record anew, later than one of this generation that somebody else signed as us.
    pub fn outdo(&mut self, sequence: u64) {
        self.record.sequence = sequence.saturating_add(1);
        self.signed = self.record.sign(&self.identity);
    }

    pub fn set_addresses(&mut self, addresses: &[IpAddr]) -> bool {
        let known = std::mem::replace(&mut self.options.addresses, addresses.to_vec());
        if known != addresses {
            self.say_exposed();
        }
        self.change(|record| record.addresses = told(addresses))
    }

    pub fn is_own_address(&self, address: IpAddr) -> bool {
        self.options.addresses.contains(&address)
    }

    pub fn is_watched(&self, now: Time) -> bool {
        self.watched_until > now
    }

    /// Whether the generation may be renewed now: seldom, however often others ask for it.
    pub fn may_renew(&self, now: Time) -> bool {
        self.last_renewal.is_none_or(|last| now.ms_since(last) >= UNDEAD_RENEWAL_MS)
    }

    /// Whether it may be renewed for no other reason than doubt in oneself: at most once a minute.
    pub fn may_doubt(&self, now: Time) -> bool {
        self.last_renewal.is_none_or(|last| now.ms_since(last) >= RENEWAL_MS)
    }

    pub fn renew(&mut self, above: Generation, now: Time) {
        self.last_renewal = Some(now);
        let next = self.record.generation.max(above).renewed();
        self.change(|record| {
            record.generation = next;
            record.sequence = 0;
        });
    }

    /// Whether this bug was planted, on purpose; never outside test builds.
    pub fn has(&self, bug: Bug) -> bool {
        #[cfg(feature = "testing")]
        return self.options.planted == Some(bug);
        #[cfg(not(feature = "testing"))]
        {
            let _ = bug;
            false
        }
    }

    /// Counts one thing that should not happen, for `version -v`. The first, the tenth, the
    /// hundredth and so on are logged: that says what it is, and no flood makes it more.
    pub fn count(&mut self, what: &'static str) {
        let count = self.counters.entry(what).or_default();
        *count += 1;
        if 10_u64.pow(count.ilog10()) == *count {
            log::info!(target: "node", "{what}: {count} so far; daust version -v counts on");
        }
    }

    pub fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.counters
    }
}

fn told(addresses: &[IpAddr]) -> Vec<IpAddr> {
    addresses.iter().copied().take(ADDRESSES).collect()
}
