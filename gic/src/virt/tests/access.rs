//! Every register, with every width.

use super::*;
use Width::{Byte, Double, Half, Word};

const D: Frame = Frame::Distributor;
const R0: Frame = Frame::Redistributor(VcpuId::new(0));
const R1: Frame = Frame::Redistributor(VcpuId::new(1));
const WIDTHS: [Width; 4] = [Byte, Half, Word, Double];

/// Reads `offset` after writing `write` to it, as CPU 0 of a fresh machine with 2 virtual CPUs.
fn after(version: Version, frame: Frame, offset: u32, width: Width, write: u64) -> Option<u64> {
    let mut machine = Machine::new(version, 2);
    machine.write(0, frame, offset, width, write);
    machine.read(0, frame, offset, width)
}

const ALL: u64 = u64::MAX;

#[test]
fn gicv3_registers_read_as_specified_after_all_ones_were_written() {
    // Name, frame, offset, width, value. INTIDs up to 95 exist.
    let cases: [(&str, Frame, u32, Width, u64); 47] = [
        ("GICD_CTLR: DS, ARE, groups", D, 0x0000, Word, 0x53),
        (
            "GICD_TYPER: No1N, A3V, 10 ID bits, 64 SPIs",
            D,
            0x0004,
            Word,
            1 << 25 | 1 << 24 | 9 << 19 | 2,
        ),
        ("GICD_IIDR", D, 0x0008, Word, 0x4200_043b),
        ("GICD_TYPER2", D, 0x000c, Word, 0),
        ("GICD_STATUSR", D, 0x0010, Word, 0),
        ("GICD_SETSPI_NSR", D, 0x0040, Word, 0),
        ("GICD_CLRSPI_SR half", D, 0x0058, Half, 0),
        (
            "GICD_IGROUPR0: reserved with affinity routing",
            D,
            0x0080,
            Word,
            0,
        ),
        ("GICD_IGROUPR1", D, 0x0084, Word, 0xffff_ffff),
        ("GICD_IGROUPR3: no such interrupts", D, 0x008c, Word, 0),
        ("GICD_ISENABLER0: reserved", D, 0x0100, Word, 0),
        ("GICD_ISENABLER1", D, 0x0104, Word, 0xffff_ffff),
        ("GICD_ICENABLER2", D, 0x0188, Word, 0),
        ("GICD_ISPENDR2", D, 0x0208, Word, 0xffff_ffff),
        ("GICD_ICPENDR2", D, 0x0288, Word, 0),
        ("GICD_ISACTIVER2", D, 0x0308, Word, 0xffff_ffff),
        ("GICD_ICACTIVER2", D, 0x0388, Word, 0),
        ("GICD_IPRIORITYR8", D, 0x0420, Word, 0xf8f8_f8f8),
        ("GICD_IPRIORITYR byte", D, 0x0423, Byte, 0xf8),
        ("GICD_IPRIORITYR0: reserved", D, 0x0400, Word, 0),
        ("GICD_IPRIORITYR: no such interrupts", D, 0x0460, Word, 0),
        ("GICD_ITARGETSR8: reserved", D, 0x0820, Word, 0),
        ("GICD_ICFGR0: reserved", D, 0x0c00, Word, 0),
        ("GICD_ICFGR2", D, 0x0c08, Word, 0xaaaa_aaaa),
        ("GICD_IGRPMODR1", D, 0x0d04, Word, 0),
        ("GICD_NSACR2", D, 0x0e08, Word, 0),
        ("GICD_SGIR", D, 0x0f00, Word, 0),
        ("GICD_SPENDSGIR0", D, 0x0f20, Word, 0),
        (
            "GICD_IROUTER32: affinity, no 1-of-N",
            D,
            0x6100,
            Double,
            0xff_00ff_ffff,
        ),
        ("GICD_IROUTER32 lower half", D, 0x6100, Word, 0x00ff_ffff),
        ("GICD_IROUTER32 upper half", D, 0x6104, Word, 0xff),
        (
            "GICD_IROUTER: no such interrupt",
            D,
            0x6000 + 8 * 96,
            Double,
            0,
        ),
        ("GICR_CTLR", R0, 0x0_0000, Word, 0),
        ("GICR_IIDR", R0, 0x0_0004, Word, 0x4200_043b),
        ("GICR_WAKER", R0, 0x0_0014, Word, 6),
        ("GICR_PROPBASER", R0, 0x0_0070, Double, 0),
        ("GICR_SYNCR", R0, 0x0_00c0, Word, 0),
        ("GICR_IGROUPR0", R0, 0x1_0080, Word, 0xffff_ffff),
        ("GICR_ISENABLER0", R0, 0x1_0100, Word, 0xffff_ffff),
        ("GICR_ICENABLER0", R0, 0x1_0180, Word, 0),
        ("GICR_ISPENDR0", R0, 0x1_0200, Word, 0xffff_ffff),
        ("GICR_ICPENDR0", R0, 0x1_0280, Word, 0),
        ("GICR_ISACTIVER0", R0, 0x1_0300, Word, 0xffff_ffff),
        ("GICR_IPRIORITYR7 byte", R0, 0x1_041f, Byte, 0xf8),
        (
            "GICR_ICFGR0: SGIs are edge-triggered",
            R0,
            0x1_0c00,
            Word,
            0xaaaa_aaaa,
        ),
        (
            "GICR_ICFGR1: PPIs are level-sensitive",
            R0,
            0x1_0c04,
            Word,
            0,
        ),
        ("GICR_IGRPMODR0", R0, 0x1_0d00, Word, 0),
    ];
    for (name, frame, offset, width, value) in cases {
        assert_eq!(
            after(Version::V3, frame, offset, width, ALL),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn gicv3_registers_reset_as_specified() {
    let cases: [(&str, Frame, u32, Width, u64); 10] = [
        ("GICD_CTLR", D, 0x0000, Word, 0x50),
        ("GICD_IGROUPR1: group 1", D, 0x0084, Word, 0xffff_ffff),
        ("GICD_ISENABLER1", D, 0x0104, Word, 0),
        (
            "GICD_ICFGR2: EDGE is edge-triggered",
            D,
            0x0c08,
            Word,
            2 << 4,
        ),
        ("GICD_IROUTER32: first CPU", D, 0x6100, Double, 0),
        ("GICR_WAKER: asleep", R0, 0x0014, Word, 6),
        ("GICR_IGROUPR0: group 1", R0, 0x1_0080, Word, 0xffff_ffff),
        ("GICR_ISENABLER0", R0, 0x1_0100, Word, 0),
        ("GICR_TYPER of the first", R0, 0x0008, Double, 0),
        (
            "GICR_TYPER of the last",
            R1,
            0x0008,
            Double,
            1 << 32 | 1 << 8 | 1 << 4,
        ),
    ];
    for (name, frame, offset, width, value) in cases {
        assert_eq!(
            Machine::new(Version::V3, 2).read(0, frame, offset, width),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn words_that_are_shown_without_the_lock_read_as_the_registers_do() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::new(version, 2);
        machine.set(0, 0x104, 0x8000_0001);
        machine.set(0, 0x108, 0x00ff_0000);
        for cpu in 0..2 {
            let (frame, base) = match version {
                Version::V2 => (Frame::Distributor, 0),
                Version::V3 => (Frame::Redistributor(VcpuId::new(cpu)), 0x1_0000),
            };
            machine.write(cpu, frame, base + 0x100, Width::Word, 0xf000 << cpu);
        }
        let mut shown = 0;
        for frame in [0, 1, 2] {
            let frame = match frame {
                2 => Frame::Distributor,
                of => Frame::Redistributor(VcpuId::new(of)),
            };
            for offset in 0..0x2_0000 {
                if let Some(word) = machine.shown.read_word(frame, offset) {
                    let by_the_table = machine.read(0, frame, offset, Width::Word);
                    let exists = version == Version::V3 || frame == Frame::Distributor;
                    assert!(
                        !exists || by_the_table == Some(word.into()),
                        "{version:?} {frame:?} {offset:#x}"
                    );
                    shown += 1;
                }
            }
        }
        // TYPER; ISENABLER and ICENABLER of up to 988 SPIs and of each virtual CPU.
        assert_eq!(shown, 1 + 2 * 31 + 2 * 2);
    }
}

#[test]
fn gicr_typer_halves_are_affinity_above_number() {
    let vcpu = |mpidr| Vcpu {
        pcpu: PcpuId::new(0),
        mpidr: Mpidr::new(mpidr),
        time: model::time::TimeShare::Always,
    };
    let mut machine = Machine::with_vcpus(
        Version::V3,
        vec![vcpu(0x01_0002_0304), vcpu(0x01_0002_0305)],
    );
    assert_eq!(machine.read(0, R1, 0x8, Word), Some(1 << 8 | 1 << 4));
    assert_eq!(machine.read(0, R1, 0xc, Word), Some(0x0102_0305));
    assert_eq!(machine.read(0, R0, 0x8, Double), Some(0x0102_0304 << 32));
}

#[test]
fn gicr_waker_wakes_at_once() {
    let mut machine = Machine::new(Version::V3, 2);
    machine.write(0, R1, 0x14, Word, 0);
    assert_eq!(
        (
            machine.read(0, R1, 0x14, Word),
            machine.read(0, R0, 0x14, Word)
        ),
        (Some(0), Some(6))
    );
}

#[test]
fn gicv2_registers_read_as_specified_after_all_ones_were_written() {
    let cases: [(&str, u32, Width, u64); 27] = [
        ("GICD_CTLR", 0x000, Word, 3),
        ("GICD_TYPER: 2 CPUs, 64 SPIs", 0x004, Word, 1 << 5 | 2),
        ("GICD_IIDR", 0x008, Word, 0x4200_043b),
        ("GICD_IGROUPR0", 0x080, Word, 0xffff_ffff),
        ("GICD_IGROUPR3: no such interrupts", 0x08c, Word, 0),
        ("GICD_ISENABLER0", 0x100, Word, 0xffff_ffff),
        ("GICD_ISENABLER1", 0x104, Word, 0xffff_ffff),
        ("GICD_ICENABLER0", 0x180, Word, 0),
        ("GICD_ISPENDR0: SGIs read-only", 0x200, Word, 0xffff_0000),
        ("GICD_ICPENDR1", 0x284, Word, 0),
        ("GICD_ISACTIVER1", 0x304, Word, 0xffff_ffff),
        ("GICD_ICACTIVER1", 0x384, Word, 0),
        ("GICD_IPRIORITYR0", 0x400, Word, 0xf8f8_f8f8),
        ("GICD_IPRIORITYR byte", 0x421, Byte, 0xf8),
        ("GICD_ITARGETSR0: own CPU", 0x800, Word, 0x0101_0101),
        ("GICD_ITARGETSR7 byte", 0x81f, Byte, 0x01),
        ("GICD_ITARGETSR8: CPUs that exist", 0x820, Word, 0x0303_0303),
        ("GICD_ITARGETSR: no such interrupts", 0x860, Word, 0),
        ("GICD_ICFGR0", 0xc00, Word, 0xaaaa_aaaa),
        ("GICD_ICFGR1", 0xc04, Word, 0),
        ("GICD_ICFGR2", 0xc08, Word, 0xaaaa_aaaa),
        ("GICD_SGIR: write-only", 0xf00, Word, 0),
        ("GICD_SPENDSGIR0", 0xf20, Word, 0xffff_ffff),
        ("GICD_SPENDSGIR byte", 0xf2f, Byte, 0xff),
        ("GICD_CPENDSGIR0", 0xf10, Word, 0),
        ("ICPIDR2", 0xfe8, Word, 0x2b),
        ("ICCIDR3", 0xffc, Word, 0xb1),
    ];
    for (name, offset, width, value) in cases {
        assert_eq!(
            after(Version::V2, D, offset, width, ALL),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn gicv2_registers_reset_as_specified() {
    let cases: [(&str, u32, u64); 5] = [
        ("GICD_CTLR", 0x000, 0),
        ("GICD_IGROUPR1: group 0", 0x084, 0),
        ("GICD_ISENABLER0: SGIs enabled", 0x100, 0xffff),
        ("GICD_ITARGETSR8: no CPU", 0x820, 0),
        ("GICD_ICFGR2", 0xc08, 2 << 4),
    ];
    for (name, offset, value) in cases {
        assert_eq!(
            Machine::new(Version::V2, 2).read(0, D, offset, Word),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn gicv2_with_one_cpu_has_no_targets_and_needs_none() {
    let mut machine = Machine::new(Version::V2, 1);
    machine.write(0, D, 0x820, Word, ALL);
    assert_eq!((machine.get(0, 0x820), machine.get(0, 0x800)), (0, 0));
    machine.set(0, 0x000, 1);
    machine.set(0, 0x104, 2);
    machine.set(0, 0x204, 2);
    assert_eq!(machine.acknowledge(0), Some(LEVEL));
}

#[test]
fn gicv2_private_registers_are_banked() {
    let mut machine = Machine::new(Version::V2, 2);
    machine.set(0, 0x180, 0xffff);
    machine.set(1, 0x404, 0x1010_1010);
    assert_eq!((machine.get(0, 0x100), machine.get(1, 0x100)), (0, 0xffff));
    assert_eq!(
        (machine.get(0, 0x404), machine.get(1, 0x404)),
        (0, 0x1010_1010)
    );
    assert_eq!(
        (machine.get(0, 0x800), machine.get(1, 0x800)),
        (0x0101_0101, 0x0202_0202)
    );
}

#[test]
fn identification_says_which_architecture() {
    let cases = [
        (Version::V2, D, 0xfd0, 0x2b),
        (Version::V3, D, 0xffd0, 0x3b),
        (Version::V3, R1, 0xffd0, 0x3b),
    ];
    for (version, frame, first, pidr2) in cases {
        let mut machine = Machine::new(version, 2);
        let words: Vec<_> = (0..12)
            .map(|n| machine.read(0, frame, first + n * 4, Word).unwrap())
            .collect();
        assert_eq!(words[6], pidr2);
        assert_eq!(words[8..], [0x0d, 0xf0, 0x05, 0xb1]);
    }
}

#[test]
fn widths_other_than_specified_are_unknown() {
    // Version, frame, offset, the widths that are allowed.
    let cases: [(Version, Frame, u32, &[Width]); 13] = [
        (Version::V3, D, 0x0000, &[Word]),
        (Version::V3, D, 0x0040, &[Half, Word]),
        (Version::V3, D, 0x0108, &[Word]),
        (Version::V3, D, 0x0428, &[Byte, Word]),
        (Version::V3, D, 0x0c08, &[Word]),
        (Version::V3, D, 0x6108, &[Word, Double]),
        (Version::V3, R0, 0x0008, &[Word, Double]),
        (Version::V3, R0, 0x0014, &[Word]),
        (Version::V3, R0, 0x1_0400, &[Byte, Word]),
        (Version::V2, D, 0x108, &[Word]),
        (Version::V2, D, 0x828, &[Byte, Word]),
        (Version::V2, D, 0xf00, &[Word]),
        (Version::V2, D, 0xf20, &[Byte, Word]),
    ];
    for (version, frame, offset, allowed) in cases {
        let mut machine = Machine::new(version, 2);
        for width in WIDTHS {
            let known = machine.read(0, frame, offset, width).is_some();
            assert_eq!(
                known,
                allowed.contains(&width),
                "{version:?} {frame:?} {offset:#x} {width:?}"
            );
        }
    }
}

#[test]
fn unaligned_absent_and_foreign_offsets_are_unknown() {
    let cases: [(Version, Frame, u32, Width); 9] = [
        (Version::V3, D, 0x0102, Word),
        (Version::V3, D, 0x6104, Double),
        (Version::V3, D, 0x1000, Word),
        (Version::V3, D, 0x8000, Word),
        (Version::V3, R0, 0x1_0104, Word),
        (Version::V3, R0, 0x2_0000, Word),
        (
            Version::V3,
            Frame::Redistributor(VcpuId::new(2)),
            0x0008,
            Double,
        ),
        (Version::V2, R0, 0x0008, Double),
        (Version::V2, D, 0x1000, Word),
    ];
    for (version, frame, offset, width) in cases {
        let mut machine = Machine::new(version, 2);
        assert_eq!(
            machine.read(0, frame, offset, width),
            None,
            "{version:?} {frame:?} {offset:#x} {width:?}"
        );
    }
}

#[test]
fn write_of_zero_changes_no_set_or_clear_register() {
    let mut machine = Machine::started(Version::V3, 1);
    for array in [0x100, 0x180, 0x200, 0x280, 0x300, 0x380] {
        machine.set(0, array + 4, 0);
    }
    assert_eq!(
        [0x104, 0x204, 0x304].map(|offset| machine.get(0, offset)),
        [0xffff_ffff, 0, 0]
    );
}

#[test]
fn pending_state_survives_a_change_of_trigger() {
    let mut machine = Machine::new(Version::V3, 1);
    machine.set(0, 0x208, 0xffff_ffff);
    for trigger in [0xaaaa_aaaa, 0, 0xaaaa_aaaa] {
        machine.set(0, 0xc10, trigger);
        machine.set(0, 0xc14, trigger);
        assert_eq!(machine.get(0, 0x208), 0xffff_ffff);
    }
}

#[test]
fn write_to_many_interrupts_on_a_cpu_that_is_wanted_is_broken_off_and_does_all_in_the_end() {
    for (version, register, goes_on) in [
        (Version::V2, 0x104, 15),
        (Version::V3, 0x104, 15),
        (Version::V3, 0x420, 1),
    ] {
        let mut machine = Machine::new(version, 2);

        let again = machine.write(0, D, register, Word, ALL);

        assert_eq!(again, goes_on, "{version:?} {register:#x}");
        let expected = if register == 0x104 { ALL } else { 0xf8f8_f8f8 };
        let read = machine.read(0, D, register, Word);
        assert_eq!(read, Some(expected & 0xffff_ffff));
    }
}

#[test]
fn write_to_one_interrupt_is_never_broken_off() {
    for bit in 0..32 {
        let mut machine = Machine::new(Version::V3, 2);
        machine.physical.is_wanted();
        assert_eq!(machine.write(0, D, 0x104, Word, 1 << bit), 0);
    }
}
