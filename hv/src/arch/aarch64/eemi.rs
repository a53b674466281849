//! Calls to the platform management firmware of a Zynq UltraScale+ (EEMI, UG1200) by a partition that may change what its own devices have, and nothing
//! else.
//!
//! The first argument of a call names a node, clock, reset or pin. What changes one is passed on when it is the partition's alone; what only turns one on, when others
//! use it, too; what only reads, always. Everything else is refused as the firmware would refuse it to a stranger, calls that this list does not have
//! included.

use model::firmware::Eemi;

use crate::machine::{Cpu, Machine};
use crate::vcpu::Vcpu;

/// Function identifiers of the firmware's own services, with 32-bit and 64-bit arguments (DEN 0028, 6.1); which one is in the lower half.
const SERVICES: [u32; 2] = [0x8200_0000, 0xc200_0000];
/// What the caller may not do (Linux, `include/linux/firmware/xlnx-zynqmp.h`: `XST_PM_NO_ACCESS`).
const NO_ACCESS: u64 = 2002;

/// Answers a call to the firmware's own services; false when it is to something else, or when the partition's calls are not filtered.
pub(super) fn call<M: Machine>(vcpu: &mut Vcpu<M>) -> bool {
    let Some(owned) = vcpu.partition.config.eemi else {
        return false;
    };
    // Firmware looks at the lower half of x0 alone (DEN 0028, 3.1).
    let function = vcpu.context.x[0] as u32;
    if !SERVICES.contains(&(function & 0xffff_0000)) {
        return false;
    }
    match is_allowed(function, vcpu.context.x[1], owned) {
        true => M::Cpu::firmware_call(&mut vcpu.context.x),
        false => vcpu.context.set_register(0, NO_ACCESS),
    }
    true
}

/// Whether a call may reach the firmware. `arguments` is x1: the first one in its lower half, the second one in its upper.
fn is_allowed(function: u32, arguments: u64, owned: &Eemi) -> bool {
    let (first, second) = (arguments as u32, (arguments >> 32) as u32);
    let of = |list: &[u32]| list.binary_search(&first).is_ok();
    // How many calls there are, the service's identity and its version.
    if matches!(function, 0x8200_ff00 | 0x8200_ff01 | 0x8200_ff03) {
        return true;
    }
    if function & 0xffff_0000 != SERVICES[1] {
        return false;
    }
    // Linux, as above: `enum pm_api_id`.
    match function & 0xffff {
        // PM_API_FEATURES, GET_API_VERSION, GET_NODE_STATUS, RESET_GET_STATUS, GET_CHIPID, PINCTRL_GET_FUNCTION, PINCTRL_CONFIG_PARAM_GET, QUERY_DATA,
        // CLOCK_GETSTATE, CLOCK_GETDIVIDER, CLOCK_GETRATE, CLOCK_GETPARENT, FEATURE_CHECK, GET_TRUSTZONE_VERSION: these read.
        0 | 1 | 3 | 18 | 24 | 30 | 32 | 35 | 38 | 40 | 42 | 44 | 63 | 0xa03 => true,
        // REQUEST_NODE, CLOCK_ENABLE.
        13 => of(owned.nodes) || of(owned.shared_nodes),
        36 => of(owned.clocks) || of(owned.shared_clocks),
        // RELEASE_NODE, SET_REQUIREMENT.
        14 | 15 => of(owned.nodes),
        // RESET_ASSERT.
        17 => of(owned.resets),
        // PINCTRL_REQUEST, RELEASE, SET_FUNCTION, CONFIG_PARAM_SET.
        28 | 29 | 31 | 33 => of(owned.pins),
        // CLOCK_DISABLE, SETDIVIDER, SETRATE, SETPARENT.
        37 | 39 | 41 | 43 => of(owned.clocks),
        // IOCTL: GET_PLL_FRAC_MODE and DATA read; SD_DLL_RESET, SET_SD_TAPDELAY, SET_SD_CONFIG and SET_GEM_CONFIG change a node.
        34 => match second {
            9 | 11 => true,
            6 | 7 | 30 | 31 => of(owned.nodes),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
