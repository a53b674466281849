//! Between ticks of the system counter and the nanoseconds in which policies count.

use embassy_time::Instant;

/// The rate of the system counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds in a tick, times 2^40, rounded down.
    nanoseconds: u64,
    /// Ticks in a nanosecond, times 2^48, rounded up.
    ticks: u64,
}

impl Clock {
    const SECOND: u64 = 1_000_000_000;

    /// The lowest frequency that is counted with, in Hz. The architecture's counters run at 1 MHz and more (Arm ARM D12.1.2).
    const LOWEST: u64 = 1_000;

    /// A counter with `frequency` in Hz.
    pub const fn new(frequency: u64) -> Self {
        let frequency = if frequency < Self::LOWEST {
            Self::LOWEST
        } else {
            frequency
        };
        Self {
            nanoseconds: (((Self::SECOND as u128) << 40) / frequency as u128) as u64,
            ticks: ((frequency as u128) << 48).div_ceil(Self::SECOND as u128) as u64,
        }
    }

    /// The instant at which the counter stands at `ticks`.
    pub const fn instant(&self, ticks: u64) -> Instant {
        Instant::from_ticks(((ticks as u128 * self.nanoseconds as u128) >> 40) as u64)
    }

    /// The first tick that does not come before `at`, when the counter stands at `ticks` at `now`. An instant that has passed is now.
    ///
    /// Counted from now on, so that the error of the rate has no time to grow: less than a tick in an hour.
    pub const fn tick_of(&self, at: Instant, now: Instant, ticks: u64) -> u64 {
        let ahead = at.as_ticks().saturating_sub(now.as_ticks());
        let ahead = (ahead as u128 * self.ticks as u128).div_ceil(1 << 48);
        let most = u64::MAX as u128;
        ticks.saturating_add(if ahead < most { ahead } else { most } as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FREQUENCIES: [u64; 5] = [62_500_000, 24_000_000, 16_666_666, 1_000_000_000, 33_333];

    #[test]
    fn tick_of_sixteen_nanoseconds_is_exact() {
        let clock = Clock::new(62_500_000);
        assert_eq!(clock.instant(1_000).as_ticks(), 16_000);
        let now = clock.instant(1_000);
        assert_eq!(
            clock.tick_of(Instant::from_ticks(16_160), now, 1_000),
            1_010
        );
    }

    #[test]
    fn instant_between_two_ticks_is_the_later_one_and_a_past_one_is_now() {
        let clock = Clock::new(62_500_000);
        let now = clock.instant(1_000);
        assert_eq!(
            clock.tick_of(Instant::from_ticks(16_001), now, 1_000),
            1_001
        );
        assert_eq!(clock.tick_of(Instant::from_ticks(5), now, 1_000), 1_000);
        assert_eq!(clock.tick_of(Instant::MAX, now, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn alarm_rings_at_or_after_its_instant_and_at_most_two_ticks_later(
            which in 0..FREQUENCIES.len(), ticks in 0u64..1 << 50, ahead in 0u64..3_600_000_000_000,
        ) {
            let clock = Clock::new(FREQUENCIES[which]);
            let now = clock.instant(ticks);
            let at = Instant::from_ticks(now.as_ticks() + ahead);

            let alarm = clock.tick_of(at, now, ticks);

            // The instant of a tick is rounded down, so a tick that is in time may show up to a nanosecond before.
            prop_assert!(clock.instant(alarm).as_ticks() + 1 >= at.as_ticks());
            prop_assert!(alarm < 3 || clock.instant(alarm - 3) < at || alarm - ticks < 3);
        }
    }
}
