//! A virtual CPU in Intel's form.

use core::sync::atomic::{AtomicU32, Ordering};

use super::controls::{Controls, NMI_WINDOW, shared};
use super::exit::{self, reason};
use super::field::{Vmcs, control, guest as state, information};
use super::{ept, reset};
use crate::exit::Exit;
use crate::guest::{self, Beginning, Cause, Event, Instruction, Registers, Space, event};
use crate::policy::xcr0;
use crate::svm::reset::first_state;
use crate::svm::vmcb::Vmcb;

/// RFLAGS.TF and IF.
const TRAP: u64 = 1 << 8;
const INTERRUPTS: u64 = 1 << 9;
/// CR0.PE, and CR0.NE, which must be 1 under VMX (Intel SDM volume 3, A.7). The guest sees the one that it has written.
const PROTECTED: u64 = 1 << 0;
const NUMERIC_ERROR: u64 = 1 << 5;
/// CR4.VMXE, which must be 1 under VMX, and of which no guest is to know.
const VMXE: u64 = 1 << 13;

/// What holds events back (25.4.2).
mod held {
    /// STI and loads of SS, for an instruction.
    pub const BY_INSTRUCTION: u64 = 0b11;
    /// A non-maskable interrupt that is being handled.
    pub const BY_NMI: u64 = 1 << 3;
}

/// The page in which a guest that shares its CPU has its task priority (30.1.1).
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct VirtualApic([AtomicU32; 1024]);

impl VirtualApic {
    /// As after reset.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self([const { AtomicU32::new(0) }; 1024]);

    fn task_priority(&self) -> &AtomicU32 {
        #[allow(clippy::indexing_slicing, reason = "within the page")]
        &self.0[0x80 / 4]
    }
}

/// What a virtual CPU is set up with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The CPU's controls.
    pub controls: Controls,
    /// What XCR0 may name on this CPU.
    pub xcr0: u64,
    /// Where it has its task priority, if it shares its CPU.
    pub shares: Option<&'static VirtualApic>,
}

/// How an attempt to enter a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The guest has exited, or its state was refused.
    Exited,
    /// The physical CPU was called before.
    Called,
    /// The CPU does not take the control structure.
    Failed,
}

/// A virtual CPU. The assembly of the world switch knows where its registers are.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Guest<V> {
    rax: u64,
    registers: Registers,
    vmcs: V,
    setup: Setup,
    /// The last one, by who enters.
    pub attempt: Attempt,
    /// A non-maskable interrupt that an instruction holds back.
    held: bool,
    /// Components of the extended state that it cannot turn on.
    denied_state: u64,
    /// Physical address of the bitmap of MSRs.
    msr_bitmap: u64,
}

impl<V: Vmcs> Guest<V> {
    /// One that has not begun.
    pub const fn new(vmcs: V, setup: Setup) -> Self {
        Self {
            rax: 0,
            registers: Registers::ZERO,
            vmcs,
            setup,
            attempt: Attempt::Called,
            held: false,
            denied_state: 0,
            msr_bitmap: 0,
        }
    }

    /// Has the guest exit after so many ticks of the time stamp counter, and at most a count of the timer later.
    pub fn limit(&mut self, ticks: u64) {
        let counts = (ticks >> self.setup.controls.timer_shift).saturating_add(1);
        let counts = u32::try_from(counts).unwrap_or(u32::MAX);
        self.vmcs.write(state::TIMER, counts.into());
    }

    /// Its control structure.
    pub const fn structure(&mut self) -> &mut V {
        &mut self.vmcs
    }

    /// Why a guest that was entered has exited.
    fn reason(&mut self) -> Exit {
        let (number, failed) = exit::number(&self.vmcs);
        if failed {
            return Exit::Refused;
        }
        self.deliver_again(number);
        match number {
            reason::CONTROL_REGISTER => self.control_register(),
            reason::XSETBV => self.set_xcr0(),
            reason::NMI_WINDOW if self.held => {
                self.held = false;
                self.inject_now(event::of(Event::NonMaskable));
                Exit::Answered
            }
            _ => self.asked(),
        }
    }

    fn asked(&mut self) -> Exit {
        let exit = exit::exit(&self.vmcs);
        if exit == Exit::Exception(Event::Debug) {
            /// Which breakpoints, a register that was touched, a step.
            const REASONS: u64 = 0b1111 | 1 << 13 | 1 << 14;
            let qualification = self.vmcs.read(information::QUALIFICATION);
            self.vmcs.add_to_dr6(qualification & REASONS);
        }
        exit
    }

    fn control(&mut self, field: u32, bits: u32, on: bool) {
        let (value, bits) = (self.vmcs.read(field), u64::from(bits));
        let value = if on { value | bits } else { value & !bits };
        self.vmcs.write(field, value);
    }

