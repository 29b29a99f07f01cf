//! In which order the answers to `all` are shown when they need not be shown at once.

use crate::client::answers::Answer;
use crate::wire::ids::NodeId;
use crate::wire::info::NodeInfo;

/// The local node first, then by name, numbers in names by their value (vm 2 before vm 10).
pub fn sort(answers: &mut [Answer], local: NodeId) {
    answers.sort_by_cached_key(|answer| (answer.id != local, natural(&answer.node), answer.id));
}

/// Nodes that no node has put in order.
pub fn sort_nodes(nodes: &mut [NodeInfo]) {
    nodes.sort_by_cached_key(|node| (natural(&node.name), node.id));
}

/// Text and the number after it, again and again. A number without its leading zeros is ordered
/// by its length, then by its digits, so that none is too large.
pub fn natural(name: &str) -> Vec<(String, usize, String)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (text, after) = split(rest, |c| c.is_ascii_digit());
        let (digits, after) = split(after, |c| !c.is_ascii_digit());
        let digits = digits.trim_start_matches('0');
        key.push((text.to_string(), digits.len(), digits.to_string()));
        rest = after;
    }
    key
}

fn split(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_first_then_numbers_by_value() {
        let answer = |(at, node): (usize, &&str)| Answer {
            node: node.to_string(),
            id: NodeId(at as u64 + 1),
            replies: Vec::new(),
            elapsed_us: 0,
        };
        let names = ["vm 10", "vm 2", "hyp", "zz", "vm 02b", "vm", "vm 99999999999999999999"];
        let mut answers: Vec<Answer> = names.iter().enumerate().map(answer).collect();
        sort(&mut answers, NodeId(4));
        let sorted: Vec<&str> = answers.iter().map(|answer| answer.node.as_str()).collect();
        let expected = ["zz", "hyp", "vm", "vm 2", "vm 02b", "vm 10", "vm 99999999999999999999"];
        assert_eq!(sorted, expected);
    }
}
