//! The virtual interface of pCPUs that several virtual CPUs share.

use gic::{InterfaceState, PrivateBank, PrivateState, SharedInterface};

use super::{Gic, driver};

impl SharedInterface for Gic {
    delegate! {
        #[inline]
        fn save_virtual_interface(state: &mut InterfaceState);
        #[inline]
        fn restore_virtual_interface(state: &InterfaceState);
        fn private_bank() -> PrivateBank;
        #[inline]
        fn private(bank: PrivateBank, mask: u32) -> PrivateState;
        #[inline]
        fn change_private(bank: PrivateBank, from: PrivateState, to: PrivateState);
    }
}
