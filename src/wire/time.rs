//! Time as the core knows it: microseconds of CLOCK_BOOTTIME, handed in by whoever owns a clock; and
//! how a time of day is written for people.

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

/// `2026-11-21T08:19:36Z`, from days since 1970 by the calendar that starts its years in March.
pub fn utc(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400 + 719_468, unix_s % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
