//! Turns of several virtual CPUs on one physical CPU.

use super::{GicV2, gich};
use crate::{InterfaceState, ListRegisters, PrivateState, SharedInterface};

impl SharedInterface for GicV2 {
    fn save_virtual_interface(&self, state: &mut InterfaceState) {
        state.live = !self.control.read(gich::ELRSR0) as u16;
        state.control = self.control.read(gich::HCR).into();
        state.machine = self.control.read(gich::VMCR).into();
        let [[active_priorities, ..], _] = &mut state.active_priorities;
        *active_priorities = self.control.read(gich::APR).into();
        let registers = state.list_registers.iter_mut().enumerate();
        for (index, register) in registers.take(self.count()) {
            *register = self.control.read(gich::LR + index * 4).into();
        }
    }

    fn restore_virtual_interface(&self, state: &InterfaceState) {
        let registers = state.list_registers.iter().enumerate();
        for (index, register) in registers.take(self.count()) {
            self.control.write(gich::LR + index * 4, *register as u32);
        }
        let [[active_priorities, ..], _] = state.active_priorities;
        self.control.write(gich::APR, active_priorities as u32);
        self.control.write(gich::VMCR, state.machine as u32);
        self.control.write(gich::HCR, state.control as u32);
    }

    fn set_private(&self, state: PrivateState) {
        self.distributor.set_private(state);
    }
}
