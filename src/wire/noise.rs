//! Sealed channels: one Noise session from end to end, whatever parents carry it.
//!
//! XX for an open herd: both ends show their static keys inside the handshake, and the id each
//! claimed in the outer header must be the hash of the key it proved. What the handshake does not
//! give is the other's signing key; that comes from its record. XXpsk0 for a keyed herd: who does not
//! hold its key is refused at the first message.

use crate::wire::header::Header;
use crate::wire::key::HerdKey;
use crate::wire::seal::Identity;
use snow::params::NoiseParams;
use snow::resolvers::{BoxedCryptoResolver, CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

const OPEN_PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
const KEYED_PATTERN: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";
const EXCHANGE_PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// Where the shared key stands in the patterns that have one.
const KEY_PLACE: u8 = 0;
/// Longest plain text of one message: Noise's 65,535 less the tag.
pub const PLAIN_BYTES: usize = 65_535 - 16;

enum State {
    Shaking(Box<HandshakeState>),
    Open(Box<TransportState>),
    Broken,
}

/// One end of a channel's session.
pub struct Session {
    state: State,
}

/// What reading a message gave.
#[derive(PartialEq, Eq, Debug)]
pub enum Read {
    /// A step of the handshake; `reply` is to be sent.
    Step {
        reply: Option<Vec<u8>>,
    },
    /// The handshake is over: the other end holds this static key; `reply` is to be sent first.
    Opened {
        agreement_key: [u8; 32],
        reply: Option<Vec<u8>>,
    },
    Plain(Vec<u8>),
}

impl Session {
    /// The end that opens the channel, under a key of the herd, and its first message. `seed` makes the ephemeral key.
    pub fn open(
        identity: &Identity,
        herd: Option<&HerdKey>,
        header: &Header,
        seed: [u8; 32],
    ) -> Result<(Session, Vec<u8>), String> {
        let mut state = builder(seed, header, identity, herd, |b| b.build_initiator())?;
        let first = write(&mut state)?;
        Ok((Session { state: State::Shaking(Box::new(state)) }, first))
    }

    /// The end that is called.
    pub fn accept(
        identity: &Identity,
        herd: Option<&HerdKey>,
        header: &Header,
        seed: [u8; 32],
    ) -> Result<Session, String> {
        let state = builder(seed, header, identity, herd, |b| b.build_responder())?;
        Ok(Session { state: State::Shaking(Box::new(state)) })
    }

    /// Takes one message from the other end. After an error the session is of no use.
    pub fn read(&mut self, message: &[u8]) -> Result<Read, String> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Shaking(state) => self.shake(*state, message),
            State::Open(mut state) => {
                let mut plain = vec![0; message.len()];
                let length = state.read_message(message, &mut plain).map_err(text)?;
                plain.truncate(length);
                self.state = State::Open(state);
                Ok(Read::Plain(plain))
            }
            State::Broken => Err("session is broken".to_string()),
        }
    }

    fn shake(&mut self, mut state: HandshakeState, message: &[u8]) -> Result<Read, String> {
        let mut payload = vec![0; message.len()];
        state.read_message(message, &mut payload).map_err(text)?;
        let reply = if state.is_my_turn() && !state.is_handshake_finished() {
            Some(write(&mut state)?)
        } else {
            None
        };
        if !state.is_handshake_finished() {
            self.state = State::Shaking(Box::new(state));
            return Ok(Read::Step { reply });
        }
        let key = state.get_remote_static().and_then(|key| key.try_into().ok());
        let agreement_key = key.ok_or("handshake without a static key")?;
        self.state = State::Open(Box::new(state.into_transport_mode().map_err(text)?));
        Ok(Read::Opened { agreement_key, reply })
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Seals one message of at most [`PLAIN_BYTES`].
    pub fn write(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        let State::Open(state) = &mut self.state else {
            return Err("session is not open".to_string());
        };
        let mut out = vec![0; plain.len() + 16];
        let length = state.write_message(plain, &mut out).map_err(text)?;
        out.truncate(length);
        Ok(out)
    }
}

/// One question and one answer between two who share a key and know nothing else of each other.
/// The question says that its maker holds the key, and no more; the answer is for that maker alone,
/// even where the key becomes known later.
pub struct Exchange {
    state: Box<HandshakeState>,
}

impl Exchange {
    /// The asking end, and its question.
    pub fn ask(
        key: &[u8; 32],
        prologue: &[u8],
        seed: [u8; 32],
    ) -> Result<(Exchange, Vec<u8>), String> {
        let builder = exchange(key, prologue, seed)?;
        let mut state = builder.build_initiator().map_err(text)?;
        let question = write(&mut state)?;
        Ok((Exchange { state: Box::new(state) }, question))
    }

    /// What the answer says. One that was forged changes nothing: the true one may still come.
    pub fn read(&mut self, answer: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut plain = Zeroizing::new(vec![0; answer.len()]);
        let length = self.state.read_message(answer, &mut plain).map_err(text)?;
        plain.truncate(length);
        Ok(plain)
    }

    /// The answer to a question; an error if its maker does not hold the key.
    pub fn answer(
        key: &[u8; 32],
        prologue: &[u8],
        seed: [u8; 32],
        question: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, String> {
        let mut state = exchange(key, prologue, seed)?.build_responder().map_err(text)?;
        state.read_message(question, &mut [0; 64]).map_err(text)?;
        let mut out = vec![0; plain.len() + 64];
        let length = state.write_message(plain, &mut out).map_err(text)?;
        out.truncate(length);
        Ok(out)
    }
}

fn exchange<'a>(
    key: &'a [u8; 32],
    prologue: &'a [u8],
    seed: [u8; 32],
) -> Result<Builder<'a>, String> {
    let params: NoiseParams = EXCHANGE_PATTERN.parse().map_err(text)?;
    let builder = Builder::with_resolver(params, Box::new(Seeded { seed }));
    builder.prologue(prologue).and_then(|builder| builder.psk(KEY_PLACE, key)).map_err(text)
}

