//! CPUID, RDMSR and WRMSR.

use x86_port::guest::{Event, Instruction};
use x86_port::policy::cpuid::{self, Virtual};
use x86_port::policy::efer;
use x86_port::policy::msr::{self, Access};
use x86_port::policy::xcr0;

use crate::run::{Next, Vcpu};
use crate::world::World;
use crate::{apic, cpu};

/// CR4.OSXSAVE.
const OS_XSAVE: u64 = 1 << 18;

impl<G: World> Vcpu<G> {
    /// What its CPU is, beside what the physical one is.
    #[inline]
    pub fn own(&self) -> Virtual<'static> {
        Virtual {
            apic: self.apic,
            tsc_khz: cpu::tsc_khz(),
            apic_khz: self.apic_khz,
            policy: &self.config.cpu_policy,
            os_xsave: self.guest.cr4() & OS_XSAVE != 0,
        }
    }

    pub fn cpuid(&mut self) -> Next {
        let leaf = self.guest.rax() as u32;
        let subleaf = self.guest.registers().rcx as u32;
        let own = self.own();
        let answer = cpuid::guest(leaf, subleaf, cpu::cpuid(leaf, subleaf), &own);
        self.guest.set_rax(answer.eax.into());
        let registers = self.guest.registers();
        registers.rbx = answer.ebx.into();
        registers.rcx = answer.ecx.into();
        registers.rdx = answer.edx.into();
        self.guest.skip(Instruction::Cpuid);
        Next::GoOn
    }

    /// XSETBV. A program's, and one without OSXSAVE, are errors before they exit.
    #[cold]
    pub fn extended_state(&mut self) -> Next {
        let value = self.guest.edx_eax();
        let index = self.guest.registers().rcx as u32;
        let components = cpu::cpuid(xcr0::LEAF, 0);
        let supported = u64::from(components.edx) << 32 | u64::from(components.eax);
        let allowed = supported & !self.config.cpu_policy.denied_state;
        if index != 0 || self.guest.is_user() || !xcr0::is_valid(value, allowed) {
            return self.inject(Event::Protection);
        }
        // SAFETY: the value is one that this CPU takes, and the guest, which has executed the instruction, has it.
        unsafe { cpu::set_guest_xcr0(value) };
        self.guest.skip(Instruction::ExtendedState);
        Next::GoOn
    }

    pub fn read_msr(&mut self) -> Next {
        let index = self.guest.registers().rcx as u32;
        let value = match (msr::access(index, false), index) {
            (Access::Emulated, msr::APIC_BASE) => msr::apic_base(self.number == 0),
            (Access::Emulated, msr::EFER) => self.guest.efer(),
            (Access::Emulated, msr::MISC_ENABLE) => msr::MISC_ENABLED,
            (Access::Nothing, _) => 0,
            _ => return self.inject(Event::Protection),
        };
        self.guest.set_edx_eax(value);
        self.guest.skip(Instruction::Msr);
        Next::GoOn
    }

    pub fn write_msr(&mut self) -> Next {
        let index = self.guest.registers().rcx as u32;
        let value = self.guest.edx_eax();
        match (msr::access(index, true), index) {
            (Access::Emulated, msr::APIC_BASE) if value == msr::apic_base(self.number == 0) => {}
            (Access::Emulated, msr::EFER) => {
                // Leaf 8000_0001h, EDX: fast FXSAVE.
                let has_ffxsr = cpu::cpuid(0x8000_0001, 0).edx >> 25 & 1 != 0;
                let (old, cr0) = (self.guest.efer(), self.guest.cr0());
                match efer::write(old, value, cr0, has_ffxsr) {
                    Some(efer) => self.guest.set_efer(efer),
                    None => return self.inject(Event::Protection),
                }
            }
            (Access::Emulated, msr::TIMER) => match msr::timer_entry(value) {
                Some(entry) => apic::set_timer(entry),
                None => return self.inject(Event::Protection),
            },
            (Access::Emulated, msr::ICR) => self.command(value),
            (Access::Nothing, _) => {}
            _ => return self.inject(Event::Protection),
        }
        self.guest.skip(Instruction::Msr);
        Next::GoOn
    }
}
