//! One known node: what is known of it, and what the datagrams between it and us are sealed with.

use crate::node::digest::digest_of;
use crate::node::own::Own;
use crate::node::pair::PairKeys;
use crate::wire::header::{Header, Kind};
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::key::HerdKey;
use crate::wire::keyring::Keyring;
use crate::wire::record::Record;
use crate::wire::rumor::Rumor;
use crate::wire::seal::{Identity, ReplayWindow, SealKey};
use crate::wire::time::Time;

/// How long the key of a peer's former life is kept, to notice that it still lives: a clone.
const FORMER_KEY_MS: u64 = 60_000;
/// A former life is asked at most this often whether it lives.
const CHALLENGE_MS: u64 = 1_000;
/// An ICMP error must quote one of the last datagrams sent to that node.
const RECENTLY_SENT: u64 = 16;
/// Not heard yet, as far as is known: some 30 years ago.
const NEVER_US: i64 = -1_000_000_000_000_000;

/// A herd of a thousand keeps a thousand of these in each node: what few peers have is boxed.
pub struct Peer {
    pub record: Record,
    /// The record as it was signed, to hand on.
    pub signed: Vec<u8>,
    pub state: State,
    pub state_since: Time,
    /// Why it is suspect or down; empty otherwise.
    pub reason: String,
    /// Remembered from before this daemon started, and no word of it since: a suspect that counts
    /// as nobody until somebody heard it.
    pub unheard: bool,
    /// The verdict or goodbye that ended its life, for those who missed it.
    pub end: Option<Box<Rumor>>,
    /// Counts up: the lower one was known first.
    pub known_order: u64,
    /// When the herd last heard it, microseconds of our clock; before our boot it is negative.
    pub heard_us: i64,
    pub heard_by: NodeId,
    /// When it was last heard by this node itself.
    pub heard_here: Option<Time>,
    /// It phones this node: word from it is due each second.
    pub phones: bool,
    keys: PairKeys,
    former: Option<Box<Former>>,
    window: ReplayWindow,
    counter: u64,
}

struct Former {
    keys: PairKeys,
    window: ReplayWindow,
    record: Record,
    signed: Vec<u8>,
    counter: u64,
    since: Time,
    /// What it was asked last, to see whether it lives.
    challenge: Option<(u64, Time)>,
}

/// What opening a sealed datagram gave.
pub enum Opened {
    Plain(Vec<u8>),
    /// Authentic under the key of the peer's former life: late, or a clone's.
    Former(Vec<u8>),
    /// Authentic, but it came before.
    Replayed(Vec<u8>),
    Forged,
}

