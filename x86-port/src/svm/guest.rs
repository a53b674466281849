//! A virtual CPU in AMD's form.

use super::exit;
use super::intercept::{exception, first, second};
use super::reset::{SVME, first_state};
use super::vmcb::Vmcb;
use crate::exit::Exit;
use crate::guest::{self, Beginning, Cause, Event, Instruction, Registers, Space, event};

/// RFLAGS.TF.
const TRAP: u64 = 1 << 8;
/// RFLAGS.IF.
const INTERRUPTS: u64 = 1 << 9;

/// Physical addresses of the maps that say which I/O ports and MSRs exit.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// I/O ports.
    pub io: u64,
    /// MSRs.
    pub msr: u64,
}

/// A virtual CPU. The assembly of the world switch knows where its block and its registers are.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Guest {
    vmcb: Vmcb,
    registers: Registers,
    /// What does not exit.
    pub permissions: Permissions,
    /// It shares its physical CPU.
    pub shares: bool,
    /// Components of the extended state that it cannot turn on.
    denied_state: u64,
}

const _: () = assert!(core::mem::offset_of!(Guest, registers) == 0x1000);

impl Guest {
    /// One that has not begun.
    pub const NEW: Self = Self {
        vmcb: Vmcb::ZERO,
        registers: Registers::ZERO,
        permissions: Permissions { io: 0, msr: 0 },
        shares: false,
        denied_state: 0,
    };
}

impl guest::Guest for Guest {
    #[inline]
    fn exited(&mut self) -> Exit {
        let control = &mut self.vmcb.control;
        control.tlb_control = 0;
        control.event_injection = again(control.exit_interrupt_info);
        exit::exit(&self.vmcb)
    }

    #[inline]
    fn cause(&self) -> Cause {
        exit::cause(&self.vmcb.control)
    }

    fn begin(&mut self, beginning: Beginning, space: Space) {
        let Vmcb { control, state } = &mut self.vmcb;
        *control = Vmcb::ZERO.control;
        control.intercept_first = first::ALL;
        control.intercept_second = second::ALL;
        if self.shares {
            control.intercept_first = first::SHARED;
            control.intercept_second = second::SHARED;
            control.intercept_exceptions = exception::SHARED;
            control.virtual_interrupt = virtual_interrupt::MASKING;
        }
        if self.denied_state != 0 {
            control.intercept_second |= second::XSETBV;
        }
        control.io_permissions = self.permissions.io;
        control.msr_permissions = self.permissions.msr;
        control.asid = u32::from(space.tag.get());
        // The only flush that every CPU has.
        control.tlb_control = 1;
        control.nested_paging = 1;
        control.nested_cr3 = space.root.get();
        self.registers = first_state(state, beginning);
    }

    fn restrict(&mut self, denied_state: u64, msr_map: u64) {
        self.denied_state = denied_state;
        self.permissions.msr = msr_map;
    }

    #[inline]
    fn pc(&self) -> u64 {
        self.vmcb.state.rip
    }

    #[inline]
    fn skip(&mut self, instruction: Instruction) {
        let Vmcb { control, state } = &mut self.vmcb;
        state.rip = exit::next(instruction, control, state.rip);
        // The instruction is done: what STI or a load of SS held back for it is held back no more.
        control.interrupt_shadow = 0;
        // Single-stepping sees each instruction (#DB, a trap).
        if state.rflags & TRAP != 0 {
            state.dr6 |= 1 << 14;
            control.event_injection = event::of(Event::Debug);
        }
    }

    #[inline]
    fn rax(&self) -> u64 {
        self.vmcb.state.rax
    }

    #[inline]
    fn set_rax(&mut self, value: u64) {
        self.vmcb.state.rax = value;
    }

    #[inline]
    fn registers(&mut self) -> &mut Registers {
        &mut self.registers
    }

    #[inline]
    fn is_user(&self) -> bool {
        self.vmcb.state.cpl != 0
    }

    #[inline]
    fn cr0(&self) -> u64 {
        self.vmcb.state.cr0
    }

    #[inline]
    fn cr4(&self) -> u64 {
        self.vmcb.state.cr4
    }

    #[inline]
    fn efer(&self) -> u64 {
        self.vmcb.state.efer & !SVME
    }

    #[inline]
    fn set_efer(&mut self, value: u64) {
        self.vmcb.state.efer = value | SVME;
    }

    #[inline]
    fn inject(&mut self, event: Event) {
        self.vmcb.control.event_injection = event::of(event);
    }

