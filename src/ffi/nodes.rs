//! Lists of nodes: what `daust list` and `daust trace all` show.

use crate::client::{ask, render};
use crate::ffi::border::{Out, call, known, pointer, string};
use crate::ffi::errors::{Fault, HERD_ERR_INVALID, code};
use crate::ffi::handle::Handle;
use crate::wire::command::{Command, Scope};
use crate::wire::ids::NodeId;
use crate::wire::info::{NodeInfo, State, TraceRow};
use crate::wire::reply::Reply;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int};

/// Heard lately.
pub const HERD_ALIVE: c_int = 0;
/// Not heard when it should have been; not agreed yet.
pub const HERD_SUSPECT: c_int = 1;
/// Agreed to be down, or its process is proved gone.
pub const HERD_DOWN: c_int = 2;
/// It said goodbye.
pub const HERD_LEFT: c_int = 3;

/// Nodes in the order in which daust shows them.
pub struct Nodes(Vec<Node>);

/// One node, as the local node saw it when it was asked.
pub struct Node {
    name: CString,
    id: CString,
    internal_ip: Option<CString>,
    public_ip: Option<CString>,
    parent: Option<CString>,
    last_seen_ms: Option<u64>,
    rtt_us: Option<u64>,
    state: State,
    depth: u32,
}

impl From<NodeInfo> for Node {
    fn from(info: NodeInfo) -> Node {
        Node {
            name: string(&info.name),
            id: string(&info.id.to_string()),
            internal_ip: info.internal_ip.map(|ip| string(&ip.to_string())),
            public_ip: info.public_ip.map(|ip| string(&ip.to_string())),
            parent: known(&info.parent),
            last_seen_ms: Some(info.last_seen_ms),
            rtt_us: info.rtt_us,
            state: info.state,
            depth: 0,
        }
    }
}

/// Asks the local node; a failure of its own is the fault, all else said a warning.
fn ask(handle: &mut Handle, command: &Command) -> Result<Vec<Reply>, Fault> {
    let answers = ask::collect(handle.commands()?, &Scope::Here, command, 0)?;
    let mut replies = Vec::new();
    for answer in answers {
        let said = render::complaints(&Scope::Here, &answer).join("; ");
        if let Some(failure) = answer.failures().next() {
            return Err(Fault::new(code(failure), said));
        }
        if !said.is_empty() {
            handle.detail = known(&said);
        }
        replies.extend(answer.replies);
    }
    Ok(replies)
}

fn list(handle: &mut Handle) -> Result<Vec<NodeInfo>, Fault> {
    Ok(ask(handle, &Command::List)?.iter().flat_map(Reply::nodes).cloned().collect())
}

/// The tree, each row completed by what the list says of the node.
fn trace(handle: &mut Handle) -> Result<Vec<Node>, Fault> {
    let mut known: HashMap<NodeId, NodeInfo> =
        list(handle)?.into_iter().map(|info| (info.id, info)).collect();
    let rows = ask(handle, &Command::TraceAll)?.into_iter().map(|reply| match reply {
        Reply::Tree(rows) => rows,
        _ => Vec::new(),
    });
    Ok(rows.flatten().map(|row| traced(known.remove(&row.id), row)).collect())
}

/// A node that became known between the two questions has a row and nothing else.
fn traced(info: Option<NodeInfo>, row: TraceRow) -> Node {
    let last_seen_ms = info.as_ref().map(|info| info.last_seen_ms);
    let info = NodeInfo { id: row.id, name: row.name, ..info.unwrap_or_default() };
    Node { last_seen_ms, rtt_us: row.rtt_us, state: row.state, depth: row.depth, ..info.into() }
}

fn number(value: Option<u64>) -> i64 {
    value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX))
}

/// Gets the known nodes, the local one first, then by name. Free them with herd_nodes_free().
#[unsafe(no_mangle)]
pub extern "C" fn herd_list(handle: Option<&mut Handle>, nodes: *mut *mut Nodes) -> c_int {
    call(handle, |handle| {
        let out = Out::new(nodes)?;
        let shown = list(handle)?.into_iter().filter(|info| !info.replaced);
        out.give(Nodes(shown.map(Node::from).collect()));
        Ok(())
    })
}

/// Gets the tree of routes in reading order, each node with its depth: a node stands under the last
/// one before it that is less deep. Nodes that left are not in it. Free it with herd_nodes_free().
#[unsafe(no_mangle)]
pub extern "C" fn herd_trace(handle: Option<&mut Handle>, nodes: *mut *mut Nodes) -> c_int {
    call(handle, |handle| {
        let out = Out::new(nodes)?;
        out.give(Nodes(trace(handle)?));
        Ok(())
    })
}

/// How many nodes there are; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_nodes_len(nodes: Option<&Nodes>) -> usize {
    nodes.map_or(0, |nodes| nodes.0.len())
}

/// One of the nodes, counted from 0; NULL out of range. It lives as long as the list does.
#[unsafe(no_mangle)]
pub extern "C" fn herd_nodes_get(nodes: Option<&Nodes>, index: usize) -> Option<&Node> {
    nodes?.0.get(index)
}

/// Frees the list, its nodes and their strings. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn herd_nodes_free(nodes: Option<Box<Nodes>>) {
    drop(nodes);
}

/// The name as daust shows it. It lives as long as the list does.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_name(node: Option<&Node>) -> *const c_char {
    pointer(node.map(|node| &node.name))
}

/// The id, 16 hexadecimal digits: names and addresses may change, it does not.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_id(node: Option<&Node>) -> *const c_char {
    pointer(node.map(|node| &node.id))
}

