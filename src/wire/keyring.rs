//! The keys of one herd that a node holds: the newest, which seals, and those before it, which open
//! what is said by nodes that have not got it yet. Empty in an open herd; while that is given its
//! first key, having none counts as the oldest of the keys.

use crate::wire::header::Header;
use crate::wire::ids::NodeId;
use crate::wire::key::{ADOPTED_EPOCH, FIRST_EPOCH, HerdKey, KeyId, OPEN};
use crate::wire::limits::{KEY_EPOCHS_AHEAD, KEY_GRACE_S, KEYS, NODES, OPEN_GRACE_S, REVOKED};
use minicbor::{Decode, Encode};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The secret of a key on its way to who is to hold it. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Encode, Decode)]
#[cbor(transparent)]
pub struct Secret(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key as one node hands it to another, sealed for that one alone, and who is shut out with it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Gift {
    #[n(0)]
    pub herd: u64,
    #[n(1)]
    pub epoch: u32,
    #[n(2)]
    secret: Secret,
    #[n(3)]
    pub revoked: Vec<NodeId>,
    #[n(4)]
    pub closed_below: u32,
    /// While an open herd is given its key: whom its people saw and named, and for how many seconds
    /// more the others are heard.
    #[n(5)]
    pub members: Option<Vec<NodeId>>,
    #[n(6)]
    pub open_s: Option<u64>,
}

/// An open herd is given a key: who gets it, and until when who has none is heard as well.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Adoption {
    #[n(0)]
    pub members: BTreeSet<NodeId>,
    #[n(1)]
    pub until_unix_s: u64,
}

/// A ring as it is kept in the state directory.
#[derive(Encode, Decode)]
pub struct KeptRing {
    #[n(0)]
    keys: Vec<KeptKey>,
    #[n(1)]
    revoked: Vec<NodeId>,
    #[n(2)]
    closed_below: u32,
    #[n(3)]
    uncovered: bool,
    #[n(4)]
    adoption: Option<Adoption>,
}

#[derive(Encode, Decode)]
struct KeptKey {
    #[n(0)]
    herd: u64,
    #[n(1)]
    epoch: u32,
    #[n(2)]
    secret: Secret,
    #[n(3)]
    superseded_unix_s: Option<u64>,
}

/// One key, and what is known of it.
#[derive(Clone)]
pub struct Held {
    /// Boxed: a list that grows, sorts or closes up would leave copies of the key behind.
    pub key: Box<HerdKey>,
    pub id: KeyId,
    /// Since when a newer one is held, seconds since the epoch.
    pub superseded_unix_s: Option<u64>,
}

#[derive(Clone, Default)]
pub struct Keyring {
    /// The newest first.
    held: Vec<Held>,
    revoked: BTreeSet<NodeId>,
    /// Older keys than this one shut somebody out: they let nobody new in.
    closed_below: u32,
    /// The newest key was made by somebody who did not know of all that are shut out: one of them may
    /// hold it.
    uncovered: bool,
    adoption: Option<Adoption>,
}

impl From<Option<HerdKey>> for Keyring {
    fn from(key: Option<HerdKey>) -> Keyring {
        let held =
            key.map(|key| Held { id: key.id(), key: Box::new(key), superseded_unix_s: None });
        Keyring { held: held.into_iter().collect(), ..Keyring::default() }
    }
}

impl Keyring {
    pub fn newest(&self) -> Option<&HerdKey> {
        self.held.first().map(|held| &*held.key)
    }

    pub fn newest_id(&self) -> Option<KeyId> {
        self.held.first().map(|held| held.id)
    }

    /// The newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// Having none is counted where it counts as one.
    pub fn len(&self) -> usize {
        self.held.len() + usize::from(self.adoption.is_some())
    }

    pub fn adoption(&self) -> Option<&Adoption> {
        self.adoption.as_ref()
    }