    #[inline]
    fn takes_event(&self) -> bool {
        self.vmcb.control.event_injection == 0
    }

    /// By IRET, which ends the handler of every such interrupt.
    fn watch_non_maskable(&mut self, on: bool) {
        let intercepts = &mut self.vmcb.control.intercept_first;
        if on {
            *intercepts |= first::IRET;
        } else {
            *intercepts &= !first::IRET;
        }
    }
}

impl guest::Shared for Guest {
    fn is_interruptible(&self) -> bool {
        self.vmcb.state.rflags & INTERRUPTS != 0
    }

    fn takes_interrupt(&self) -> bool {
        let Vmcb { control, state } = &self.vmcb;
        control.event_injection == 0
            && control.interrupt_shadow & 1 == 0
            && state.rflags & INTERRUPTS != 0
    }

    /// By a virtual interrupt that is never delivered: its interception comes before.
    fn watch_interrupts(&mut self, class: Option<u8>) {
        let control = &mut self.vmcb.control;
        control.virtual_interrupt &= !virtual_interrupt::REQUEST;
        control.intercept_first &= !first::VINTR;
        if let Some(class) = class {
            control.virtual_interrupt |= virtual_interrupt::request(class);
            control.intercept_first |= first::VINTR;
        }
    }

    fn task_class(&self) -> u8 {
        (self.vmcb.control.virtual_interrupt & virtual_interrupt::TPR) as u8
    }

    fn set_task_class(&mut self, class: u8) {
        let control = &mut self.vmcb.control.virtual_interrupt;
        *control = *control & !virtual_interrupt::TPR | u64::from(class) & virtual_interrupt::TPR;
    }
}

/// The virtual interrupt control (AMD APM volume 2, 15.21 and appendix B, offset 060h).
mod virtual_interrupt {
    /// CR8.
    pub const TPR: u64 = 0xf;
    /// V_IRQ, V_INTR_PRIO, V_INTR_VECTOR.
    pub const REQUEST: u64 = 1 << 8 | 0xf << 16 | 0xff << 32;
    /// The guest's interrupt flag is about virtual interrupts, and CR8 is virtual.
    pub const MASKING: u64 = 1 << 24;

    /// A virtual interrupt of this class.
    pub const fn request(class: u8) -> u64 {
        1 << 8 | (class as u64 & 0xf) << 16
    }
}

/// The event that was being delivered when the guest exited, to be delivered again. Bit 31 alone says whether there is one: QEMU leaves
/// older bits in the others.
#[inline]
const fn again(info: u64) -> u64 {
    if info & event::VALID == 0 { 0 } else { info }
}

#[cfg(test)]
mod tests {
    use model::{Pa, Vmid};

    use super::*;
    use crate::guest::{Guest as _, Shared as _};

    fn begun() -> Guest {
        let mut guest = Guest::NEW;
        guest.permissions.io = 0x1000;
        guest.restrict(0, 0x4000);
        let space = Space {
            tag: Vmid::new(3),
            root: Pa::new(0x7000),
        };
        let beginning = Beginning::Entry {
            pc: 0x10_0000,
            registers: Registers::ZERO,
        };
        guest.begin(beginning, space);
        guest
    }

    #[test]
    fn guest_begins_with_its_own_tables_and_without_old_translations() {
        let control = begun().vmcb.control;
        assert_eq!((control.asid, control.tlb_control), (3, 1));
        assert_eq!((control.nested_paging, control.nested_cr3), (1, 0x7000));
        assert_eq!(control.io_permissions, 0x1000);
        assert_eq!(control.msr_permissions, 0x4000);
        assert_eq!(control.intercept_first, first::ALL);
    }

    #[test]
    fn xsetbv_exits_where_a_component_is_denied() {
        assert_eq!(begun().vmcb.control.intercept_second, second::ALL);
        let mut guest = Guest::NEW;
        guest.restrict(0b100, 0x4000);
        let space = Space {
            tag: Vmid::new(3),
            root: Pa::new(0x7000),
        };
        guest.begin(Beginning::Page(1), space);
        let exits = guest.vmcb.control.intercept_second;
        assert_eq!(exits, second::ALL | 1 << 13);
    }

    #[test]
    fn only_a_valid_event_is_delivered_again() {
        let mut guest = begun();
        guest.vmcb.control.exit_interrupt_info = 0x0000_0b0d;
        guest.exited();
        assert!(guest.takes_event());
        guest.vmcb.control.exit_interrupt_info = 0x8000_0020;
        guest.exited();
        assert_eq!(guest.vmcb.control.event_injection, 0x8000_0020);
        assert!(!guest.takes_event());
    }

