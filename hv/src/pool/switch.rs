//! A switch: what one virtual CPU leaves in the pCPU, and what the next one finds there.

use gic::{ListRegisters, SharedInterface};

use super::hardware::SharedCpu;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

impl<M: Machine> Vcpu<M> {
    /// Takes the virtual CPU's registers out of the pCPU. Returns when one of its timers fires, in ticks, if its guest would hear of it.
    pub(super) fn put_down(&mut self) -> Option<u64> {
        let gic = self.machine().gic();
        let (kicks, timers) = self.with_caller(|caller| {
            let gic = &mut self.partition.devices.lock().gic;
            (gic.sync(caller), gic.timers(self.id))
        });
        self.turn.interface = gic.save_virtual_interface();
        M::Cpu::save(&mut self.turn.world);
        self.kick_others(kicks);
        let board = &self.hypervisor.system.board;
        let world = &self.turn.world;
        let heard = timers.enabled & !timers.active;
        let of = |timer: model::IntId, deadline: Option<u64>| {
            deadline.filter(|_| heard.checked_shr(timer.get()).unwrap_or(0) & 1 != 0)
        };
        let virtual_timer = world.virtual_timer.deadline(world.others.cntvoff_el2);
        let physical_timer = world.physical_timer.deadline(0);
        of(board.virtual_timer, virtual_timer)
            .into_iter()
            .chain(of(board.physical_timer, physical_timer))
            .min()
    }

    /// Puts the virtual CPU's registers into the pCPU, from which another one's were taken.
    pub(super) fn take_up(&mut self) {
        let gic = self.machine().gic();
        M::Cpu::load(&self.turn.world);
        gic.restore_virtual_interface(&self.turn.interface);
        let (kicks, timers) = self.with_caller(|caller| {
            let gic = &mut self.partition.devices.lock().gic;
            (gic.flush(caller), gic.timers(self.id))
        });
        // Before the timers go on: one whose interrupt the guest has yet to end must not interrupt again.
        gic.set_private(timers);
        M::Cpu::start_timers(&self.turn.world);
        self.turn.waits = false;
        self.kick_others(kicks.without(self.id));
    }

    /// True when an interrupt is pending in a list register: it ends a WFI, masked or not.
    pub(super) fn has_interrupt(&self) -> bool {
        let registers = self.interface.registers(self.machine().gic());
        let used = !registers.empty();
        (0..registers.count())
            .any(|index| used >> index & 1 != 0 && registers.read(index).state.is_pending())
    }
}