    /// Whether somebody without a key is heard.
    pub fn takes_open(&self) -> bool {
        self.held.is_empty() || self.adoption.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn has(&self, id: KeyId) -> bool {
        self.held.iter().any(|held| held.id == id)
    }

    /// Under which keys something with this header may be sealed; None stands for an open herd.
    pub fn fitting(&self, header: &Header) -> Vec<Option<&HerdKey>> {
        if self.takes_open() && (header.herd, header.epoch) == (0, 0) {
            return vec![None];
        }
        let fits = |key: &&HerdKey| (key.herd(), key.epoch()) == (header.herd, header.epoch);
        self.held.iter().map(|held| &*held.key).filter(fits).map(Some).collect()
    }

    /// Takes a key of this herd; false if it is another herd's, or held already. A newer one supersedes
    /// those before it; the oldest beyond the limit goes.
    pub fn add(&mut self, key: HerdKey, now_unix_s: u64) -> bool {
        let id = key.id();
        let ours = self.newest().is_none_or(|newest| newest.herd() == key.herd());
        if !ours || self.has(id) {
            return false;
        }
        self.held.push(Held { key: Box::new(key), id, superseded_unix_s: None });
        self.held.sort_by_key(|held| Reverse(held.id));
        self.held.truncate(KEYS - usize::from(self.adoption.is_some()));
        for held in self.held.iter_mut().skip(1) {
            held.superseded_unix_s.get_or_insert(now_unix_s);
        }
        true
    }

    pub fn to_kept(&self) -> KeptRing {
        let kept = |held: &Held| KeptKey {
            herd: held.key.herd(),
            epoch: held.id.epoch,
            secret: Secret(*held.key.secret()),
            superseded_unix_s: held.superseded_unix_s,
        };
        KeptRing {
            keys: self.held.iter().map(kept).collect(),
            revoked: self.revoked.iter().copied().collect(),
            closed_below: self.closed_below,
            uncovered: self.uncovered,
            adoption: self.adoption.clone(),
        }
    }

    /// The ring of a daemon that starts with the key of its file: what it kept, if that is of the same
    /// herd. A key of the file that is older than all that were kept was retired.
    pub fn restored(file: HerdKey, kept: KeptRing, now_unix_s: u64) -> Keyring {
        let mut ring = Keyring::default();
        for kept in kept.keys.into_iter().filter(|kept| kept.herd == file.herd()) {
            let key = file.of_epoch(kept.epoch, kept.secret.0);
            let (id, superseded_unix_s) = (key.id(), kept.superseded_unix_s);
            ring.held.push(Held { key: Box::new(key), id, superseded_unix_s });
        }
        if ring.is_empty() {
            return Some(file).into();
        }
        ring.revoke(&kept.revoked, kept.closed_below);
        ring.uncovered = kept.uncovered;
        ring.adoption = kept.adoption.filter(|adoption| now_unix_s < adoption.until_unix_s);
        ring.held.sort_by_key(|held| Reverse(held.id));
        if Some(file.id()) > ring.newest_id() {
            ring.add(file, now_unix_s);
        }
        ring
    }

    /// The newest key, to be handed on.
    pub fn gift(&self, now_unix_s: u64) -> Option<Gift> {
        let key = self.newest()?;
        let adoption = self.adoption.as_ref();
        Some(Gift {
            herd: key.herd(),
            epoch: key.epoch(),
            secret: Secret(*key.secret()),
            revoked: self.revoked.iter().copied().collect(),
            closed_below: self.closed_below,
            members: adoption.map(|adoption| adoption.members.iter().copied().collect()),
            open_s: adoption.map(|adoption| adoption.until_unix_s.saturating_sub(now_unix_s)),
        })
    }

    /// Gives an open herd its key, for these members alone. False: it has one.
    pub fn adopt(&mut self, key: HerdKey, members: &[NodeId], now_unix_s: u64) -> bool {
        self.held.is_empty() && self.enter(key, members, OPEN_GRACE_S, now_unix_s)
    }

    /// Takes the key that another member gives to this open herd; false if it is none for `own`, or
    /// there is one already. Of two that are given at once, in two places, the greater one stays.
    pub fn take_adopted(&mut self, gift: &Gift, own: NodeId, now_unix_s: u64) -> bool {
        let (Some(members), Some(open_s)) = (&gift.members, gift.open_s) else { return false };
        let near = (ADOPTED_EPOCH..=FIRST_EPOCH + KEY_EPOCHS_AHEAD).contains(&gift.epoch);
        let named = gift.herd != 0 && members.len() <= NODES && members.contains(&own);
        if !self.takes_open() || !near || !named {
            return false;
        }
        let key = HerdKey::given(gift.herd, gift.epoch, gift.secret.0);
        Some(key.id()) > self.newest_id()
            && self.enter(key, members, open_s.min(OPEN_GRACE_S), now_unix_s)
    }

    fn enter(&mut self, key: HerdKey, members: &[NodeId], open_s: u64, now_unix_s: u64) -> bool {
        let (members, until_unix_s) = (members.iter().copied().collect(), now_unix_s + open_s);
        *self = Keyring::from(Some(key));
        self.adoption = Some(Adoption { members, until_unix_s });
        // Who is not known and has no key is let in no more.
        self.closed_below = ADOPTED_EPOCH;
        true
    }

    /// Hears nobody without a key any more.
    pub fn close(&mut self) {
        self.adoption = None;
    }

    /// Whether this one may be handed a key: all that are heard, but while an open herd is given
    /// one.
    pub fn may_have(&self, id: NodeId) -> bool {
        self.adoption.as_ref().is_none_or(|adoption| adoption.members.contains(&id))
    }

    /// Takes a newer key from another node. Gives who is shut out from now on and was not before; None:
    /// it is not taken.
    pub fn take(&mut self, gift: &Gift, now_unix_s: u64) -> Option<Vec<NodeId>> {
        let newest = self.newest().filter(|newest| newest.herd() == gift.herd)?;
        let key = newest.of_epoch(gift.epoch, gift.secret.0);
        let near = gift.epoch <= newest.epoch().saturating_add(KEY_EPOCHS_AHEAD);
        if !near || Some(key.id()) <= self.newest_id() || !self.add(key, now_unix_s) {
            return None;
        }
        self.uncovered = self.revoked.iter().any(|id| !gift.revoked.contains(id));
        Some(self.revoke(&gift.revoked, gift.closed_below.min(gift.epoch)))
    }

    /// Makes the key of the next epoch, and shuts these out with it. Gives those that were not shut
    /// out before; None: there is no key, or no epoch, to follow.
    pub fn make(
        &mut self,
        secret: [u8; 32],
        revoked: &[NodeId],
        now_unix_s: u64,
    ) -> Option<Vec<NodeId>> {
        let newest = self.newest()?;
        let epoch = newest.epoch().checked_add(1)?;
        let key = newest.of_epoch(epoch, secret);
        self.add(key, now_unix_s);
        let again = std::mem::take(&mut self.uncovered);
        let closes = again || !revoked.is_empty();
        Some(self.revoke(revoked, if closes { epoch } else { 0 }))
    }

    /// Whether somebody who is shut out may hold the newest key.
    pub fn is_uncovered(&self) -> bool {
        self.uncovered
    }

    /// When the next key is retired, seconds since the epoch.
    pub fn next_retirement(&self) -> Option<u64> {
        let superseded = self.held.iter().filter_map(|held| held.superseded_unix_s);
        superseded.min().map(|since| since.saturating_add(KEY_GRACE_S))
    }

    /// Drops the keys whose grace is over; true if there were any.
    pub fn retire(&mut self, now_unix_s: u64) -> bool {
        let before = self.held.len();
        self.held.retain(|held| {
            held.superseded_unix_s
                .is_none_or(|since| now_unix_s < since.saturating_add(KEY_GRACE_S))
        });
        self.held.len() < before
    }

    /// Which key to seal with for a node that says it holds these (the newest first): the newest that
    /// both hold, and our newest where there is none. None: without a key.
    pub fn common(&self, told: Option<&str>) -> Option<&HerdKey> {
        if self.len() < 2 {
            return self.newest();
        }
        let both = match told {
            None if self.adoption.is_some() => return None,
            None => self.held.iter().find(|held| held.id.epoch == FIRST_EPOCH),
            Some(told) => {
                let theirs = read(told);
                let both = self.held.iter().find(|held| theirs.contains(&held.id));
                if both.is_none() && self.adoption.is_some() && theirs.contains(&OPEN) {
                    return None;
                }
                both
            }
        };
        both.map(|held| &*held.key).or(self.newest())
    }

    /// What a record says of the keys its node holds. Nothing where it holds the first one alone.
    pub fn told(&self) -> Option<String> {
        match self.held[..] {
            [] => None,
            [ref only] if only.id.epoch == FIRST_EPOCH => None,
            _ => {
                let ids = self.held.iter().map(|held| held.id);
                let ids = ids.chain(self.adoption.as_ref().map(|_| OPEN));
                let words = ids.map(|KeyId { epoch, sum }| format!("{epoch:x}:{sum:06x}"));
                Some(words.collect::<Vec<_>>().join(" "))
            }
        }
    }

    pub fn revoked(&self) -> &BTreeSet<NodeId> {
        &self.revoked
    }

    pub fn is_revoked(&self, id: NodeId) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(&id)
    }

