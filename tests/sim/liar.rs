//! A node that lies: what it sends is bent on the way out.

use rand::{RngExt, rngs::SmallRng};

/// How the datagrams of one machine are bent.
#[derive(Clone, Copy, Debug)]
pub enum Liar {
    /// Some bytes of some datagrams are changed.
    Mutates { share: f64 },
}

impl Liar {
    pub fn bend(&self, bytes: &mut Vec<u8>, rng: &mut SmallRng) {
        let Liar::Mutates { share } = self;
        if rng.random_bool(*share) {
            mutate(bytes, rng);
        }
    }
}

/// Changes, cuts or lengthens a datagram a little.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut SmallRng) {
    match rng.random_range(0..4) {
        0 => bytes.truncate(rng.random_range(0..=bytes.len())),
        1 => bytes.extend((0..rng.random_range(1..40)).map(|_| rng.random::<u8>())),
        _ => {
            for _ in 0..rng.random_range(1..4) {
                if !bytes.is_empty() {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
            }
        }
    }
}
