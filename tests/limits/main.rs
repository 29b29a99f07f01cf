//! Every limit at its edge: what just fits is taken, what is one more is refused by name. Here are
//! the limits of the core, on nodes with real seals and virtual time; those of sockets, clients,
//! files and the log stand beside their code. `table` finds the limit that no test names.

mod adoption;
mod channels;
mod crowd;
mod hellos;
mod journal;
mod lives;
#[path = "../mesh/mod.rs"]
mod mesh;
mod names;
mod pipes;
mod requests;
mod table;
mod tokens;
mod values;
