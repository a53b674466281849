//! Calls of a partition that may make all of them (`firmware_calls = true`): what Bulkhead does not implement itself goes on to the firmware.

use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::vcpu::Vcpu;

/// Passes on a call that nobody else has answered, if it is an SMC; false when the partition may not make it.
pub(super) fn pass_on<M: Machine>(vcpu: &mut Vcpu<M>, kind: ExitKind) -> bool {
    let [x0, ..] = vcpu.context.x;
    let passes =
        vcpu.partition.config.firmware_calls && kind == ExitKind::FirmwareCall && !is_power(x0);
    if passes {
        M::Cpu::firmware_call(&mut vcpu.context.x);
    }
    passes
}

/// True for every function of the ranges that PSCI owns: a guest never reaches the firmware's power management, whatever it is allowed.
const fn is_power(x0: u64) -> bool {
    let function = x0 as u32 & !0x4000_0000;
    function >= 0x8400_0000 && function <= 0x8400_001f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_functions_of_both_widths_never_reach_the_firmware() {
        assert!(is_power(0x8400_0008) && is_power(0xc400_000e) && is_power(0xff_c400_001f));
        assert!(!is_power(0x8400_0020) && !is_power(0xc200_0001));
    }
}
