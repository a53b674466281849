//! The drivers against plain memory, and system registers that are plain storage.

pub(super) mod played;
#[cfg(feature = "probe")]
mod probe;
mod security;
mod views;

use super::v2::GicV2;
use super::v3::GicV3;
use super::*;
use crate::{
    Acknowledged, Announce, CommonRegister, GicError, InterruptController, ListRegister,
    ListRegisters, LrState,
};
use model::device::Trigger;
use model::memory::PhysicalRange;
use model::{IntId, Mpidr, Pa};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The stored system registers are one set for all tests.
static SYSTEM_REGISTERS: Mutex<()> = Mutex::new(());

/// Register frames in memory that is never freed. Accessed through the address only, as the drivers do.
#[derive(Clone, Copy)]
struct Memory(usize);

impl Memory {
    fn new(bytes: usize) -> Self {
        Self(vec![0_u64; bytes / 8].leak().as_mut_ptr() as usize)
    }

    fn get(self, offset: usize) -> u32 {
        // SAFETY: inside the leaked allocation, aligned, and only this test's thread uses it.
        unsafe { ((self.0 + offset) as *const u32).read_volatile() }
    }

    fn set(self, offset: usize, value: u32) {
        // SAFETY: as in `get`.
        unsafe { ((self.0 + offset) as *mut u32).write_volatile(value) }
    }
}

/// A GICv3 with 96 interrupts and redistributors for the affinities 0.0, 0.1 in one region and 1.0 in another.
struct V3 {
    gic: GicV3,
    distributor: Memory,
    redistributors: [Memory; 2],
    _lock: MutexGuard<'static, ()>,
}

const FIRST: Mpidr = Mpidr::new(0);
const SECOND: Mpidr = Mpidr::new(1);
const OTHER_CLUSTER: Mpidr = Mpidr::new(0x100);

fn v3() -> V3 {
    let lock = SYSTEM_REGISTERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let distributor = Memory::new(0x1_0000);
    distributor.set(4, 2);
    let redistributors = [Memory::new(0x4_0000), Memory::new(0x2_0000)];
    redistributors[0].set(0x2_0008, 1 << 4);
    redistributors[0].set(0x2_000c, 1);
    redistributors[1].set(0x8, 1 << 4);
    redistributors[1].set(0xc, 0x100);
    let regions = [(0, 0x4_0000), (1, 0x2_0000)].map(|(n, size)| PhysicalRange {
        base: Pa::new(redistributors[n].0 as u64),
        size,
    });
    let (regions, table) = (
        Vec::from(regions).leak(),
        Box::leak(Box::new(CpuTable::new())),
    );
    // SAFETY: the frames are leaked memory that only the drivers and `Memory` access, on this thread.
    let gic = unsafe { GicV3::with_table(distributor.0, regions, None, table) };
    sysreg::ich_vtr::write(4 << 26 | 3);
    run_on(FIRST);
    V3 {
        gic,
        distributor,
        redistributors,
        _lock: lock,
    }
}

fn run_on(cpu: Mpidr) {
    // Bit 31 is RES1 in the register.
    sysreg::mpidr::write(cpu.get() | 1 << 31);
}

#[test]
fn v3_distributor_comes_up_with_all_spis_off_in_group1_and_sent_to_the_boot_cpu() {
    let machine = v3();
    run_on(SECOND);
    assert_eq!(machine.gic.init_distributor(), Ok(()));

    let word = |offset| machine.distributor.get(offset);
    assert_eq!(word(0), 0x12, "ARE and EnableGrp1");
    for clear_or_group in [0x080, 0x180, 0x280, 0x380] {
        assert_eq!(
            [0, 4, 8, 12].map(|n| word(clear_or_group + n)),
            [0, u32::MAX, u32::MAX, 0],
            "{clear_or_group:#x}"
        );
    }
    assert_eq!(
        [word(0x41c), word(0x420), word(0x45c), word(0x460)],
        [0, 0xa0a0_a0a0, 0xa0a0_a0a0, 0]
    );
    assert_eq!(
        [word(0x6100), word(0x6000 + 95 * 8), word(0x6000 + 96 * 8)],
        [1, 1, 0]
    );
}

