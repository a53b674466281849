//! Turns of several virtual CPUs on one physical CPU.

use super::{GicV2, gich};
use crate::shared::{bits, in_use};
use crate::{InterfaceState, ListRegisters, PrivateBank, PrivateState, SharedInterface};

impl SharedInterface for GicV2 {
    #[inline]
    fn save_virtual_interface(&self, state: &mut InterfaceState) {
        let empty = self.control.read(gich::ELRSR0);
        state.live = in_use(empty.into(), self.count());
        state.control = self.control.read(gich::HCR).into();
        state.machine = self.control.read(gich::VMCR).into();
        let [[active_priorities, ..], _] = &mut state.active_priorities;
        *active_priorities = self.control.read(gich::APR).into();
        for index in bits(state.live) {
            if let Some(register) = state.list_registers.get_mut(index) {
                *register = self.control.read(gich::LR + index * 4).into();
                self.control.write(gich::LR + index * 4, 0);
            }
        }
    }

    #[inline]
    fn restore_virtual_interface(&self, state: &InterfaceState) {
        for index in bits(state.live) {
            if let Some(register) = state.list_registers.get(index) {
                self.control.write(gich::LR + index * 4, *register as u32);
            }
        }
        let [[active_priorities, ..], _] = state.active_priorities;
        self.control.write(gich::APR, active_priorities as u32);
        self.control.write(gich::VMCR, state.machine as u32);
        self.control.write(gich::HCR, state.control as u32);
    }

    /// They are banked in the distributor.
    fn private_bank(&self) -> PrivateBank {
        PrivateBank::default()
    }

    #[inline]
    fn private(&self, _bank: PrivateBank, mask: u32) -> PrivateState {
        self.distributor.private(mask)
    }

    #[inline]
    fn change_private(&self, _bank: PrivateBank, from: PrivateState, to: PrivateState) {
        self.distributor.change_private(from, to);
    }
}