    /// Whether somebody who is not known yet may come in under a key of this epoch.
    pub fn admits(&self, epoch: u32) -> bool {
        epoch >= self.closed_below
    }

    /// Shuts these out, and whoever is not known and holds no key of this epoch or later. Gives those
    /// that were not shut out before.
    pub fn revoke(&mut self, ids: &[NodeId], closed_below: u32) -> Vec<NodeId> {
        self.closed_below = self.closed_below.max(closed_below);
        let mut new = Vec::new();
        for id in ids {
            if self.revoked.len() < REVOKED && self.revoked.insert(*id) {
                new.push(*id);
            }
        }
        new
    }
}

/// The keys that a record tells of: at most as many as a node holds.
pub fn read(told: &str) -> Vec<KeyId> {
    let word = |word: &str| {
        let (epoch, sum) = word.split_once(':')?;
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        Some(KeyId { epoch: number(epoch)?, sum: number(sum)? })
    };
    told.split(' ').take(KEYS).filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;
    use crate::wire::header::Kind;

    fn first() -> HerdKey {
        HerdKey::first(&[1; 40])
    }

    fn ring(epochs: &[u32]) -> Keyring {
        let mut ring = Keyring::from(Some(first()));
        for epoch in epochs {
            assert!(ring.add(first().of_epoch(*epoch, [*epoch as u8; 32]), 100));
        }
        ring
    }

    #[test]
    fn the_newest_key_that_both_hold_seals() {
        let (old, new, newer) = (ring(&[]), ring(&[2]), ring(&[2, 3]));
        let epoch = |own: &Keyring, other: &Keyring| {
            own.common(other.told().as_deref()).map(HerdKey::epoch)
        };
        assert_eq!(old.told(), None);
        for (own, other, common) in [
            (&old, &new, 1),
            (&new, &old, 1),
            (&new, &newer, 2),
            (&newer, &new, 2),
            (&newer, &newer, 3),
            (&newer, &old, 1),
        ] {
            assert_eq!(epoch(own, other), Some(common));
        }
        assert_eq!(epoch(&Keyring::default(), &Keyring::default()), None);
        // Nothing in common: our newest.
        assert_eq!(newer.common(Some("9:00000000")).map(HerdKey::epoch), Some(3));
    }

    #[test]
    fn two_keys_of_one_epoch_come_in_one_order() {
        let (one, other) = (first().of_epoch(2, [7; 32]), first().of_epoch(2, [8; 32]));
        let (mut a, mut b) = (ring(&[]), ring(&[]));
        assert!(a.add(one.clone(), 5) && a.add(other.clone(), 6));
        assert!(b.add(other.clone(), 5) && b.add(one.clone(), 6) && !b.add(one, 7));
        assert_eq!(a.newest_id(), b.newest_id());
        assert_eq!(a.told(), b.told());
        let header =
            |herd, epoch| Header { herd, epoch, ..Header::new(Kind::Sealed, NodeId(1), NodeId(2)) };
        let herd = first().herd();
        assert_eq!(a.fitting(&header(herd, 2)).len(), 2);
        assert_eq!(a.fitting(&header(herd, 1)).len(), 1);
        assert!(a.fitting(&header(0, 0)).is_empty() && a.fitting(&header(herd + 1, 1)).is_empty());
        assert!(matches!(Keyring::default().fitting(&header(0, 0))[..], [None]));
    }

    #[test]
    fn keys_at_their_limit_and_in_a_record() {
        let full: Vec<u32> = (2..=KEYS as u32).collect();
        let mut full = ring(&full);
        assert_eq!((full.len(), full.iter().last().unwrap().id.epoch), (KEYS, 1));
        assert!(full.add(first().of_epoch(u32::MAX, [9; 32]), 100));
        assert_eq!((full.len(), full.iter().last().unwrap().id.epoch), (KEYS, 2));
        for epoch in u32::MAX - KEYS as u32..u32::MAX {
            full.add(first().of_epoch(epoch, [1; 32]), 100);
        }
        let told = full.told().unwrap();
        assert!(told.len() <= crate::wire::limits::ATTRIBUTE_BYTES, "{told}");
        assert_eq!(read(&told), full.iter().map(|held| held.id).collect::<Vec<_>>());
        let too_many = [told.clone(), told].join(" ");
        assert_eq!(read(&too_many).len(), KEYS);
        assert!(read("x 1 :: 1: :1 100000000:0").is_empty());
        assert!(!full.add(HerdKey::first(&[2; 40]), 100), "another herd's");
    }

    #[test]
    fn a_superseded_key_is_held_for_its_grace_and_no_longer() {
        let mut ring = ring(&[2]);
        assert_eq!(ring.next_retirement(), Some(100 + KEY_GRACE_S));
        assert!(!ring.retire(99 + KEY_GRACE_S) && ring.len() == 2);
        assert!(ring.retire(100 + KEY_GRACE_S));
        assert_eq!((ring.len(), ring.newest().unwrap().epoch()), (1, 2));
        assert_eq!(ring.next_retirement(), None);
        assert!(!ring.retire(u64::MAX), "the last one stays");
    }

    #[test]
    fn a_gift_is_taken_once_and_only_where_it_is_newer() {
        let mut maker = ring(&[]);
        assert_eq!(maker.make([9; 32], &[NodeId(5)], 100), Some(vec![NodeId(5)]));
        let gift = maker.gift(100).unwrap();
        let mut taker = ring(&[]);
        assert_eq!(taker.take(&gift, 100), Some(vec![NodeId(5)]));
        assert_eq!(taker.take(&gift, 100), None);
        assert!(taker.newest_id() == maker.newest_id() && !taker.admits(1) && taker.admits(2));
        assert_eq!(ring(&[3]).take(&gift, 100), None, "it has a newer one");
        assert_eq!(Keyring::from(Some(HerdKey::first(&[2; 40]))).take(&gift, 100), None);
        let ahead = |epoch| ring(&[]).take(&Gift { epoch, ..gift.clone() }, 100).is_some();
        assert!(ahead(1 + KEY_EPOCHS_AHEAD) && !ahead(2 + KEY_EPOCHS_AHEAD));
        assert_eq!(format!("{:?}", gift.secret), "Secret");
    }

    #[test]
    fn an_open_ring_takes_a_key_as_one_that_follows() {
        let key = |byte| HerdKey::adopted(&[byte; 40]);
        let members = [NodeId(1), NodeId(2)];
        let (open, mut maker) = (Keyring::default(), Keyring::default());
        assert!(maker.adopt(key(1), &members, 100) && !maker.adopt(key(2), &members, 100));
        let told = maker.told().unwrap();
        assert_eq!(read(&told), [key(1).id(), OPEN]);
        // With who has none: without; with who has it: with it.
        assert_eq!(maker.common(open.told().as_deref()).map(HerdKey::id), None);
        assert_eq!(maker.common(Some(&told)).map(HerdKey::id), Some(key(1).id()));
        let header =
            |herd, epoch| Header { herd, epoch, ..Header::new(Kind::Sealed, NodeId(1), NodeId(2)) };
        assert_eq!((maker.fitting(&header(0, 0)).len(), maker.len()), (1, 2));
        assert!(maker.takes_open() && !maker.admits(0) && maker.may_have(NodeId(2)));
        assert!(!maker.may_have(NodeId(3)) && open.may_have(NodeId(3)));

        let gift = maker.gift(100 + OPEN_GRACE_S / 2).unwrap();
        let mut taker = Keyring::default();
        assert!(!taker.take_adopted(&gift, NodeId(3), 7), "it is not named");
        assert!(taker.take_adopted(&gift, NodeId(2), 7));
        assert_eq!(taker.adoption().unwrap().until_unix_s, 7 + OPEN_GRACE_S / 2);
        let kept = || codec::decode(&codec::encode(&taker.to_kept())).unwrap();
        let late = 7 + OPEN_GRACE_S / 2;
        assert_eq!(Keyring::restored(key(1), kept(), late - 1).adoption(), taker.adoption());
        assert!(!Keyring::restored(key(1), kept(), late).takes_open());

        // Two at once end in one, whichever comes first.
        let mut other = Keyring::default();
        assert!(other.adopt(key(2), &members, 100));
        let (one, two) = (maker.gift(100).unwrap(), other.gift(100).unwrap());
        assert_eq!(maker.common(other.told().as_deref()).map(HerdKey::id), None);
        assert!(
            maker.take_adopted(&two, NodeId(1), 100) ^ other.take_adopted(&one, NodeId(1), 100)
        );
        assert_eq!(maker.newest_id(), other.newest_id());

        maker.close();
        assert!(!maker.takes_open() && maker.fitting(&header(0, 0)).is_empty());
        assert!(!maker.take_adopted(&two, NodeId(1), 100) && maker.may_have(NodeId(3)));
        assert_eq!(maker.told().map(|told| read(&told).len()), Some(1));
        let first = Gift { epoch: FIRST_EPOCH, ..two.clone() };
        let far = Gift { epoch: FIRST_EPOCH + KEY_EPOCHS_AHEAD + 1, ..two.clone() };
        for gift in [first, far, Gift { members: None, ..two.clone() }, Gift { herd: 0, ..two }] {
            assert!(!Keyring::default().take_adopted(&gift, NodeId(1), 100), "{gift:?}");
        }
    }

    /// Who is shut out may have got the key that somebody made who did not know.
    #[test]
    fn a_key_of_who_did_not_know_whom_to_shut_out_is_followed_by_another() {
        let (mut knows, mut ignorant) = (ring(&[]), ring(&[2]));
        knows.make([1; 32], &[NodeId(5)], 100);
        ignorant.make([2; 32], &[], 100);
        assert_eq!(knows.take(&ignorant.gift(100).unwrap(), 100), Some(vec![]));
        assert!(knows.is_uncovered());
        assert_eq!(knows.make([3; 32], &[], 100), Some(vec![]));
        assert!(!knows.is_uncovered() && !knows.admits(3) && knows.admits(4));
        assert_eq!(ignorant.take(&knows.gift(100).unwrap(), 100), Some(vec![NodeId(5)]));
        assert!(!ignorant.is_uncovered());
    }

    #[test]
    fn what_is_kept_comes_back_and_the_file_wins_only_with_a_newer_key() {
        let mut ring = ring(&[2]);
        ring.revoke(&[NodeId(5)], 2);
        let kept = || codec::decode(&codec::encode(&ring.to_kept())).unwrap();
        let restored = Keyring::restored(first(), kept(), 200);
        assert_eq!(restored.told(), ring.told());
        assert_eq!(restored.next_retirement(), ring.next_retirement());
        assert!(restored.is_revoked(NodeId(5)) && !restored.admits(1));
        let newer = Keyring::restored(first().of_epoch(7, [1; 32]), kept(), 200);
        assert_eq!((newer.len(), newer.newest().unwrap().epoch()), (3, 7));
        let older = Keyring::restored(first().of_epoch(1, [7; 32]), kept(), 200);
        assert_eq!(older.told(), ring.told());
        let other = Keyring::restored(HerdKey::first(&[2; 40]), kept(), 200);
        assert!(other.len() == 1 && other.revoked().is_empty());
    }

    #[test]
    fn revoked_ids_at_their_limit() {
        let mut ring = ring(&[2]);
        let ids: Vec<NodeId> = (0..=REVOKED as u64).map(NodeId).collect();
        assert_eq!(ring.revoke(&ids, 2).len(), REVOKED);
        assert!(ring.is_revoked(NodeId(0)) && !ring.is_revoked(NodeId(REVOKED as u64)));
        assert!(ring.revoke(&ids, 1).is_empty());
        assert!(ring.admits(2) && !ring.admits(1));
    }
}
