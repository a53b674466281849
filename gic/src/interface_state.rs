//! What a virtual CPU interface knows beside its list registers, while its virtual CPU does not run.

/// A virtual CPU interface whose list registers are empty: priority mask, group enables and binary points, active priorities, and what it
/// is to tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceState {
    /// `ICH_HCR_EL2` or `GICH_HCR`.
    pub(crate) control: u64,
    /// `ICH_VMCR_EL2` or `GICH_VMCR`.
    pub(crate) machine: u64,
    /// `ICH_AP0R<n>_EL2`, then `ICH_AP1R<n>_EL2`; `GICH_APR` comes first.
    pub(crate) active_priorities: [[u64; 4]; 2],
}

/// Private interrupts that belong to the virtual CPU that runs, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivateState {
    /// Which ones these are.
    pub mask: u32,
    /// Those of them that may be signalled.
    pub enabled: u32,
    /// Those of them that its guest has yet to end.
    pub active: u32,
}
