//! Counter values and their conversion to durations.

use core::{num::NonZeroU32, time::Duration};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A value of the counter, in ticks since it started.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The counter at `ticks`.
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks)
    }

    /// Ticks since the counter started.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// `ticks` later, or the end of time.
    pub const fn saturating_add(self, ticks: u64) -> Self {
        Self(self.0.saturating_add(ticks))
    }

    /// Ticks from `earlier` to this, 0 if `earlier` is later.
    pub const fn ticks_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How fast a counter counts, in Hz.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frequency(NonZeroU32);

impl Frequency {
    /// The frequency in a `CNTFRQ_EL0` value, of which bits 31:0 count. Firmware that forgot to
    /// set it leaves 0; then `fallback` holds, say the tree's `clock-frequency`.
    pub const fn from_cntfrq(cntfrq: u64, fallback: Self) -> Self {
        match NonZeroU32::new(cntfrq as u32) {
            Some(hertz) => Self(hertz),
            None => fallback,
        }
    }

    /// A frequency in Hz. None for 0.
    pub const fn from_hertz(hertz: u32) -> Option<Self> {
        match NonZeroU32::new(hertz) {
            Some(hertz) => Some(Self(hertz)),
            None => None,
        }
    }

    /// The frequency in Hz.
    pub const fn hertz(self) -> u32 {
        self.0.get()
    }

    /// The ticks in `duration`, rounded up so that waiting for them is never too short, and at
    /// most `u64::MAX`.
    pub const fn ticks(self, duration: Duration) -> u64 {
        let hertz = self.0.get() as u64;
        // Below 10^9 times 2^32, so no overflow.
        let part = (duration.subsec_nanos() as u64 * hertz).div_ceil(NANOS_PER_SECOND);
        duration.as_secs().saturating_mul(hertz).saturating_add(part)
    }

    /// How long `ticks` last, rounded down to nanoseconds.
    pub const fn duration(self, ticks: u64) -> Duration {
        let hertz = self.0.get() as u64;
        // The remainder is below 2^32, so its product with 10^9 does not overflow.
        let nanos = ticks % hertz * NANOS_PER_SECOND / hertz;
        Duration::new(ticks / hertz, nanos as u32)
    }
}
