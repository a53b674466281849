//! Every virtual CPU of the system has its own pCPU.

use hv::vcpu::{Hypervisor, Vcpu};

use crate::machine::Board;

/// No scheduler is put together.
pub const LARGEST: usize = 0;

/// Gives each of `vcpus` to `dedicated`. `None` when that fails.
pub fn prepare(
    _hypervisor: &'static Hypervisor<Board>,
    vcpus: impl Iterator<Item = &'static mut Vcpu<Board>>,
    mut dedicated: impl FnMut(&'static mut Vcpu<Board>) -> Option<()>,
) -> Option<()> {
    for vcpu in vcpus {
        dedicated(vcpu)?;
    }
    Some(())
}

/// No pCPU is shared.
pub const fn first_turn(_pcpu: usize) -> Option<&'static mut Vcpu<Board>> {
    None
}
