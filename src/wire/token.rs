//! Join tokens: what lets one new machine into a keyed herd, once, within ten minutes, without
//! anybody carrying the herd's key.
//!
//! A token is the id of its herd and 16 secret bytes, known to the node that made it and to whoever
//! holds its text. From the secret come the token's name, which is told in clear, and the key of one
//! Noise exchange (NNpsk0). The newcomer asks with a name and a first message that shows nothing but
//! that its maker holds that key; the member answers with the herd key, sealed for the key that the
//! newcomer drew for this one question. Only who made the token can answer, so a newcomer that reads
//! an answer has the herd it was told of.
//!
//! | bytes | field |
//! |---|---|
//! | 0..32 | outer header: herd of the token, no epoch, nobody's ids |
//! | 32..40 | the token's name |
//! | 40.. | question: 48 bytes of Noise, padded like a hello; answer: the rest |

use crate::wire::copied::Form;
use crate::wire::header::{Header, Kind};
use crate::wire::ids::NodeId;
use crate::wire::key::HerdKey;
use crate::wire::limits::HELLO_BYTES;
use crate::wire::noise::Exchange;
use crate::wire::refusal::{Echo, Outside};
use blake2::{Blake2sMac256, digest::Mac};
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const TEXT: Form = Form {
    prefix: "join1-",
    label: b"herd join token text v1",
    payload_bytes: 8 + 16,
    group: 6,
    other: "it is no join token: a token's text begins with join1-",
    not_whole: "it is no whole join token: join1- is followed by 8 groups of 6",
    damaged: "the join token is damaged: its checksum does not fit, copy it again",
};
const NAME_BYTES: usize = 8;
/// The first message of the exchange: a public key and a tag.
const MESSAGE_BYTES: usize = 48;
const PROLOGUE: &[u8] = b"herd join v1";

/// What names a token in clear, and gives nothing of it away.
pub type TokenName = [u8; NAME_BYTES];

/// Wiped when dropped; never printed but by `to_text`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Token {
    #[zeroize(skip)]
    herd: u64,
    secret: [u8; 16],
}

impl Token {
    pub fn new(herd: u64, secret: [u8; 16]) -> Token {
        Token { herd, secret }
    }

    pub fn herd(&self) -> u64 {
        self.herd
    }

    /// The text to copy: secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; TEXT.payload_bytes]);
        bytes[..8].copy_from_slice(&self.herd.to_be_bytes());
        bytes[8..].copy_from_slice(&self.secret);
        TEXT.write(&bytes[..])
    }

    /// Whether a text is meant to be one, whole or not, and not the name of a file.
    pub fn is_meant(text: &str) -> bool {
        let token = text.split('@').next().unwrap_or_default().trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c.is_ascii_whitespace();
        TEXT.begins(token) && token.chars().all(fits)
    }

    pub fn name(&self) -> TokenName {
        *self.derive(b"herd join token name v1").first_chunk().expect("32 bytes")
    }

    /// The key of the exchange.
    pub fn key(&self) -> Zeroizing<[u8; 32]> {
        self.derive(b"herd join token key v1")
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut mac =
            <Blake2sMac256 as Mac>::new_from_slice(&self.secret).expect("16 bytes are a valid key");
        mac.update(label);
        mac.update(&self.herd.to_be_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Token, &'static str> {
        let payload = TEXT.read(text)?;
        let (herd, secret) = payload.split_first_chunk::<8>().ok_or(TEXT.damaged)?;
        let secret = secret.try_into().map_err(|_| TEXT.damaged)?;
        Ok(Token { herd: u64::from_be_bytes(*herd), secret })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:016x})", self.herd)
    }
}

/// A newcomer's question under way.
pub struct Attempt {
    pub question: Vec<u8>,
    herd: u64,
    exchange: Exchange,
}

/// What came back.
pub enum Answer {
    Key(HerdKey),
    /// In clear and proved by nobody.
    Refused(Outside),
    /// Nothing that answers this question.
    Noise,
}

