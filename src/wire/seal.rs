//! Who a node is and how it proves it: key pairs, pairwise sealing of datagrams, signatures,
//! replay windows.
//!
//! A datagram is header, nonce (8 bytes counter, 16 random bytes), ciphertext, tag. Its key is
//! derived from the static X25519 keys of both ends and both start counters, so any two nodes
//! that hold each other's records can talk without a handshake, and nobody else can speak for
//! either of them. The random half of the nonce is there because a restored VM snapshot repeats
//! counters.

use crate::wire::header::{HEADER_BYTES, Header};
use crate::wire::ids::NodeId;
use crate::wire::key::HerdKey;
use crate::wire::keyring::Keyring;
use blake2::{Blake2s256, Blake2sMac, Digest, digest::Mac};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce, aead::AeadInPlace};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub const NONCE_BYTES: usize = 24;
pub const TAG_BYTES: usize = 16;
pub const SIGNATURE_BYTES: usize = 64;
/// What sealing adds to a plain text, header included, bytes.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// Which ciphers are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Suite {
    #[default]
    Real,
    /// Keyed checksums of the same lengths, for the simulator: fast, and worth nothing.
    #[cfg(feature = "testing")]
    Fast,
}

/// A node's secret keys. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Identity {
    agreement: [u8; 32],
    signing: [u8; 32],
    #[zeroize(skip)]
    suite: Suite,
    #[zeroize(skip)]
    public: PublicKeys,
    /// Empty in an open herd. It wipes itself.
    #[zeroize(skip)]
    ring: Keyring,
}

/// A node's public keys; its id is a hash of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKeys {
    pub agreement: [u8; 32],
    pub signing: [u8; 32],
}

impl PublicKeys {
    pub fn id(&self) -> NodeId {
        let mut hash = Blake2s256::new();
        hash.update(b"herd node id v1");
        hash.update(self.agreement);
        hash.update(self.signing);
        let digest = hash.finalize();
        NodeId::from_bytes(digest[..8].try_into().expect("eight bytes of a digest"))
    }
}

impl Identity {
    /// Makes an identity from 64 random bytes.
    pub fn from_secret(secret: &[u8; 64], suite: Suite) -> Identity {
        let (agreement, signing) = secret.split_at(32);
        let agreement: [u8; 32] = agreement.try_into().expect("half of 64 bytes");
        let signing: [u8; 32] = signing.try_into().expect("half of 64 bytes");
        let public = match suite {
            Suite::Real => PublicKeys {
                agreement: PublicKey::from(&StaticSecret::from(agreement)).to_bytes(),
                signing: SigningKey::from_bytes(&signing).verifying_key().to_bytes(),
            },
            #[cfg(feature = "testing")]
            Suite::Fast => PublicKeys {
                agreement: PublicKey::from(&StaticSecret::from(agreement)).to_bytes(),
                signing: fast::wide(&[&signing]),
            },
        };
        Identity { agreement, signing, suite, public, ring: Keyring::default() }
    }

    /// The same node in the herd of these keys, or in an open one.
    pub fn in_herd(self, keys: impl Into<Keyring>) -> Identity {
        let mut identity = self;
        identity.ring = keys.into();
        identity
    }

    pub fn ring(&self) -> &Keyring {
        &self.ring
    }

    pub fn ring_mut(&mut self) -> &mut Keyring {
        &mut self.ring
    }

    /// The newest key of its herd; None: the herd is open.
    pub fn herd(&self) -> Option<&HerdKey> {
        self.ring.newest()
    }

    /// Herd id and epoch as the outer header names them.
    pub fn herd_and_epoch(&self) -> (u64, u32) {
        self.herd().map_or((0, 0), |key| (key.herd(), key.epoch()))
    }

    /// The 64 bytes to keep in the state directory.
    pub fn to_secret(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..32].copy_from_slice(&self.agreement);
        out[32..].copy_from_slice(&self.signing);
        out
    }

    pub fn public(&self) -> PublicKeys {
        self.public
    }

    pub fn id(&self) -> NodeId {
        self.public.id()
    }

    /// The private half for a Noise session.
    pub fn agreement_secret(&self) -> &[u8; 32] {
        &self.agreement
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        match self.suite {
            Suite::Real => SigningKey::from_bytes(&self.signing).sign(message).to_bytes(),
            #[cfg(feature = "testing")]
            Suite::Fast => fast::signature(&self.public.signing, message),
        }
    }

    /// The key this node shares with `peer`, for these two lives, under a key of their herd. None if
    /// the peer's public key is one of the few points that would give every node the same secret.
    pub fn pair_key(
        &self,
        herd: Option<&HerdKey>,
        own_start: u64,
        peer: &PublicKeys,
        peer_start: u64,
    ) -> Option<SealKey> {
        let shared = match self.suite {
            Suite::Real => {
                let secret = StaticSecret::from(self.agreement);
                let shared = secret.diffie_hellman(&PublicKey::from(peer.agreement));
                if !shared.was_contributory() {
                    return None;
                }
                shared.to_bytes()
            }
            #[cfg(feature = "testing")]
            Suite::Fast => {
                let (a, b) = (self.public.agreement, peer.agreement);
                if a < b { fast::wide(&[&a, &b]) } else { fast::wide(&[&b, &a]) }
            }
        };
        let own = (self.id(), own_start);
        let other = (peer.id(), peer_start);
        let (low, high) = if own < other { (own, other) } else { (other, own) };
        let mut hash = Blake2s256::new();
        hash.update(b"herd pair key v1");
        hash.update(shared);
        for (id, start) in [low, high] {
            hash.update(id.to_bytes());
            hash.update(start.to_be_bytes());
        }
        match herd {
            Some(herd) => hash.update(*herd.for_pairs()),
            None => hash.update([0; 32]),
        }
        Some(SealKey::new(hash.finalize().into(), self.suite))
    }
}

