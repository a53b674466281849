//! A virtual CPU has the hardware's, or a GICv2 CPU interface in software.

use gic::virt::{Access, CPU_INTERFACE_SIZE, CpuInterface};
use gic::{Announce, InterruptController, ListRegister, ListRegisters};
use model::Ipa;
use model::device::VirtualGic;

use crate::exit::{AbortCause, MmioAccess};
use crate::machine::{Cpu, Machine};
use crate::vcpu::Vcpu;

/// The list registers of a virtual CPU.
#[derive(Debug)]
pub enum Registers<'a, G> {
    /// Those of its pCPU.
    Hardware(G),
    /// Those of its interface in software.
    Software(&'a CpuInterface),
}

/// The interface of a virtual CPU.
#[derive(Debug)]
pub struct Interface {
    /// `None`: the hardware's.
    software: Option<Software>,
}

#[derive(Debug)]
struct Software {
    base: Ipa,
    interface: CpuInterface,
}

impl Interface {
    /// The interface that a guest with this interrupt controller needs.
    pub fn of(gic: &VirtualGic) -> Self {
        let software = match gic {
            VirtualGic::V2 {
                cpu_interface: base,
                emulated: true,
                ..
            } => Some(Software {
                base: *base,
                interface: CpuInterface::new(),
            }),
            _ => None,
        };
        Self { software }
    }

    /// The list registers to use; `hardware` has those of this pCPU.
    #[inline(always)]
    pub fn registers<G>(&self, hardware: G) -> Registers<'_, G> {
        match &self.software {
            None => Registers::Hardware(hardware),
            Some(software) => Registers::Software(&software.interface),
        }
    }

    /// Brings it to where a virtual CPU finds it when it starts.
    pub fn reset(&self, hardware: &impl InterruptController) {
        hardware.reset_virtual_interface();
        if let Some(software) = &self.software {
            hardware.withhold_virtual_interface();
            software.interface.reset();
        }
    }

    /// The hardware signals by itself; for an interface in software the lines are set as it wants them. Comes last before the guest is entered.
    #[inline(always)]
    pub fn signal<C: Cpu>(&self) {
        if let Some(software) = &self.software {
            C::signal(software.interface.lines());
        }
    }
}

/// An access to the virtual CPU's interface in software. False when it is not one.
pub fn access<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess) -> Result<bool, AbortCause> {
    let Some(software) = &vcpu.interface.software else {
        return Ok(false);
    };
    let offset = access.ipa.offset_from(software.base);
    let Some(offset) = offset.filter(|offset| *offset < CPU_INTERFACE_SIZE) else {
        return Ok(false);
    };
    access.aligned()?;
    let interface = &software.interface;
    if access.write {
        let value = vcpu.context.register(access.register) as u32;
        let physical = vcpu.physical();
        let stored = interface.store(offset as u32, access.width, value, vcpu.id, &physical);
        if let Access::Done(Some(beyond)) = stored {
            vcpu.with_gic(|gic, caller| gic.deactivate(beyond, caller) | gic.flush(caller));
        } else if stored == Access::Unknown {
            vcpu.partition.count_unknown_register();
        }
    } else {
        let loaded = match interface.load(offset as u32, access.width) {
            Access::Done(value) => value.into(),
            Access::Unknown => {
                vcpu.partition.count_unknown_register();
                0
            }
        };
        vcpu.context
            .set_register(access.register, access.loaded(loaded));
    }
    maintain(vcpu);
    Ok(true)
}

/// What hardware would raise a maintenance interrupt for is done at once.
fn maintain<M: Machine>(vcpu: &mut Vcpu<M>) {
    let wanted = vcpu
        .interface
        .software
        .as_ref()
        .is_some_and(|software| software.interface.wants_attention());
    if wanted {
        vcpu.maintain_interrupts();
    }
}

impl<G: ListRegisters> Registers<'_, G> {
    #[inline(always)]
    fn either(&self) -> &dyn ListRegisters {
        match self {
            Self::Hardware(registers) => registers,
            Self::Software(registers) => *registers,
        }
    }
}

impl<G: ListRegisters> ListRegisters for Registers<'_, G> {
    fn count(&self) -> usize {
        self.either().count()
    }
    fn empty(&self) -> u64 {
        self.either().empty()
    }
    fn read(&self, index: usize) -> ListRegister {
        self.either().read(index)
    }
    fn write(&self, index: usize, register: ListRegister) {
        self.either().write(index, register);
    }
    fn image(&self, index: usize, register: ListRegister) -> Option<u64> {
        self.either().image(index, register)
    }
    fn write_image(&self, index: usize, image: u64) {
        self.either().write_image(index, image);
    }
    fn announce(&self, what: Announce) {
        self.either().announce(what);
    }
    fn running_priority(&self) -> u8 {
        self.either().running_priority()
    }
    fn splits_ends(&self) -> bool {
        self.either().splits_ends()
    }
}