fn text(error: snow::Error) -> String {
    error.to_string()
}

fn write(state: &mut HandshakeState) -> Result<Vec<u8>, String> {
    let mut out = vec![0; 256];
    let length = state.write_message(&[], &mut out).map_err(text)?;
    out.truncate(length);
    Ok(out)
}

fn builder(
    seed: [u8; 32],
    header: &Header,
    identity: &Identity,
    herd: Option<&HerdKey>,
    build: impl FnOnce(Builder) -> Result<HandshakeState, snow::Error>,
) -> Result<HandshakeState, String> {
    let shared = herd.map(HerdKey::for_channels);
    let pattern = if shared.is_some() { KEYED_PATTERN } else { OPEN_PATTERN };
    let params: NoiseParams = pattern.parse().map_err(text)?;
    let resolver: BoxedCryptoResolver = Box::new(Seeded { seed });
    let prologue = [&b"herd stream v1"[..], &header.associated()].concat();
    let builder = Builder::with_resolver(params, resolver)
        .local_private_key(identity.agreement_secret())
        .map_err(text)?
        .prologue(&prologue)
        .map_err(text)?;
    match &shared {
        Some(shared) => build(builder.psk(KEY_PLACE, shared).map_err(text)?),
        None => build(builder),
    }
    .map_err(text)
}

/// snow's own primitives with our randomness: everything random in the core comes from its seed.
struct Seeded {
    seed: [u8; 32],
}

/// The seed is the ephemeral key, the one random thing of a handshake: asked for again, it fails.
struct Once(Option<[u8; 32]>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        let seed = self.0.take().filter(|seed| seed.len() == out.len());
        out.copy_from_slice(&seed.ok_or(snow::Error::Rng)?);
        Ok(())
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.seed))))
    }

    fn resolve_dh(&self, choice: &snow::params::DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &snow::params::HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &snow::params::CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::Kind;
    use crate::wire::seal::Suite;

    /// How far a caller and the one it calls come: messages understood, of three.
    fn understood(a: &Identity, b: &Identity) -> usize {
        let header = Header::new(Kind::Channel, b.id(), a.id());
        let (mut caller, first) = Session::open(a, a.herd(), &header, [1; 32]).unwrap();
        let mut called = Session::accept(b, b.herd(), &header, [2; 32]).unwrap();
        let Ok(Read::Step { reply: Some(second) }) = called.read(&first) else { return 0 };
        let Ok(Read::Opened { reply: Some(third), .. }) = caller.read(&second) else { return 1 };
        2 + usize::from(called.read(&third).is_ok())
    }

    #[test]
    fn whoever_holds_another_key_or_none_is_refused_at_once() {
        let a = Identity::from_secret(&[1; 64], Suite::Real);
        let b = Identity::from_secret(&[2; 64], Suite::Real);
        let key = |byte| Some(HerdKey::first(&[byte; 40]));
        let keyed = b.clone().in_herd(key(1));
        assert_eq!(understood(&a, &b), 3);
        assert_eq!(understood(&a.clone().in_herd(key(1)), &keyed), 3);
        assert_eq!(understood(&a.clone().in_herd(key(2)), &keyed), 0);
        assert_eq!(understood(&a, &keyed), 0);
        // An open node understands whose first message only begins like one of its own.
        assert!(understood(&a.clone().in_herd(key(1)), &b) < 2);
    }

    #[test]
    fn two_ends_meet_and_talk_and_nothing_bent_gets_through() {
        let a = Identity::from_secret(&[1; 64], Suite::Real);
        let b = Identity::from_secret(&[2; 64], Suite::Real);
        let header = Header::new(Kind::Channel, b.id(), a.id());
        let (mut caller, first) = Session::open(&a, a.herd(), &header, [1; 32]).unwrap();
        let mut called = Session::accept(&b, b.herd(), &header, [2; 32]).unwrap();
        let Read::Step { reply: Some(second) } = called.read(&first).unwrap() else { panic!() };
        let Read::Opened { agreement_key, reply: Some(third) } = caller.read(&second).unwrap()
        else {
            panic!()
        };
        assert_eq!(agreement_key, b.public().agreement);
        let Read::Opened { agreement_key, reply: None } = called.read(&third).unwrap() else {
            panic!()
        };
        assert_eq!(agreement_key, a.public().agreement);
        let sealed = caller.write(b"list").unwrap();
        assert_eq!(called.read(&sealed), Ok(Read::Plain(b"list".to_vec())));
        assert!(called.read(&sealed).is_err(), "a replayed message is refused");
        assert!(called.read(b"").is_err(), "and the session is broken then");
        let other = Header::new(Kind::Channel, a.id(), b.id());
        let mut elsewhere = Session::accept(&b, b.herd(), &other, [3; 32]).unwrap();
        let Ok(Read::Step { reply: Some(answer) }) = elsewhere.read(&first) else { panic!() };
        let (mut again, _) = Session::open(&a, a.herd(), &header, [1; 32]).unwrap();
        assert!(again.read(&answer).is_err(), "the header is part of the handshake");
    }
}
