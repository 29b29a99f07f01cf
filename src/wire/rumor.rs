//! Rumors: what spreads to everybody in the spare room of SWIM's datagrams. Each proves itself,
//! whoever hands it on.

use crate::wire::ids::{Generation, NodeId};
use crate::wire::seal::{Identity, PublicKeys, Suite, verify};
use minicbor::{Decode, Encode};

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Rumor {
    /// A signed record: a node joined or changed.
    #[n(0)]
    Record(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(1)]
    Verdict(#[n(0)] Verdict),
    #[n(2)]
    Left(#[n(0)] Left),
    /// A person asked to forget a dead node: this generation and older ones.
    #[n(3)]
    Forget {
        #[n(0)]
        id: NodeId,
        #[n(1)]
        generation: Generation,
    },
}

/// A node is down, by agreement: the votes of those who probed it afresh and saw it down too.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Verdict {
    #[n(0)]
    pub subject: Subject,
    #[n(1)]
    pub ballot: u64,
    #[n(2)]
    pub issuer: NodeId,
    #[n(3)]
    pub reason: Reason,
    /// How many voters answered, those who saw the subject up included.
    #[n(4)]
    pub answered: u32,
    /// Those who saw it down.
    #[n(5)]
    pub votes: Vec<SignedVote>,
    /// The issuer's, over all of the above: nobody passes a verdict in another's name.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub signature: [u8; 64],
    /// No vote but testimony: the issuer ran it and saw it end.
    #[n(7)]
    pub ending: Option<Ending>,
}

/// How a container ended, by the word of the engine that ran it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Ending {
    /// None where the engine can not say it any more.
    #[n(0)]
    pub exit_status: Option<i64>,
}

impl Ending {
    fn text(self) -> String {
        match self.exit_status {
            Some(status) => format!("container ended: exit status {status}"),
            None => "container ended".to_string(),
        }
    }
}

impl Verdict {
    /// The word of who ran it that a node is gone. Older programs take its signature to be wrong, for
    /// they leave out what they do not know, and vote.
    pub fn testimony(identity: &Identity, subject: Subject, ending: Ending) -> Verdict {
        let verdict = Verdict {
            subject,
            ballot: 0,
            issuer: identity.id(),
            reason: Reason::ProcessGone,
            answered: 0,
            votes: Vec::new(),
            signature: [0; 64],
            ending: Some(ending),
        };
        verdict.sign(identity)
    }

    /// Why the node is held to be down, for people.
    pub fn why(&self) -> String {
        self.ending.map_or_else(|| self.reason.text().to_string(), Ending::text)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let unsigned = Verdict { signature: [0; 64], ..self.clone() };
        [&b"herd verdict v1"[..], &crate::wire::codec::encode(&unsigned)].concat()
    }

    pub fn sign(mut self, identity: &Identity) -> Verdict {
        self.signature = identity.sign(&self.signed_bytes());
        self
    }

    pub fn is_authentic(&self, suite: Suite, issuer: &PublicKeys) -> bool {
        verify(suite, issuer, &self.signed_bytes(), &self.signature)
    }
}

/// Which life of which node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct Subject {
    #[n(0)]
    pub id: NodeId,
    #[n(1)]
    pub generation: Generation,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SignedVote {
    #[n(0)]
    pub voter: NodeId,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// Why a node is held to be down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Reason {
    /// Its host answers that nobody listens there any more.
    #[n(0)]
    ProcessGone,
    /// Nothing is heard of it.
    #[n(1)]
    Silent,
}

impl Reason {
    pub fn text(self) -> &'static str {
        match self {
            Reason::ProcessGone => "process gone",
            Reason::Silent => "silent",
        }
    }
}

/// A node's own goodbye.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Left {
    #[n(0)]
    pub subject: Subject,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

fn left_bytes(subject: Subject) -> Vec<u8> {
    [&b"herd left v1"[..], &subject.id.to_bytes(), &subject.generation.0.to_be_bytes()].concat()
}

impl Left {
    pub fn sign(identity: &Identity, generation: Generation) -> Left {
        let subject = Subject { id: identity.id(), generation };
        Left { subject, signature: identity.sign(&left_bytes(subject)) }
    }

    pub fn is_authentic(&self, suite: Suite, keys: &PublicKeys) -> bool {
        verify(suite, keys, &left_bytes(self.subject), &self.signature)
    }
}

fn vote_bytes(subject: Subject, ballot: u64, issuer: NodeId) -> Vec<u8> {
    [
        &b"herd vote down v1"[..],
        &subject.id.to_bytes(),
        &subject.generation.0.to_be_bytes(),
        &ballot.to_be_bytes(),
        &issuer.to_bytes(),
    ]
    .concat()
}

impl SignedVote {
    /// A vote that `subject` is down, good for this ballot of this issuer only.
    pub fn sign(identity: &Identity, subject: Subject, ballot: u64, issuer: NodeId) -> SignedVote {
        let signature = identity.sign(&vote_bytes(subject, ballot, issuer));
        SignedVote { voter: identity.id(), signature }
    }

    pub fn is_authentic(
        &self,
        suite: Suite,
        keys: &PublicKeys,
        subject: Subject,
        ballot: u64,
        issuer: NodeId,
    ) -> bool {
        verify(suite, keys, &vote_bytes(subject, ballot, issuer), &self.signature)
    }
}
