//! What an attacker may do: datagrams, stream frames, requests, weather.

#[derive(Clone, Debug)]
pub enum Act {
    Garbage(Vec<u8>),
    /// A sound header with garbage behind it.
    Headed {
        kind: u8,
        hops: u8,
        herd: u64,
        to: u8,
        from: u8,
        rest: Vec<u8>,
    },
    /// A datagram that was on its way before: bent, and from where.
    Again {
        which: u16,
        bend: Bend,
        from: Source,
    },
    /// A member says something under its seal.
    Lie {
        number: u16,
        body: Vec<u8>,
        ages: Vec<u8>,
    },
    /// The same, with what an honest node said, bent.
    Parrot {
        which: u16,
        bend: Bend,
    },
    Open(u8),
    Frame {
        stream: u8,
        kind: u8,
        channel: u8,
        payload: Vec<u8>,
    },
    /// The opening of a channel, as somebody may claim it.
    Call {
        stream: u8,
        channel: u8,
        hops: u8,
        to: u8,
        from: u8,
        payload: Vec<u8>,
    },
    End(u8, u8),
    Ask {
        scope: u8,
        verb: u8,
        text: String,
        timeout_ms: u64,
    },
    Refused {
        which: u16,
        bend: Bend,
    },
    /// What comes of the next datagrams between the honest.
    Weather(Vec<u8>),
    Wait(u16),
}

#[derive(Clone, Debug)]
pub enum Bend {
    Not,
    Flip(Vec<(u16, u8)>),
    Cut(u16),
    Grow(Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
pub enum Source {
    Stranger,
    Itself,
    Victim,
}

impl Bend {
    pub fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        match self {
            Bend::Not => {}
            Bend::Flip(flips) => {
                for (at, mask) in flips {
                    let at = usize::from(*at) % out.len().max(1);
                    out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
                }
            }
            Bend::Cut(length) => out.truncate(usize::from(*length) % (bytes.len() + 1)),
            Bend::Grow(more) => out.extend_from_slice(more),
        }
        out
    }
}
