//! What a restart leaves: nothing.

use super::*;

#[test]
fn reset_leaves_nothing_pending_active_or_enabled() {
    for version in BOTH {
        let mut machine = Machine::started(version, 2);
        machine.pulse(EDGE);
        machine.line(LEVEL, true);
        machine.acknowledge(0);

        machine.physical.acting.set(0);
        machine.vgic.reset(&machine.physical);
        for cpu in 0..2 {
            machine.physical.acting.set(cpu);
            machine
                .vgic
                .reset_timers(VcpuId::new(cpu), &machine.physical);
            machine.interfaces[usize::from(cpu)] = VirtualInterface::new(4);
        }

        for intid in [LEVEL, EDGE] {
            let physical = machine.physical.get(intid, 0);
            assert!(
                !physical.active && !physical.enabled && !physical.latched,
                "{intid:?}"
            );
        }
        // The device still asserts its line, which reads as pending.
        assert_eq!(bit(PEND, LEVEL), (PEND + 4, machine.get(0, PEND + 4)));
        machine
            .physical
            .set(LEVEL, 0, |physical| physical.line = false);
        for array in [ENABLE, PEND, ACTIVATE] {
            assert_eq!(
                (machine.get(0, array + 4), machine.get(0, array + 8)),
                (0, 0)
            );
        }
        let waiting = machine.vgic.vcpus.iter().map(|state| state.waiting.len());
        assert_eq!(waiting.sum::<u32>(), 0);
    }
}

#[test]
fn thousand_resets_end_as_the_first() {
    let mut machine = Machine::new(Version::V3, 1);
    for _ in 0..1000 {
        machine.set(0, 0, 3);
        put(&mut machine, 0, ENABLE, EDGE);
        machine.pulse(EDGE);
        assert_eq!(machine.acknowledge(0), Some(EDGE));
        machine.vgic.reset(&machine.physical);
        machine.interfaces[0] = VirtualInterface::new(4);
    }
    assert!(!machine.physical.get(EDGE, 0).active);
}
