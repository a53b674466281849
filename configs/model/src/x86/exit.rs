//! The reasons for which a guest on a PC enters the hypervisor, as counters and traces tell them apart.

/// Kinds of exits that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// Interrupts of the physical CPU, and windows for the guest's.
    Interrupt,
    /// HLT.
    Halt,
    /// Hypercalls.
    Hypercall,
    /// CPUID.
    Cpuid,
    /// Trapped MSRs.
    Msr,
    /// I/O ports.
    Io,
    /// Accesses to what the partition does not own.
    Fault,
    /// Instructions that the guest's CPU does not have.
    Undefined,
    /// What the vendor's extension alone exits for: some writes to control registers on Intel's.
    Control,
}

impl ExitKind {
    /// All kinds, in the order in which reports show them.
    pub const ALL: [Self; 9] = [
        Self::Interrupt,
        Self::Halt,
        Self::Hypercall,
        Self::Cpuid,
        Self::Msr,
        Self::Io,
        Self::Fault,
        Self::Undefined,
        Self::Control,
    ];

    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Halt => "hlt",
            Self::Hypercall => "vmmcall",
            Self::Cpuid => "cpuid",
            Self::Msr => "msr",
            Self::Io => "io",
            Self::Fault => "fault",
            Self::Undefined => "undefined",
            Self::Control => "control",
        }
    }
}
