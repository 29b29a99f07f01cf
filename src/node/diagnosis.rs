//! What an examination means: findings in, sentences out.

use crate::node::named::typed;
use crate::node::outbox::Met;
use crate::node::tables::Tables;
use crate::wire::finding::Finding;
use crate::wire::hello::Refusal;
use crate::wire::ids::NodeId;
use crate::wire::info::State;
use crate::wire::limits::DATAGRAM_BYTES;

/// What a dial of the TCP port came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Port {
    /// Not dialled, or not over yet.
    #[default]
    Unknown,
    Open,
    /// The host says that nobody listens.
    Refused,
    /// Nothing is said.
    Silent,
}

#[derive(Default)]
pub struct Found {
    /// When a small probe came back, microseconds, and over how many others.
    pub small: Option<(u64, u8)>,
    pub full: bool,
    /// The node itself answered on a stream.
    pub stream: bool,
    pub port: Port,
    /// Whether our datagrams arrive there, as the node says.
    pub arrives: Option<bool>,
    /// Who answered at an address, or why nobody did.
    pub met: Option<Result<Met, String>>,
}

/// All there is to say of a node of this name and port, known under its id, or of an address.
pub fn diagnosis(
    t: &Tables,
    id: Option<NodeId>,
    (name, port): &(String, u16),
    found: &Found,
) -> Vec<Finding> {
    match id {
        Some(id) => [
            Some(known(t, id, name)),
            Some(datagrams(id, name, *port, found)),
            found.small.and(Some(full(name, found))),
            streams(name, *port, found),
        ]
        .into_iter()
        .flatten()
        .collect(),
        None => vec![address(name, *port, found)],
    }
}

fn known(t: &Tables, id: NodeId, name: &str) -> Finding {
    let Some(peer) = t.roster.get(id) else {
        return Finding::wrong("known", format!("{name} was forgotten meanwhile"), "");
    };
    let (state, seconds) = (peer.state.word(), peer.age_ms(t.now) / 1_000);
    let reason = Some(&peer.reason).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let text = format!("{name} ({id}) is known, {state}{reason}, heard last {seconds} s ago");
    match peer.state {
        State::Alive => Finding::well("known", text),
        State::Left => Finding::note("known", text),
        _ => {
            let advice = format!("`daust why {}` says who saw what", typed(name));
            Finding::wrong("known", text, advice)
        }
    }
}

fn datagrams(id: NodeId, name: &str, port: u16, found: &Found) -> Finding {
    let wrong = |text: String, advice: String| Finding::wrong("udp", text, advice);
    if let (None, Some(met)) = (found.small, &found.met) {
        return met_there(id, name, met);
    }
    match (found.small, found.arrives) {
        (Some((us, hops)), _) => {
            let through = if hops > 0 { ", handed on by others" } else { "" };
            let ms = us.div_ceil(1_000);
            Finding::well(
                "udp",
                format!("a small datagram comes back from {name} in {ms} ms{through}"),
            )
        }
        (None, Some(true)) => wrong(
            format!(
                "our datagrams arrive at {name} and its do not arrive here; a stream gets through"
            ),
            format!("let UDP from its port {port} through, from there to here"),
        ),
        (None, Some(false)) => wrong(
            format!("no datagram of ours arrives at {name}, but a stream gets through"),
            format!("let UDP to its port {port} through, from here to there"),
        ),
        (None, None) if found.port == Port::Refused => wrong(
            format!("the host of {name} is up, but nobody listens on its port {port}"),
            "start daustd there".to_string(),
        ),
        (None, None) if found.stream => wrong(
            format!("no datagram comes back from {name}, but a stream gets through"),
            format!("let UDP port {port} through in both directions"),
        ),
        (None, None) if found.port == Port::Open => wrong(
            format!(
                "the host of {name} takes connections on TCP port {port}, but daustd answers \
                 neither on those nor by UDP: it hangs, or it is a node that does not know this one"
            ),
            "restart daustd there".to_string(),
        ),
        (None, None) => wrong(
            format!("nothing comes back from {name}, neither a datagram nor a stream"),
            format!(
                "see whether its host is up and daustd runs there; if so, let UDP and TCP port \
                 {port} through"
            ),
        ),
    }
}

/// Who answers where a node was that does not answer itself.
fn met_there(id: NodeId, name: &str, met: &Result<Met, String>) -> Finding {
    let (text, advice) = match met {
        // Such a sentence says itself what to do.
        Err(sentence) => (format!("{name} does not answer as one of this herd: {sentence}"), ""),
        Ok(met) if met.id == id => (
            format!("{name} answers a greeting, and nothing else"),
            "try again: it may have started a moment ago",
        ),
        Ok(met) => (
            format!("where {name} was, {} ({}) answers now, another node", met.name, met.id),
            "if that is the same machine it lost its state directory: `daust remote ADDRESS ping` \
             makes them meet",
        ),
    };
    Finding::wrong("udp", text, advice)
}

fn full(name: &str, found: &Found) -> Finding {
    match found.full {
        true => Finding::well("size", format!("so does a full one, of {DATAGRAM_BYTES} bytes")),
        false => Finding::wrong(
            "size",
            format!(
                "small datagrams come back from {name}, full ones ({DATAGRAM_BYTES} bytes) do not: \
                 the path carries less"
            ),
            format!(
                "raise the MTU of the tunnels and interfaces between here and there to {} at least",
                DATAGRAM_BYTES + 48
            ),
        ),
    }
}

fn streams(name: &str, port: u16, found: &Found) -> Option<Finding> {
    if found.stream {
        return Some(Finding::well("tcp", format!("a stream gets through to {name}")));
    }
    found.small?;
    let text = format!("datagrams come back from {name}, but no stream gets through");
    let advice = format!("let TCP port {port} through: long answers need it");
    Some(Finding::wrong("tcp", text, advice))
}

fn address(at: &str, port: u16, found: &Found) -> Finding {
    let wrong = |text: String, advice: String| Finding::wrong("address", text, advice);
    match (&found.met, found.port) {
        (Some(Ok(Met { name, id, refusal: None | Some(Refusal::UnknownNode) })), _) => {
            Finding::well(
                "address",
                format!(
                    "{name} ({id}) answers at {at} and would let this node in: `daust remote {at} \
                     ping` makes one herd of the two"
                ),
            )
        }
        (Some(Ok(Met { name, id, refusal: Some(refusal) })), _) => wrong(
            format!("{name} ({id}) answers at {at} and refuses: {}", refusal.text()),
            String::new(),
        ),
        // Such a sentence says itself what to do.
        (Some(Err(sentence)), _) => wrong(sentence.clone(), String::new()),
        (None, Port::Open) => wrong(
            format!("no datagram comes back from {at}, but its TCP port {port} is open"),
            format!(
                "let UDP port {port} through in both directions, in datagrams of {DATAGRAM_BYTES} \
                 bytes, and restart daustd there if it hangs"
            ),
        ),
        (None, Port::Refused) => wrong(
            format!("the host at {at} is up, but nobody listens on its port {port}"),
            "start daustd there".to_string(),
        ),
        (None, Port::Silent | Port::Unknown) => wrong(
            format!("nothing answers at {at}, neither by UDP nor by TCP"),
            format!(
                "see whether the address is right and its host is up; if so, let UDP and TCP port \
                 {port} through"
            ),
        ),
    }
}
