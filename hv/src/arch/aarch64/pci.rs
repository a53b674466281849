//! A guest's accesses to the configuration space of its PCI functions.

use crate::exit::{AbortCause, MmioAccess};
use crate::machine::{Cpu, Machine};
use crate::pci::{self, Place};
use crate::vcpu::Vcpu;

/// An access to configuration space. False when the partition sees none there.
pub(super) fn access<M: Machine>(
    vcpu: &mut Vcpu<M>,
    access: MmioAccess,
) -> Result<bool, AbortCause> {
    let functions = vcpu.machine().pci();
    let Some(place) = pci::place(functions, vcpu.partition.id, access.ipa) else {
        return Ok(false);
    };
    access.aligned()?;
    let now = M::Cpu::now();
    match (place, access.write) {
        (Place::Register(function, offset), true) => {
            let value = vcpu.context.register(access.register);
            function.write(offset, access.width, value, now);
        }
        (Place::Register(function, offset), false) => {
            let value = access.loaded(function.read(offset, access.width, now));
            vcpu.context.set_register(access.register, value);
        }
        (Place::Nothing, true) => {}
        // Nobody answers (PCI Local Bus 3.0, 6.1).
        (Place::Nothing, false) => {
            let value = access.loaded(u64::MAX);
            vcpu.context.set_register(access.register, value);
        }
    }
    Ok(true)
}