/// Checks a signature of the node with these keys.
pub fn verify(suite: Suite, keys: &PublicKeys, message: &[u8], signature: &[u8]) -> bool {
    match suite {
        Suite::Real => {
            let Ok(signature) = Signature::from_slice(signature) else { return false };
            VerifyingKey::from_bytes(&keys.signing)
                .is_ok_and(|key| key.verify(message, &signature).is_ok())
        }
        #[cfg(feature = "testing")]
        Suite::Fast => signature == fast::signature(&keys.signing, message),
    }
}

/// What seals datagrams: the key that two lives of two nodes share, or, for hellos, a whole herd.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealKey {
    key: [u8; 32],
    #[zeroize(skip)]
    suite: Suite,
}

impl SealKey {
    pub fn new(key: [u8; 32], suite: Suite) -> SealKey {
        SealKey { key, suite }
    }

    /// A whole sealed datagram.
    pub fn seal(&self, header: &Header, counter: u64, random: [u8; 16], plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(OVERHEAD_BYTES + plain.len());
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(&counter.to_be_bytes());
        out.extend_from_slice(&random);
        out.extend_from_slice(plain);
        let (head, body) = out.split_at_mut(HEADER_BYTES + NONCE_BYTES);
        let tag: [u8; TAG_BYTES] = match self.suite {
            Suite::Real => XChaCha20Poly1305::new(&self.key.into())
                .encrypt_in_place_detached(
                    XNonce::from_slice(&head[HEADER_BYTES..]),
                    &header.associated(),
                    body,
                )
                .expect("a datagram is far below the cipher's limit")
                .into(),
            #[cfg(feature = "testing")]
            Suite::Fast => {
                fast::tag(&self.key, &[&header.associated(), &head[HEADER_BYTES..], body])
            }
        };
        out.extend_from_slice(&tag);
        out
    }

