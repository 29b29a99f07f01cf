//! Which of this machine's addresses each peer talks to.
//!
//! On a machine with several addresses the kernel answers from the one that it likes best; a NAT
//! or firewall on the way lets only answers through that come from the address that was asked.

use crate::wire::limits::{PEERS_ANSWERED, PEERS_ANSWERED_MS};
use crate::wire::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A full table is looked through for what is too old at most this often.
const SWEEP_MS: u64 = 1_000;

#[derive(Default)]
pub struct LocalAddresses {
    /// What the peer's last datagram was sent to, and when it came.
    by_peer: BTreeMap<SocketAddr, (IpAddr, Time)>,
    swept: Time,
}

impl LocalAddresses {
    /// A datagram from `peer` came to `local`. Nobody proved anything yet: a liar learns nothing
    /// and spoils only what is remembered of the address he pretends to have.
    pub fn note(&mut self, peer: SocketAddr, local: IpAddr, now: Time) {
        if self.by_peer.len() >= PEERS_ANSWERED && now.ms_since(self.swept) >= SWEEP_MS {
            self.swept = now;
            self.by_peer.retain(|_, (_, at)| now.ms_since(*at) < PEERS_ANSWERED_MS);
        }
        // In a flood the kernel chooses for those who came last.
        if self.by_peer.len() < PEERS_ANSWERED || self.by_peer.contains_key(&peer) {
            self.by_peer.insert(peer, (local, now));
        }
    }

    /// What to answer `peer` from; None leaves it to the kernel.
    pub fn of(&self, peer: SocketAddr, now: Time) -> Option<IpAddr> {
        let (local, at) = self.by_peer.get(&peer)?;
        (now.ms_since(*at) < PEERS_ANSWERED_MS).then_some(*local)
    }

    pub fn forget(&mut self, peer: SocketAddr) {
        self.by_peer.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: usize) -> SocketAddr {
        let [.., high, low] = (number as u32).to_be_bytes();
        SocketAddr::from(([10, 0, high, low], 4040))
    }

    #[test]
    fn the_last_address_counts_and_grows_old() {
        let mut locals = LocalAddresses::default();
        let (one, other): (IpAddr, IpAddr) = ([10, 1, 0, 1].into(), [10, 1, 0, 2].into());
        locals.note(peer(1), one, Time(0));
        locals.note(peer(1), other, Time(0).plus_ms(5));
        assert_eq!(locals.of(peer(1), Time(0).plus_ms(PEERS_ANSWERED_MS)), Some(other));
        assert_eq!(locals.of(peer(1), Time(0).plus_ms(PEERS_ANSWERED_MS + 5)), None);
        assert_eq!(locals.of(peer(2), Time(0)), None);
        locals.forget(peer(1));
        assert_eq!(locals.of(peer(1), Time(0).plus_ms(5)), None);
    }

    #[test]
    fn a_flood_pushes_nobody_out_and_is_forgotten() {
        let mut locals = LocalAddresses::default();
        let local = IpAddr::from([10, 1, 0, 1]);
        for number in 0..=PEERS_ANSWERED {
            locals.note(peer(number), local, Time(0));
        }
        assert_eq!(locals.of(peer(0), Time(0)), Some(local));
        assert_eq!(locals.of(peer(PEERS_ANSWERED), Time(0)), None);
        let later = Time(0).plus_ms(PEERS_ANSWERED_MS);
        locals.note(peer(PEERS_ANSWERED), local, later);
        assert_eq!(locals.of(peer(PEERS_ANSWERED), later), Some(local));
        assert_eq!(locals.by_peer.len(), 1);
    }
}
