//! Table: the join tokens that this node made. They are in memory only: a start forgets them.

use crate::node::planted::Bug;
use crate::node::tables::Tables;
use crate::wire::limits::{TOKEN_MS, TOKENS};
use crate::wire::refusal::Outside;
use crate::wire::time::Time;
use crate::wire::token::{Token, TokenName, answer, read_question};
use rand::{Rng, RngExt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use zeroize::Zeroizing;

#[derive(Default)]
pub struct Tokens(BTreeMap<TokenName, Made>);

struct Made {
    until: Time,
    /// Wiped when it was used, or its time is over.
    key: Option<Zeroizing<[u8; 32]>>,
    /// The question that it was used for, and the answer, should that be lost.
    used: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tokens {
    /// Wipes those whose time is over. They are remembered a while longer, to be refused by name.
    pub fn expire(&mut self, now: Time) {
        self.0.retain(|_, made| now < made.until.plus_ms(TOKEN_MS));
        for made in self.0.values_mut().filter(|made| made.until <= now) {
            made.key = None;
        }
    }
}

/// Makes one; None: so many are waiting to be used that there is no room, or the herd is open.
pub fn make(t: &mut Tables) -> Option<Token> {
    let herd = t.own.identity.herd()?.herd();
    t.tokens.expire(t.now);
    if t.tokens.0.len() >= TOKENS {
        let spent = t.tokens.0.iter().filter(|(_, made)| made.key.is_none());
        let oldest = *spent.min_by_key(|(_, made)| made.until)?.0;
        t.tokens.0.remove(&oldest);
    }
    let mut secret = Zeroizing::new([0; 16]);
    t.random.fill_bytes(&mut secret[..]);
    let token = Token::new(herd, *secret);
    let made = Made { until: t.now.plus_ms(TOKEN_MS), key: Some(token.key()), used: None };
    t.tokens.0.insert(token.name(), made);
    Some(token)
}

/// The answer to who shows a token from there (the bytes of its question after the header), or why
/// there is none. The same question gets the same answer: the first may be lost.
pub fn show(t: &mut Tables, from: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Outside> {
    t.tokens.expire(t.now);
    let (name, message) = read_question(question).ok_or(Outside::TokenUnknown)?;
    let key = t.own.identity.herd().ok_or(Outside::TokenOfOther)?;
    let made = t.tokens.0.get_mut(&name).ok_or(Outside::TokenUnknown)?;
    if let Some((asked, answered)) = &made.used {
        return if asked == message { Ok(answered.clone()) } else { Err(Outside::TokenUsed) };
    }
    let token_key = made.key.as_ref().ok_or(Outside::TokenExpired)?;
    let seed = t.random.random();
    let bytes = answer(token_key, name, message, key, seed).ok_or(Outside::TokenUnknown)?;
    if !t.own.has(Bug::TokenUsedAgain) {
        made.key = None;
        made.used = Some((message.to_vec(), bytes.clone()));
    }
    log::info!(target: "keys", "{from} got the herd key for a join token");
    t.journal.joined(t.now, from);
    Ok(bytes)
}
