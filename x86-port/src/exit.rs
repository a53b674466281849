//! Why a guest left its CPU to the hypervisor, whichever vendor's extension says so.

use hv::event::FaultKind;

use crate::guest::Event;

/// Why a guest exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A non-maskable interrupt of the physical CPU; it has been taken, or is as soon as the hypervisor is back.
    NonMaskable,
    /// The handler of the guest's own non-maskable interrupt is through. Only [who asks](super::guest::Guest::watch_non_maskable) is told.
    NonMaskableDone,
    /// An interrupt of the physical CPU; it waits. Only guests that [share](super::guest::Shared) their CPU exit for it, and for the next three.
    Interrupt,
    /// The guest takes interrupts now.
    Window,
    /// HLT.
    Halt,
    /// An exception that the guest is to take. Its delivery can raise it again and again, and no interrupt comes in between; so it exits, too, where
    /// others wait.
    Exception(Event),
    /// CPUID.
    Cpuid,
    /// An access to an I/O port.
    Io(Io),
    /// A read of an MSR.
    ReadMsr,
    /// A write to an MSR.
    WriteMsr,
    /// A hypercall.
    Hypercall,
    /// An instruction that only makes sense above guests.
    Privileged,
    /// INVD, or WBINVD.
    InvalidateCaches,
    /// XSETBV under SVM, of a guest to which [something is denied](super::guest::Guest::deny_state).
    ExtendedState,
    /// A triple fault.
    Shutdown,
    /// An access outside its memory.
    Fault(Fault),
    /// Something of the vendor's extension, which its part has answered itself: a control register, a step on the way of an event.
    Answered,
    /// The guest's state is none that the CPU enters.
    Refused,
    /// Nothing that was asked for: the vendor's number.
    Unexpected(u32),
}

/// An access to an I/O port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Io {
    /// Which one.
    pub port: u16,
    /// IN rather than OUT.
    pub input: bool,
    /// INS or OUTS, repeated or not.
    pub string: bool,
    /// 1, 2 or 4.
    pub bytes: u8,
}

/// A nested page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Guest physical address.
    pub address: u64,
    /// What it was.
    pub kind: FaultKind,
}
