//! Table: checksums over the list of nodes. Whoever has the same one has the same list.

use crate::wire::ids::NodeId;
use crate::wire::record::Record;

/// Bits of a digest that count.
const COUNT_BITS: u32 = 10;

/// What one living node adds to a digest: a checksum, and below it 1, so that the sum counts, too.
pub fn digest_of(id: NodeId, record: &Record) -> u64 {
    stamp_sum(id, record) << COUNT_BITS | 1
}

/// Whether a list with the digest `other` has fewer nodes than one with `own`.
pub fn is_shorter(other: u64, own: u64) -> bool {
    other.wrapping_sub(own) << (u64::BITS - COUNT_BITS) >> (u64::BITS - 1) == 1
}

/// Four bytes that change whenever a record does.
pub fn stamp_checksum(id: NodeId, record: &Record) -> u32 {
    (stamp_sum(id, record) >> 32) as u32
}

fn stamp_sum(id: NodeId, record: &Record) -> u64 {
    let sum = id.0 ^ record.generation.0.rotate_left(24) ^ record.sequence.rotate_left(48);
    let sum = (sum ^ (sum >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (sum ^ (sum >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
