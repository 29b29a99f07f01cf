//! One file a promise.

pub mod join;
