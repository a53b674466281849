//! What the physical side of a virtual CPU's timers must be while it runs on a physical CPU that several share.

use super::Vgic;
use super::interrupt::Flags;
use crate::PrivateState;
use model::VcpuId;

impl Vgic {
    /// The physical state of the timers' interrupts of `cpu`, for the physical CPU that is about to run it. Its list registers have been
    /// [`sync`](Self::sync)ed since it last ran, or hold what [`flush`](Self::flush) has put there.
    pub fn timers(&self, cpu: VcpuId) -> PrivateState {
        let mut state = PrivateState::default();
        for timer in self.geometry.timers {
            let Some(interrupt) = self.interrupt(timer, cpu) else {
                continue;
            };
            let bit = 1_u32.checked_shl(timer.get()).unwrap_or(0);
            state.mask |= bit;
            if self.shown.is_enabled(timer, cpu) {
                state.enabled |= bit;
            }
            if interrupt.flags.intersects(Flags::LINKED) {
                state.active |= bit;
            }
        }
        state
    }
}
