//! The alarm of a shared pCPU: its local APIC's timer, which is nobody else's there.

use hv::pool::dispatcher::AlarmClock;

use crate::{apic, cpu};

/// The CPU that runs this code.
pub enum Pcpu {}

impl AlarmClock for Pcpu {
    fn now() -> u64 {
        cpu::now()
    }

    /// In counts of the APIC's timer, rounded up. What is too far for these rings early, and is set anew then.
    fn set_alarm(at: u64) {
        let ticks = u128::from(at.saturating_sub(cpu::now()));
        let counts = ticks * u128::from(cpu::apic_khz()) / u128::from(cpu::tsc_khz().max(1)) + 1;
        apic::start_alarm(u32::try_from(counts).unwrap_or(u32::MAX));
    }

    fn clear_alarm() {
        apic::start_alarm(0);
    }
}
