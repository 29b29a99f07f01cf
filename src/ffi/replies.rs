//! Any verb as words, and what each node answered.

use crate::client::answers::Answer;
use crate::client::words::{self, Asked};
use crate::client::{Connection, Error, ask, render};
use crate::ffi::border::{Out, bytes, call, known, pointer};
use crate::ffi::errors::{Fault, HERD_ERR_INVALID, code};
use crate::ffi::handle::Handle;
use crate::wire::command::{Command, Scope};
use std::ffi::{CString, c_char, c_int};

/// What the asked nodes answered, one reply a node.
pub struct Replies(Vec<Reply>);

struct Reply {
    node: Option<CString>,
    text: CString,
    status: c_int,
}

fn reply(scope: &Scope, answer: &Answer) -> Reply {
    let failure = answer.failures().next();
    let mut text = render::text(answer, false);
    if failure.is_some() {
        text.extend(render::complaints(scope, answer).iter().map(|line| format!("{line}\n")));
    }
    // The lines are escaped already; only their ends are not printable.
    let text = CString::new(text).expect("escaped text has no NUL");
    Reply { node: known(&answer.node), text, status: failure.map_or(0, code) }
}

fn read(words: *const c_char) -> Result<Asked, Fault> {
    let invalid = |why: String| Fault::new(HERD_ERR_INVALID, why);
    let bytes = bytes(words).ok_or_else(|| invalid("the words are NULL".into()))?;
    let line = std::str::from_utf8(bytes).map_err(|_| invalid("the words are not UTF-8".into()))?;
    let asked = words::parse_line(line).map_err(invalid)?;
    match asked.command {
        Command::Watch => Err(invalid("`watch` never ends: use herd_subscribe()".into())),
        _ => Ok(asked),
    }
}

fn collect(daemon: &mut Connection, asked: &Asked) -> Result<Vec<Answer>, Error> {
    if asked.scope != Scope::All {
        return ask::one(daemon, asked, 0);
    }
    let mut answers = Vec::new();
    ask::all(daemon, &asked.command, 0, |answer| answers.push(answer))?;
    Ok(answers)
}

/// Carries out any verb of daust but watch, such as "remote 192.168.1.3 ping" or "all list": spaces
/// divide words, double quotes group them. Nodes have 5 seconds to answer; a host name that no node
/// bears is looked up in DNS, which may take longer. 0 says that there are replies, not that each is
/// good: see herd_replies_status(). Free them with herd_replies_free().
#[unsafe(no_mangle)]
pub extern "C" fn herd_command(
    handle: Option<&mut Handle>,
    words: *const c_char,
    replies: *mut *mut Replies,
) -> c_int {
    call(handle, |handle| {
        let out = Out::new(replies)?;
        let asked = read(words)?;
        let answers = collect(handle.commands()?, &asked)?;
        out.give(Replies(answers.iter().map(|answer| reply(&asked.scope, answer)).collect()));
        Ok(())
    })
}

/// How many replies there are; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn herd_replies_len(replies: Option<&Replies>) -> usize {
    replies.map_or(0, |replies| replies.0.len())
}

/// The name of the node that answered or stayed silent; NULL where no node is meant or out of
/// range. With all, the local node is the first. It lives as long as the replies do.
#[unsafe(no_mangle)]
pub extern "C" fn herd_replies_node(replies: Option<&Replies>, index: usize) -> *const c_char {
    pointer(get(replies, index).and_then(|reply| reply.node.as_ref()))
}

/// What daust prints for that answer, lines that end with newlines: the result, then why it failed
/// if it did. NULL out of range. It lives as long as the replies do.
#[unsafe(no_mangle)]
pub extern "C" fn herd_replies_text(replies: Option<&Replies>, index: usize) -> *const c_char {
    pointer(get(replies, index).map(|reply| &reply.text))
}

/// 0 if that node answered well, else why not; HERD_ERR_INVALID out of range.
#[unsafe(no_mangle)]
pub extern "C" fn herd_replies_status(replies: Option<&Replies>, index: usize) -> c_int {
    get(replies, index).map_or(HERD_ERR_INVALID, |reply| reply.status)
}

/// Frees the replies and their strings. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn herd_replies_free(replies: Option<Box<Replies>>) {
    drop(replies);
}

fn get(replies: Option<&Replies>, index: usize) -> Option<&Reply> {
    replies?.0.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::errors::HERD_ERR_NO_ANSWER;
    use crate::wire::ids::NodeId;
    use crate::wire::reply::{self, ErrorCode, Failure};

    #[test]
    fn a_reply_says_what_came_and_what_did_not() {
        let lost = reply::Reply::Error(Failure::new(ErrorCode::NoAnswer, "down\0 for 9 s"));
        let answer = |node: &str, replies| Answer {
            node: node.into(),
            id: NodeId(1),
            replies,
            elapsed_us: 0,
        };
        let good = reply(&Scope::All, &answer("n1", vec![reply::Reply::Pong]));
        assert_eq!((good.status, good.text.to_str()), (0, Ok("pong\n")));
        let bad = reply(&Scope::All, &answer("n1", vec![reply::Reply::Pong, lost]));
        let text = "pong\nn1 did not answer: down\\0 for 9 s\n";
        assert_eq!((bad.status, bad.text.to_str()), (HERD_ERR_NO_ANSWER, Ok(text)));
        assert_eq!(reply(&Scope::Here, &answer("", vec![])).node, None);
    }
}