/// The address that the node has itself; NULL if it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_internal_ip(node: Option<&Node>) -> *const c_char {
    pointer(node.and_then(|node| node.internal_ip.as_ref()))
}

/// The address under which others see the node, if it is none of its own; NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_public_ip(node: Option<&Node>) -> *const c_char {
    pointer(node.and_then(|node| node.public_ip.as_ref()))
}

/// The name of the node through which this one is reached; NULL if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_parent(node: Option<&Node>) -> *const c_char {
    pointer(node.and_then(|node| node.parent.as_ref()))
}

/// How long ago anybody in the herd heard the node, milliseconds; -1 if it is not known, or
/// for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_last_seen_ms(node: Option<&Node>) -> i64 {
    number(node.and_then(|node| node.last_seen_ms))
}

/// The round-trip time to the node, microseconds; -1 if it was not measured, or for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_rtt_us(node: Option<&Node>) -> i64 {
    number(node.and_then(|node| node.rtt_us))
}

/// HERD_ALIVE, HERD_SUSPECT, HERD_DOWN or HERD_LEFT; HERD_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_state(node: Option<&Node>) -> c_int {
    match node.map(|node| node.state) {
        Some(State::Alive) => HERD_ALIVE,
        Some(State::Suspect) => HERD_SUSPECT,
        Some(State::Down) => HERD_DOWN,
        Some(State::Left) => HERD_LEFT,
        None => HERD_ERR_INVALID,
    }
}

/// How deep the node stands in herd_trace(), 0 at the top and in herd_list(); HERD_ERR_INVALID for
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_node_depth(node: Option<&Node>) -> c_int {
    node.map_or(HERD_ERR_INVALID, |node| c_int::try_from(node.depth).unwrap_or(c_int::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::border::bytes;
    use crate::ffi::handle::{herd_close, herd_error_detail, herd_open};
    use crate::wire::codec::{FrameReader, decode, encode, frame};
    use crate::wire::control::{Part, Request};
    use crate::wire::limits::FRAME_BYTES;
    use std::io::{Read, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixListener;
    use std::ptr;

    /// What a daemon says that is cut off and knows of one node behind a NAT.
    fn answer(request: &Request) -> Part {
        let info = NodeInfo {
            name: "vm 4".into(),
            public_ip: Some([192, 0, 2, 4].into()),
            parent: "hypervisor".into(),
            rtt_us: Some(70),
            state: State::Down,
            ..NodeInfo::default()
        };
        let replaced = NodeInfo { replaced: true, ..NodeInfo::default() };
        let reply = Reply::Nodes { nodes: vec![info, replaced], stale_ms: Some(12_000) };
        let (number, node, id) = (request.number, "node1".into(), NodeId(1));
        Part { number, node, id, reply, last: true, done: true }
    }

    fn play(listener: &UnixListener) {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut reader, mut bytes) = (FrameReader::default(), [0; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            reader.push(&bytes[..length]);
            while let Some(request) = reader.next(FRAME_BYTES).unwrap() {
                let part = answer(&decode(&request).unwrap());
                stream.write_all(&frame(&encode(&part))).unwrap();
            }
        }
    }

    #[test]
    fn a_list_as_c_sees_it() {
        let path = std::env::temp_dir().join(format!("herd-ffi-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || play(&listener));
        let socket = CString::new(path.as_os_str().as_bytes()).unwrap();
        let (mut handle, mut nodes) = (ptr::null_mut(), ptr::null_mut());
        assert_eq!(herd_open(socket.as_ptr(), &mut handle), 0);
        // SAFETY: herd_open and herd_list gave what is taken over here, each once.
        let mut handle = Some(unsafe { Box::from_raw(handle) });
        assert_eq!(herd_list(handle.as_deref_mut(), &mut nodes), 0);
        let nodes = unsafe { Box::from_raw(nodes) };
        assert_eq!(herd_nodes_len(Some(&nodes)), 1, "a replaced node is not shown");
        let node = herd_nodes_get(Some(&nodes), 0);
        assert_eq!(bytes(herd_node_public_ip(node)), Some(&b"192.0.2.4"[..]));
        assert_eq!(bytes(herd_node_internal_ip(node)), None);
        assert_eq!(bytes(herd_node_parent(node)), Some(&b"hypervisor"[..]));
        assert_eq!((herd_node_rtt_us(node), herd_node_state(node)), (70, HERD_DOWN));
        let warning = &b"node1 believes itself cut off since 12 s: its view is old"[..];
        assert_eq!(bytes(herd_error_detail(handle.as_deref_mut())), Some(warning));
        herd_close(handle);
        daemon.join().unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_row_without_its_line_in_the_list_claims_nothing() {
        let row =
            || TraceRow { depth: 2, name: "vm 4".into(), id: NodeId(4), ..TraceRow::default() };
        let bare = traced(None, row());
        assert_eq!(bytes(herd_node_name(Some(&bare))), Some(&b"vm 4"[..]));
        assert_eq!((herd_node_depth(Some(&bare)), herd_node_last_seen_ms(Some(&bare))), (2, -1));
        assert!(herd_node_internal_ip(Some(&bare)).is_null());
        let info =
            NodeInfo { id: NodeId(4), last_seen_ms: 7, parent: "h".into(), ..NodeInfo::default() };
        let whole = traced(Some(info), row());
        assert_eq!(herd_node_last_seen_ms(Some(&whole)), 7);
        assert_eq!(bytes(herd_node_parent(Some(&whole))), Some(&b"h"[..]));
        assert_eq!(bytes(herd_node_id(Some(&whole))), Some(&b"0000000000000004"[..]));
    }
}
