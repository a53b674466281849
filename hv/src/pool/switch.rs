//! A switch: what one virtual CPU leaves in the pCPU, and what the next one finds there.
//!
//! List registers are moved as they are. To the virtual interrupt controller a virtual CPU that is not loaded is like one that runs elsewhere:
//! what it holds is its own, and who wants to change it leaves a note and calls it, which it finds when it has its turn.

use gic::{ListRegisters, SharedInterface};
use model::IntId;

use super::hardware::SharedCpu;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

impl<M: Machine> Vcpu<M> {
    /// Takes the virtual CPU's registers out of the pCPU. Returns when one of its timers fires, in ticks, if its guest would hear of it.
    #[inline]
    pub(super) fn put_down(&mut self) -> Option<u64> {
        M::Cpu::save(&mut self.turn.world);
        let gic = self.machine().gic();
        let interface = &mut self.turn.interface;
        gic.save_virtual_interface(interface);
        let live = self.interface.leave::<M::Cpu>(interface.live);
        let timers = self.partition.devices.lock().gic.timers(self.id, live);
        self.turn.timers = timers;
        let board = &self.hypervisor.system.board;
        let world = &self.turn.world;
        let heard = timers.enabled & !timers.active;
        let is_heard = |timer: IntId| heard >> (timer.get() % 32) & 1 != 0;
        let virtual_timer = world.virtual_timer.deadline(world.others.cntvoff_el2);
        let physical_timer = world.physical_timer.deadline(0);
        let virtual_timer = virtual_timer.filter(|_| is_heard(board.virtual_timer));
        let physical_timer = physical_timer.filter(|_| is_heard(board.physical_timer));
        virtual_timer.into_iter().chain(physical_timer).min()
    }

    /// Puts the virtual CPU's registers into the pCPU, from which another one's were taken.
    #[inline]
    pub(super) fn take_up(&mut self) {
        let gic = self.machine().gic();
        M::Cpu::load(&self.turn.world);
        gic.restore_virtual_interface(&self.turn.interface);
        // Before the timers go on: one whose interrupt the guest has yet to end must not interrupt again.
        gic.set_private(self.turn.timers);
        M::Cpu::start_timers(&self.turn.world);
        self.turn.waits = false;
    }

    /// True when an interrupt is pending in a list register: it ends a WFI, masked or not.
    pub(super) fn has_interrupt(&self) -> bool {
        let registers = self.interface.registers(self.machine().gic());
        let used = !registers.empty();
        (0..registers.count())
            .any(|index| used >> index & 1 != 0 && registers.read(index).state.is_pending())
    }
}
