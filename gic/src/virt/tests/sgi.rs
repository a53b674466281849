//! Software-generated interrupts.

use super::*;

/// Five virtual CPUs: Aff1.Aff0 0.0 to 0.3, then 1.0.
fn machine() -> Machine {
    Machine::started(Version::V3, 5)
}

fn receivers(machine: &mut Machine, from: u8, register: SgiRegister, value: u64) -> Vec<u8> {
    let kicks = machine.vgic.send_sgi(VcpuId::new(from), register, value);
    machine.kick(kicks);
    (0..machine.interfaces.len() as u8)
        .filter(|&cpu| !machine.handle_all(cpu).is_empty())
        .collect()
}

#[test]
fn target_list_selects_cpus_of_one_cluster() {
    let mut machine = machine();
    let cases: [(&str, u64, &[u8]); 8] = [
        ("one", 1 << 24 | 0b0010, &[1]),
        ("several", 1 << 24 | 0b1011, &[0, 1, 3]),
        ("other cluster", 1 << 24 | 1 << 16 | 0b1, &[4]),
        ("absent CPU", 1 << 24 | 1 << 15, &[]),
        ("absent Aff2", 1 << 24 | 1 << 32 | 0b1, &[]),
        ("absent Aff3", 1 << 24 | 1 << 48 | 0b1, &[]),
        ("range selector", 1 << 24 | 1 << 44 | 0b1, &[]),
        ("empty list", 1 << 24, &[]),
    ];
    for (name, value, expected) in cases {
        assert_eq!(
            receivers(&mut machine, 2, SgiRegister::Sgi1r, value),
            expected,
            "{name}"
        );
    }
}

#[test]
fn broadcast_reaches_all_but_the_sender_and_ignores_the_list() {
    assert_eq!(
        receivers(
            &mut machine(),
            2,
            SgiRegister::Sgi1r,
            1 << 40 | 1 << 24 | 0b100
        ),
        [0, 1, 3, 4]
    );
}

#[test]
fn range_selector_reaches_aff0_above_15() {
    let vcpu = |mpidr| Vcpu {
        pcpu: PcpuId::new(0),
        mpidr: Mpidr::new(mpidr),
        time: model::time::TimeShare::Always,
    };
    let mut machine = Machine::with_vcpus(Version::V3, vec![vcpu(0), vcpu(0x12)]);
    machine.set(0, 0, 3);
    machine.write(
        1,
        Frame::Redistributor(VcpuId::new(1)),
        0x1_0100,
        Width::Word,
        0xffff,
    );
    assert_eq!(
        receivers(
            &mut machine,
            0,
            SgiRegister::Sgi1r,
            1 << 44 | 1 << 24 | 1 << 2
        ),
        [1]
    );
    assert_eq!(machine.get(0, 4) >> 26 & 1, 1, "GICD_TYPER.RSS");
}

#[test]
fn group0_registers_reach_only_sgis_in_group0() {
    let mut machine = machine();
    for register in [SgiRegister::Asgi1r, SgiRegister::Sgi0r] {
        assert_eq!(receivers(&mut machine, 0, register, 1 << 24 | 0b10), []);
    }
    machine.write(
        1,
        Frame::Redistributor(VcpuId::new(1)),
        0x1_0080,
        Width::Word,
        !2 & 0xffff_ffff,
    );
    for register in [SgiRegister::Asgi1r, SgiRegister::Sgi0r, SgiRegister::Sgi1r] {
        assert_eq!(receivers(&mut machine, 0, register, 1 << 24 | 0b10), [1]);
    }
}

#[test]
fn sgi_sent_twice_before_it_is_seen_comes_once() {
    let mut machine = machine();
    for _ in 0..2 {
        let kicks = machine
            .vgic
            .send_sgi(VcpuId::new(0), SgiRegister::Sgi1r, 7 << 24 | 0b10);
        machine.kick(kicks);
    }
    assert_eq!(machine.handle_all(1), [IntId::new(7)]);
}

#[test]
fn sgi_sent_while_it_is_handled_comes_again() {
    let mut machine = machine();
    let value = 7 << 24 | 0b10;
    for round in 0..3 {
        let kicks = machine
            .vgic
            .send_sgi(VcpuId::new(0), SgiRegister::Sgi1r, value);
        machine.kick(kicks);
        if round > 0 {
            machine.end(1);
        }
        assert_eq!(machine.acknowledge(1), Some(IntId::new(7)));
    }
    machine.end(1);
    assert_eq!(machine.acknowledge(1), None);
}

