//! libherd: the C library. It is a client of the local daemon, as `daust` is, and starts nothing: no
//! thread, no signal, no state outside its handles.
//!
//! One file an object. What is written above a function or a constant here is what C programmers
//! read: include/herd.h is made of it (`make header`), and man/libherd.3 says it in prose.
//!
//! Pointers are borrowed by signature: `Option<&T>` is a pointer that may be NULL, `Option<Box<T>>`
//! one that is given back. Results go through a raw pointer, because what it points to may be
//! anything. Only [`border`] casts.

mod border;
mod errors;
mod events;
mod handle;
mod nodes;
mod replies;
