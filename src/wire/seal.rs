//! placeholder

/// Which ciphers are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Suite {
    #[default]
    Real,
    /// Keyed checksums of the same lengths, for the simulator: fast, and worth nothing.
    #[cfg(feature = "testing")]
    Fast,
}