#[test]
fn v3_extended_spis_that_firmware_left_on_are_turned_off() {
    let machine = v3();
    // 64 of them.
    machine.distributor.set(4, 1 << 27 | 1 << 8 | 2);
    assert_eq!(machine.gic.init_distributor(), Ok(()));
    let off = [0x1400, 0x1404, 0x1408].map(|offset| machine.distributor.get(offset));
    assert_eq!(off, [u32::MAX, u32::MAX, 0]);
}

#[test]
fn v3_cpu_with_a_high_aff0_needs_the_range_selector_of_both_sides() {
    let machine = v3();
    let high = Mpidr::new(16);
    run_on(high);
    for (distributor, cpu, expected) in [
        (0, 0, GicError::RangeSelectorMissing(high)),
        (0, 1 << 18, GicError::RangeSelectorMissing(high)),
        (1 << 26, 0, GicError::RangeSelectorMissing(high)),
        // Past the check: no redistributor has this number.
        (1 << 26, 1 << 18, GicError::RedistributorMissing(high)),
    ] {
        machine.distributor.set(4, distributor | 2);
        sysreg::icc_ctlr::write(cpu);
        assert_eq!(machine.gic.init_cpu(), Err(expected));
    }
}

#[test]
fn v3_cpu_finds_its_redistributor_by_affinity_and_wakes_it() {
    let machine = v3();
    let places = [(FIRST, 0, 0), (SECOND, 0, 0x2_0000), (OTHER_CLUSTER, 1, 0)];
    for (cpu, region, base) in places {
        run_on(cpu);
        let memory = machine.redistributors[region];
        memory.set(base + 0x14, 2);
        assert_eq!(machine.gic.init_cpu(), Ok(()), "{cpu:?}");
        assert_eq!(memory.get(base + 0x14), 0, "{cpu:?} asleep");
        assert_eq!(memory.get(base + 0x1_0100), 0xffff, "{cpu:?} SGIs");
    }
    machine.gic.enable(IntId::new(27));
    assert_eq!(machine.redistributors[1].get(0x1_0100), 1 << 27);
}

/// `GICR_TYPER.VLPIS` and `Last`.
const VLPIS: u32 = 1 << 1;
const LAST: u32 = 1 << 4;

/// A controller with regions of two redistributors each: of the affinities 0 and 1, 0x100 and 0x101, …, so far apart and of this kind.
fn regions_of_two<const N: usize>(
    machine: &V3,
    stride: Option<u64>,
    regions: [(usize, u32); N],
) -> (GicV3, [Memory; N]) {
    let memories = regions.map(|(apart, _)| Memory::new(apart * 2));
    for (cluster, (memory, (apart, kind))) in memories.iter().zip(regions).enumerate() {
        memory.set(0x8, kind);
        memory.set(0xc, cluster as u32 * 0x100);
        memory.set(apart + 0x8, kind | LAST);
        memory.set(apart + 0xc, cluster as u32 * 0x100 + 1);
    }
    let ranges = memories.iter().zip(regions);
    let ranges = ranges.map(|(memory, (apart, _))| PhysicalRange {
        base: Pa::new(memory.0 as u64),
        size: apart as u64 * 2,
    });
    let ranges = ranges.collect::<Vec<_>>().leak();
    let table = Box::leak(Box::new(CpuTable::new()));
    // SAFETY: as in `v3`.
    let gic = unsafe { GicV3::with_table(machine.distributor.0, ranges, stride, table) };
    (gic, memories)
}

#[test]
fn v3_redistributors_of_each_region_are_as_far_apart_as_their_frames_take() {
    let machine = v3();
    let (gic, memories) = regions_of_two(&machine, None, [(0x2_0000, 0), (0x4_0000, VLPIS)]);
    for (cpu, region, base) in [(0, 0, 0), (1, 0, 0x2_0000), (0x101, 1, 0x4_0000)] {
        run_on(Mpidr::new(cpu));
        assert_eq!(gic.init_cpu(), Ok(()), "{cpu:#x}");
        assert_eq!(memories[region].get(base + 0x1_0100), 0xffff, "{cpu:#x}");
    }
}