impl Attempt {
    /// `seed` makes the key that the answer is sealed for.
    pub fn new(token: &Token, seed: [u8; 32]) -> Result<Attempt, String> {
        let header = header(Kind::JoinQuestion, token.herd);
        let name = token.name();
        let (exchange, message) = Exchange::ask(&token.key(), &prologue(token.herd, name), seed)?;
        let mut question = [&header.to_bytes()[..], &name, &message].concat();
        question.resize(HELLO_BYTES, 0);
        Ok(Attempt { question, herd: token.herd, exchange })
    }

    pub fn read(&mut self, bytes: &[u8]) -> Answer {
        let Ok((header, rest)) = Header::parse(bytes) else { return Answer::Noise };
        let (_, asked) = Header::parse(&self.question).expect("it was made so");
        let echo: Option<&Echo> = asked.first_chunk();
        match (header.kind, Outside::read(rest)) {
            (Kind::Refusal, Some((said, why))) if Some(&said) == echo => Answer::Refused(why),
            (Kind::JoinAnswer, _) => match self.exchange.read(rest) {
                Ok(plain) => key(self.herd, &plain),
                Err(_) => Answer::Noise,
            },
            _ => Answer::Noise,
        }
    }
}

fn key(herd: u64, plain: &[u8]) -> Answer {
    let key = std::str::from_utf8(plain).ok().and_then(|text| text.parse::<HerdKey>().ok());
    key.filter(|key| key.herd() == herd).map_or(Answer::Noise, Answer::Key)
}

/// The name and the message of a question (its bytes after the header).
pub fn read_question(rest: &[u8]) -> Option<(TokenName, &[u8; MESSAGE_BYTES])> {
    let (name, rest) = rest.split_first_chunk()?;
    Some((*name, rest.first_chunk()?))
}

/// The whole datagram that hands this key to who asked; None if it does not hold the token's key.
pub fn answer(
    token_key: &[u8; 32],
    name: TokenName,
    message: &[u8],
    key: &HerdKey,
    seed: [u8; 32],
) -> Option<Vec<u8>> {
    let prologue = prologue(key.herd(), name);
    let text = key.to_text();
    let sealed = Exchange::answer(token_key, &prologue, seed, message, text.as_bytes()).ok()?;
    let header = header(Kind::JoinAnswer, key.herd());
    Some([&header.to_bytes()[..], &sealed].concat())
}

fn header(kind: Kind, herd: u64) -> Header {
    Header { herd, ..Header::new(kind, NodeId::ANYBODY, NodeId::ANYBODY) }
}

