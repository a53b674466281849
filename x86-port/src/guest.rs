//! A virtual CPU as what handles its exits sees it: the seam between that and a vendor's extension.

use model::x86::{Handover, Partition};
use model::{Pa, Vmid};

use crate::exit::Exit;

/// A virtual CPU's state, in the form that a vendor's extension has for it.
///
/// Everything here is about the time between an exit and the next entry.
pub trait Guest {
    /// Says why the guest has exited, and has the event that was being delivered then delivered again. Called once after each exit.
    fn exited(&mut self) -> Exit;

    /// The last exit as the trace has it: asked before [`exited`](Self::exited), and never in an image without the trace.
    fn cause(&self) -> Cause;

    /// Has it take no value of XCR0 with one of these components, and reach the MSRs that the [map](crate::policy::msr::Map) at this physical address
    /// opens. Holds from the next [`begin`](Self::begin) on.
    fn restrict(&mut self, denied_state: u64, msr_map: u64);

    /// Puts the CPU into its first state. No translation of who used `space`'s tag before is left.
    fn begin(&mut self, beginning: Beginning, space: Space);

    /// Address of the instruction that exited.
    fn pc(&self) -> u64;

    /// Goes on behind the instruction that exited, which is the one named. A guest that steps gets its debug exception.
    fn skip(&mut self, instruction: Instruction);

    /// RAX.
    fn rax(&self) -> u64;

    /// Sets RAX.
    fn set_rax(&mut self, value: u64);

    /// The other general registers.
    fn registers(&mut self) -> &mut Registers;

    /// EDX and EAX as one value.
    #[inline]
    fn edx_eax(&mut self) -> u64 {
        self.registers().rdx << 32 | self.rax() & 0xffff_ffff
    }

    /// Sets EDX and EAX, and the upper halves of their registers to 0.
    #[inline]
    fn set_edx_eax(&mut self, value: u64) {
        self.set_rax(value & 0xffff_ffff);
        self.registers().rdx = value >> 32;
    }

    /// It executes at a privilege level other than 0.
    fn is_user(&self) -> bool;

    /// CR0.
    fn cr0(&self) -> u64;

    /// CR4, as the guest sees it.
    fn cr4(&self) -> u64;

    /// EFER, as the guest sees it.
    fn efer(&self) -> u64;

    /// Sets EFER to a value that [`policy::efer`](crate::policy::efer) has passed.
    fn set_efer(&mut self, value: u64);

    /// Has the next entry deliver an event, in the place of another that was to be.
    fn inject(&mut self, event: Event);

    /// The next entry can deliver an event: none is there yet, and nothing holds it back.
    fn takes_event(&self) -> bool;

    /// Whether the end of a non-maskable interrupt's handler exits ([`NonMaskableDone`](crate::exit::Exit::NonMaskableDone)).
    fn watch_non_maskable(&mut self, on: bool);
}

/// A virtual CPU that can share a physical one: the physical CPU's interrupts exit, its own are virtual, and so is its wait for them.
pub trait Shared: Guest {
    /// The guest's interrupt flag: an interrupt ends its HLT.
    fn is_interruptible(&self) -> bool;

    /// The next entry can deliver an interrupt: the guest takes one, and no other event is there.
    fn takes_interrupt(&self) -> bool;

    /// Has the guest exit ([`Window`](crate::exit::Exit::Window)) as soon as it takes interrupts of this class, 1 to 15; `None`: it need not.
    fn watch_interrupts(&mut self, class: Option<u8>);

    /// CR8, 0 to 15.
    fn task_class(&self) -> u8;

    /// Sets CR8.
    fn set_task_class(&mut self, class: u8);
}

/// An exit, undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The vendor's number: EXITCODE (AMD APM volume 2, appendix C), or the basic exit reason (Intel SDM volume 3, appendix C).
    pub number: u32,
    /// An interrupt of the physical CPU, maskable or not.
    pub interrupt: bool,
}

/// What a guest goes on behind, after it has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// CPUID.
    Cpuid,
    /// HLT.
    Halt,
    /// VMMCALL or VMCALL.
    Hypercall,
    /// INVD or WBINVD.
    InvalidateCaches,
    /// RDMSR or WRMSR.
    Msr,
    /// IN or OUT, or one of their strings.
    Port,
    /// XSETBV.
    ExtendedState,
}

/// What an entry can deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A non-maskable interrupt.
    NonMaskable,
    /// #DB.
    Debug,
    /// #UD.
    Undefined,
    /// #GP(0).
    Protection,
    /// #AC(0).
    Alignment,
    /// An interrupt with this vector, 16 or above.
    Interrupt(u8),
}

/// Events as control blocks have them: AMD's for injection (AMD APM volume 2, 15.20) and Intel's for entry (Intel SDM volume 3, 25.8.3) are alike.
pub mod event {
    use super::Event;

    /// There is one.
    pub const VALID: u64 = 1 << 31;
    /// An error code goes with it.
    pub const WITH_CODE: u64 = 1 << 11;
    /// A kind: a non-maskable interrupt.
    pub const NMI: u64 = 2;
    const EXCEPTION: u64 = 3;

    /// What kind of event it is.
    pub const fn kind(event: u64) -> u64 {
        event >> 8 & 7
    }

    /// The event, whose error code is 0 if it has one.
    #[inline]
    pub const fn of(event: Event) -> u64 {
        match event {
            Event::NonMaskable => VALID | NMI << 8 | 2,
            Event::Debug => VALID | EXCEPTION << 8 | 1,
            Event::Undefined => VALID | EXCEPTION << 8 | 6,
            Event::Protection => VALID | WITH_CODE | EXCEPTION << 8 | 13,
            Event::Alignment => VALID | WITH_CODE | EXCEPTION << 8 | 17,
            Event::Interrupt(vector) => VALID | vector as u64,
        }
    }
}

/// What a guest's physical addresses mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Tag of its translations in the TLB: the address space identifier, or virtual processor identifier.
    pub tag: Vmid,
    /// Root of its nested page tables.
    pub root: Pa,
}

/// Where a virtual CPU begins.
#[derive(Clone, Copy, Debug)]
pub enum Beginning {
    /// At an image's entry, in 32-bit protected mode as the PVH boot protocol has it.
    Entry {
        /// Guest physical address.
        pc: u64,
        /// What the boot protocol has in registers.
        registers: Registers,
    },
    /// After INIT and a startup: at this page, in real mode.
    Page(u8),
}

impl Beginning {
    /// Where a partition begins.
    pub const fn of(config: &Partition) -> Self {
        let start_info = config.start_info.get();
        let registers = match config.handover {
            Handover::Pvh => Registers {
                rbx: start_info,
                ..Registers::ZERO
            },
            Handover::Linux => Registers {
                rsi: start_info,
                ..Registers::ZERO
            },
        };
        Self::Entry {
            pc: config.entry.get(),
            registers,
        }
    }
}

/// General registers that no control block has: all but RAX and RSP. The assembly of the world switch knows their order.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// RBX.
    pub rbx: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI, RBP, R8 to R15.
    others: [u64; 10],
}

impl Registers {
    /// All zero.
    pub const ZERO: Self = Self {
        rbx: 0,
        rcx: 0,
        rdx: 0,
        rsi: 0,
        others: [0; 10],
    };
}
