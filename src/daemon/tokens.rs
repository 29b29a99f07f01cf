//! What an event of the loop is about.

use crate::wire::ids::{ClientId, StreamId};
use mio::Token;

/// Everything the loop listens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Waker,
    Signals,
    MainUdp,
    EphemeralUdp,
    StreamListener,
    ClientListener,
    Stream(StreamId),
    Client(ClientId),
}

const FIXED: [Source; 6] = [
    Source::Waker,
    Source::Signals,
    Source::MainUdp,
    Source::EphemeralUdp,
    Source::StreamListener,
    Source::ClientListener,
];

impl Source {
    /// Streams and clients take turns after the fixed ones.
    pub fn token(self) -> Token {
        let number = |id: u64, which: usize| Token(FIXED.len() + (id as usize) * 2 + which);
        match self {
            Source::Stream(StreamId(id)) => number(id, 0),
            Source::Client(ClientId(id)) => number(id, 1),
            fixed => Token(FIXED.iter().position(|one| *one == fixed).unwrap_or_default()),
        }
    }

    pub fn of(token: Token) -> Source {
        if let Some(fixed) = FIXED.get(token.0) {
            return *fixed;
        }
        let number = token.0 - FIXED.len();
        let id = (number / 2) as u64;
        if number.is_multiple_of(2) {
            Source::Stream(StreamId(id))
        } else {
            Source::Client(ClientId(id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lead_back_to_their_source() {
        let streams = [0, 1, 2, 1 << 30].map(|id| Source::Stream(StreamId(id)));
        let clients = [0, 1, 2, 1 << 30].map(|id| Source::Client(ClientId(id)));
        for source in FIXED.into_iter().chain(streams).chain(clients) {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
