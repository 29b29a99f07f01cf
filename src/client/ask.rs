//! Asks one node or all, and gives whole answers: what a program wants that does not show them as
//! they come.

use crate::client::answers::Answer;
use crate::client::words::Asked;
use crate::client::{Connection, Error, order, resolve};
use crate::wire::command::{Command, Scope};
use crate::wire::ids::NodeId;
use crate::wire::info::NodeInfo;
use crate::wire::reply::{ErrorCode, Reply};
use std::ops::ControlFlow;

/// Asks the local node, or another one: one answer. A host name that nobody in the herd bears is
/// looked up in DNS, and its addresses are tried instead.
pub fn one(daemon: &mut Connection, asked: &Asked, timeout_ms: u64) -> Result<Vec<Answer>, Error> {
    let (mut scope, mut command) = (asked.scope.clone(), asked.command.clone());
    let mut answers = collect(daemon, &scope, &command, timeout_ms)?;
    if let Some(answered) = answered_unknown(&answers) {
        let node = node_mut(&mut scope, &mut command, answered);
        let addresses = node.and_then(|node| resolve::addresses(node)).unwrap_or_default();
        for address in addresses {
            if let Some(node) = node_mut(&mut scope, &mut command, answered) {
                *node = address.to_string();
            }
            let again = collect(daemon, &scope, &command, timeout_ms)?;
            if answered_unknown(&again).is_some() {
                continue;
            }
            answers = again;
            if !failed(&answers, ErrorCode::Unreachable) {
                break;
            }
        }
    }
    Ok(answers)
}

/// Asks everybody. What came is handed over at the end, the local node's answer first, even if the
/// connection broke meanwhile.
pub fn all(
    daemon: &mut Connection,
    command: &Command,
    timeout_ms: u64,
    on_answer: impl FnMut(Answer),
) -> Result<(), Error> {
    let local = local_id(daemon)?;
    let mut answers = Vec::new();
    let outcome = daemon.call(Scope::All, command.clone(), timeout_ms, |answer| {
        answers.push(answer);
        ControlFlow::Continue(())
    });
    order::sort(&mut answers, local);
    answers.into_iter().for_each(on_answer);
    outcome
}

/// Asks, and waits for all that comes.
pub fn collect(
    daemon: &mut Connection,
    scope: &Scope,
    command: &Command,
    timeout_ms: u64,
) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    daemon.call(scope.clone(), command.clone(), timeout_ms, |answer| {
        answers.push(answer);
        ControlFlow::Continue(())
    })?;
    Ok(answers)
}

/// Who the local node knows, itself first.
pub fn nodes(daemon: &mut Connection, timeout_ms: u64) -> Result<Vec<NodeInfo>, Error> {
    let answers = collect(daemon, &Scope::Here, &Command::List, timeout_ms)?;
    let replies = answers.into_iter().flat_map(|answer| answer.replies);
    let nodes = replies.filter_map(|reply| match reply {
        Reply::Nodes { nodes, .. } => Some(nodes),
        _ => None,
    });
    Ok(nodes.flatten().collect())
}

fn failed(answers: &[Answer], code: ErrorCode) -> bool {
    answers.iter().any(|answer| answer.failures().any(|failure| failure.code == code))
}

/// If a node is unknown: whether some node answered so. If none did, it is the asked one itself.
fn answered_unknown(answers: &[Answer]) -> Option<bool> {
    let unknown = failed(answers, ErrorCode::UnknownNode);
    unknown.then(|| answers.iter().any(|answer| !answer.node.is_empty()))
}

/// The word that names the unknown node: after `remote`, or the argument if the asked node
/// answered.
fn node_mut<'a>(
    scope: &'a mut Scope,
    command: &'a mut Command,
    answered: bool,
) -> Option<&'a mut String> {
    match (scope, command) {
        (Scope::Node(node), _) if !answered => Some(node),
        (_, Command::TraceNode(node) | Command::Forget(node) | Command::Why(node)) => Some(node),
        (_, Command::Doctor(node)) => node.as_mut(),
        _ => None,
    }
}

/// Who the local node is. Needed to put its answer first; the answers do not say so themselves.
fn local_id(daemon: &mut Connection) -> Result<NodeId, Error> {
    let answers = collect(daemon, &Scope::Here, &Command::Ping, 0)?;
    Ok(answers.first().map_or(NodeId::ANYBODY, |answer| answer.id))
}
