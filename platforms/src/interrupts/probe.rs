//! What the self-check asks.

use gic::probe::Probe;

use super::{Gic, driver};

impl Probe for Gic {
    delegate! {
        fn peripheral_id2() -> usize;
        fn signals_group1() -> bool;
        fn distributor(offset: usize) -> u32;
        fn open();
    }
}