    fn deliver_again(&mut self, number: u32) {
        let vectoring = self.vmcs.read(information::VECTORING);
        let blocked = self.vmcs.read(state::INTERRUPTIBILITY);
        if vectoring & event::VALID != 0 {
            let code = self.vmcs.read(information::VECTORING_CODE);
            let length = self.vmcs.read(information::LENGTH);
            self.vmcs.write(control::EVENT_CODE, code);
            self.vmcs.write(control::EVENT_LENGTH, length);
            self.vmcs.write(control::EVENT, again(vectoring));
            if event::kind(vectoring) == event::NMI {
                // Its delivery blocks the next one, and did so before.
                let blocked = blocked & !held::BY_NMI;
                self.vmcs.write(state::INTERRUPTIBILITY, blocked);
            }
            return;
        }
        /// An IRET that ended the handler was what exited (28.2.3): it has not ended it.
        const BY_IRET: u64 = 1 << 12;
        let qualification = self.vmcs.read(information::QUALIFICATION);
        if number == reason::EPT_VIOLATION && qualification & BY_IRET != 0 {
            let blocked = blocked | held::BY_NMI;
            self.vmcs.write(state::INTERRUPTIBILITY, blocked);
        }
    }

    /// A write to CR0 that changes NE, or to CR4 that sets VMXE: no other access exits.
    fn control_register(&mut self) -> Exit {
        let qualification = self.vmcs.read(information::QUALIFICATION);
        match (qualification & 0xf, qualification >> 4 & 3) {
            // It will be executed again, and exit no more: the guest's NE is what the instruction writes.
            (0, 0) => {
                let shadow = self.vmcs.read(control::CR0_SHADOW) ^ NUMERIC_ERROR;
                self.vmcs.write(control::CR0_SHADOW, shadow);
            }
            (4, 0) => guest::Guest::inject(self, Event::Protection),
            _ => return Exit::Unexpected(reason::CONTROL_REGISTER),
        }
        Exit::Answered
    }

    fn set_xcr0(&mut self) -> Exit {
        let value = guest::Guest::edx_eax(self);
        let allowed = self.setup.xcr0 & !self.denied_state;
        if self.registers.rcx as u32 == 0 && xcr0::is_valid(value, allowed) {
            self.vmcs.set_xcr0(value);
            guest::Guest::skip(self, Instruction::ExtendedState);
        } else {
            guest::Guest::inject(self, Event::Protection);
        }
        Exit::Answered
    }

    fn inject_now(&mut self, event: u64) {
        self.vmcs.write(control::EVENT_CODE, 0);
        self.vmcs.write(control::EVENT, event);
    }

    fn is_protected(&self) -> bool {
        self.vmcs.read(state::CR0) & PROTECTED != 0
    }
}

impl<V: Vmcs> guest::Guest for Guest<V> {
    fn exited(&mut self) -> Exit {
        // What was to be delivered by an entry that did not happen still is.
        let exit = match self.attempt {
            Attempt::Exited => self.reason(),
            Attempt::Called => return Exit::NonMaskable,
            Attempt::Failed => Exit::Refused,
        };
        if exit == Exit::NonMaskable {
            self.vmcs.take_nmi();
        }
        exit
    }

    fn cause(&self) -> Cause {
        match self.attempt {
            Attempt::Exited => exit::cause(&self.vmcs),
            // What the control structure says is about an exit before.
            Attempt::Called => Cause {
                number: reason::EVENT,
                interrupt: true,
            },
            Attempt::Failed => Cause {
                number: reason::NOT_ENTERED,
                interrupt: false,
            },
        }
    }

    fn restrict(&mut self, denied_state: u64, msr_map: u64) {
        self.denied_state = denied_state;
        self.msr_bitmap = msr_map;
    }

    fn begin(&mut self, beginning: Beginning, space: Space) {
        let mut first = Vmcb::ZERO.state;
        self.registers = first_state(&mut first, beginning);
        (self.rax, self.held) = (0, false);
        let controls = self.setup.controls;
        let vpid = if controls.has_vpid() {
            space.tag.get()
        } else {
            0
        };
        let vmcs = &mut self.vmcs;
        reset::load(vmcs, &first);
        for field in control::ZERO {
            vmcs.write(field, 0);
        }
        for (field, value) in [
            (control::PIN, controls.pin.into()),
            (control::PRIMARY, controls.primary.into()),
            (control::SECONDARY, controls.secondary.into()),
            (control::EXIT, controls.exit.into()),
            (control::ENTRY, controls.entry.into()),
            (control::EXCEPTIONS, 0),
            (control::EVENT, 0),
            (control::MSR_BITMAP, self.msr_bitmap),
            (control::EPT_POINTER, ept::pointer(space.root)),
            (control::CR0_MASK, NUMERIC_ERROR),
            (control::CR0_SHADOW, first.cr0),
            (state::CR0, first.cr0 | NUMERIC_ERROR),
            (control::CR4_MASK, VMXE),
            (control::CR4_SHADOW, 0),
            (state::CR4, VMXE),
        ] {
            vmcs.write(field, value);
        }
        if vpid != 0 {
            vmcs.write(control::VPID, vpid.into());
        }
        vmcs.renew(vpid);
        if let Some(apic) = self.setup.shares {
            self.control(control::PIN, shared::PIN, true);
            self.control(control::PRIMARY, shared::PRIMARY, true);
            self.control(control::SECONDARY, shared::SECONDARY, true);
            self.control(control::EXCEPTIONS, shared::EXCEPTIONS, true);
            self.vmcs.write(control::THRESHOLD, 0);
            let page = (&raw const *apic) as u64;
            self.vmcs.write(control::VIRTUAL_APIC, page);
            guest::Shared::set_task_class(self, 0);
        }
    }

