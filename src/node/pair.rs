//! Table: the keys that two lives of two nodes share, one for each key of their herd in use.

use crate::wire::header::Header;
use crate::wire::key::{HerdKey, KeyId};
use crate::wire::keyring::Keyring;
use crate::wire::record::Record;
use crate::wire::seal::{Identity, SealKey};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Made when they are needed; wiped when dropped.
#[derive(Default)]
pub struct PairKeys(BTreeMap<Option<KeyId>, SealKey>);

impl PairKeys {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one under this key of the herd.
    pub fn under(
        &mut self,
        herd: Option<&HerdKey>,
        identity: &Identity,
        own_start: u64,
        peer: &Record,
    ) -> Option<&SealKey> {
        match self.0.entry(herd.map(HerdKey::id)) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let peer_start = peer.generation.start_counter();
                let key = identity.pair_key(herd, own_start, &peer.keys(), peer_start)?;
                Some(place.insert(key))
            }
        }
    }

    /// Opens under whichever of our keys of the herd fits.
    pub fn open(
        &mut self,
        header: &Header,
        rest: &[u8],
        identity: &Identity,
        own_start: u64,
        peer: &Record,
    ) -> Option<(u64, Vec<u8>)> {
        let fitting = identity.ring().fitting(header);
        fitting
            .into_iter()
            .find_map(|herd| self.under(herd, identity, own_start, peer)?.open(header, rest))
    }

    /// Forgets those of herd keys that are no more.
    pub fn keep(&mut self, ring: &Keyring) {
        self.0.retain(|id, _| id.is_none_or(|id| ring.has(id)));
    }
}
