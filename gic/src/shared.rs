//! Physical CPUs that several virtual CPUs share: what is moved from one to the next.

use crate::InterruptController;

/// The virtual CPU interface of a physical CPU, which its virtual CPUs use in turns.
pub trait SharedInterface: InterruptController {
    /// Reads the calling CPU's virtual interface, whose list registers are empty, for a virtual CPU that does not run for a while.
    fn save_virtual_interface(&self) -> InterfaceState;

    /// Puts back what [`save_virtual_interface`](Self::save_virtual_interface) gave, in place of what another virtual CPU left.
    fn restore_virtual_interface(&self, state: &InterfaceState);

    /// Brings private interrupts of the calling CPU into this state.
    fn set_private(&self, state: PrivateState);
}

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
