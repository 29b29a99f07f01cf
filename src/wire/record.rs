//! A record: what a node says of itself, signed by it. Records spread by gossip and are handed on
//! as the very bytes that were signed, so a newer program's fields survive an older one.

use crate::wire::codec;
use crate::wire::ids::{Generation, Name, NodeId};
use crate::wire::life::Class;
use crate::wire::limits::{ADDRESSES, ATTRIBUTE_BYTES, ATTRIBUTES, RECORD_BYTES};
use crate::wire::seal::{Identity, PublicKeys, SIGNATURE_BYTES, Suite, verify};
use minicbor::{Decode, Encode};
use std::net::IpAddr;

/// An attribute: the id of the node that this one was a copy of. Gone with the next start.
const COPY_OF: &str = "copy of";
/// An attribute: what others may do there at most, if that is not to change anything.
const ACCEPT: &str = "accept";
/// An attribute: epochs and fingerprints of the herd keys that it holds, the newest first.
const KEYS_HELD: &str = "keys";
/// An attribute: the version of its program.
const VERSION: &str = "version";
/// An attribute: what kind of life it leads, if it is no pet.
const CLASS: &str = "class";
/// An attribute: of a container the node at its default gateway, whose word that it ended is good.
const HOST: &str = "host";

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Record {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub agreement_key: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signing_key: [u8; 32],
    #[n(2)]
    pub generation: Generation,
    /// Grows with each change within a generation.
    #[n(3)]
    pub sequence: u64,
    #[n(4)]
    pub name: Name,
    /// Own addresses, the internal ip first.
    #[n(5)]
    pub addresses: Vec<IpAddr>,
    #[n(6)]
    pub port: u16,
    /// The home through which it is reached, if it is hidden.
    #[n(7)]
    pub parent: Option<NodeId>,
    #[n(8)]
    pub hidden: bool,
    /// Start time, seconds since the epoch, in the upper 40 bits and a random number below: of
    /// two live instances under one id the greater one is the later.
    #[n(9)]
    pub instance: u64,
    #[n(10)]
    pub public_ip: Option<IpAddr>,
    #[n(11)]
    pub deadend: bool,
    /// Further homes, for `trace -v`.
    #[n(12)]
    pub homes: Vec<NodeId>,
    /// Free for later rooms.
    #[n(13)]
    pub attributes: Vec<(String, String)>,
}

impl Record {
    pub fn keys(&self) -> PublicKeys {
        PublicKeys { agreement: self.agreement_key, signing: self.signing_key }
    }

    pub fn id(&self) -> NodeId {
        self.keys().id()
    }

    /// Whose identity it started with, a copy of that node's state, before it drew its own.
    pub fn copy_of(&self) -> Option<NodeId> {
        self.told(COPY_OF).and_then(id_of)
    }

    pub fn set_copy_of(&mut self, original: NodeId) {
        self.tell(COPY_OF, Some(original.to_string()));
    }

    /// The keys of its herd that it holds, as [`Keyring`](crate::wire::keyring::Keyring) tells them.
    pub fn told_keys(&self) -> Option<&str> {
        self.told(KEYS_HELD)
    }

    pub fn tell_keys(&mut self, told: Option<String>) {
        self.tell(KEYS_HELD, told);
    }

    /// What it lets others do at most, where that is no more than to look.
    pub fn told_accept(&self) -> Option<&str> {
        self.told(ACCEPT)
    }

    pub fn tell_accept(&mut self, accept: &str) {
        self.tell(ACCEPT, Some(accept.to_string()));
    }

    pub fn version(&self) -> &str {
        self.told(VERSION).unwrap_or_default()
    }

    pub fn tell_version(&mut self, version: &str) {
        self.tell(VERSION, Some(version.to_string()));
    }

    /// A pet where it does not say, or says something newer.
    pub fn class(&self) -> Class {
        self.told(CLASS).and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    pub fn tell_class(&mut self, class: Class) {
        let told = (class != Class::default()).then(|| class.word().to_string());
        self.tell(CLASS, told);
    }

    /// Whose word that it ended is to be believed.
    pub fn host(&self) -> Option<NodeId> {
        self.told(HOST).and_then(id_of)
    }

    pub fn tell_host(&mut self, host: Option<NodeId>) {
        self.tell(HOST, host.map(|id| id.to_string()));
    }

    fn told(&self, attribute: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == attribute);
        found.map(|(_, value)| value.as_str())
    }

