//! The herd key: what makes an open herd a keyed one. Whoever holds it is in.
//!
//! 32 secret bytes, the id of the herd (drawn with the first key, never changed) and the epoch that
//! numbers its keys. As text it is `herd1-`, then 80 letters and digits in groups of five.
//!
//! The secret itself seals nothing. From it come, each under a label of its own: what is mixed into
//! the key of each pair, the key that seals hellos, and the key that Noise asks for.

use crate::wire::copied::Form;
use crate::wire::seal::{SealKey, Suite};
use blake2::{Blake2sMac256, digest::Mac};
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const TEXT: Form = Form {
    prefix: "herd1-",
    label: b"herd key text v1",
    payload_bytes: 4 + 8 + 32,
    group: 5,
    other: "a herd key's text begins with herd1-",
    not_whole: NOT_WHOLE,
    damaged: "it is damaged: its checksum does not fit, copy it again",
};
/// The epoch of a herd's first key.
pub const FIRST_EPOCH: u32 = 1;
/// The epoch of the key that a running open herd is given: the open herd counts as its first key.
pub const ADOPTED_EPOCH: u32 = FIRST_EPOCH + 1;
/// What names having no key, where that counts as one of the keys.
pub const OPEN: KeyId = KeyId { epoch: FIRST_EPOCH, sum: 0 };

const FINGERPRINT: &[u8] = b"herd key fingerprint v1";

/// Why a text is no key that may go on in the next line.
pub const NOT_WHOLE: &str = "it is no whole herd key: herd1- is followed by 16 groups of 5";

/// Whether a text is meant to be a herd key, whole or not, and not the name of a file: it is secret.
pub fn is_meant(text: &str) -> bool {
    text.starts_with(TEXT.prefix)
}

/// Names one key of a herd: the greater one is the newer. Two nodes may make a key of one epoch at once;
/// then the fingerprint decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyId {
    pub epoch: u32,
    /// The first three bytes of the fingerprint.
    pub sum: u32,
}

/// A herd's key of one epoch. Wiped when dropped; shown as its fingerprint only.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HerdKey {
    #[zeroize(skip)]
    herd: u64,
    #[zeroize(skip)]
    epoch: u32,
    /// What its fingerprint begins with, at hand for each datagram.
    #[zeroize(skip)]
    sum: u32,
    secret: [u8; 32],
}

impl HerdKey {
    fn new(herd: u64, epoch: u32, secret: [u8; 32]) -> HerdKey {
        let mut key = HerdKey { herd, epoch, sum: 0, secret };
        let sum = key.derive(FINGERPRINT);
        key.sum = u32::from_be_bytes(*sum.first_chunk().expect("32 bytes")) >> 8;
        key
    }

    /// The first key of a new herd, from 40 random bytes.
    pub fn first(random: &[u8; 40]) -> HerdKey {
        let (herd, secret) = random.split_first_chunk::<8>().expect("40 bytes");
        let secret = secret.try_into().expect("the other 32");
        // Zero means an open herd.
        HerdKey::new(u64::from_be_bytes(*herd).max(1), FIRST_EPOCH, secret)
    }

    /// The key that a running open herd is given, from 40 random bytes.
    pub fn adopted(random: &[u8; 40]) -> HerdKey {
        let first = HerdKey::first(random);
        first.of_epoch(ADOPTED_EPOCH, first.secret)
    }

    /// A key of the same herd, of this epoch.
    pub fn of_epoch(&self, epoch: u32, secret: [u8; 32]) -> HerdKey {
        HerdKey::new(self.herd, epoch, secret)
    }

    /// One that another node hands over, of whatever herd.
    pub fn given(herd: u64, epoch: u32, secret: [u8; 32]) -> HerdKey {
        HerdKey::new(herd, epoch, secret)
    }

    pub fn herd(&self) -> u64 {
        self.herd
    }

    /// For who is to hold it, sealed, and for the state directory.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret)
    }

    pub fn id(&self) -> KeyId {
        KeyId { epoch: self.epoch, sum: self.sum }
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What people compare; it gives nothing of the key away.
    pub fn fingerprint(&self) -> String {
        let sum = self.derive(FINGERPRINT);
        let groups: Vec<String> =
            sum[..8].chunks(2).map(|two| format!("{:02x}{:02x}", two[0], two[1])).collect();
        groups.join("-")
    }

    /// What is mixed into the key of each pair of nodes.
    pub fn for_pairs(&self) -> Zeroizing<[u8; 32]> {
        self.derive(b"herd pair secret v1")
    }

    /// What each Noise handshake begins with.
    pub fn for_channels(&self) -> Zeroizing<[u8; 32]> {
        self.derive(b"herd channel secret v1")
    }

    /// What seals hellos: those of nodes that share no key yet but this one.
    pub fn for_hellos(&self, suite: Suite) -> SealKey {
        SealKey::new(*self.derive(b"herd hello key v1"), suite)
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut mac =
            <Blake2sMac256 as Mac>::new_from_slice(&self.secret).expect("32 bytes are a valid key");
        mac.update(label);
        mac.update(&self.herd.to_be_bytes());
        mac.update(&self.epoch.to_be_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// The text to copy. Secret like the key itself.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TEXT.payload_bytes));
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.herd.to_be_bytes());
        bytes.extend_from_slice(&self.secret);
        TEXT.write(&bytes)
    }
}

