//! Talks to the local daemon.
