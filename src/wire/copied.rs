//! Secrets as text that is copied by hand or by mail: a prefix, then letters and digits in groups
//! (Crockford's base 32, so that 0 and O, 1 and I are the same), which carry a checksum: a slip of
//! the pen is refused, not taken for another secret.

use base32::Alphabet;
use blake2::{Blake2s256, Digest};
use zeroize::Zeroizing;

const CHECKSUM_BYTES: usize = 6;

/// One kind of text.
pub struct Form {
    /// What it begins with: the form of the text, should it ever change.
    pub prefix: &'static str,
    /// What its checksum begins with.
    pub label: &'static [u8],
    /// With the checksum a multiple of five.
    pub payload_bytes: usize,
    /// Letters and digits that stand together.
    pub group: usize,
    /// Why a text is none: it begins with something else, is not whole, or was damaged.
    pub other: &'static str,
    pub not_whole: &'static str,
    pub damaged: &'static str,
}

impl Form {
    fn symbols(&self) -> usize {
        (self.payload_bytes + CHECKSUM_BYTES) * 8 / 5
    }

    pub fn write(&self, payload: &[u8]) -> Zeroizing<String> {
        debug_assert_eq!(payload.len(), self.payload_bytes);
        // As large as it may get: what grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.payload_bytes + CHECKSUM_BYTES));
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&self.checksum(payload));
        let symbols = Zeroizing::new(base32::encode(Alphabet::Crockford, &bytes));
        let mut text = Zeroizing::new(String::with_capacity(self.prefix.len() + symbols.len() * 2));
        text.push_str(self.prefix);
        for (at, symbol) in symbols.chars().enumerate() {
            if at > 0 && at % self.group == 0 {
                text.push('-');
            }
            text.push(symbol);
        }
        text
    }

    /// Small or capital letters, with or without dashes, broken into lines by a mail program or not.
    /// An error quotes nothing of the text.
    pub fn read(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let rest = self.after_prefix(text.trim()).ok_or(self.other)?;
        let mut symbols = Zeroizing::new(String::with_capacity(text.len()));
        symbols.extend(rest.chars().filter(|c| *c != '-' && !c.is_whitespace()));
        if symbols.len() != self.symbols() {
            return Err(self.not_whole);
        }
        let bytes = base32::decode(Alphabet::Crockford, &symbols).map(Zeroizing::new);
        let bytes = bytes.ok_or(self.damaged)?;
        let (payload, sum) = bytes.split_at_checked(self.payload_bytes).ok_or(self.damaged)?;
        match self.checksum(payload) == *sum {
            true => Ok(Zeroizing::new(payload.to_vec())),
            false => Err(self.damaged),
        }
    }

    /// Whether a text is meant to be of this form.
    pub fn begins(&self, text: &str) -> bool {
        self.after_prefix(text).is_some()
    }

    /// The dash at the end of the prefix may be lost as any other.
    fn after_prefix<'a>(&self, text: &'a str) -> Option<&'a str> {
        let bare = self.prefix.trim_end_matches('-');
        let (prefix, rest) = text.split_at_checked(bare.len())?;
        prefix.eq_ignore_ascii_case(bare).then_some(rest)
    }

    fn checksum(&self, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let mut hash = Blake2s256::new();
        hash.update(self.label);
        hash.update(payload);
        *hash.finalize().first_chunk().expect("32 bytes")
    }
}
