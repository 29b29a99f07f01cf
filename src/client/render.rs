//! The text people read, to the letter of the contract.
//!
//! Names, routes and reasons come from other nodes: everything passes [`escape`], so that nobody
//! can forge a line, move the cursor, or turn the reading direction of somebody's terminal.

use crate::client::answers::Answer;
use crate::client::why;
use crate::wire::command::Scope;
use crate::wire::finding::Finding;
use crate::wire::history::{Entry, EntryKind};
use crate::wire::ids::NodeId;
use crate::wire::info::{
    Event, EventKind, Hop, KeyInfo, Lacking, NodeInfo, Silent, State, TraceRow, VersionInfo,
};
use crate::wire::limits::NODES;
use crate::wire::reply::{ErrorCode, Failure, Reply};
use crate::wire::time::utc;
use std::fmt::Display;

/// What the node said, without its failures. Each line ends with a newline.
pub fn text(answer: &Answer, verbose: bool) -> String {
    answer.replies.iter().map(|reply| reply_text(reply, answer.elapsed_us, verbose)).collect()
}

fn reply_text(reply: &Reply, elapsed_us: u64, verbose: bool) -> String {
    match reply {
        Reply::Pong if verbose => format!("pong, {}\n", milliseconds(elapsed_us)),
        Reply::Pong => "pong\n".into(),
        Reply::Nodes { nodes, .. } => {
            let shown = nodes.iter().filter(|node| verbose || !node.replaced);
            shown.map(|node| list_line(node, verbose)).collect()
        }
        Reply::Tree(rows) => rows.iter().map(|row| tree_lines(row, verbose)).collect(),
        Reply::Path(hops) => hops.iter().map(hop_line).collect(),
        Reply::Stopped => "stopped\n".into(),
        Reply::Version(version) => version_lines(version, verbose),
        Reply::Forgotten { name, .. } => format!("{} forgotten\n", escape(name)),
        Reply::Event(event) => event_line(event, verbose),
        Reply::Keys(keys) if keys.is_empty() => "no herd key: this herd is open\n".into(),
        Reply::Keys(keys) => keys.iter().map(key_line).collect(),
        Reply::KeyText(text) | Reply::Token(text) => format!("{}\n", escape(text)),
        Reply::Findings(findings) => findings.iter().map(finding_line).collect(),
        Reply::Why(info) => why::text(info, verbose),
        Reply::History(entries) => entries.iter().map(entry_line).collect(),
        // No text: `nc` takes it.
        Reply::Pipe(_) | Reply::Error(_) => String::new(),
    }
}

/// The line above a node's answer to `all`.
pub fn heading(answer: &Answer) -> String {
    format!("{} responded:\n", escape(&answer.node))
}

/// What to say of an answer on standard error, a line each, without newlines.
pub fn complaints(scope: &Scope, answer: &Answer) -> Vec<String> {
    let stale = answer.stale_ms().map(|ms| {
        let node = escape(&answer.node);
        format!("{node} believes itself cut off since {} s: its view is old", ms / 1_000)
    });
    // What everybody's list would say again is left to the asker's own.
    let warned = (*scope != Scope::All).then(|| warnings(answer)).into_iter().flatten();
    let failures = answer.failures().map(|f| complaint(scope, answer, f));
    stale.into_iter().chain(warned).chain(failures).collect()
}

/// Live nodes of a list about which there is something to say.
fn warnings(answer: &Answer) -> impl Iterator<Item = String> {
    let nodes = answer.replies.iter().flat_map(Reply::nodes);
    nodes
        .filter(|node| node.state == State::Alive && !node.reason.is_empty())
        .map(|node| format!("warning: {} {}", escape(&node.name), escape(&node.reason)))
}

