//! Where C and Rust meet: pointers in and out, strings, faults to codes, and panics end here.
//!
//! Functions that only read a field or free an object do nothing that could panic; the others go
//! through [`call`] or [`caught`].

use crate::client::render::escape;
use crate::ffi::errors::{Fault, HERD_ERR_INTERNAL, HERD_ERR_INVALID};
use crate::ffi::handle::Handle;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Works on a handle: notes what went wrong, gives the code.
pub fn call(
    handle: Option<&mut Handle>,
    work: impl FnOnce(&mut Handle) -> Result<(), Fault>,
) -> c_int {
    let Some(handle) = handle else { return HERD_ERR_INVALID };
    handle.detail = None;
    match caught(|| work(handle)) {
        Ok(()) => 0,
        Err(fault) => {
            handle.detail = Some(string(&fault.detail));
            fault.code
        }
    }
}

/// A panic is a fault of ours; half-done work is dropped with its frame, and a handle holds nothing
/// that half-done work could bend.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Fault::new(HERD_ERR_INTERNAL, "a fault in libherd: standard error says where"))
    })
}

/// Where a result goes. Nothing is written before there is one.
pub struct Out<T>(*mut *mut T);

impl<T> Out<T> {
    pub fn new(pointer: *mut *mut T) -> Result<Out<T>, Fault> {
        match pointer.is_null() {
            true => Err(Fault::new(HERD_ERR_INVALID, "the pointer for the result is NULL")),
            false => Ok(Out(pointer)),
        }
    }

    pub fn give(self, value: T) {
        // SAFETY: not NULL, and the caller says that it can be written. What stood there is not
        // read: it may be anything.
        unsafe { self.0.write(Box::into_raw(Box::new(value))) }
    }
}

/// The bytes of a string; None if there is none.
pub fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not NULL, and the caller says that it ends with a NUL and outlives the call.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Text for C, which prints it as it is: what is not printable is escaped, as `daust` does.
pub fn string(text: &str) -> CString {
    CString::new(escape(text)).expect("escaped text has no NUL")
}

/// What is not known or does not apply is NULL.
pub fn known(text: &str) -> Option<CString> {
    (!text.is_empty()).then(|| string(text))
}

pub fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(ptr::null(), |text| text.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn panics_stop_here() {
        let mut handle = Handle::unconnected(PathBuf::new());
        assert_eq!(call(Some(&mut handle), |_| panic!("planted")), HERD_ERR_INTERNAL);
        assert!(handle.detail.is_some());
        assert_eq!(call(Some(&mut handle), |_| Ok(())), 0);
        assert_eq!(handle.detail, None);
    }

    #[test]
    fn null_is_seen() {
        assert_eq!(call(None, |_| panic!("there is no handle")), HERD_ERR_INVALID);
        assert!(Out::<u8>::new(ptr::null_mut()).is_err());
        assert_eq!(bytes(ptr::null()), None);
        assert!(pointer(None).is_null());
    }

    #[test]
    fn text_for_c_has_no_nul_and_moves_no_cursor() {
        assert_eq!(string("a\0b\x1b[2J").to_str(), Ok("a\\0b\\u{1b}[2J"));
        assert_eq!(known(""), None);
    }
}
