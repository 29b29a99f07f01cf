//! Puts the parts of an answer together: a node's answer is handed on when its last part is in.

use crate::wire::control::Part;
use crate::wire::finding::{Finding, Verdict};
use crate::wire::ids::NodeId;
use crate::wire::limits::PARTS;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use std::collections::BTreeMap;

/// All that one node said to one request.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The answering (or silent) node as shown to people; empty when no node is meant.
    pub node: String,
    pub id: NodeId,
    /// In order; rows of one kind may come in several.
    pub replies: Vec<Reply>,
    /// From the asking to the last part, microseconds.
    pub elapsed_us: u64,
}

impl Answer {
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.replies.iter().filter_map(|reply| match reply {
            Reply::Error(failure) => Some(failure),
            _ => None,
        })
    }

    /// Whether a doctor found something wrong.
    pub fn is_wrong(&self) -> bool {
        let wrong = |finding: &Finding| finding.verdict == Verdict::Wrong;
        self.replies.iter().any(|reply| match reply {
            Reply::Findings(findings) => findings.iter().any(wrong),
            _ => false,
        })
    }

    /// How long the answering node has believed itself cut off, milliseconds.
    pub fn stale_ms(&self) -> Option<u64> {
        self.replies.iter().find_map(|reply| match reply {
            Reply::Nodes { stale_ms, .. } => *stale_ms,
            _ => None,
        })
    }
}

/// The answers of one request that are not complete yet.
pub struct Gathering {
    number: u64,
    open: BTreeMap<(NodeId, String), Vec<Reply>>,
}

impl Gathering {
    pub fn new(number: u64) -> Gathering {
        Gathering { number, open: BTreeMap::new() }
    }

    /// Takes one part; gives the answers that are complete with it. Parts of other requests are
    /// passed over. With the part that ends the request, what is still open broke off.
    pub fn take(&mut self, part: Part, elapsed_us: u64) -> Vec<Answer> {
        if part.number != self.number {
            return Vec::new();
        }
        let key = (part.id, part.node);
        let replies = self.open.entry(key.clone()).or_default();
        replies.push(if replies.len() < PARTS { part.reply } else { too_long() });
        let mut complete = Vec::new();
        let too_many = replies.len() > PARTS;
        if part.last || part.done || too_many {
            let replies = self.open.remove(&key).unwrap_or_default();
            complete.push(Answer { node: key.1, id: key.0, replies, elapsed_us });
        }
        if part.done {
            complete.extend(std::mem::take(&mut self.open).into_iter().map(
                |((id, node), mut replies)| {
                    replies.push(broke_off());
                    Answer { node, id, replies, elapsed_us }
                },
            ));
        }
        complete
    }
}

fn too_long() -> Reply {
    let why = format!("the answer has more than the limit of {PARTS} parts");
    Reply::Error(Failure::new(ErrorCode::Limit, why))
}

fn broke_off() -> Reply {
    Reply::Error(Failure::new(ErrorCode::Internal, "the answer broke off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node: &str, last: bool, done: bool) -> Part {
        Part { number: 7, node: node.into(), id: NodeId(1), reply: Reply::Pong, last, done }
    }

    #[test]
    fn interleaved_parts_become_whole_answers() {
        let mut gathering = Gathering::new(7);
        assert!(gathering.take(part("a", false, false), 1).is_empty());
        assert!(gathering.take(part("b", false, false), 2).is_empty());
        let a = gathering.take(part("a", true, false), 3);
        assert_eq!((a[0].node.as_str(), a[0].replies.len(), a[0].elapsed_us), ("a", 2, 3));
        let b = gathering.take(part("b", true, true), 4);
        assert_eq!((b.len(), b[0].node.as_str(), b[0].replies.len()), (1, "b", 2));
    }

    #[test]
    fn what_is_open_at_the_end_broke_off() {
        let mut gathering = Gathering::new(7);
        gathering.take(part("a", false, false), 1);
        let answers = gathering.take(part("b", true, true), 2);
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[1].replies, [Reply::Pong, broke_off()]);
    }

    #[test]
    fn parts_of_another_request_are_passed_over() {
        let mut gathering = Gathering::new(8);
        assert!(gathering.take(part("a", true, true), 1).is_empty());
    }

    #[test]
    fn as_many_parts_as_the_limit_and_one_more() {
        let mut gathering = Gathering::new(7);
        for _ in 0..PARTS {
            assert!(gathering.take(part("a", false, false), 1).is_empty());
        }
        let answers = gathering.take(part("a", false, false), 1);
        assert_eq!(answers[0].replies.last(), Some(&too_long()));
    }
}