fn complaint(scope: &Scope, answer: &Answer, failure: &Failure) -> String {
    let node = escape(&answer.node);
    let detail = match failure.detail.as_str() {
        "" => failure.code.word().replace('_', " "),
        detail => escape(detail),
    };
    let silent = matches!(failure.code, ErrorCode::NoAnswer | ErrorCode::Unreachable);
    // A node that answers may itself say that it does not know whom a verb's argument names.
    let unknown = failure.code == ErrorCode::UnknownNode && answer.node.is_empty();
    match scope {
        Scope::Node(asked) if silent || unknown => {
            format!("can not reach remote node {}: {detail}", escape(asked))
        }
        Scope::All if silent && !node.is_empty() => format!("{node} did not answer: {detail}"),
        _ if detail.starts_with(&node) => detail,
        Scope::All | Scope::Node(_) if !node.is_empty() => format!("{node}: {detail}"),
        _ => detail,
    }
}

fn list_line(node: &NodeInfo, verbose: bool) -> String {
    let mut line = format!(
        "{}: internal ip {}, public ip {}, last seen {} seconds ago{}",
        escape(&node.name),
        or_none(node.internal_ip),
        or_none(node.public_ip),
        node.last_seen_ms / 1_000,
        mark(node.state)
    );
    if verbose {
        line += &list_details(node);
    }
    line + "\n"
}

fn list_details(node: &NodeInfo) -> String {
    let mut details = format!(", state {}", node.state.word());
    let mut add = |label: &str, value: &str| {
        if !value.is_empty() {
            details += &format!(", {label} {}", escape(value));
        }
    };
    add("route", &node.route);
    add("rtt", &node.rtt_us.map(milliseconds).unwrap_or_default());
    add("heard by", &node.heard_by);
    add("parent", &node.parent);
    add("reason", &node.reason);
    add("accepts", node.accept.as_deref().unwrap_or_default());
    add("class", node.class.as_deref().unwrap_or_default());
    add("id", &node.id.to_string());
    let replaced = if node.replaced { ", replaced" } else { "" };
    details + replaced
}

/// A row; below the asked node its silent containers, with `-v`.
fn tree_lines(row: &TraceRow, verbose: bool) -> String {
    // No true tree is deeper than the number of nodes: only a damaged row can pass this.
    let depth = usize::try_from(row.depth).unwrap_or(NODES).min(NODES);
    let mut line = format!("{}|__ {}{}", "|   ".repeat(depth), escape(&row.name), mark(row.state));
    if verbose {
        line += &row.rtt_us.map(|rtt| format!(", rtt {}", milliseconds(rtt))).unwrap_or_default();
        if !row.homes.is_empty() {
            line += &format!(", also under {}", escape(&row.homes.join(", ")));
        }
    }
    line += "\n";
    let indent = "|   ".repeat(depth + 1);
    if let Some(Silent { count, names }) = row.silent.as_ref().filter(|_| verbose) {
        line.extend(names.iter().map(|name| format!("{indent}|__ {} (silent)\n", escape(name))));
        let more = count.saturating_sub(names.len() as u64);
        if more > 0 {
            line += &format!("{indent}|__ {more} more (silent)\n");
        }
    }
    line
}

fn hop_line(hop: &Hop) -> String {
    let rtt = hop.rtt_us.map(milliseconds);
    format!("{} {} {}\n", escape(&hop.name), or_none(hop.address), or_none(rtt))
}

fn version_lines(version: &VersionInfo, verbose: bool) -> String {
    let mut text = format!(
        "{}, protocol {}, library {}\n",
        escape(&version.program),
        version.protocol,
        escape(&version.library)
    );
    if verbose {
        text += &format!("build: {}\n", escape(&version.build));
        if let Some(warning) = &version.warning {
            text += &format!("warning: {}\n", escape(warning));
        }
        if let Some(guests) = &version.guests {
            text += &format!("guests: {}\n", escape(guests));
        }
        for limit in &version.limits {
            let line = format!("limit {}: {} {}", limit.name, limit.value, limit.unit);
            text += &format!("{}\n", escape(line.trim_end()));
        }
        for counter in &version.counters {
            text += &format!("counter {}: {}\n", escape(&counter.name), counter.value);
        }
        for gauge in version.gauges.iter().flatten() {
            text += &format!("now {}: {}\n", escape(&gauge.name), gauge.value);
        }
    }
    text
}