#[test]
fn gicv2_filter_selects_targets() {
    let mut machine = Machine::started(Version::V2, 4);
    let cases: [(&str, u32, &[u8]); 5] = [
        ("list", 0b1010 << 16 | 3, &[1, 3]),
        ("list with absent CPUs", 0xf0 << 16 | 3, &[]),
        ("all but self", 1 << 24 | 3, &[0, 1, 3]),
        ("self", 2 << 24 | 3, &[2]),
        ("reserved", 3 << 24 | 0xff << 16 | 3, &[]),
    ];
    for (name, value, expected) in cases {
        machine.set(2, 0xf00, value);
        let got: Vec<u8> = (0..4)
            .filter(|&cpu| machine.handle_all(cpu) == [IntId::new(3)])
            .collect();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn gicv2_same_source_again_while_handled_joins_the_same_register() {
    let mut machine = Machine::started(Version::V2, 2);
    machine.set(1, 0xf00, 1 << 16 | 3);
    machine.acknowledge(0);
    machine.set(1, 0xf00, 1 << 16 | 3);
    assert_eq!(
        machine.interface(0).state(IntId::new(3)),
        LrState::PendingActive
    );
    machine.end(0);
    assert_eq!(machine.handle_all(0), [IntId::new(3)]);
}

#[test]
fn gicv2_sgi_that_comes_again_is_loaded_where_it_was_with_its_new_source_and_its_new_priority() {
    let mut machine = Machine::started(Version::V2, 4);
    for (source, priority) in [(1, 0x40), (3, 0x80)] {
        machine.write(0, Frame::Distributor, 0x405, Width::Byte, priority);
        machine.set(source, 0xf00, 1 << 16 | 5);
        let held = machine.interface(0).read(0);
        assert_eq!((held.virtual_id, held.source), (IntId::new(5), source));
        assert_eq!(u64::from(held.priority), priority);
        assert_eq!(machine.handle_all(0), [IntId::new(5)]);
    }
    assert_eq!(machine.vgic.vcpus[0].used, 1);
}

#[test]
fn gicv2_pending_sources_are_read_set_and_cleared() {
    let mut machine = Machine::started(Version::V2, 3);
    machine.set(0, 0, 0);
    machine.write(0, Frame::Distributor, 0xf20 + 5, Width::Byte, 0b110);
    assert_eq!(machine.get(0, 0xf24), 0b110 << 8);
    assert_eq!(machine.get(1, 0xf24), 0, "banked");
    assert_eq!(machine.get(0, 0x200) & 0xffff, 1 << 5);
    machine.write(0, Frame::Distributor, 0xf10 + 5, Width::Byte, 0b010);
    assert_eq!(machine.get(0, 0xf14), 0b100 << 8);
    machine.set(0, 0, 3);
    assert_eq!(
        machine
            .interface(0)
            .acknowledge()
            .map(|taken| (taken.virtual_id.get(), taken.source)),
        Some((5, 2))
    );
}

#[test]
fn gicv2_clearing_a_source_in_a_list_register_withdraws_it() {
    let mut machine = Machine::started(Version::V2, 2);
    machine.set(1, 0xf00, 1 << 16 | 3);
    assert_eq!(machine.interface(0).state(IntId::new(3)), LrState::Pending);
    machine.write(0, Frame::Distributor, 0xf10 + 3, Width::Byte, 0b10);
    assert_eq!(machine.acknowledge(0), None);
}

#[test]
fn active_gicv2_sgi_that_came_by_a_grant_keeps_its_source_when_its_register_is_read_back() {
    let sgi = IntId::new(5);
    let mut machine = Machine::started(Version::V2, 2);
    machine.send_from(0, 1, sgi);
    assert_eq!(machine.handle_all(1), [sgi]);
    machine.send_from(1, 1, sgi);
    assert_eq!(machine.straight, 1);
    machine.acknowledge(1);
    assert_eq!(machine.get(1, 0x300), 1 << 5);
    let held = machine.interface(1).held();
    assert_eq!((held[0].state, held[0].source), (LrState::Active, 1));
}
