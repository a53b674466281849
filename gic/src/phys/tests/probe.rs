//! What a self-check finds.

use super::*;
use crate::probe::Probe;

#[test]
fn v2_says_its_version_and_signals_a_virtual_interrupt_of_group_0() {
    let machine = v2();
    machine.distributor.set(0xfe8, 0x2b);
    assert_eq!(
        (machine.gic.architecture(), machine.gic.interrupts()),
        (2, 96)
    );
    machine.gic.signal_one();
    // Pending, number 32; all priorities, group 0.
    assert_eq!(machine.control.get(0x100), 1 << 28 | 32);
    assert_eq!(machine.control.get(8), 0xf800_0001);
    machine.gic.reset_virtual_interface();
    assert_eq!([0x100, 8].map(|at| machine.control.get(at)), [0, 0]);
}

#[test]
fn v3_says_its_version_and_signals_a_virtual_interrupt_of_group_1() {
    let machine = v3();
    machine.distributor.set(0xffe8, 0x4b);
    assert_eq!(
        (machine.gic.architecture(), machine.gic.interrupts()),
        (4, 96)
    );
    machine.gic.signal_one();
    assert_eq!(sysreg::ich_lr::read(0), 1 << 62 | 1 << 60 | 32);
    assert_eq!(sysreg::ich_vmcr::read(), 0xff00_0002);
    machine.gic.reset_virtual_interface();
    assert_eq!((sysreg::ich_lr::read(0), sysreg::ich_vmcr::read()), (0, 0));
}