    #[test]
    fn cause_of_an_exit_is_its_code_and_whether_it_was_an_interrupt() {
        for (number, exit, interrupt) in [
            (0x60, Exit::Interrupt, true),
            (0x61, Exit::NonMaskable, true),
            (0x81, Exit::Hypercall, false),
            (u32::MAX, Exit::Refused, false),
        ] {
            let mut guest = begun();
            guest.vmcb.control.exit_code = number.into();
            let cause = Cause { number, interrupt };
            assert_eq!((guest.cause(), guest.exited()), (cause, exit));
        }
    }

    #[test]
    fn svme_is_always_set_and_never_shows() {
        let mut guest = begun();
        assert_eq!((guest.vmcb.state.efer, guest.efer()), (SVME, 0));
        guest.set_efer(1);
        assert_eq!((guest.vmcb.state.efer, guest.efer()), (SVME | 1, 1));
    }

    #[test]
    fn instruction_that_is_stepped_over_is_seen_by_who_steps() {
        let mut guest = begun();
        guest.vmcb.control.interrupt_shadow = 1;
        guest.skip(Instruction::Cpuid);
        assert_eq!((guest.pc(), guest.takes_event()), (0x10_0002, true));
        assert_eq!(guest.vmcb.control.interrupt_shadow, 0);
        guest.vmcb.state.rflags |= TRAP;
        guest.skip(Instruction::Cpuid);
        assert_eq!(guest.vmcb.control.event_injection, event::of(Event::Debug));
        assert_eq!(guest.vmcb.state.dr6 >> 14 & 1, 1);
    }

    /// One that shares its CPU and takes interrupts.
    fn shared() -> Guest {
        let mut guest = begun();
        guest.shares = true;
        let space = Space {
            tag: Vmid::new(3),
            root: Pa::new(0x7000),
        };
        guest.begin(Beginning::Page(1), space);
        guest.vmcb.state.rflags |= INTERRUPTS;
        guest
    }

    #[test]
    fn one_that_shares_its_cpu_exits_for_interrupts_and_halt() {
        let control = shared().vmcb.control;
        assert_eq!(control.intercept_first, first::ALL | 1 | 1 << 24);
        assert_eq!(control.intercept_second, second::ALL | 1 << 9);
        assert_eq!(control.intercept_exceptions, 1 << 1 | 1 << 17);
        assert_eq!(control.virtual_interrupt, 1 << 24);
        let alone = begun().vmcb.control;
        assert_eq!(
            (alone.virtual_interrupt, alone.intercept_exceptions),
            (0, 0)
        );
    }

    #[test]
    fn interrupt_waits_for_flag_shadow_and_other_events() {
        let mut guest = shared();
        assert!(guest.takes_interrupt());
        guest.vmcb.control.interrupt_shadow = 1;
        assert!(!guest.takes_interrupt() && guest.is_interruptible());
        guest.vmcb.control.interrupt_shadow = 0;
        guest.inject(Event::Protection);
        assert!(!guest.takes_interrupt());
        guest.inject(Event::Interrupt(0x40));
        assert_eq!(guest.vmcb.control.event_injection, 0x8000_0040);
        let mut guest = shared();
        guest.vmcb.state.rflags &= !INTERRUPTS;
        assert!(!guest.takes_interrupt() && !guest.is_interruptible());
    }

    #[test]
    fn window_is_a_virtual_interrupt_of_its_class_beside_cr8() {
        let mut guest = shared();
        guest.set_task_class(5);
        guest.watch_interrupts(Some(6));
        let control = &guest.vmcb.control;
        assert_eq!(control.virtual_interrupt, 1 << 24 | 6 << 16 | 1 << 8 | 5);
        assert_eq!(control.intercept_first, first::SHARED | 1 << 4);
        guest.watch_interrupts(None);
        let control = &guest.vmcb.control;
        assert_eq!(control.virtual_interrupt, 1 << 24 | 5);
        assert_eq!(control.intercept_first, first::SHARED);
        assert_eq!(guest.task_class(), 5);
    }

    #[test]
    fn iret_exits_while_a_non_maskable_interrupt_is_watched() {
        let mut guest = begun();
        guest.watch_non_maskable(true);
        assert_eq!(guest.vmcb.control.intercept_first, first::ALL | first::IRET);
        guest.watch_non_maskable(false);
        assert_eq!(guest.vmcb.control.intercept_first, first::ALL);
    }
}
