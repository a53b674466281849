//! What the physical side of a virtual CPU's timers must be while it runs on a physical CPU that several share.

use super::Vgic;
use super::interrupt::Flags;
use crate::PrivateState;
use model::VcpuId;

impl Vgic {
    /// The physical state of the timers' interrupts of `cpu`, whose list registers are in use as far as their bits in `live` are set.
    pub fn timers(&self, cpu: VcpuId, live: u16) -> PrivateState {
        let mut timers = PrivateState::default();
        let Some(state) = self.vcpus.get(usize::from(cpu.get())) else {
            return timers;
        };
        for timer in self.geometry.timers {
            let Some(interrupt) = state.interrupts.get(timer.get() as usize) else {
                continue;
            };
            let bit = 1 << (timer.get() % 32);
            timers.mask |= bit;
            // The guest ends a linked interrupt without our knowledge: its list register says so.
            let ended = interrupt.is(Flags::HELD)
                && !interrupt.is(Flags::RELINKED)
                && live >> (interrupt.slot % 16) & 1 == 0;
            if interrupt.is(Flags::LINKED) && !ended {
                timers.active |= bit;
            }
        }
        timers.enabled = self.shown.enabled_word(0, cpu) & timers.mask;
        timers
    }
}