#[test]
fn v3_padded_redistributors_are_found_by_the_stride_of_the_board() {
    let machine = v3();
    let padded = [(0x5_0000, 0), (0x5_0000, VLPIS)];
    let (gic, memories) = regions_of_two(&machine, Some(0x5_0000), padded);
    for (cpu, region) in [(1, 0), (0x101, 1)] {
        run_on(Mpidr::new(cpu));
        assert_eq!(gic.init_cpu(), Ok(()), "{cpu:#x}");
        assert_eq!(memories[region].get(0x6_0100), 0xffff, "{cpu:#x}");
    }
    // What the frames themselves say is not where the next one is.
    let (unaware, _) = regions_of_two(&machine, None, [(0x5_0000, 0)]);
    run_on(SECOND);
    let missing = GicError::RedistributorMissing(SECOND);
    assert_eq!(unaware.init_cpu(), Err(missing));
}

#[test]
fn v3_cpu_without_redistributor_is_an_error() {
    let machine = v3();
    let stranger = Mpidr::new(0x01_0000_0000);
    run_on(stranger);
    assert_eq!(
        machine.gic.init_cpu(),
        Err(GicError::RedistributorMissing(stranger))
    );
}

#[test]
fn v3_search_ends_at_the_region_end_even_without_last() {
    let machine = v3();
    machine.redistributors[0].set(0x2_0008, 0);
    machine.redistributors[1].set(0x8, 0);
    let stranger = Mpidr::new(7);
    run_on(stranger);
    assert_eq!(
        machine.gic.init_cpu(),
        Err(GicError::RedistributorMissing(stranger))
    );
}

#[test]
fn v3_redistributor_that_never_wakes_or_never_settles_is_an_error() {
    let machine = v3();
    machine.redistributors[0].set(0x14, 4);
    assert_eq!(
        machine.gic.init_cpu(),
        Err(GicError::RedistributorAsleep(FIRST))
    );
    machine.redistributors[0].set(0x14, 0);
    machine.redistributors[0].set(0, 1 << 3);
    assert_eq!(
        machine.gic.init_cpu(),
        Err(GicError::RedistributorTimeout(FIRST))
    );
}

#[test]
fn v3_cpu_interface_splits_drop_and_deactivation() {
    let machine = v3();
    assert_eq!(machine.gic.init_cpu(), Ok(()));
    assert_eq!(sysreg::icc_ctlr::read(), 2);
    assert_eq!(
        (
            sysreg::icc_sre::read() & sysreg::icc_sre_el1::read(),
            sysreg::icc_pmr::read(),
            sysreg::icc_igrpen1::read()
        ),
        (7, 0xff, 1)
    );
    assert_eq!(sysreg::ich_hcr::read(), 1);
}

#[test]
fn v3_spis_are_set_in_the_distributor() {
    let machine = v3();
    let (gic, spi) = (machine.gic, IntId::new(50));
    let word = |offset| machine.distributor.get(offset);
    gic.enable(spi);
    gic.disable(spi);
    gic.clear_pending(spi);
    gic.deactivate_physical(spi);
    assert_eq!([0x104, 0x184, 0x284, 0x384].map(word), [1 << 18; 4]);
    gic.set_trigger(spi, Trigger::Edge);
    assert_eq!(word(0xc0c), 2 << 4);
    gic.set_trigger(spi, Trigger::Level);
    assert_eq!(word(0xc0c), 0);
    assert!(!gic.is_available(spi));
    machine.distributor.set(0x430, 0xa0 << 16);
    assert!(gic.is_available(spi) && !gic.is_available(IntId::new(49)));
    gic.route(spi, Mpidr::new(0x03_0002_0100));
    assert_eq!(
        [word(0x6000 + 8 * 50), word(0x6004 + 8 * 50)],
        [0x0002_0100, 3]
    );
}

#[test]
fn pending_state_is_read_where_the_interrupt_lives() {
    let machine = v3();
    assert_eq!(machine.gic.init_cpu(), Ok(()));
    machine.distributor.set(0x204, 1 << 18);
    machine.redistributors[0].set(0x1_0200, 1 << 27);
    let pending = [27, 28, 49, 50, 1020].map(|intid| machine.gic.is_pending(IntId::new(intid)));
    assert_eq!(pending, [true, false, false, true, false]);
    drop(machine);

    let machine = v2();
    machine.distributor.set(0x204, 1 << 18);
    let pending = [49, 50, 1020].map(|intid| machine.gic.is_pending(IntId::new(intid)));
    assert_eq!(pending, [false, true, false]);
}

