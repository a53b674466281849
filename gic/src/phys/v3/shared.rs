//! Turns of several virtual CPUs on one physical CPU.

use super::{GicV3, active_priorities, gicd, sysreg};
use crate::{InterfaceState, PrivateState, SharedInterface};

impl SharedInterface for GicV3 {
    fn save_virtual_interface(&self, state: &mut InterfaceState) {
        let vtr = sysreg::ich_vtr::read();
        state.live = !sysreg::ich_elrsr::read() as u16;
        state.control = sysreg::ich_hcr::read();
        state.machine = sysreg::ich_vmcr::read();
        let registers = state.list_registers.iter_mut().enumerate();
        for (index, register) in registers.take(Self::list_registers(vtr)) {
            *register = sysreg::ich_lr::read(index);
        }
        let [group0, group1] = &mut state.active_priorities;
        let registers = group0.iter_mut().zip(group1).enumerate();
        for (index, (group0, group1)) in registers.take(active_priorities(vtr)) {
            *group0 = sysreg::ich_ap0r::read(index);
            *group1 = sysreg::ich_ap1r::read(index);
        }
    }

    fn restore_virtual_interface(&self, state: &InterfaceState) {
        let vtr = sysreg::ich_vtr::read();
        let registers = state.list_registers.iter().enumerate();
        for (index, register) in registers.take(Self::list_registers(vtr)) {
            sysreg::ich_lr::write(index, *register);
        }
        let [group0, group1] = &state.active_priorities;
        let registers = group0.iter().zip(group1).enumerate();
        for (index, (group0, group1)) in registers.take(active_priorities(vtr)) {
            sysreg::ich_ap0r::write(index, *group0);
            sysreg::ich_ap1r::write(index, *group1);
        }
        sysreg::ich_vmcr::write(state.machine);
        sysreg::ich_hcr::write(state.control);
    }

    fn set_private(&self, state: PrivateState) {
        if let Some(gicr) = self.redistributor() {
            gicr.end::<{ gicd::SIZE }>().set_private(state);
        }
    }
}