    fn tell(&mut self, attribute: &str, value: Option<String>) {
        self.attributes.retain(|(key, _)| key != attribute);
        self.attributes.extend(value.map(|value| (attribute.to_string(), value)));
    }

    /// When it started, by its own clock.
    pub fn started_unix_s(&self) -> u64 {
        self.instance >> 24
    }

    /// Later is greater: a newer record of one node replaces the older.
    pub fn stamp(&self) -> (Generation, u64) {
        (self.generation, self.sequence)
    }

    fn within_limits(&self) -> bool {
        self.addresses.len() <= ADDRESSES
            && self.homes.len() <= ADDRESSES
            && self.attributes.len() <= ATTRIBUTES
            && self
                .attributes
                .iter()
                .all(|(key, value)| key.len() <= ATTRIBUTE_BYTES && value.len() <= ATTRIBUTE_BYTES)
    }

    /// Encodes and signs.
    pub fn sign(&self, identity: &Identity) -> Vec<u8> {
        let mut bytes = codec::encode(self);
        let signature = identity.sign(&signed_bytes(&bytes));
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// Decodes a signed record without checking the signature.
    pub fn peek(signed: &[u8]) -> Result<Record, String> {
        if signed.len() > RECORD_BYTES {
            return Err(format!(
                "record of {} bytes is over the limit of {RECORD_BYTES}",
                signed.len()
            ));
        }
        let (body, _) = signed.split_last_chunk::<SIGNATURE_BYTES>().ok_or("record too short")?;
        let record: Record = codec::decode(body)?;
        if !record.within_limits() {
            return Err("record passes a limit of addresses, homes or attributes".to_string());
        }
        Ok(record)
    }

    /// Decodes and checks a signed record.
    pub fn open(suite: Suite, signed: &[u8]) -> Result<Record, String> {
        let record = Record::peek(signed)?;
        let (body, signature) =
            signed.split_last_chunk::<SIGNATURE_BYTES>().ok_or("record too short")?;
        if !verify(suite, &record.keys(), &signed_bytes(body), signature) {
            return Err("record is not signed by its node".to_string());
        }
        Ok(record)
    }
}

fn id_of(text: &str) -> Option<NodeId> {
    u64::from_str_radix(text, 16).ok().map(NodeId)
}

/// Signatures of different things never fit each other.
fn signed_bytes(body: &[u8]) -> Vec<u8> {
    [b"herd record v1", body].concat()
}

#[cfg(test)]
pub(crate) fn example(identity: &Identity) -> Record {
    Record {
        agreement_key: identity.public().agreement,
        signing_key: identity.public().signing,
        generation: Generation::first(1),
        sequence: 1,
        name: "node1".parse().unwrap(),
        addresses: vec![[192, 168, 1, 2].into()],
        port: 4040,
        parent: None,
        hidden: false,
        instance: 1,
        public_ip: None,
        deadend: false,
        homes: vec![],
        attributes: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_goes_round_and_is_not_forged() {
        let identity = Identity::from_secret(&[4; 64], Suite::Real);
        let record = example(&identity);
        let signed = record.sign(&identity);
        assert_eq!(Record::open(Suite::Real, &signed), Ok(record.clone()));
        for at in 0..signed.len() {
            let mut bent = signed.clone();
            bent[at] ^= 1;
            assert!(Record::open(Suite::Real, &bent).is_err(), "byte {at}");
            assert!(Record::open(Suite::Real, &signed[..at]).is_err());
        }
        let other = Identity::from_secret(&[5; 64], Suite::Real);
        assert!(Record::open(Suite::Real, &record.sign(&other)).is_err());
    }

    #[test]
    fn the_largest_record_fits_its_limit() {
        let identity = Identity::from_secret(&[4; 64], Suite::Real);
        let record = Record {
            name: "x".repeat(63).parse().unwrap(),
            generation: Generation(u64::MAX),
            sequence: u64::MAX,
            instance: u64::MAX,
            addresses: vec![[0xffff; 8].into(); ADDRESSES],
            homes: vec![NodeId(u64::MAX); ADDRESSES],
            parent: Some(NodeId(u64::MAX)),
            public_ip: Some([0xffff; 8].into()),
            ..example(&identity)
        };
        let signed = record.sign(&identity);
        assert!(signed.len() <= RECORD_BYTES, "{}", signed.len());
        assert_eq!(Record::open(Suite::Real, &signed), Ok(record.clone()));
        let over = Record { addresses: vec![[1, 2, 3, 4].into(); ADDRESSES + 1], ..record };
        assert!(Record::open(Suite::Real, &over.sign(&identity)).is_err());
    }
}