    /// The counter and plain text of a datagram (its bytes after the header); None if it is not
    /// authentic.
    pub fn open(&self, header: &Header, rest: &[u8]) -> Option<(u64, Vec<u8>)> {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (body, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = body.to_vec();
        match self.suite {
            Suite::Real => XChaCha20Poly1305::new(&self.key.into())
                .decrypt_in_place_detached(
                    XNonce::from_slice(nonce),
                    &header.associated(),
                    &mut plain,
                    tag.into(),
                )
                .ok()?,
            #[cfg(feature = "testing")]
            Suite::Fast => {
                if fast::tag(&self.key, &[&header.associated(), nonce, body]) != *tag {
                    return None;
                }
            }
        }
        Some((counter_of(rest)?, plain))
    }

    /// A keyed checksum over bytes sent in clear: proves a hello answer.
    pub fn mac(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = <Blake2sMac<blake2::digest::consts::U16> as Mac>::new_from_slice(&self.key)
            .expect("32 bytes are a valid key");
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the checksum over `bytes`, in constant time.
    pub fn mac_matches(&self, bytes: &[u8], tag: &[u8]) -> bool {
        let mut mac = <Blake2sMac<blake2::digest::consts::U16> as Mac>::new_from_slice(&self.key)
            .expect("32 bytes are a valid key");
        mac.update(bytes);
        mac.verify_slice(tag).is_ok()
    }
}

/// The counter in clear at the start of a sealed datagram's bytes after the header.
pub fn counter_of(rest: &[u8]) -> Option<u64> {
    rest.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Remembers which counters of a peer were seen: the highest and the 127 below it.
#[derive(Clone, Copy, Default, Debug)]
pub struct ReplayWindow {
    highest: u64,
    seen: u128,
}

impl ReplayWindow {
    /// Whether this counter is new; marks it. Call only for what is authentic.
    pub fn take(&mut self, counter: u64) -> bool {
        if counter > self.highest || self.seen == 0 {
            let shift = counter.saturating_sub(self.highest).min(128) as u32;
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = counter;
            return true;
        }
        let behind = self.highest - counter;
        if behind >= 128 || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(feature = "testing")]
mod fast {
    //! Checksums of the right lengths that keep out accidents, not people.

    fn mix(state: u64, parts: &[&[u8]]) -> u64 {
        let mut state = state;
        for part in parts {
            for chunk in part.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                state = (state.rotate_left(23) ^ u64::from_le_bytes(word))
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
            state = (state ^ part.len() as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
        }
        state ^ (state >> 29)
    }

    pub fn tag(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
        let first = mix(mix(1, &[key]), parts);
        let mut out = [0; 16];
        out[..8].copy_from_slice(&first.to_le_bytes());
        out[8..].copy_from_slice(&mix(first, &[key]).to_le_bytes());
        out
    }

    pub fn wide(parts: &[&[u8]]) -> [u8; 32] {
        let mut out = [0; 32];
        for (at, chunk) in out.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&mix(at as u64 + 2, parts).to_le_bytes());
        }
        out
    }

    pub fn signature(key: &[u8; 32], message: &[u8]) -> [u8; 64] {
        let half = wide(&[key, message]);
        let mut out = [0; 64];
        out[..32].copy_from_slice(&half);
        out[32..].copy_from_slice(&half);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::Kind;

    fn pair() -> (Identity, Identity) {
        (Identity::from_secret(&[1; 64], Suite::Real), Identity::from_secret(&[2; 64], Suite::Real))
    }

    #[test]
    fn both_ends_have_the_same_key_and_no_other_life_has() {
        let (a, b) = pair();
        let header = Header::new(Kind::Sealed, b.id(), a.id());
        let sealed =
            a.pair_key(a.herd(), 1, &b.public(), 5).unwrap().seal(&header, 9, [3; 16], b"word");
        assert_eq!(sealed.len(), OVERHEAD_BYTES + 4);
        let (parsed, rest) = Header::parse(&sealed).unwrap();
        let key = b.pair_key(b.herd(), 5, &a.public(), 1).unwrap();
        assert_eq!(key.open(&parsed, rest), Some((9, b"word".to_vec())));
        let hopped = Header { hops: 4, ..parsed };
        assert!(key.open(&hopped, rest).is_some(), "hops are not sealed");
        let turned = Header { destination: a.id(), ..parsed };
        assert!(key.open(&turned, rest).is_none());
        assert!(b.pair_key(b.herd(), 5, &a.public(), 2).unwrap().open(&parsed, rest).is_none());
        for at in 0..rest.len() {
            let mut bent = rest.to_vec();
            bent[at] ^= 1;
            assert!(key.open(&parsed, &bent).is_none(), "byte {at}");
        }
        for length in 0..rest.len() {
            assert!(key.open(&parsed, &rest[..length]).is_none());
        }
    }

    #[test]
    fn another_herd_key_is_another_pair_key() {
        let (a, b) = pair();
        let header = Header::new(Kind::Sealed, b.id(), a.id());
        let (one, other) = (HerdKey::first(&[1; 40]), HerdKey::first(&[2; 40]));
        let open = |a: &Identity, b: &Identity| {
            let sealed =
                a.pair_key(a.herd(), 1, &b.public(), 5).unwrap().seal(&header, 9, [3; 16], b"word");
            let (parsed, rest) = Header::parse(&sealed).unwrap();
            b.pair_key(b.herd(), 5, &a.public(), 1).unwrap().open(&parsed, rest).is_some()
        };
        let (in_one, in_other) =
            (b.clone().in_herd(Some(one.clone())), b.clone().in_herd(Some(other)));
        assert!(open(&a.clone().in_herd(Some(one.clone())), &in_one));
        assert!(!open(&a.clone().in_herd(Some(one)), &in_other));
        assert!(!open(&a, &in_one) && !open(&in_one, &a) && open(&a, &b));
    }

    #[test]
    fn signatures_and_macs() {
        let (a, b) = pair();
        let signature = a.sign(b"vote");
        assert!(verify(Suite::Real, &a.public(), b"vote", &signature));
        assert!(!verify(Suite::Real, &a.public(), b"veto", &signature));
        assert!(!verify(Suite::Real, &b.public(), b"vote", &signature));
        assert!(!verify(Suite::Real, &a.public(), b"vote", &signature[..63]));
        let key = a.pair_key(a.herd(), 1, &b.public(), 1).unwrap();
        let tag = b.pair_key(b.herd(), 1, &a.public(), 1).unwrap().mac(b"answer");
        assert!(key.mac_matches(b"answer", &tag));
        assert!(!key.mac_matches(b"answes", &tag));
        assert!(!key.mac_matches(b"answer", &tag[..15]));
    }

    #[test]
    fn low_order_points_give_no_key() {
        let (a, b) = pair();
        let zero = PublicKeys { agreement: [0; 32], ..b.public() };
        assert!(a.pair_key(a.herd(), 1, &zero, 1).is_none());
    }

    #[test]
    fn replay_window_at_its_edges() {
        let mut window = ReplayWindow::default();
        assert!(window.take(0));
        assert!(!window.take(0));
        assert!(window.take(1_000));
        assert!(window.take(873), "127 behind is inside");
        assert!(!window.take(872), "128 behind is outside");
        assert!(!window.take(873) && !window.take(1_000));
        assert!(window.take(u64::MAX));
        assert!(!window.take(u64::MAX) && !window.take(1_001));
    }
}
