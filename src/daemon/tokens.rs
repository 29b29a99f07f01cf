//! What an event of the loop is about.

use crate::wire::ids::{ClientId, PipeId, StreamId};
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
    MetricsListener,
    Addresses,
    Stream(StreamId),
    Client(ClientId),
    Pipe(PipeId),
    /// Who asks for metrics.
    Scraper(u64),
}

const FIXED: [Source; 8] = [
    Source::Waker,
    Source::Signals,
    Source::MainUdp,
    Source::EphemeralUdp,
    Source::StreamListener,
    Source::ClientListener,
    Source::MetricsListener,
    Source::Addresses,
];

/// Sources of which there are many.
const KINDS: usize = 4;

impl Source {
    /// Streams, clients, pipes and scrapers take turns after the fixed ones.
    pub fn token(self) -> Token {
        let number = |id: u64, which: usize| Token(FIXED.len() + (id as usize) * KINDS + which);
        match self {
            Source::Stream(StreamId(id)) => number(id, 0),
            Source::Client(ClientId(id)) => number(id, 1),
            Source::Pipe(PipeId(id)) => number(id, 2),
            Source::Scraper(id) => number(id, 3),
            fixed => Token(FIXED.iter().position(|one| *one == fixed).unwrap_or_default()),
        }
    }

    pub fn of(token: Token) -> Source {
        if let Some(fixed) = FIXED.get(token.0) {
            return *fixed;
        }
        let number = token.0 - FIXED.len();
        let id = (number / KINDS) as u64;
        match number % KINDS {
            0 => Source::Stream(StreamId(id)),
            1 => Source::Client(ClientId(id)),
            2 => Source::Pipe(PipeId(id)),
            _ => Source::Scraper(id),
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
        let pipes = [0, 1, 2, 1 << 30].map(|id| Source::Pipe(PipeId(id)));
        let scrapers = [0, 1, 2, 1 << 30].map(Source::Scraper);
        let many = streams.into_iter().chain(clients).chain(pipes).chain(scrapers);
        for source in FIXED.into_iter().chain(many) {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