#[test]
fn v3_acknowledge_returns_none_for_special_numbers() {
    let machine = v3();
    for (raw, expected) in [
        (1019, true),
        (1020, false),
        (1023, false),
        (1024, true),
        (8192, true),
    ] {
        sysreg::icc_iar1::write(raw);
        assert_eq!(machine.gic.acknowledge().is_some(), expected, "{raw}");
    }
}

#[test]
fn v3_kick_encodes_the_affinity() {
    let machine = v3();
    machine.gic.kick(Mpidr::new(0x04_0003_0225), IntId::new(7));
    assert_eq!(
        sysreg::icc_sgi1r::read(),
        4 << 48 | 2 << 44 | 3 << 32 | 7 << 24 | 2 << 16 | 1 << 5
    );
}

#[test]
fn v3_virtual_interface_resets_to_empty_and_on() {
    let machine = v3();
    for index in 0..4 {
        sysreg::ich_lr::write(index, u64::MAX);
    }
    for index in 0..2 {
        sysreg::ich_ap1r::write(index, 1);
    }
    sysreg::ich_hcr::write(2);
    machine.gic.reset_virtual_interface();
    assert_eq!(
        [0, 1, 2, 3].map(|index| machine.gic.read(index)),
        [ListRegister::EMPTY; 4]
    );
    assert_eq!(sysreg::ich_hcr::read(), 1);
    // Five preemption bits: one register exists, the second must not be touched.
    assert_eq!(
        [sysreg::ich_ap1r::read(0), sysreg::ich_ap1r::read(1)],
        [0, 1]
    );
    assert_eq!(machine.gic.count(), 4);
}

/// All that can be announced.
const EVERYTHING: Announce = Announce {
    refill: true,
    unmatched: true,
    deactivations: true,
};

#[test]
fn v3_announces_by_its_control_register_and_forgets_counted_ends() {
    let machine = v3();
    sysreg::ich_vtr::write(1 << 19 | 4 << 26 | 3);
    sysreg::ich_hcr::write(5 << 27 | 1);
    machine.gic.announce(EVERYTHING);
    assert_eq!(sysreg::ich_hcr::read(), 1 << 14 | 1 << 3 | 1 << 2 | 1);
    machine.gic.announce(Announce::NOTHING);
    assert_eq!(sysreg::ich_hcr::read(), 1);
}

#[test]
fn v3_without_a_trap_of_deactivations_alone_traps_the_common_registers() {
    let machine = v3();
    machine.gic.announce(EVERYTHING);
    assert_eq!(sysreg::ich_hcr::read(), 1 << 10 | 1 << 3 | 1 << 2 | 1);
}

#[test]
fn v3_trapped_common_registers_answer_as_the_virtual_interface_would() {
    let machine = v3();
    let gic = machine.gic;
    // 5 priority bits, 16 INTID bits, A3V; the guest masks at 0xf0.
    sysreg::ich_vtr::write(4 << 29 | 4 << 26 | 1 << 21 | 3);
    sysreg::ich_vmcr::write(0xf0 << 24 | 3);
    let control = |written| gic.common_register(CommonRegister::Control, written);
    let mask = |written| gic.common_register(CommonRegister::PriorityMask, written);
    assert_eq!((control(None), mask(None)), (1 << 15 | 4 << 8, 0xf0));
    assert!(!gic.splits_ends());

    control(Some(u64::MAX));
    mask(Some(0x80));
    assert_eq!((control(None), mask(None)), (1 << 15 | 4 << 8 | 3, 0x80));
    assert_eq!(sysreg::ich_vmcr::read(), 0x80 << 24 | 1 << 9 | 1 << 4 | 3);
    assert!(gic.splits_ends());
}

#[test]
fn v3_running_priority_is_the_most_urgent_active_one_of_both_groups() {
    let machine = v3();
    let running = || {
        machine
            .gic
            .common_register(CommonRegister::RunningPriority, None)
    };
    // Preemption bits, active priorities of group 0 and 1 in two registers, what is running.
    let cases = [
        (5, [0, 0], [0, 0], 0xff),
        (5, [0, 0], [1 << 20, 0], 0xa0),
        (5, [1 << 3, 0], [1 << 20, 0], 0x18),
        (6, [0, 1 << 8], [0, 0], 0xa0),
        (7, [0, 1 << 1], [0, 0], 0x42),
    ];
    for (bits, group0, group1, expected) in cases {
        sysreg::ich_vtr::write((bits - 1) << 26 | 3);
        for index in 0..2 {
            sysreg::ich_ap0r::write(index, group0[index]);
            sysreg::ich_ap1r::write(index, group1[index]);
        }
        assert_eq!(running(), expected, "{bits} bits, {group0:?}, {group1:?}");
    }
}

