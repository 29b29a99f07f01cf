//! Acts drawn at random.

use crate::acts::{Act, Bend, Source};
use proptest::prelude::*;

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
