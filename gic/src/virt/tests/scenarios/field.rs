//! Bugs that users of other hypervisors met, by the names that they have there.

use super::*;

#[test]
fn bao_371_disabling_an_active_linked_interrupt_does_not_orphan_it() {
    for (version, intid) in BOTH
        .into_iter()
        .flat_map(|version| [(version, LEVEL), (version, EDGE)])
    {
        let mut machine = Machine::started(version, 2);
        machine
            .physical
            .set(intid, 0, |physical| physical.latched = true);
        machine.run_physical();
        assert_eq!(machine.acknowledge(0), Some(intid));

        put(&mut machine, 0, DISABLE, intid);
        assert_eq!(machine.interface(0).state(intid), LrState::Active);
        machine.end(0);
        assert!(!machine.physical.get(intid, 0).active);

        put(&mut machine, 0, ENABLE, intid);
        machine
            .physical
            .set(intid, 0, |physical| physical.latched = true);
        machine.run_physical();
        assert_eq!(machine.handle_all(0), [intid]);
    }
}

#[test]
fn libvmm_56_edge_pending_when_disabled_is_delivered_when_enabled() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    put(&mut machine, 0, DISABLE, EDGE);
    assert_eq!(machine.acknowledge(0), None);
    assert!(is_set(&mut machine, 0, PEND, EDGE));

    put(&mut machine, 0, ENABLE, EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
    assert!(!machine.physical.get(EDGE, 0).active);
}

#[test]
fn hvisor_282_gicv2_sgi_is_delivered_once_for_each_source_cpu() {
    let mut machine = Machine::started(Version::V2, 4);
    for source in [1, 3] {
        machine.set(source, 0xf00, 1 << 16 | 5);
    }
    let mut sources = Vec::new();
    while let Some(taken) = machine.interface(0).acknowledge() {
        assert_eq!(taken.virtual_id, IntId::new(5));
        sources.push(taken.source);
        machine.end(0);
    }
    assert_eq!(sources, [1, 3]);
}

#[test]
fn bao_374_write_to_another_redistributor_changes_that_one_only() {
    let mut machine = Machine::started(Version::V3, 3);
    let other = Frame::Redistributor(VcpuId::new(2));
    machine.write(0, other, 0x1_0180, Width::Word, 1 << 3);
    for cpu in 0..3 {
        let frame = Frame::Redistributor(VcpuId::new(cpu));
        let enabled = machine.read(1, frame, 0x1_0100, Width::Word).unwrap();
        assert_eq!(enabled >> 3 & 1 != 0, cpu != 2, "{cpu}");
    }
}

#[test]
fn bao_394_split_route_writes_keep_the_other_half() {
    let vcpu = |mpidr| Vcpu {
        pcpu: PcpuId::new(0),
        mpidr: Mpidr::new(mpidr),
        time: model::time::TimeShare::Always,
    };
    let mut machine = Machine::with_vcpus(Version::V3, vec![vcpu(0), vcpu(0x05_0001_0203)]);
    let route = 0x6000 + 8 * HIDDEN.get();

    machine.set(0, route, 0x0001_0203);
    assert_eq!(
        machine.read(0, Frame::Distributor, route, Width::Double),
        Some(0x0001_0203)
    );
    machine.set(0, route + 4, 0x05);
    assert_eq!(
        machine.read(0, Frame::Distributor, route, Width::Double),
        Some(0x05_0001_0203)
    );
    assert_eq!(
        (machine.get(0, route), machine.get(0, route + 4)),
        (0x0001_0203, 0x05)
    );

    machine.set(0, 0, 3);
    put(&mut machine, 0, ENABLE, HIDDEN);
    put(&mut machine, 0, PEND, HIDDEN);
    assert_eq!(machine.acknowledge(1), Some(HIDDEN));
}
