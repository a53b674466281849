//! What a virtual CPU does in its turns before its guest goes on: its partition starts again, step by step, or what was broken off is finished: an access to
//! the virtual interrupt controller, SGIs that were sent to it, the placing of its interrupts in list registers.
//!
//! Its neighbours wait for one step at most. Between two steps an interrupt is looked for: whatever could change whose turn it is, the alarm
//! at the end of the budget among it, comes as one.

use super::hardware::SharedCpu;
use crate::arch::aarch64::guest::gic_access_again;
use crate::exit::MmioAccess;
use crate::machine::Machine;
use crate::partition::Loading;
use crate::vcpu::Vcpu;

/// Bytes of the image between two looks: some 500 instructions, cache maintenance included.
const PIECE: u64 = 2048;

/// What says whether others wait for the pCPU: an interrupt does, which may be for them.
#[inline(always)]
pub fn wanted<C: SharedCpu>() -> fn() -> bool {
    C::is_interrupt_pending
}

/// How far a restart has come.
#[derive(Clone, Copy)]
pub(super) enum Restart {
    /// The virtual devices are yet to be made fresh.
    Devices,
    /// The image comes into place.
    Image(Loading),
    /// The first virtual CPU may start, which is told.
    Start,
}

impl<M: Machine> Vcpu<M> {
    /// The partition starts again in this virtual CPU's turns.
    pub fn restart_in_turns(&mut self) {
        self.turn.restart = Some(Restart::Devices);
    }

    /// The access to the virtual interrupt controller was broken off: the rest comes in this virtual CPU's turns.
    pub fn finish_in_turns(&mut self, access: MmioAccess) {
        self.turn.access = Some(access);
        // It is not entered as it is.
        self.turn.waits = true;
    }

    /// Placing its interrupts in list registers was broken off: the rest comes in this virtual CPU's turns.
    pub fn place_in_turns(&mut self) {
        self.turn.unplaced = true;
        self.turn.waits = true;
    }

    /// Commands of its guest to its virtual ITS are left: they come in this virtual CPU's turns.
    #[cfg(feature = "its")]
    pub fn execute_in_turns(&mut self) {
        self.turn.commands = true;
        self.turn.waits = true;
    }

    /// True when others who wait for the pCPU come first.
    pub fn is_broken_off(&self) -> bool {
        self.turn.unplaced
    }

    /// True when there is something to do before the guest goes on.
    pub(super) fn has_errand(&self) -> bool {
        self.turn.restart.is_some()
            || self.turn.access.is_some()
            || self.turn.unplaced
            || self.turn.commands
    }

    /// Goes on until an interrupt comes, or it is done.
    pub(super) fn go_on(&mut self) {
        // What broke it off comes first, and may end the turn.
        if !M::Cpu::is_interrupt_pending() {
            if core::mem::take(&mut self.turn.unplaced) {
                if self.is_on() {
                    self.refresh_interrupts();
                }
            } else if let Some(access) = self.turn.access.take() {
                self.finish_access(access);
            } else if core::mem::take(&mut self.turn.commands) {
                #[cfg(feature = "its")]
                crate::arch::aarch64::its::run_commands(self);
            }
        }
        while !M::Cpu::is_interrupt_pending()
            && let Some(restart) = self.turn.restart
        {
            self.turn.restart = match restart {
                Restart::Devices => {
                    let begin = self.partition.begin_load(&self.physical());
                    Some(Restart::Image(begin))
                }
                Restart::Image(at) => {
                    let next = self.partition.load_piece(self.machine(), at, PIECE);
                    Some(next.map_or(Restart::Start, Restart::Image))
                }
                Restart::Start => {
                    self.loaded();
                    None
                }
            };
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
