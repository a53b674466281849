//! Turns of several virtual CPUs on one physical CPU.

use super::super::mmio::Frame;
use super::{GicV3, active_priorities, gicd, sysreg};
use crate::shared::{bits, in_use};
use crate::{InterfaceState, PrivateBank, PrivateState, SharedInterface};

/// A bank that a redistributor was found for.
fn frame(bank: PrivateBank) -> Option<Frame<{ gicd::SIZE }>> {
    // SAFETY: `private_bank` alone makes banks, each with the second half of a redistributor that its CPU's `init_cpu` has found.
    (bank.base != 0).then(|| unsafe { Frame::new(bank.base) })
}

impl SharedInterface for GicV3 {
    #[inline]
    fn save_virtual_interface(&self, state: &mut InterfaceState) {
        let vtr = sysreg::ich_vtr::read();
        state.live = in_use(sysreg::ich_elrsr::read(), Self::list_registers(vtr));
        state.control = sysreg::ich_hcr::read();
        state.machine = sysreg::ich_vmcr::read();
        for index in bits(state.live) {
            if let Some(register) = state.list_registers.get_mut(index) {
                *register = sysreg::ich_lr::read(index);
                sysreg::ich_lr::write(index, 0);
            }
        }
        let [group0, group1] = &mut state.active_priorities;
        let registers = group0.iter_mut().zip(group1).enumerate();
        for (index, (group0, group1)) in registers.take(active_priorities(vtr)) {
            *group0 = sysreg::ich_ap0r::read(index);
            *group1 = sysreg::ich_ap1r::read(index);
        }
    }

    #[inline]
    fn restore_virtual_interface(&self, state: &InterfaceState) {
        for index in bits(state.live) {
            if let Some(register) = state.list_registers.get(index) {
                sysreg::ich_lr::write(index, *register);
            }
        }
        let [group0, group1] = &state.active_priorities;
        let registers = group0.iter().zip(group1).enumerate();
        for (index, (group0, group1)) in registers.take(active_priorities(sysreg::ich_vtr::read()))
        {
            sysreg::ich_ap0r::write(index, *group0);
            sysreg::ich_ap1r::write(index, *group1);
        }
        sysreg::ich_vmcr::write(state.machine);
        sysreg::ich_hcr::write(state.control);
    }

    fn private_bank(&self) -> PrivateBank {
        let redistributor = self.redistributor();
        PrivateBank {
            base: redistributor.map_or(0, |gicr| gicr.end::<{ gicd::SIZE }>().base()),
        }
    }

    #[inline]
    fn private(&self, bank: PrivateBank, mask: u32) -> PrivateState {
        frame(bank).map_or_else(PrivateState::default, |frame| frame.private(mask))
    }

    #[inline]
    fn change_private(&self, bank: PrivateBank, from: PrivateState, to: PrivateState) {
        if let Some(frame) = frame(bank) {
            frame.change_private(from, to);
        }
    }
}
