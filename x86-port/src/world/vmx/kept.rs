//! Virtual CPUs that share a pCPU under VMX: each has a control structure of its own, and what no structure holds is moved by a switch.

use core::arch::asm;

use static_cell::{ConstStaticCell, StaticCell};
use x86_64::registers::model_specific::Msr;
use x86_port::vmx::controls::Controls;
use x86_port::vmx::guest::{Guest, Setup, VirtualApic};

use super::{Current, KEPT_BY_CPU, Page, SETUP};
use crate::early::stop;
use crate::seat::VCPUS;
use crate::world::SharedWorld;

/// Registers of a guest that stay in the CPU between its exits. TSC_AUX and the vector registers are moved with those of every vendor.
pub struct Kept {
    registers: [u64; KEPT_BY_CPU.len()],
    cr2: u64,
    dr6: u64,
}

impl Kept {
    /// As after reset.
    pub const NEW: Self = Self {
        registers: [0; KEPT_BY_CPU.len()],
        cr2: 0,
        dr6: 0xffff_0ff0,
    };

    fn save(&mut self) {
        // SAFETY: the hypervisor uses none of them, and every CPU with long mode has them.
        unsafe {
            for (value, register) in self.registers.iter_mut().zip(KEPT_BY_CPU) {
                *value = Msr::new(register).read();
            }
            asm!("mov {}, cr2", "mov {}, dr6", out(reg) self.cr2, out(reg) self.dr6, options(nostack, nomem));
        }
    }

    fn load(&self) {
        // SAFETY: as in `save`; they are what a guest had.
        unsafe {
            for (value, register) in self.registers.iter().zip(KEPT_BY_CPU) {
                Msr::new(register).write(*value);
            }
            asm!("mov cr2, {}", "mov dr6, {}", in(reg) self.cr2, in(reg) self.dr6, options(nostack, nomem));
        }
    }
}

static GUESTS: [StaticCell<Guest<Current>>; VCPUS] = [const { StaticCell::new() }; VCPUS];
static STRUCTURES: [ConstStaticCell<Page>; VCPUS] =
    [const { ConstStaticCell::new(Page([0; 1024])) }; VCPUS];
static APICS: [VirtualApic; VCPUS] = [VirtualApic::NEW; VCPUS];

/// Stops where the CPU cannot be shared. Called once, by the boot CPU.
pub fn prepare(controls: &Controls) {
    if !controls.can_share {
        stop(format_args!(
            "this CPU cannot be shared: VMX lacks interrupt windows, exits for interrupts, HLT or WBINVD, the preemption timer, or a virtual task priority"
        ));
    }
}

impl SharedWorld for Guest<Current> {
    fn sharing(place: usize) -> Option<&'static mut Self> {
        let setup = Setup {
            shares: Some(APICS.get(place)?),
            ..*SETUP.get()?
        };
        let page = STRUCTURES.get(place)?.take();
        // SAFETY: this is a pCPU that `enable` has run on: its guests are asked for by itself.
        let current = unsafe { Current::make(page, setup.controls.revision)? };
        Some(GUESTS.get(place)?.init(Guest::new(current, setup)))
    }

    /// By the preemption timer. Bochs needs it: it forgets an interrupt that waits while a guest is entered that takes none.
    fn limit(&mut self, ticks: u64) {
        Self::limit(self, ticks);
    }

    fn put_down(&mut self) {
        self.structure().kept.save();
    }

    fn take_up(&mut self) {
        let Current { page, kept, .. } = self.structure();
        let address = &raw const **page;
        // SAFETY: the page is a control structure that `sharing` made on this CPU, which takes it again.
        unsafe { asm!("vmptrld [{}]", in(reg) &raw const address) };
        kept.load();
    }
}
