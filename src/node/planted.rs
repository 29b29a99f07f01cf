//! Bugs planted on purpose, in test builds only: each must be found by the simulator.

/// One planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {}