#[test]
fn v2_announces_by_its_control_register_and_knows_how_the_guest_ends() {
    let machine = v2();
    machine.control.set(0, 7 << 27 | 1);
    machine.gic.announce(EVERYTHING);
    assert_eq!(machine.control.get(0), 1 << 3 | 1 << 2 | 1);
    assert_eq!(
        (machine.gic.splits_ends(), machine.gic.running_priority()),
        (false, 0xff)
    );
    machine.control.set(8, 1 << 9);
    machine.control.set(0xf0, 1 << 20 | 1 << 5);
    assert_eq!(
        (machine.gic.splits_ends(), machine.gic.running_priority()),
        (true, 0x28)
    );
}

/// A GICv2 with 96 interrupts.
struct V2 {
    gic: GicV2,
    distributor: Memory,
    cpu: Memory,
    control: Memory,
    _lock: MutexGuard<'static, ()>,
}

fn v2() -> V2 {
    let lock = SYSTEM_REGISTERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let [distributor, cpu, control] = [0x1000, 0x2000, 0x1000].map(Memory::new);
    distributor.set(4, 2);
    control.set(4, 3);
    let table = Box::leak(Box::new(CpuTable::new()));
    // SAFETY: the frames are leaked memory that only the drivers and `Memory` access, on this thread.
    let gic = unsafe { GicV2::with_table(distributor.0, cpu.0, control.0, table) };
    run_on(FIRST);
    V2 {
        gic,
        distributor,
        cpu,
        control,
        _lock: lock,
    }
}

#[test]
fn v2_distributor_comes_up_with_all_spis_off_and_sent_to_the_boot_cpu() {
    let machine = v2();
    machine.distributor.set(0x800, 0x0404_0404);
    assert_eq!(machine.gic.init_distributor(), Ok(()));
    let word = |offset| machine.distributor.get(offset);
    assert_eq!(word(0), 1);
    for clear in [0x180, 0x280, 0x380] {
        assert_eq!(
            [0, 4, 8, 12].map(|n| word(clear + n)),
            [0, u32::MAX, u32::MAX, 0],
            "{clear:#x}"
        );
    }
    assert_eq!(
        [word(0x820), word(0x85c), word(0x860)],
        [0x0404_0404, 0x0404_0404, 0]
    );
    assert_eq!([word(0x41c), word(0x420), word(0x460)], [0, 0xa0a0_a0a0, 0]);
}

#[test]
fn v2_route_and_kick_use_the_mask_that_the_cpu_learned() {
    let machine = v2();
    machine.distributor.set(0x800, 0x0000_0400);
    run_on(OTHER_CLUSTER);
    assert_eq!(machine.gic.init_cpu(), Ok(()));
    machine.gic.route(IntId::new(33), OTHER_CLUSTER);
    assert_eq!(machine.distributor.get(0x820), 0x0400);
    machine.gic.kick(OTHER_CLUSTER, IntId::new(7));
    assert_eq!(machine.distributor.get(0xf00), 4 << 16 | 7);
}

#[test]
fn v2_kick_and_route_to_a_cpu_that_is_not_up_do_nothing() {
    let machine = v2();
    machine.gic.kick(SECOND, IntId::new(7));
    machine.gic.route(IntId::new(33), SECOND);
    assert_eq!(
        (
            machine.distributor.get(0xf00),
            machine.distributor.get(0x820)
        ),
        (0, 0)
    );
}

#[test]
fn v2_sole_cpu_without_target_registers_has_mask_one() {
    let machine = v2();
    assert_eq!(machine.gic.init_cpu(), Ok(()));
    machine.gic.kick(FIRST, IntId::new(1));
    assert_eq!(machine.distributor.get(0xf00), 1 << 16 | 1);
}