impl FromStr for HerdKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<HerdKey, &'static str> {
        let payload = TEXT.read(text)?;
        let (epoch, rest) = payload.split_first_chunk::<4>().ok_or(TEXT.damaged)?;
        let (herd, secret) = rest.split_first_chunk::<8>().ok_or(TEXT.damaged)?;
        let secret = secret.try_into().map_err(|_| TEXT.damaged)?;
        let key = HerdKey::new(u64::from_be_bytes(*herd), u32::from_be_bytes(*epoch), secret);
        // Both are zero in the header of an open herd.
        if key.herd == 0 || key.epoch == 0 { Err(TEXT.damaged) } else { Ok(key) }
    }
}

impl fmt::Debug for HerdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HerdKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(one: &HerdKey, other: &HerdKey) -> bool {
        (one.herd, one.epoch, one.secret) == (other.herd, other.epoch, other.secret)
    }

    fn any_key() -> impl Strategy<Value = HerdKey> {
        (any::<[u8; 32]>(), 1..u64::MAX, 1..u32::MAX)
            .prop_map(|(secret, herd, epoch)| HerdKey::new(herd, epoch, secret))
    }

    /// What a character means where letters and digits are looked alike.
    fn meaning(c: char) -> char {
        match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        }
    }

    proptest! {
        #[test]
        fn text_goes_round_however_it_is_copied(key in any_key(), width in 7..90_usize) {
            let text = key.to_text();
            prop_assert_eq!(text.len(), 101);
            prop_assert!(same(&text.parse().unwrap(), &key));
            prop_assert!(same(&text.to_lowercase().parse().unwrap(), &key));
            let letters: Vec<char> = text.chars().collect();
            let lines: Vec<String> =
                letters.chunks(width).map(|line| line.iter().collect()).collect();
            let broken = format!("  {}\n", lines.join("\n "));
            prop_assert!(same(&broken.parse().unwrap(), &key));
            let bare = text[TEXT.prefix.len()..].replace('-', "").replace('0', "o").replace('1', "l");
            let bare = format!("{}{bare}", TEXT.prefix);
            prop_assert!(same(&bare.parse().unwrap(), &key));
            prop_assert!(same(&text.replace('-', "").parse().unwrap(), &key));
        }

        #[test]
        fn one_other_character_is_refused(key in any_key(), at in 0..101_usize, to in any::<char>()) {
            let text = key.to_text();
            let mut letters: Vec<char> = text.chars().collect();
            let divides = |c: char| c == '-' || c.is_whitespace();
            let in_prefix = at < TEXT.prefix.len() - 1;
            let equal = meaning(letters[at]) == meaning(to)
                || (!in_prefix && divides(letters[at]) && divides(to));
            prop_assume!(!equal);
            letters[at] = to;
            let changed: String = letters.into_iter().collect();
            prop_assert!(changed.parse::<HerdKey>().is_err(), "{}", changed);
        }

        #[test]
        fn nothing_else_is_a_key(text in ".{0,200}") {
            prop_assert!(text.parse::<HerdKey>().is_err());
        }
    }

    /// Every symbol at every place: no chance of a lucky draw.
    #[test]
    fn every_other_symbol_is_refused() {
        let text = HerdKey::first(&[7; 40]).to_text();
        for at in TEXT.prefix.len()..text.len() {
            for to in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars() {
                let mut letters: Vec<char> = text.chars().collect();
                let before = std::mem::replace(&mut letters[at], to);
                let changed: String = letters.into_iter().collect();
                assert_eq!(changed.parse::<HerdKey>().is_ok(), before == to, "{at} {to}");
            }
        }
    }

    #[test]
    fn what_is_no_key_says_why() {
        let good = HerdKey::first(&[7; 40]).to_text();
        for (text, part) in [
            ("", "begins with herd1-"),
            ("secret", "begins with herd1-"),
            ("herd", "begins with herd1-"),
            ("herd1", "16 groups of 5"),
            ("hérd1-", "begins with herd1-"),
            (&good[..90], "16 groups of 5"),
            (&format!("{}0", &*good), "16 groups of 5"),
            (&format!("herd1-U{}", &good[7..]), "damaged"),
        ] {
            let error = text.parse::<HerdKey>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for zero in [HerdKey::new(0, 1, [1; 32]), HerdKey::new(1, 0, [1; 32])] {
            assert!(zero.to_text().parse::<HerdKey>().unwrap_err().contains("damaged"));
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let key = HerdKey::first(&[0x5a; 40]);
        let shown = format!("{key:?} {}", key.fingerprint());
        let text = key.to_text();
        assert!(!shown.contains("5a5a") && !shown.contains("90"), "{shown}");
        assert!(text[TEXT.prefix.len()..].split('-').all(|group| !shown.contains(group)));
        assert_eq!(key.fingerprint().len(), 19);
        assert_ne!(key.fingerprint(), HerdKey::first(&[0x5b; 40]).fingerprint());
    }

    #[test]
    fn each_use_has_a_secret_of_its_own() {
        let key = HerdKey::first(&[1; 40]);
        let later = key.of_epoch(2, key.secret);
        assert!(key.for_pairs() != key.for_channels() && *key.for_pairs() != key.secret);
        assert_ne!(key.for_pairs(), later.for_pairs());
        assert!(
            key.id() < later.id()
                && key.fingerprint().starts_with(&format!("{:06x}", key.id().sum)[..4])
        );
        let (one, other) = (key.for_hellos(Suite::Real), later.for_hellos(Suite::Real));
        assert!(one.mac_matches(b"a", &one.mac(b"a")) && !one.mac_matches(b"a", &other.mac(b"a")));
    }
}
