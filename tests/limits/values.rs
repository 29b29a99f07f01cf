//! Sizes of what is said.

use crate::mesh::{Who, record};
use herd::wire::header::{Header, Kind};
use herd::wire::hello::{Hello, Intent};
use herd::wire::ids::{Name, NodeId};
use herd::wire::limits::*;
use herd::wire::record::Record;
use herd::wire::seal::Suite;

#[test]
fn names() {
    assert!("x".repeat(NAME_BYTES).parse::<Name>().is_ok());
    let error = "x".repeat(NAME_BYTES + 1).parse::<Name>().unwrap_err();
    assert!(error.contains("1 to 63 bytes, this one 64"), "{error}");
}

fn fits(change: impl FnOnce(&mut Record)) -> bool {
    let who = Who::new(9, 1);
    let mut record = record(&who, "x", 0);
    change(&mut record);
    Record::open(Suite::Real, &record.sign(&who.identity)).is_ok()
}

#[test]
fn parts_of_a_record() {
    let pairs = |count: usize, bytes: usize| vec![("k".repeat(bytes), "v".repeat(bytes)); count];
    assert!(fits(|record| record.attributes = pairs(ATTRIBUTES, 5)));
    assert!(!fits(|record| record.attributes = pairs(ATTRIBUTES + 1, 5)));
    assert!(fits(|record| record.attributes = pairs(1, ATTRIBUTE_BYTES)));
    assert!(!fits(|record| record.attributes = pairs(1, ATTRIBUTE_BYTES + 1)));
    let ip = "10.0.0.1".parse().unwrap();
    assert!(fits(|record| record.addresses = vec![ip; ADDRESSES]));
    assert!(!fits(|record| record.addresses = vec![ip; ADDRESSES + 1]));
    assert!(fits(|record| record.homes = vec![NodeId(1); ADDRESSES]));
    assert!(!fits(|record| record.homes = vec![NodeId(1); ADDRESSES + 1]));
}

/// The largest record leaves room in a hello, and a hello in a datagram.
#[test]
fn a_hello_with_the_largest_record() {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        intent: Intent::Join,
        nonce: u64::MAX,
        capabilities: u64::MAX,
        proof: vec![0; 32],
        record: vec![7; RECORD_BYTES],
        refused: None,
        known_generation: None,
    };
    let question = hello.question(&Header::new(Kind::HelloQuestion, NodeId(1), NodeId(2)));
    assert_eq!(question.len(), HELLO_BYTES);
    const { assert!(HELLO_BYTES <= DATAGRAM_BYTES) };
}
