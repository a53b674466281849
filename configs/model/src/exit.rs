//! The reasons for which a guest enters the hypervisor, as counters and traces tell them apart.

/// Kinds of exits that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// Physical interrupts.
    Interrupt,
    /// Hypercalls.
    Hypercall,
    /// Firmware calls.
    FirmwareCall,
    /// Trapped system registers.
    SystemRegister,
    /// Emulated device registers.
    Mmio,
    /// Accesses and jumps to what the partition does not own.
    Fault,
    /// Instructions that the guest's CPU does not have.
    Undefined,
    /// Trapped waits.
    Wait,
}

impl ExitKind {
    /// All kinds, in the order in which reports show them.
    pub const ALL: [Self; 8] = [
        Self::Interrupt,
        Self::Hypercall,
        Self::FirmwareCall,
        Self::SystemRegister,
        Self::Mmio,
        Self::Fault,
        Self::Undefined,
        Self::Wait,
    ];

    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Hypercall => "hvc",
            Self::FirmwareCall => "smc",
            Self::SystemRegister => "sysreg",
            Self::Mmio => "mmio",
            Self::Fault => "fault",
            Self::Undefined => "undefined",
            Self::Wait => "wait",
        }
    }
}
