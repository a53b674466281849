//! A restart in turns: the image is put into place in the time of the partition that starts again.
//!
//! Its neighbours wait for one piece at most. Between two pieces an interrupt is looked for: whatever could change whose turn it is, the alarm
//! at the end of the budget among it, comes as one.

use super::hardware::SharedCpu;
use crate::machine::Machine;
use crate::partition::Loading;
use crate::vcpu::Vcpu;

/// Bytes between two looks: some 500 instructions, cache maintenance included.
const PIECE: u64 = 2048;

impl<M: Machine> Vcpu<M> {
    /// The image comes into place in this virtual CPU's turns.
    pub fn load_in_turns(&mut self, from: Loading) {
        self.turn.loading = Some(from);
    }

    /// Goes on until an interrupt comes, or the image is in place.
    pub(super) fn go_on_loading(&mut self) {
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
}

#[cfg(test)]
mod tests;
