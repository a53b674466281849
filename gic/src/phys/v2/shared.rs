//! Turns of several virtual CPUs on one physical CPU.

use super::{GicV2, gicd, gich};
use crate::{InterfaceState, ListRegisters, PrivateState, SharedInterface};

/// Active states of interrupts (4.3.9).
const ISACTIVER: usize = 0x300;

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
        let PrivateState {
            mask,
            enabled,
            active,
        } = state;
        let gicd = &self.distributor;
        gicd.write(gicd::ICENABLER, mask & !enabled);
        gicd.write(gicd::ICACTIVER, mask & !active);
        gicd.write(ISACTIVER, mask & active);
        gicd.write(gicd::ISENABLER, mask & enabled);
    }
}
