//! What the vectors may deliver by themselves.

use super::*;

#[test]
fn grant_is_gone_after_each_change_that_a_delivery_must_heed() {
    for (what, offset, value) in [
        ("disabled", 0x184, 1 << (EDGE.get() % 32)),
        ("group 0", 0x084, 0),
        ("other priority", 0x420, 0x0010_0000),
        ("pending by the guest", 0x204, 1 << (EDGE.get() % 32)),
        ("active by the guest", 0x304, 1 << (EDGE.get() % 32)),
        ("level-sensitive", 0xc08, 0),
        ("groups off", 0, 0),
    ] {
        let mut machine = Machine::started(Version::V3, 2);
        machine.pulse(EDGE);
        assert_eq!(machine.handle_all(0), [EDGE]);
        assert!(machine.grants[0].straight(EDGE_OUTSIDE, u64::MAX).is_some());
        machine.set(1, offset, value);
        assert_eq!(
            machine.grants[0].straight(EDGE_OUTSIDE, u64::MAX),
            None,
            "{what}"
        );
    }
}

/// All combinations of flags: a grant is for those arrivals alone after which the state would be as before.
#[test]
fn content_stands_only_where_a_delivery_would_change_nothing_but_the_register() {
    const ID: IntId = IntId::new(40);
    let gate = Gate {
        enabled: true,
        groups: 3,
    };
    let mut standing = 0;
    for flags in (0..1 << 18).map(Flags::from_bits_truncate) {
        let before = Interrupt {
            flags,
            target: 0,
            holder: 0,
            slot: 1,
            ..Interrupt::NEW
        };
        let Some(content) = before.standing(ID, 0, gate) else {
            continue;
        };
        standing += 1;
        let mut after = before;
        assert_eq!(after.link(ID, 0, 1), content, "{flags:?}");
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
    }
    assert_ne!(standing, 0);
}

#[test]
fn no_grant_stands_while_an_interrupt_waits_for_a_list_register() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    machine.handle_all(0);
    assert!(machine.grants[0].straight(EDGE_OUTSIDE, u64::MAX).is_some());
    for sgi in 0..6 {
        let kicks = machine.vgic.raise(IntId::new(sgi), VcpuId::new(0));
        machine.kick(kicks);
    }
    for intid in (0..64).map(IntId::new).chain([EDGE_OUTSIDE]) {
        assert_eq!(machine.grants[0].straight(intid, u64::MAX), None);
    }
}
