//! The handle: a connection for commands, one more for events once they are subscribed to.

use crate::client::{Connection, Error, path};
use crate::ffi::border::{Out, bytes, caught, pointer};
use crate::ffi::errors::Fault;
use crate::ffi::events::Subscription;
use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A connection to the local daustd. One thread uses it at a time; several handles are independent.
/// After fork(), parent and child must not both use it.
pub struct Handle {
    pub path: PathBuf,
    commands: Option<Connection>,
    /// Events have a socket of their own: the waiting of one never disturbs the other.
    pub events: Option<Subscription>,
    /// What is to say of the last call.
    pub detail: Option<CString>,
}

impl Handle {
    pub fn unconnected(path: PathBuf) -> Handle {
        Handle { path, commands: None, events: None, detail: None }
    }

    pub fn commands(&mut self) -> Result<&mut Connection, Fault> {
        self.commands.as_mut().ok_or_else(|| Error::Gone.into())
    }
}

fn open(path: Option<&[u8]>) -> Result<Handle, Fault> {
    let given = path.map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let path = given.map_or_else(path::socket, Ok)?;
    let connection = Connection::open(&path)?;
    Ok(Handle { commands: Some(connection), ..Handle::unconnected(path) })
}

/// Connects to the daustd that listens on this socket; NULL is the usual place, as for daust
/// (DAUST_SOCKET overrides it). Fails at once if none runs: herd_strerror() says how. Close it with
/// herd_close().
#[unsafe(no_mangle)]
pub extern "C" fn herd_open(socket_path: *const c_char, handle: *mut *mut Handle) -> c_int {
    let opened = caught(|| {
        let out = Out::new(handle)?;
        out.give(open(bytes(socket_path))?);
        Ok(())
    });
    opened.map_or_else(|fault| fault.code, |()| 0)
}

/// Closes the handle and its subscription. What was got through it stays valid until it is freed.
/// NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn herd_close(handle: Option<Box<Handle>>) {
    drop(handle);
}

/// Says more about the last call on this handle: why it failed, naming node, path or limit; after a
/// herd_list() or herd_trace() that went well a warning, if the local node believes itself cut off;
/// else NULL. Valid until the next call on the handle.
#[unsafe(no_mangle)]
pub extern "C" fn herd_error_detail(handle: Option<&mut Handle>) -> *const c_char {
    pointer(handle.and_then(|handle| handle.detail.as_ref()))
}

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };

/// The version of this library, such as "0.1.0". Never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn herd_version() -> *const c_char {
    VERSION.as_ptr()
}
