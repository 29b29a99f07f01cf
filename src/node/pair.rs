//! Table: the keys that two lives of two nodes share, one for each key of their herd in use.

use crate::wire::header::Header;
use crate::wire::key::{HerdKey, KeyId};
use crate::wire::keyring::Keyring;
use crate::wire::record::Record;
use crate::wire::seal::{Identity, SealKey};

/// Made when they are needed; wiped when dropped. Few, nearly always one: as many as there are keys
/// of the herd. Boxed, or a list that grows would leave copies behind.
#[derive(Default)]
pub struct PairKeys(Vec<(Option<KeyId>, Box<SealKey>)>);

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
        let herd_id = herd.map(HerdKey::id);
        let known = self.0.iter().position(|(id, _)| *id == herd_id);
        let at = match known {
            Some(at) => at,
            None => {
                let peer_start = peer.generation.start_counter();
                let key = identity.pair_key(herd, own_start, &peer.keys(), peer_start)?;
                self.0.reserve_exact(1);
                self.0.push((herd_id, Box::new(key)));
                self.0.len() - 1
            }
        };
        Some(&self.0[at].1)
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
        self.0.retain(|(id, _)| id.map_or(ring.takes_open(), |id| ring.has(id)));
    }
}
