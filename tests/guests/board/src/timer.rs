//! The EL1 generic timers (Arm ARM D12): both count the same system counter, the virtual one less an offset.

use crate::{Board, read_register, write_register};

/// One of the two EL1 timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// CNTV.
    Virtual,
    /// CNTP.
    Physical,
}

const ENABLE: u64 = 1;
const MASKED: u64 = 1 << 1;

impl Timer {
    /// The counter's present value in ticks.
    pub fn now(self) -> u64 {
        // SAFETY: ISB only keeps the read from being made early (Arm ARM D12.2).
        unsafe { core::arch::asm!("isb", options(nostack)) };
        match self {
            Self::Virtual => read_register!("cntvct_el0"),
            Self::Physical => read_register!("cntpct_el0"),
        }
    }

    /// Makes the timer's interrupt pend when the counter reaches `deadline` (ticks); at once if that has passed.
    pub fn arm(self, deadline: u64) {
        match self {
            Self::Virtual => {
                write_register!("cntv_cval_el0", deadline);
                write_register!("cntv_ctl_el0", ENABLE);
            }
            Self::Physical => {
                write_register!("cntp_cval_el0", deadline);
                write_register!("cntp_ctl_el0", ENABLE);
            }
        }
    }

    /// Stops the timer; its interrupt no longer pends.
    pub fn disarm(self) {
        match self {
            Self::Virtual => write_register!("cntv_ctl_el0", MASKED),
            Self::Physical => write_register!("cntp_ctl_el0", MASKED),
        }
    }

    /// The timer's INTID on this board.
    pub fn intid(self, board: &Board) -> u32 {
        match self {
            Self::Virtual => board.virtual_timer,
            Self::Physical => board.physical_timer,
        }
    }
}

/// Ticks per second of the system counter; at least 1.
pub fn frequency() -> u64 {
    read_register!("cntfrq_el0").max(1)
}

/// Ticks in `microseconds`, rounded up.
pub fn ticks(microseconds: u64) -> u64 {
    (microseconds * frequency()).div_ceil(1_000_000)
}

/// Ticks of the counter in nanoseconds, for a counter of a multiple of 1 MHz.
#[inline]
pub fn nanoseconds(ticks: u64) -> u64 {
    ticks * 1_000 / (frequency() / 1_000_000).max(1)
}

/// Polls `condition` until it holds, at most for `microseconds`, and says whether it held.
pub fn wait_until(microseconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Timer::Virtual.now() + ticks(microseconds);
    loop {
        if condition() {
            return true;
        }
        if Timer::Virtual.now() >= deadline {
            return condition();
        }
        core::hint::spin_loop();
    }
}
