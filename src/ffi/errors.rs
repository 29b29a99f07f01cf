//! The one list of error codes as C sees it, and a sentence for each.

use crate::client::Error;
use crate::wire::reply::{ErrorCode, Failure};
use std::ffi::{CStr, c_char, c_int};
use std::io::ErrorKind;

/// Nobody in the herd is called that.
pub const HERD_ERR_UNKNOWN_NODE: c_int = -1;
/// More than one live node fits; the detail lists them.
pub const HERD_ERR_AMBIGUOUS: c_int = -2;
/// The node did not answer in time, or is known to be down.
pub const HERD_ERR_NO_ANSWER: c_int = -3;
/// No way leads to the node.
pub const HERD_ERR_UNREACHABLE: c_int = -4;
/// The answering node is older and does not know that command.
pub const HERD_ERR_UNSUPPORTED: c_int = -5;
/// Not here, not now, or not by you; the detail says why and what to do.
pub const HERD_ERR_REFUSED: c_int = -6;
/// A limit was reached; the detail names it.
pub const HERD_ERR_LIMIT: c_int = -7;
/// The words or arguments make no sense, or a pointer is NULL that may not be.
pub const HERD_ERR_INVALID: c_int = -8;
/// The daemon is stopping.
pub const HERD_ERR_STOPPING: c_int = -9;
/// A fault in herd, a damaged answer, or an error that only a newer library knows.
pub const HERD_ERR_INTERNAL: c_int = -10;
/// No event now: poll herd_fd() and try again. Not a failure.
pub const HERD_AGAIN: c_int = -101;
/// Nobody listens on the daemon's socket: daustd does not run.
pub const HERD_ERR_NO_DAEMON: c_int = -102;
/// The daemon's socket belongs to somebody else.
pub const HERD_ERR_PERMISSION: c_int = -103;
/// The daemon's socket is there (or its path is none), and connecting failed.
pub const HERD_ERR_CONNECT: c_int = -104;
/// No path was given, and none follows from the environment.
pub const HERD_ERR_NO_PATH: c_int = -105;
/// The daemon closed the connection: close the handle, open another.
pub const HERD_ERR_GONE: c_int = -106;
/// The daemon said nothing in time.
pub const HERD_ERR_SILENT: c_int = -107;

/// Why a function failed: a code for programs, a sentence for people.
pub struct Fault {
    pub code: c_int,
    pub detail: String,
}

impl Fault {
    pub fn new(code: c_int, detail: impl Into<String>) -> Fault {
        Fault { code, detail: detail.into() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        let detail = match &error {
            Error::Gone | Error::Silent(_) | Error::Damaged(_) => format!("daustd: {error}"),
            _ => error.to_string(),
        };
        let code = match error {
            Error::NotRunning(_) => HERD_ERR_NO_DAEMON,
            Error::Connect(_, cause) if cause.kind() == ErrorKind::PermissionDenied => {
                HERD_ERR_PERMISSION
            }
            Error::Connect(..) => HERD_ERR_CONNECT,
            Error::NoPath => HERD_ERR_NO_PATH,
            Error::Gone => HERD_ERR_GONE,
            Error::Silent(_) => HERD_ERR_SILENT,
            Error::Damaged(_) => HERD_ERR_INTERNAL,
            Error::Refused(failure) => code(&failure),
        };
        Fault { code, detail }
    }
}

pub fn code(failure: &Failure) -> c_int {
    match failure.code {
        ErrorCode::UnknownNode => HERD_ERR_UNKNOWN_NODE,
        ErrorCode::Ambiguous => HERD_ERR_AMBIGUOUS,
        ErrorCode::NoAnswer => HERD_ERR_NO_ANSWER,
        ErrorCode::Unreachable => HERD_ERR_UNREACHABLE,
        ErrorCode::Unsupported => HERD_ERR_UNSUPPORTED,
        ErrorCode::Refused => HERD_ERR_REFUSED,
        ErrorCode::Limit => HERD_ERR_LIMIT,
        ErrorCode::Invalid => HERD_ERR_INVALID,
        ErrorCode::Stopping => HERD_ERR_STOPPING,
        ErrorCode::Internal => HERD_ERR_INTERNAL,
    }
}

/// A sentence for any code: what it means and what to do. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn herd_strerror(code: c_int) -> *const c_char {
    sentence(code).as_ptr()
}

fn sentence(code: c_int) -> &'static CStr {
    match code {
        0 => c"it went well",
        HERD_ERR_UNKNOWN_NODE => c"nobody in the herd is called that: see herd_list()",
        HERD_ERR_AMBIGUOUS => c"more than one live node fits: use its id",
        HERD_ERR_NO_ANSWER => c"the node did not answer in time, or is down",
        HERD_ERR_UNREACHABLE => c"no way leads to the node",
        HERD_ERR_UNSUPPORTED => c"the answering node does not know that command: update it",
        HERD_ERR_REFUSED => c"refused: see the detail",
        HERD_ERR_LIMIT => c"a limit was reached: see the detail",
        HERD_ERR_INVALID => c"the words or arguments make no sense, or a pointer is NULL",
        HERD_ERR_STOPPING => c"the local daustd is stopping",
        HERD_ERR_INTERNAL => c"a fault in herd, or a damaged answer",
        HERD_AGAIN => c"no event now: poll herd_fd() and try again",
        HERD_ERR_NO_DAEMON => c"can not reach the local daustd: is it running?",
        HERD_ERR_PERMISSION => {
            c"the local daustd belongs to somebody else: become its user, or join the group that owns its socket"
        }
        HERD_ERR_CONNECT => c"the path is no socket of a daustd, or it takes no connection",
        HERD_ERR_NO_PATH => c"HOME is not set: give the path of the socket, or set DAUST_SOCKET",
        HERD_ERR_GONE => c"the local daustd closed the connection: close the handle, open another",
        HERD_ERR_SILENT => c"the local daustd says nothing: is it stopped or overloaded?",
        _ => c"an error that this libherd does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minicbor::{Decode, Decoder};
    use std::io;

    #[test]
    fn every_code_of_a_node_has_its_own_and_a_sentence() {
        let unknown = sentence(-99);
        for number in 0..10u8 {
            let wire = ErrorCode::decode(&mut Decoder::new(&[number]), &mut ()).unwrap();
            let code = code(&Failure::new(wire, ""));
            assert_eq!(code, -1 - c_int::from(number), "{}", wire.word());
            assert_ne!(sentence(code), unknown);
        }
    }

    #[test]
    fn every_way_to_fail_locally_has_its_own() {
        let connect = |kind| Error::Connect("/x".into(), io::Error::from(kind));
        let faults = [
            (Error::NotRunning("/x".into()), HERD_ERR_NO_DAEMON),
            (connect(ErrorKind::PermissionDenied), HERD_ERR_PERMISSION),
            (connect(ErrorKind::InvalidInput), HERD_ERR_CONNECT),
            (Error::NoPath, HERD_ERR_NO_PATH),
            (Error::Gone, HERD_ERR_GONE),
            (Error::Silent(1), HERD_ERR_SILENT),
            (Error::Damaged("x".into()), HERD_ERR_INTERNAL),
            (Error::Refused(Failure::new(ErrorCode::Limit, "64")), HERD_ERR_LIMIT),
        ];
        for (error, code) in faults {
            let fault = Fault::from(error);
            assert_eq!(fault.code, code, "{}", fault.detail);
            assert_ne!(sentence(code), sentence(-99), "{}", fault.detail);
        }
    }
}