#[test]
fn v2_cpu_interface_splits_drop_and_deactivation_and_keeps_the_sgi_source() {
    let machine = v2();
    assert_eq!(machine.gic.init_cpu(), Ok(()));
    assert_eq!((machine.cpu.get(0), machine.cpu.get(4)), (1 << 9 | 1, 0xff));
    machine.cpu.set(0xc, 3 << 10 | 5);
    let sgi = machine.gic.acknowledge();
    assert_eq!(
        sgi,
        Some(Acknowledged {
            intid: IntId::new(5),
            raw: 3 << 10 | 5
        })
    );
    machine.gic.drop_priority(sgi.unwrap());
    machine.gic.deactivate(sgi.unwrap());
    assert_eq!(
        (machine.cpu.get(0x10), machine.cpu.get(0x1000)),
        (3 << 10 | 5, 3 << 10 | 5)
    );
    machine.cpu.set(0xc, 1023);
    assert_eq!(machine.gic.acknowledge(), None);
}

#[test]
fn v2_list_registers_are_at_their_places() {
    let machine = v2();
    let register = ListRegister {
        virtual_id: IntId::new(40),
        hardware: Some(IntId::new(40)),
        priority: 0xa0,
        group1: false,
        state: LrState::Pending,
        end_maintenance: false,
        source: 0,
    };
    machine.gic.write(3, register);
    assert_eq!(machine.control.get(0x10c), register.to_v2());
    assert_eq!(machine.gic.read(3), register);
    assert_eq!(
        (machine.gic.count(), machine.gic.read(99)),
        (4, ListRegister::EMPTY)
    );
    machine.control.set(0x30, 0xf);
    assert_eq!(machine.gic.empty(), 0xf);
    machine.gic.reset_virtual_interface();
    assert_eq!((machine.control.get(0x10c), machine.control.get(0)), (0, 1));
}

#[test]
fn numbers_that_no_interrupt_has_are_ignored() {
    let (absent, machine) = (IntId::new(1020), v2());
    machine.gic.enable(absent);
    assert!(!machine.gic.is_available(absent));
    machine.gic.set_trigger(absent, Trigger::Edge);
    machine.gic.route(absent, FIRST);
    assert!(
        (0..0x1000)
            .step_by(4)
            .all(|offset| offset == 4 || machine.distributor.get(offset) == 0)
    );
    drop(machine);

    let machine = v3();
    machine.gic.enable(absent);
    assert!(!machine.gic.is_available(absent));
    machine.gic.set_trigger(absent, Trigger::Edge);
    machine.gic.route(absent, FIRST);
    assert!(
        (0..0x1_0000)
            .step_by(4)
            .all(|offset| offset == 4 || machine.distributor.get(offset) == 0)
    );
}

#[cfg(feature = "its")]
mod lpis {
    use super::*;

    const PLPIS: u32 = 1;

    #[test]
    fn lpis_are_turned_on_with_tables_of_the_system_even_when_firmware_left_others() {
        let v3 = v3();
        let redistributor = v3.redistributors[0];
        redistributor.set(8, PLPIS);
        v3.gic.init_cpu().unwrap();
        redistributor.set(0, 1);
        redistributor.set(0x70, 0x1234);

        v3.gic.init_lpis(0x4012_0000, 0x4013_0000).unwrap();

        assert_eq!(redistributor.get(0x70), 0x4012_0000 | 1 << 7 | 13);
        assert_eq!(redistributor.get(0x78), 0x4013_0000 | 1 << 7);
        assert_eq!(redistributor.get(0x7c), 1 << 30, "all zero");
        assert_eq!(redistributor.get(0) & 1, 1);
    }

    #[test]
    fn redistributor_without_lpis_is_an_error() {
        let v3 = v3();
        v3.gic.init_cpu().unwrap();
        assert_eq!(v3.gic.init_lpis(0, 0), Err(GicError::LpisMissing(FIRST)));
    }

    #[test]
    fn commands_name_a_redistributor_by_number_or_by_address() {
        let v3 = v3();
        run_on(SECOND);
        v3.redistributors[0].set(0x2_0008, 5 << 8 | 1 << 4);
        v3.gic.init_cpu().unwrap();
        let address = v3.redistributors[0].0 as u64 + 0x2_0000;
        assert_eq!(v3.gic.lpi_target(SECOND, false), Some(5 << 16));
        assert_eq!(v3.gic.lpi_target(SECOND, true), Some(address));
        assert_eq!(v3.gic.lpi_target(OTHER_CLUSTER, true), None);
    }
}
