//! A switch: what one virtual CPU leaves in the pCPU, and what the next one finds there.
//!
//! List registers are moved as they are. To the virtual interrupt controller a virtual CPU that is not loaded is like one that runs elsewhere:
//! what it holds is its own, and who wants to change it leaves a note and calls it, which it finds when it has its turn.

use gic::{
    InterruptController, ListRegister, ListRegisters, LrState, PrivateBank, PrivateState,
    SharedInterface,
};
use model::IntId;
use model::system::System;

use super::hardware::SharedCpu;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// The interrupts of the guests' timers, which are the pCPU's own private ones.
#[derive(Clone, Copy)]
pub(super) struct Timers {
    pub bank: PrivateBank,
    /// One bit each.
    virtual_timer: u32,
    physical_timer: u32,
}

impl Timers {
    /// All of them.
    pub(super) const fn mask(&self) -> u32 {
        self.virtual_timer | self.physical_timer
    }

    /// Of a pCPU whose bank is yet to be found.
    pub(super) fn new(system: &System) -> Self {
        let bit = |timer: IntId| 1 << (timer.get() % 32);
        Self {
            bank: PrivateBank::default(),
            virtual_timer: bit(system.board.virtual_timer),
            physical_timer: bit(system.board.physical_timer),
        }
    }
}

impl<M: Machine> Vcpu<M> {
    /// Takes the virtual CPU's registers out of the pCPU.
    #[inline(always)]
    pub(super) fn put_down(&mut self, timers: &Timers) {
        M::Cpu::save(&mut self.turn.world);
        let gic = self.machine().gic();
        gic.save_virtual_interface(&mut self.turn.interface);
        self.turn.timers = gic.private(timers.bank, timers.mask());
    }

    /// When one of its timers fires, in ticks, if its guest would hear of it; [`u64::MAX`]: never. It was put down.
    #[inline(always)]
    pub(super) fn next_timer(&self, timers: &Timers) -> u64 {
        if !self.may_run() {
            return u64::MAX;
        }
        let PrivateState { enabled, active } = self.turn.timers;
        let heard = enabled & !active;
        let world = &self.turn.world;
        let mut next = u64::MAX;
        if heard & timers.virtual_timer != 0 {
            let offset = world.others.cntvoff_el2;
            next = world.virtual_timer.deadline(offset).unwrap_or(next);
        }
        if heard & timers.physical_timer != 0 {
            next = next.min(world.physical_timer.deadline(0).unwrap_or(next));
        }
        next
    }

    /// Puts the virtual CPU's registers into the pCPU, from which another one's were taken, whose timers' interrupts are `left`.
    #[inline(always)]
    pub(super) fn take_up(&mut self, timers: &Timers, left: PrivateState) {
        let gic = self.machine().gic();
        M::Cpu::load(&self.turn.world);
        gic.restore_virtual_interface(&self.turn.interface);
        // Before the timers go on: one whose interrupt the guest has yet to end must not interrupt again.
        gic.change_private(timers.bank, left, self.turn.timers);
        M::Cpu::start_timers(&self.turn.world);
        self.turn.waits = false;
    }

    /// True when an interrupt is pending in a list register: it ends a WFI, masked or not.
    pub(super) fn has_interrupt(&self) -> bool {
        let registers = self.interface.registers(self.machine().gic());
        let used = !registers.empty();
        (0..registers.count()).any(|index| {
            used >> index & 1 != 0 && {
                let register = registers.read(index);
                register.state.is_pending() && !self.is_withdrawn(&registers, index, register)
            }
        })
    }

    /// A timer's interrupt is a level: when the guest turns the timer off or masks it before it has acknowledged the interrupt, that is no longer
    /// pending (GICv3 architecture, 4.1.2). Nobody tells the list register. So it is looked at here, where it would keep a guest from
    /// sleeping, and ended in the guest's place.
    fn is_withdrawn(
        &self,
        registers: &impl ListRegisters,
        index: usize,
        register: ListRegister,
    ) -> bool {
        let board = &self.hypervisor.system.board;
        let timers = [board.virtual_timer, board.physical_timer];
        let asks = timers.into_iter().zip(M::Cpu::timers_ask());
        let silent = |(timer, asks): (IntId, bool)| timer == register.virtual_id && !asks;
        let withdrawn = register.state == LrState::Pending && asks.into_iter().any(silent);
        if withdrawn {
            registers.write(index, ListRegister::EMPTY);
            self.machine()
                .gic()
                .deactivate_physical(register.virtual_id);
        }
        withdrawn
    }
}

#[cfg(test)]
mod tests;
