//! Every virtual CPU of the image has the hardware's.

use gic::InterruptController;
use model::device::VirtualGic;

use crate::exit::{AbortCause, MmioAccess};
use crate::machine::{Cpu, Machine};
use crate::vcpu::Vcpu;

/// The list registers of a virtual CPU.
pub type Registers<'a, G> = G;

/// The interface of a virtual CPU.
#[derive(Debug)]
pub struct Interface;

impl Interface {
    /// The interface that a guest with this interrupt controller needs.
    pub const fn of(_gic: &VirtualGic) -> Self {
        Self
    }

    /// The list registers to use; `hardware` has those of this pCPU.
    #[inline(always)]
    pub fn registers<G>(&self, hardware: G) -> Registers<'_, G> {
        hardware
    }

    /// Brings it to where a virtual CPU finds it when it starts.
    pub fn reset(&self, hardware: &impl InterruptController) {
        hardware.reset_virtual_interface();
    }

    /// The hardware signals by itself.
    #[inline(always)]
    pub fn signal<C: Cpu>(&self) {}
}

/// No CPU interface is in memory.
pub fn access<M: Machine>(_vcpu: &mut Vcpu<M>, _access: MmioAccess) -> Result<bool, AbortCause> {
    Ok(false)
}