fn key_line(key: &KeyInfo) -> String {
    let KeyInfo { fingerprint, herd, epoch, source, lacking } = key;
    let (fingerprint, source) = (escape(fingerprint), escape(source));
    let mut line = format!("key {fingerprint}, epoch {epoch}, herd {herd:016x}, from {source}");
    if let Some(Lacking { count, names, refusing }) = lacking {
        let more = count.saturating_sub(names.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        line += &format!("; not held by {}{more}", listed(names));
        if let Some(names) = refusing {
            line += &format!("; {}: {TAKES_NO_KEY}", listed(names));
        }
    }
    line + "\n"
}

/// Of a node that lets others change nothing: what becomes of it when its herd is given a key.
pub const TAKES_NO_KEY: &str = "takes no key from others (accept = \"read\" in its configuration); type \
                                `daust token` here, then start daustd there with --join";

fn listed(names: &[String]) -> String {
    names.iter().map(|name| escape(name)).collect::<Vec<_>>().join(", ")
}

fn event_line(event: &Event, verbose: bool) -> String {
    let text = escape(&event.text);
    let tail = match event.kind {
        EventKind::Route if text.is_empty() => " direct".into(),
        EventKind::Route => format!(" via {text}"),
        EventKind::Down if !text.is_empty() => format!(" ({text})"),
        _ if verbose && !text.is_empty() => format!(" ({text})"),
        _ => String::new(),
    };
    let name = if event.name.is_empty() { String::new() } else { format!(" {}", event.name) };
    format!("{}{}{tail}\n", event.kind.word(), escape(&name))
}

/// What is wrong with what to do about it, on one line.
pub fn finding_line(finding: &Finding) -> String {
    let advice = match finding.advice.as_str() {
        "" => String::new(),
        advice => format!("; {}", escape(advice)),
    };
    format!("{}: {}{advice}\n", finding.verdict.word(), escape(&finding.text))
}

fn entry_line(entry: &Entry) -> String {
    let text = escape(&entry.text);
    let why = if text.is_empty() { String::new() } else { format!(" ({text})") };
    let name = escape(&entry.name);
    let said = match entry.kind {
        EntryKind::Command => format!("{}: {text}{}", asker(entry), outcome(entry)),
        EntryKind::Refused => format!("{} {text}", or_none(entry.address)),
        EntryKind::Key if name.is_empty() => format!("{text} made here"),
        EntryKind::Key => format!("{text} from {name}"),
        EntryKind::CutOff => format!("cut off{why}"),
        EntryKind::InTouch => format!("in touch again{why}"),
        EntryKind::Joined => {
            format!("{} got the herd key for a join token", or_none(entry.address))
        }
        kind if name.is_empty() => format!("{}{why}", kind.word()),
        kind => format!("{} {name}{why}", kind.word()),
    };
    format!("{} {said}\n", utc(entry.unix_s))
}

/// Who wanted a command carried out.
fn asker(entry: &Entry) -> String {
    let name = escape(&entry.name);
    let at = entry.address.map(|at| format!(" at {at}")).unwrap_or_default();
    match entry.uid {
        Some(uid) if name.is_empty() => format!("uid {uid}"),
        Some(uid) => format!("user {name} (uid {uid})"),
        None if entry.id == NodeId::ANYBODY => "a local user".into(),
        None => format!("node {name} ({}){at}", entry.id),
    }
}

fn outcome(entry: &Entry) -> String {
    let times = if entry.times > 1 { format!(", {} times", entry.times) } else { String::new() };
    match entry.failure.as_str() {
        "" => String::new(),
        why => format!(": failed{times}: {}", escape(why)),
    }
}

fn mark(state: State) -> &'static str {
    match state {
        State::Alive => "",
        State::Suspect => " (suspect)",
        State::Down => " (down)",
        State::Left => " (left)",
    }
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "N/A".into(), |value| value.to_string())
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:03} ms", us / 1_000, us % 1_000)
}

/// Everything that is not printable (controls, bidi and other format characters, line
/// separators, combining marks) as `\u{..}`, so that text from elsewhere stays text.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
