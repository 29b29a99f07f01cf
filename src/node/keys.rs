//! Table: what happens to the keys of the herd here, whoever asks for it: one is made, taken, retired,
//! and what is held is kept and told.

use crate::node::boundary::{Kept, Output};
use crate::node::outbox::Notice;
use crate::node::planted::Bug;
use crate::node::tables::Tables;
use crate::wire::codec;
use crate::wire::ids::NodeId;
use crate::wire::key::HerdKey;
use crate::wire::keyring::{Gift, KeptRing, Keyring};
use crate::wire::message::Body;
use crate::wire::rumor::Rumor;
use rand::Rng;

const KEYS: &str = "keys";

/// The keys to start with: that of the file, and newer ones of the same herd that were kept.
pub fn restored(file: Option<HerdKey>, kept: &Kept, now_unix_s: u64) -> Keyring {
    let kept = kept.entries.get(KEYS).and_then(|bytes| codec::decode::<KeptRing>(bytes).ok());
    match (file, kept) {
        (Some(file), Some(kept)) => Keyring::restored(file, kept, now_unix_s),
        (file, _) => file.into(),
    }
}

/// What is kept of the keys, and under which name.
pub fn entry(ring: &Keyring) -> (String, Vec<u8>) {
    (KEYS.to_string(), codec::encode(&ring.to_kept()))
}

/// Makes the next key, and shuts these nodes out with it. False: there is none to follow.
pub fn make(t: &mut Tables, revoked: &[NodeId]) -> bool {
    let mut secret = [0; 32];
    t.random.fill_bytes(&mut secret);
    let now_unix_s = t.own.unix_s(t.now);
    let Some(shut_out) = t.own.identity.ring_mut().make(secret, revoked, now_unix_s) else {
        return false;
    };
    log::info!(target: "keys", "this node made {}", newest(t));
    changed(t, &shut_out);
    // Everybody is told at once; who misses that hears of it as of any other record.
    let record = Rumor::Record(t.own.signed.clone());
    for id in t.some_live(t.own.id).into_iter().filter(|id| !revoked.contains(id)) {
        t.out.send(id, Body::Tell(record.clone()));
    }
    true
}

/// Takes a key that another node hands over; false if it is none that we want.
pub fn take(t: &mut Tables, from: NodeId, gift: &Gift) -> bool {
    let now_unix_s = t.own.unix_s(t.now);
    if gift.revoked.contains(&t.own.id) {
        return false;
    }
    let Some(shut_out) = t.own.identity.ring_mut().take(gift, now_unix_s) else { return false };
    log::info!(target: "keys", "{} from {}", newest(t), t.name(from));
    changed(t, &shut_out);
    true
}

/// Drops the keys whose grace is over.
pub fn retire(t: &mut Tables) {
    let now_unix_s = t.own.unix_s(t.now);
    if t.own.identity.ring_mut().retire(now_unix_s) {
        log::info!(target: "keys", "older herd keys than {} are retired", newest(t));
        t.roster.keep_keys(t.own.identity.ring());
        changed(t, &[]);
    }
}

fn newest(t: &Tables) -> String {
    let key = t.own.identity.herd();
    key.map(|key| format!("herd key {}, epoch {}", key.fingerprint(), key.epoch()))
        .unwrap_or_default()
}

fn changed(t: &mut Tables, shut_out: &[NodeId]) {
    let (name, bytes) = entry(t.own.identity.ring());
    if !t.own.has(Bug::KeysNotKept) {
        t.out.output(Output::Keep { ticket: 0, entries: vec![(name, Some(bytes))] });
    }
    if t.own.tell_keys() {
        t.out.notice(Notice::OwnChanged);
    }
    for id in shut_out {
        log::warn!(target: "keys", "{} ({id}) is shut out of this herd", t.name(*id));
        t.out.notice(Notice::Revoked(*id));
    }
}
