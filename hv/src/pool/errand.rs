//! What a virtual CPU does in its turns before its guest goes on: the image of a partition that starts again is put into place, or an access that was
//! broken off is finished.
//!
//! Its neighbours wait for one piece at most. Between two pieces an interrupt is looked for: whatever could change whose turn it is, the alarm
//! at the end of the budget among it, comes as one.

use super::hardware::SharedCpu;
use crate::arch::aarch64::guest::gic_access_again;
use crate::exit::MmioAccess;
use crate::machine::Machine;
use crate::partition::Loading;
use crate::vcpu::Vcpu;

/// Bytes between two looks: some 500 instructions, cache maintenance included.
const PIECE: u64 = 2048;

/// What says whether others wait for the pCPU: an interrupt does, which may be for them.
#[inline(always)]
pub fn wanted<C: SharedCpu>() -> fn() -> bool {
    C::is_interrupt_pending
}

impl<M: Machine> Vcpu<M> {
    /// The image comes into place in this virtual CPU's turns.
    pub fn load_in_turns(&mut self, from: Loading) {
        self.turn.loading = Some(from);
    }

    /// The access to the virtual interrupt controller was broken off: the rest comes in this virtual CPU's turns.
    pub fn finish_in_turns(&mut self, access: MmioAccess) {
        self.turn.access = Some(access);
        // It is not entered as it is.
        self.turn.waits = true;
    }

    /// True when there is something to do before the guest goes on.
    pub(super) fn has_errand(&self) -> bool {
        self.turn.loading.is_some() || self.turn.access.is_some()
    }

    /// Goes on until an interrupt comes, or it is done.
    pub(super) fn go_on(&mut self) {
        if let Some(access) = self.turn.access {
            // What broke it off comes first, and may end the turn.
            if !M::Cpu::is_interrupt_pending() {
                self.turn.access = None;
                self.finish_access(access);
            }
        }
        while let Some(loading) = self.turn.loading {
            self.turn.loading = self.partition.load_piece(self.machine(), loading, PIECE);
            if self.turn.loading.is_none() {
                self.loaded();
                return;
            }
            if M::Cpu::is_interrupt_pending() {
                break;
            }
        }
        self.take_interrupts();
    }

    /// Unless its partition has been reset since.
    fn finish_access(&mut self, access: MmioAccess) {
        let unfinished = self.partition.devices.lock().gic.is_unfinished(self.id);
        if unfinished {
            gic_access_again(self, access);
        }
    }
}

#[cfg(test)]
mod tests;