    fn pc(&self) -> u64 {
        self.vmcs.read(state::RIP)
    }

    /// The CPU says how long the instruction is, whichever it is.
    fn skip(&mut self, _instruction: Instruction) {
        let next = self.pc().wrapping_add(self.vmcs.read(information::LENGTH));
        self.vmcs.write(state::RIP, next);
        // The instruction is done: what STI or a load of SS held back for it is held back no more.
        let blocked = self.vmcs.read(state::INTERRUPTIBILITY) & !held::BY_INSTRUCTION;
        self.vmcs.write(state::INTERRUPTIBILITY, blocked);
        // Single-stepping sees each instruction (#DB, a trap).
        if self.vmcs.read(state::RFLAGS) & TRAP != 0 {
            self.vmcs.write(state::PENDING_DEBUG, 1 << 14);
        }
    }

    fn rax(&self) -> u64 {
        self.rax
    }

    fn set_rax(&mut self, value: u64) {
        self.rax = value;
    }

    fn registers(&mut self) -> &mut Registers {
        &mut self.registers
    }

    fn is_user(&self) -> bool {
        self.vmcs.read(state::SS_RIGHTS) >> 5 & 3 != 0
    }

    fn cr0(&self) -> u64 {
        let shadow = self.vmcs.read(control::CR0_SHADOW) & NUMERIC_ERROR;
        self.vmcs.read(state::CR0) & !NUMERIC_ERROR | shadow
    }

    fn cr4(&self) -> u64 {
        self.vmcs.read(state::CR4) & !VMXE
    }

    fn efer(&self) -> u64 {
        self.vmcs.read(state::EFER)
    }

    fn set_efer(&mut self, value: u64) {
        self.vmcs.write(state::EFER, value);
    }

    fn inject(&mut self, what: Event) {
        let event = match what {
            // In real mode exceptions have no error code (27.2.1.3).
            Event::Protection if !self.is_protected() => event::of(what) & !event::WITH_CODE,
            _ => event::of(what),
        };
        let blocked = self.vmcs.read(state::INTERRUPTIBILITY);
        if what == Event::NonMaskable && blocked & held::BY_INSTRUCTION != 0 {
            self.held = true;
        } else {
            self.inject_now(event);
        }
    }

    fn takes_event(&self) -> bool {
        self.vmcs.read(control::EVENT) & event::VALID == 0 && !self.held
    }

    fn watch_non_maskable(&mut self, on: bool) {
        self.control(control::PRIMARY, NMI_WINDOW, on);
    }
}

impl<V: Vmcs> guest::Shared for Guest<V> {
    fn is_interruptible(&self) -> bool {
        self.vmcs.read(state::RFLAGS) & INTERRUPTS != 0
    }

    fn takes_interrupt(&self) -> bool {
        let blocked = self.vmcs.read(state::INTERRUPTIBILITY) & held::BY_INSTRUCTION != 0;
        guest::Guest::takes_event(self) && self.is_interruptible() && !blocked
    }

    /// By a window while the class is above CR8, and by the threshold while it is not.
    fn watch_interrupts(&mut self, class: Option<u8>) {
        let above = class.filter(|class| *class > self.task_class());
        let threshold = class.filter(|_| above.is_none()).unwrap_or(0);
        self.control(control::PRIMARY, shared::WINDOW, above.is_some());
        self.vmcs.write(control::THRESHOLD, threshold.into());
    }

    fn task_class(&self) -> u8 {
        let priority = |apic: &VirtualApic| apic.task_priority().load(Ordering::Relaxed);
        self.setup
            .shares
            .map_or(0, |apic| (priority(apic) >> 4) as u8 & 0xf)
    }

    fn set_task_class(&mut self, class: u8) {
        if let Some(apic) = self.setup.shares {
            let priority = u32::from(class & 0xf) << 4;
            apic.task_priority().store(priority, Ordering::Relaxed);
        }
    }
}

/// The event that was being delivered when the guest exited, to be delivered again: bit 12 is undefined there (25.9.3).
const fn again(vectoring: u64) -> u64 {
    vectoring & (event::VALID | 0xfff)
}

#[cfg(test)]
mod tests;