impl Peer {
    pub fn new(record: Record, signed: Vec<u8>, state: State, known_order: u64, now: Time) -> Peer {
        Peer {
            heard_by: record.id(),
            record,
            signed,
            state,
            state_since: now,
            reason: String::new(),
            unheard: false,
            end: None,
            known_order,
            heard_us: NEVER_US,
            heard_here: None,
            phones: false,
            keys: PairKeys::default(),
            former: None,
            window: ReplayWindow::default(),
            // Above all counters an earlier entry for the same peer can have used.
            counter: now.0,
        }
    }

    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Alive | State::Suspect) && !self.unheard
    }

    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Down | State::Left)
    }

    /// Left, or down and it did not speak to us since: there is nobody to ask.
    pub fn is_silent(&self) -> bool {
        let spoke = self.heard_here.is_some_and(|at| at > self.state_since);
        self.state == State::Left || (self.state == State::Down && !spoke)
    }

    /// Known from the state directory, suspected since, and not heard here: others know better.
    pub fn is_remembered_only(&self) -> bool {
        self.state == State::Suspect && self.heard_here.is_none()
    }

    pub fn age_ms(&self, now: Time) -> u64 {
        (now.0 as i64).saturating_sub(self.heard_us).max(0) as u64 / 1_000
    }

    /// What it adds to the roster's digest.
    pub fn digest(&self, id: NodeId) -> u64 {
        if self.is_live() { digest_of(id, &self.record) } else { 0 }
    }

    /// The next counter and the key to seal a datagram to it with, under this key of the herd.
    pub fn seal_with(
        &mut self,
        herd: Option<&HerdKey>,
        identity: &Identity,
        start_counter: u64,
    ) -> Option<(u64, &SealKey)> {
        self.counter += 1;
        let key = self.keys.under(herd, identity, start_counter, &self.record)?;
        Some((self.counter, key))
    }

    /// Whether this counter was used for a datagram to it lately: at most a window ago.
    pub fn was_sent(&self, counter: u64) -> bool {
        counter <= self.counter && self.counter - counter < RECENTLY_SENT
    }

    pub fn open(
        &mut self,
        header: &Header,
        rest: &[u8],
        identity: &Identity,
        start_counter: u64,
        now: Time,
    ) -> Opened {
        if let Some((counter, plain)) =
            self.keys.open(header, rest, identity, start_counter, &self.record)
        {
            let new = self.window.take(counter);
            return if new { Opened::Plain(plain) } else { Opened::Replayed(plain) };
        }
        let fresh = |former: &&mut Box<Former>| now.ms_since(former.since) < FORMER_KEY_MS;
        let Some(former) = self.former.as_mut().filter(fresh) else { return Opened::Forged };
        match former.keys.open(header, rest, identity, start_counter, &former.record) {
            Some((counter, plain)) if former.window.take(counter) => Opened::Former(plain),
            Some((_, plain)) => Opened::Replayed(plain),
            None => Opened::Forged,
        }
    }

    /// Keys of the herd were retired.
    pub fn keep_keys(&mut self, ring: &Keyring) {
        self.keys.keep(ring);
        if let Some(former) = &mut self.former {
            former.keys.keep(ring);
        }
    }

    /// Our own start counter changed: every shared key is another.
    pub fn renew_keys(&mut self, now: Time) {
        self.keys = PairKeys::default();
        self.window = ReplayWindow::default();
        self.counter = self.counter.max(now.0);
    }

    /// It started anew: what the life before was sealed with is kept for a while.
    pub fn start_life(&mut self, now: Time) {
        let keys = Some(std::mem::take(&mut self.keys)).filter(|keys| !keys.is_empty());
        self.former = keys.map(|keys| {
            Box::new(Former {
                keys,
                window: self.window,
                record: self.record.clone(),
                signed: self.signed.clone(),
                counter: self.counter,
                since: now,
                challenge: None,
            })
        });
        self.window = ReplayWindow::default();
        self.counter = self.counter.max(now.0);
    }

    /// The record of the life before this one, and as it was signed, if its key is still kept.
    pub fn former(&self) -> Option<(&Record, &[u8])> {
        self.former.as_ref().map(|former| (&former.record, &former.signed[..]))
    }

    /// Seals for its former life, which still speaks.
    pub fn seal_to_former(&mut self, own: &Own, random: [u8; 16], plain: &[u8]) -> Option<Vec<u8>> {
        let former = self.former.as_mut()?;
        former.counter += 1;
        let identity = &own.identity;
        let herd = identity.ring().common(former.record.told_keys());
        let start = own.record.generation.start_counter();
        let key = former.keys.under(herd, identity, start, &former.record)?;
        let header = own.header(herd, Kind::Sealed, former.record.id());
        Some(key.seal(&header, former.counter, random, plain))
    }

    /// Whether the former life is to be asked now if it lives; remembers the question.
    pub fn challenge_former(&mut self, nonce: u64, now: Time) -> bool {
        let Some(former) = self.former.as_mut() else { return false };
        if former.challenge.is_some_and(|(_, at)| now.ms_since(at) < CHALLENGE_MS) {
            return false;
        }
        former.challenge = Some((nonce, now));
        true
    }

    /// Whether the former life answered what it was asked last: it lives.
    pub fn former_lives(&self, nonce: u64) -> bool {
        let asked = self.former.as_ref().and_then(|former| former.challenge);
        asked.is_some_and(|(asked, _)| asked == nonce)
    }
}
