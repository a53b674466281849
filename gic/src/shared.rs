//! Physical CPUs that several virtual CPUs share: what is moved from one to the next.

use crate::{InterruptController, ListRegister, LrState, MAX_LIST_REGISTERS};

/// The virtual CPU interface of a physical CPU, which its virtual CPUs use in turns.
pub trait SharedInterface: InterruptController {
    /// Takes what the calling CPU's virtual interface holds for a virtual CPU that does not run for a while. Its list registers are empty then.
    fn save_virtual_interface(&self, state: &mut InterfaceState);

    /// Puts back what [`save_virtual_interface`](Self::save_virtual_interface) has taken, after another virtual CPU's was taken.
    fn restore_virtual_interface(&self, state: &InterfaceState);

    /// The private interrupts of the calling CPU, which has run [`init_cpu`](InterruptController::init_cpu).
    fn private_bank(&self) -> PrivateBank;

    /// The state of those in `mask`.
    fn private(&self, bank: PrivateBank, mask: u32) -> PrivateState;

    /// Brings private interrupts from one state into another.
    fn change_private(&self, bank: PrivateBank, from: PrivateState, to: PrivateState);
}

/// Where a CPU's private interrupts are. Only that CPU uses it, so that they need not be looked for again.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrivateBank {
    /// Address of their register frame; 0: there is none. A GICv2 has them in its distributor.
    #[cfg(feature = "v3")]
    pub(crate) base: usize,
}

/// A virtual CPU interface: list registers, priority mask, group enables and binary points, active priorities, and what it is to tell of. To
/// the virtual controller the list registers are still the virtual CPU's, which is called when they must change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceState {
    /// `ICH_HCR_EL2` or `GICH_HCR`.
    pub(crate) control: u64,
    /// `ICH_VMCR_EL2` or `GICH_VMCR`.
    pub(crate) machine: u64,
    /// `ICH_AP0R<n>_EL2`, then `ICH_AP1R<n>_EL2`; `GICH_APR` comes first.
    pub(crate) active_priorities: [[u64; 4]; 2],
    /// `ICH_LR<n>_EL2` or `GICH_LR<n>`.
    pub(crate) list_registers: [u64; MAX_LIST_REGISTERS],
    /// Bit n: list register n holds an interrupt, or one that has ended and wants attention.
    pub live: u16,
}

impl InterfaceState {
    /// List register `index` in the form of a GICv3, for machines that are made up.
    pub fn list_register(&self, index: usize) -> ListRegister {
        self.list_registers
            .get(index)
            .map_or(ListRegister::EMPTY, |register| {
                ListRegister::from_v3(*register)
            })
    }

    /// Replaces list register `index`.
    pub fn set_list_register(&mut self, index: usize, register: ListRegister) {
        if let Some(place) = self.list_registers.get_mut(index) {
            *place = register.to_v3();
            let live = register.state != LrState::Empty || register.end_maintenance;
            self.live = self.live & !(1 << index) | u16::from(live) << index;
        }
    }
}

/// Private interrupts that belong to the virtual CPU that runs, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivateState {
    /// Those that may be signalled.
    pub enabled: u32,
    /// Those that its guest has yet to end.
    pub active: u32,
}

/// The list registers in use when so many are there and those in `empty` are not; one that is not there does not count as empty (IHI 0069H 12.4.3,
/// IHI 0048B 5.3.8).
#[cfg(any(test, feature = "v2", feature = "v3"))]
pub(crate) const fn in_use(empty: u64, count: usize) -> u16 {
    let there = (1u64 << count) - 1;
    (there & !empty) as u16
}

/// The numbers of the bits that are set.
#[cfg(any(test, feature = "v2", feature = "v3"))]
pub(crate) fn bits(mut mask: u16) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lowest = mask.trailing_zeros() as usize;
        mask &= mask.checked_sub(1)?;
        Some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::IntId;

    fn register(state: LrState) -> ListRegister {
        ListRegister {
            virtual_id: IntId::new(27),
            priority: 0x80,
            group1: true,
            state,
            ..ListRegister::EMPTY
        }
    }

    #[test]
    fn list_register_is_live_while_it_holds_an_interrupt() {
        let mut state = InterfaceState::default();
        for (index, held) in [LrState::Pending, LrState::Active, LrState::PendingActive]
            .into_iter()
            .enumerate()
        {
            state.set_list_register(index, register(held));
            assert_eq!(state.list_register(index), register(held));
        }
        assert_eq!(state.live, 0b111);

        state.set_list_register(1, register(LrState::Empty));
        assert_eq!(state.live, 0b101);
    }

    #[test]
    fn list_register_that_has_ended_and_wants_attention_is_live() {
        let mut state = InterfaceState::default();
        let ended = ListRegister {
            end_maintenance: true,
            ..register(LrState::Empty)
        };
        state.set_list_register(3, ended);
        assert_eq!((state.live, state.list_register(3)), (0b1000, ended));
    }

    #[test]
    fn list_register_that_no_hardware_has_is_empty_and_ignored() {
        let mut state = InterfaceState::default();
        state.set_list_register(MAX_LIST_REGISTERS, register(LrState::Pending));
        assert_eq!(state, InterfaceState::default());
        let none = state.list_register(MAX_LIST_REGISTERS);
        assert_eq!(none, ListRegister::EMPTY);
    }
}
