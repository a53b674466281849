//! How many registers are read and written: the figures of docs/costs.md. Each is an access to Device memory, by far the largest part of
//! what an operation costs on a chip.

use super::*;

#[test]
fn operations_take_as_many_register_accesses_as_the_documentation_says() {
    let machine = Machine::new(Behaviour {
        delay: 0,
        ..Behaviour::USUAL
    });
    let mut driver = machine.driver();
    let mut count = |operation: &mut dyn FnMut(&mut SmmuV2<Handle>)| {
        let before = machine.hardware.0.borrow().accesses;
        operation(&mut driver);
        machine.hardware.0.borrow().accesses - before
    };
    let domain = machine.domain(1);
    let found = [
        count(&mut |driver| driver.attach(SECOND, &domain).unwrap()),
        // The partition's context bank is there already; two entries.
        count(&mut |driver| driver.attach(THIRD, &domain).unwrap()),
        count(&mut |driver| driver.invalidate(domain.vmid).unwrap()),
        count(&mut |driver| {
            machine.write(0x874, 0);
            assert!(driver.next_fault().is_some());
        }),
        count(&mut |driver| assert_eq!(driver.next_fault(), None)),
        count(&mut |driver| driver.mute(SECOND).unwrap()),
        count(&mut |driver| driver.detach(SECOND).unwrap()),
    ];
    assert_eq!(found, [15, 11, 3, 7, 3, 1, 5]);
}
