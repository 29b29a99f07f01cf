//! Time as the core knows it: microseconds of CLOCK_BOOTTIME, handed in by whoever owns a clock.

/// A point in time, microseconds since boot. There is no `now()`: the core cannot cheat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Time(pub u64);

impl Time {
    pub const fn from_ms(ms: u64) -> Time {
        Time(ms.saturating_mul(1_000))
    }

    pub const fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    pub const fn minus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_sub(ms.saturating_mul(1_000)))
    }

    /// Milliseconds from `earlier` to here, 0 if `earlier` is later.
    pub const fn ms_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }

    /// Microseconds from `earlier` to here, 0 if `earlier` is later.
    pub const fn us_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The next tick of the shared 100 ms grid at or after this time, so that timers fire together
    /// and an idle node wakes seldom.
    pub const fn on_grid(self) -> Time {
        Time(self.0.div_ceil(100_000).saturating_mul(100_000))
    }
}
