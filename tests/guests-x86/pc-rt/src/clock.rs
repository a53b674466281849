//! Periods, kept by the time stamp counter, to whose deadlines the APIC's timer wakes.

use pc::{apic, cpu};

/// The period of the control loop in microseconds.
pub const PERIOD_US: u64 = 1_000;

/// The clock of a periodic loop.
pub struct Clock {
    tsc_khz: u64,
    apic_khz: u64,
    deadline: u64,
    missed: u64,
}

impl Clock {
    /// Readies the timer, with the frequencies that the hypervisor tells.
    pub fn start() -> Self {
        let (tsc_khz, apic_khz) = cpu::frequencies();
        apic::prepare_timer();
        Self {
            tsc_khz: u64::from(tsc_khz.max(1)),
            apic_khz: u64::from(apic_khz.max(1)),
            deadline: 0,
            missed: 0,
        }
    }

    /// Frequency of the time stamp counter in kHz.
    pub const fn tsc_khz(&self) -> u64 {
        self.tsc_khz
    }

    /// Periods begin now; none is missed.
    pub fn begin(&mut self) {
        self.deadline = cpu::tsc() + self.period();
        self.missed = 0;
    }

    /// Periods that went by wholly and are left out: there is nothing to control in the past.
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// Sleeps until the next deadline. Returns how late it was woken, in nanoseconds.
    pub fn wait(&mut self) -> u64 {
        let now = loop {
            let now = cpu::tsc();
            if now >= self.deadline {
                break now;
            }
            // Rounded up: an interrupt before the deadline would only be followed by another.
            let left = ((self.deadline - now) * self.apic_khz).div_ceil(self.tsc_khz);
            apic::wake_after(left as u32);
            cpu::sleep();
        };
        let late = now - self.deadline;
        let missed = late / self.period();
        self.missed += missed;
        self.deadline += self.period() * (missed + 1);
        late * 1_000_000 / self.tsc_khz
    }

    const fn period(&self) -> u64 {
        self.tsc_khz * PERIOD_US / 1_000
    }
}
