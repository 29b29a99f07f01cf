//! Table: what happens to the keys of the herd here, whoever asks for it: one is made, taken, retired,
//! and what is held is kept and told.

use crate::node::boundary::{Kept, Output};
use crate::node::outbox::Notice;
use crate::node::peer::Peer;
use crate::node::planted::Bug;
use crate::node::rights;
use crate::node::tables::Tables;
use crate::wire::codec;
use crate::wire::history::EntryKind;
use crate::wire::ids::NodeId;
use crate::wire::key::{FIRST_EPOCH, HerdKey, KeyId};
use crate::wire::keyring::{Gift, KeptRing, Keyring, read};
use crate::wire::message::Body;
use crate::wire::record::Record;
use crate::wire::rumor::Rumor;
use crate::wire::seal::Identity;
use rand::Rng;
use zeroize::Zeroizing;

const KEYS: &str = "keys";
/// What is kept under this name is the text of the herd key: it belongs into a file of its own, which
/// the next start needs.
pub const KEY_FILE: &str = "key file";

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
    let text = in_words(&t.own.identity);
    log::info!(target: "keys", "this node made {text}");
    t.journal.event(t.now, EntryKind::Key, t.own.id, "", &text);
    changed(t, &shut_out);
    tell(t, revoked);
    true
}

/// Gives this open herd a key, for these nodes alone. False: it has one.
pub fn adopt(t: &mut Tables, members: &[NodeId]) -> bool {
    let mut random = Zeroizing::new([0; 40]);
    t.random.fill_bytes(&mut random[..]);
    let now_unix_s = t.own.unix_s(t.now);
    if !t.own.identity.ring_mut().adopt(HerdKey::adopted(&random), members, now_unix_s) {
        return false;
    }
    adopted(t, t.own.id);
    tell(t, &[]);
    true
}

/// Everybody else is told at once which keys this node holds; who misses that hears of it as of any
/// other record.
fn tell(t: &mut Tables, except: &[NodeId]) {
    let record = Rumor::Record(t.own.signed.clone());
    for id in t.some_live(t.own.id).into_iter().filter(|id| !except.contains(id)) {
        t.out.send(id, Body::Tell(record.clone()));
    }
}

/// Whether the node of this record holds this key of the herd not, as far as it tells.
pub fn lacks(record: &Record, key: KeyId) -> bool {
    match record.told_keys() {
        Some(told) => !read(told).contains(&key),
        None => key.epoch != FIRST_EPOCH,
    }
}

/// Whether it holds none of those that are held here.
pub fn has_none(ring: &Keyring, record: &Record) -> bool {
    !ring.is_empty() && ring.iter().all(|held| lacks(record, held.id))
}

/// From now on this node is of a keyed herd, whatever happens to it.
fn adopted(t: &mut Tables, giver: NodeId) {
    let text = in_words(&t.own.identity);
    let name = if giver == t.own.id { String::new() } else { t.name(giver) };
    let by = if name.is_empty() { "this node" } else { &name };
    log::warn!(target: "keys", "{by} gave this open herd {text}");
    t.journal.event(t.now, EntryKind::Key, giver, &name, &text);
    t.own.options.key = t.own.identity.herd().cloned();
    t.own.options.key_source = "adoption".to_string();
    if let Some(text) = t.own.identity.herd().map(HerdKey::to_text) {
        let entries = vec![(KEY_FILE.to_string(), Some(text.as_bytes().to_vec()))];
        t.out.output(Output::Keep { ticket: 0, entries });
    }
    changed(t, &[]);
    if t.own.has(Bug::OpenEndsAtOnce) {
        close(t);
    }
}

/// Hears nobody without a key any more.
pub fn close(t: &mut Tables) {
    t.own.identity.ring_mut().close();
    t.roster.iter_mut().for_each(|peer| peer.keep_keys(t.own.identity.ring()));
    log::info!(target: "keys", "who has no herd key is heard no more");
    let told = |peer: &Peer| peer.record.told_keys().is_some();
    let without: Vec<NodeId> =
        t.roster.iter().filter(|(_, peer)| !told(peer)).map(|(id, _)| id).collect();
    for id in without {
        t.out.notice(Notice::Keyless(id));
    }
    changed(t, &[]);
}

/// Takes a key that another node hands over; false if it is none that we want.
pub fn take(t: &mut Tables, from: NodeId, gift: &Gift) -> bool {
    let now_unix_s = t.own.unix_s(t.now);
    if gift.revoked.contains(&t.own.id) || !t.own.identity.ring().may_have(from) {
        return false;
    }
    let foreign = t.own.identity.herd().is_none_or(|key| key.herd() != gift.herd);
    if foreign && t.own.identity.ring().takes_open() {
        return take_adopted(t, from, gift);
    }
    let Some(shut_out) = t.own.identity.ring_mut().take(gift, now_unix_s) else { return false };
    let (text, name) = (in_words(&t.own.identity), t.name(from));
    log::info!(target: "keys", "{text} from {name}");
    t.journal.event(t.now, EntryKind::Key, from, &name, &text);
    changed(t, &shut_out);
    true
}

fn take_adopted(t: &mut Tables, from: NodeId, gift: &Gift) -> bool {
    if rights::why_no_adoption(t, from).is_some() {
        t.own.count("herd keys for this open herd refused: from a public address, or `accept`");
        return false;
    }
    let (own, now_unix_s) = (t.own.id, t.own.unix_s(t.now));
    let taken = t.own.identity.ring_mut().take_adopted(gift, own, now_unix_s);
    if taken {
        adopted(t, from);
    }
    taken
}

/// Drops the keys whose grace is over.
pub fn retire(t: &mut Tables) {
    let now_unix_s = t.own.unix_s(t.now);
    if t.own.identity.ring_mut().retire(now_unix_s) {
        log::info!(target: "keys", "older herd keys than {} are retired", in_words(&t.own.identity));
        t.roster.iter_mut().for_each(|peer| peer.keep_keys(t.own.identity.ring()));
        changed(t, &[]);
    }
}

/// The newest key held, without its secret.
pub fn in_words(identity: &Identity) -> String {
    let key = identity.herd();
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
