//! What the self-check asks.

use gic::probe::Probe;

use super::{Gic, driver};

impl Probe for Gic {
    delegate! {
        fn architecture() -> u32;
        fn interrupts() -> u32;
        fn signal_one();
    }
}
