//! `daust`: what a person types.

/// Runs the command line; gives the exit status.
pub fn main(_arguments: Vec<String>) -> i32 {
    2
}
