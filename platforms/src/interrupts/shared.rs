//! The virtual interface of pCPUs that several virtual CPUs share.

use gic::{InterfaceState, PrivateState, SharedInterface};

use super::{Gic, driver};

impl SharedInterface for Gic {
    delegate! {
        fn save_virtual_interface(state: &mut InterfaceState);
        fn restore_virtual_interface(state: &InterfaceState);
        fn set_private(state: PrivateState);
    }
}