fn prologue(herd: u64, name: TokenName) -> Vec<u8> {
    [PROLOGUE, &herd.to_be_bytes(), &name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::HEADER_BYTES;
    use proptest::prelude::*;

    fn herd_key() -> HerdKey {
        HerdKey::first(&[7; 40])
    }

    fn token() -> Token {
        Token::new(herd_key().herd(), [9; 16])
    }

    proptest! {
        #[test]
        fn text_goes_round(herd in any::<u64>(), secret in any::<[u8; 16]>()) {
            let token = Token::new(herd, secret);
            let text = token.to_text();
            prop_assert_eq!(text.len(), 61);
            let read: Token = text.to_lowercase().replace('-', "- \n").replacen("- \n", "-", 1)
                .parse().unwrap();
            prop_assert_eq!((read.herd, read.secret), (herd, secret));
            let bare: Token = text.replace('-', "").parse().unwrap();
            prop_assert_eq!((bare.herd, bare.secret), (herd, secret));
        }
    }

    #[test]
    fn every_other_symbol_is_refused() {
        let text = token().to_text();
        for at in TEXT.prefix.len()..text.len() {
            for to in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars() {
                let mut letters: Vec<char> = text.chars().collect();
                let before = std::mem::replace(&mut letters[at], to);
                let changed: String = letters.into_iter().collect();
                assert_eq!(changed.parse::<Token>().is_ok(), before == to, "{at} {to}");
            }
        }
        let key = herd_key().to_text();
        for (text, part) in [
            ("", "begins with join1-"),
            (&key[..], "begins with join1-"),
            (&text[..50], "8 groups of 6"),
        ] {
            let error = text.parse::<Token>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_token_is_no_file() {
        let text = token().to_text();
        let bare = text.replace('-', "");
        for meant in [&text[..], &bare, "join1-ABC", "JOIN1", " join1-AB\nCD@host.name:1"] {
            assert!(Token::is_meant(meant), "{meant}");
        }
        for file in ["", "join", "join1.txt", "./join1-AB", "/run/join1", "tokens/join1-ABC"] {
            assert!(!Token::is_meant(file), "{file}");
        }
    }

    fn asked(attempt: &Attempt) -> (TokenName, &[u8; MESSAGE_BYTES]) {
        assert_eq!(attempt.question.len(), HELLO_BYTES);
        read_question(&attempt.question[HEADER_BYTES..]).unwrap()
    }

    #[test]
    fn who_holds_the_token_gets_the_key_and_nobody_else() {
        let mut attempt = Attempt::new(&token(), [1; 32]).unwrap();
        let (name, message) = asked(&attempt);
        let bytes = answer(&token().key(), name, message, &herd_key(), [2; 32]).unwrap();
        assert!(bytes.len() < HELLO_BYTES);
        assert!(answer(&[0; 32], name, message, &herd_key(), [2; 32]).is_none());
        let mut another = Attempt::new(&token(), [3; 32]).unwrap();
        assert!(matches!(another.read(&bytes), Answer::Noise), "it was not for that one");
        // A forged one first: the true one is read all the same.
        for at in HEADER_BYTES..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert!(matches!(attempt.read(&bent), Answer::Noise), "{at}");
        }
        let Answer::Key(key) = attempt.read(&bytes) else { panic!() };
        assert_eq!(key.id(), herd_key().id());
        assert!(matches!(attempt.read(&bytes), Answer::Noise), "and only once");
    }

    #[test]
    fn nobody_but_the_maker_of_a_token_can_answer() {
        let mut attempt = Attempt::new(&token(), [1; 32]).unwrap();
        let (name, message) = asked(&attempt);
        let (name, message) = (name, *message);
        // Whoever answers chose its own key: it can not read the question, so its answer is none.
        assert!(answer(&[4; 32], name, &message, &herd_key(), [2; 32]).is_none());
        let own = Attempt::new(&Token::new(herd_key().herd(), [4; 16]), [5; 32]).unwrap();
        let other = Token::new(herd_key().herd(), [4; 16]);
        let (_, message) = asked(&own);
        let bytes = answer(&other.key(), other.name(), message, &herd_key(), [2; 32]).unwrap();
        assert!(matches!(attempt.read(&bytes), Answer::Noise));
    }

    #[test]
    fn a_refusal_counts_if_it_repeats_the_question() {
        let mut attempt = Attempt::new(&token(), [1; 32]).unwrap();
        let other = Attempt::new(&token(), [2; 32]).unwrap();
        let refusal = |attempt: &Attempt| {
            let (header, rest) = Header::parse(&attempt.question).unwrap();
            Outside::TokenUsed.refusal(&header, rest).unwrap()
        };
        let (good, wrong) = (refusal(&attempt), refusal(&other));
        assert!(matches!(attempt.read(&wrong), Answer::Noise));
        assert!(matches!(attempt.read(&good), Answer::Refused(Outside::TokenUsed)));
    }

    #[test]
    fn nothing_shows_the_secret() {
        let (token, text) = (token(), token().to_text());
        let shown = format!("{token:?}");
        assert!(text[TEXT.prefix.len() + 14..].split('-').all(|group| !shown.contains(group)));
        assert_ne!(token.name()[..], token.key()[..NAME_BYTES]);
        let question = Attempt::new(&token, [1; 32]).unwrap().question;
        assert!(!question.windows(4).any(|bytes| bytes == [9; 4]));
    }
}
