//! What is said by multicast DNS on the local network: that a daustd is here, and for a keyed herd a
//! mark by which only who knows the herd can tell that it is its own.

use blake2::{Blake2s256, Digest};
use std::net::SocketAddr;

/// The service, as RFC 6763 writes it.
pub const SERVICE: &str = "_daust._udp.local.";
/// The key of the text record that carries the mark.
pub const MARK: &str = "herd";

/// A daustd that was found. One with several addresses is found at each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Discovered {
    pub at: SocketAddr,
    /// It is of our keyed herd; or it is open, as we are.
    pub alike: bool,
}

/// The mark of a herd (0: open) under the name that an instance took at its start: another name makes
/// another mark, and without the herd's id nobody can tell two herds apart. None in an open herd.
pub fn mark(herd: u64, instance: &str) -> Option<String> {
    let sum = Blake2s256::new_with_prefix(b"herd discovery v1").chain_update(herd.to_be_bytes());
    let sum = sum.chain_update(instance).finalize();
    (herd != 0).then(|| sum[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_one_herd_and_one_instance() {
        assert_eq!(mark(0, "a"), None);
        let all: std::collections::BTreeSet<_> =
            [mark(1, "a"), mark(2, "a"), mark(1, "b")].into_iter().flatten().collect();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|mark| mark.len() == 16));
    }
}
