//! What an attacker may do, drawn at random: datagrams, stream frames, requests, weather.

use proptest::prelude::*;

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

pub fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

fn bend() -> impl Strategy<Value = Bend> {
    prop_oneof![
        2 => Just(Bend::Not),
        3 => proptest::collection::vec((any::<u16>(), 1u8..), 1..4).prop_map(Bend::Flip),
        1 => any::<u16>().prop_map(Bend::Cut),
        1 => bytes(400).prop_map(Bend::Grow),
    ]
}

fn datagram_act() -> impl Strategy<Value = Act> {
    let source = prop_oneof![Just(Source::Stranger), Just(Source::Itself), Just(Source::Victim)];
    prop_oneof![
        bytes(1_400).prop_map(Act::Garbage),
        (0u8..6, any::<u8>(), 0u64..2, 0u8..5, 0u8..5, bytes(1_200)).prop_map(
            |(kind, hops, herd, to, from, rest)| Act::Headed { kind, hops, herd, to, from, rest }
        ),
        (any::<u16>(), bend(), source).prop_map(|(which, bend, from)| Act::Again {
            which,
            bend,
            from
        }),
        (0u16..80, bytes(300), bytes(40)).prop_map(|(number, body, ages)| Act::Lie {
            number,
            body,
            ages
        }),
        (any::<u16>(), bend()).prop_map(|(which, bend)| Act::Parrot { which, bend }),
        (any::<u16>(), bend()).prop_map(|(which, bend)| Act::Refused { which, bend }),
    ]
}

fn stream_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any::<u8>().prop_map(Act::Open),
        (0u8..4, 0u8..6, 0u8..4, bytes(300)).prop_map(|(stream, kind, channel, payload)| {
            Act::Frame { stream, kind, channel, payload }
        }),
        (0u8..4, 0u8..4, any::<u8>(), 0u8..5, 0u8..5, bytes(120)).prop_map(
            |(stream, channel, hops, to, from, payload)| Act::Call {
                stream,
                channel,
                hops,
                to,
                from,
                payload
            }
        ),
        (0u8..4, 0u8..5).prop_map(|(stream, why)| Act::End(stream, why)),
    ]
}

pub fn act() -> impl Strategy<Value = Act> {
    let text = prop_oneof![
        any::<String>(),
        Just("node2".to_string()),
        Just("node2~zz".to_string()),
        Just("\u{1b}[2J".to_string()),
        Just("x".repeat(300)),
        Just("4040:::".to_string()),
    ];
    prop_oneof![
        6 => datagram_act(),
        3 => stream_act(),
        2 => (0u8..3, 0u8..9, text, any::<u64>()).prop_map(|(scope, verb, text, timeout_ms)| {
            Act::Ask { scope, verb, text, timeout_ms }
        }),
        1 => proptest::collection::vec(0u8..6, 0..20).prop_map(Act::Weather),
        2 => (1u16..1_500).prop_map(Act::Wait),
    ]
}
