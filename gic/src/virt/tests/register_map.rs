//! Every offset of every frame, with every width: the tables below are written from the manuals, apart from the controller's own. What is in no
//! row is unknown (reads as zero, ignores writes, and is counted by the caller).

use super::*;
use Width::{Byte, Double, Half, Word};

/// What a register of the array does with a write of all ones to a machine as after reset.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Keeps these bits; reads this after reset.
    Keeps { writable: u64, reset: u64 },
    /// Sets what it is written, as the set half of a set/clear pair; only these bits exist.
    Sets(u64),
    /// The clear half: reads as the set half, and a write of ones leaves zero.
    Clears,
    /// Reads as this, whatever is written.
    Fixed(u64),
    /// Its value is a matter of the machine; writes are ignored.
    Constant,
}

/// One register, or an array of equal ones: first offset, end, element size, allowed widths, what it does.
struct Row(&'static str, u32, u32, &'static [Width], Kind);

const ALL: u64 = u64::MAX;
const W: &[Width] = &[Word];
const BW: &[Width] = &[Byte, Word];
const WD: &[Width] = &[Word, Double];
const ZERO: Kind = Kind::Fixed(0);

/// GICv2 distributor, IHI 0048B table 4-1. 96 interrupts, 2 CPUs; SGIs 0 to 15, PPIs 16 to 31.
const GICV2: &[Row] = &[
    Row(
        "CTLR",
        0x000,
        0x004,
        W,
        Kind::Keeps {
            writable: 3,
            reset: 0,
        },
    ),
    Row("TYPER, IIDR", 0x004, 0x00c, W, Kind::Constant),
    Row(
        "IGROUPR0-2",
        0x080,
        0x08c,
        W,
        Kind::Keeps {
            writable: ALL,
            reset: 0,
        },
    ),
    Row("IGROUPR3-31: no such interrupts", 0x08c, 0x100, W, ZERO),
    Row(
        "ISENABLER0: SGIs start enabled",
        0x100,
        0x104,
        W,
        Kind::Keeps {
            writable: ALL,
            reset: 0xffff,
        },
    ),
    Row("ISENABLER1-2", 0x104, 0x10c, W, Kind::Sets(ALL)),
    Row("ISENABLER3-31", 0x10c, 0x180, W, ZERO),
    Row("ICENABLER0-2", 0x180, 0x18c, W, Kind::Clears),
    Row("ICENABLER3-31", 0x18c, 0x200, W, ZERO),
    Row(
        "ISPENDR0: read-only for SGIs",
        0x200,
        0x204,
        W,
        Kind::Sets(0xffff_0000),
    ),
    Row("ISPENDR1-2", 0x204, 0x20c, W, Kind::Sets(ALL)),
    Row("ISPENDR3-31", 0x20c, 0x280, W, ZERO),
    Row("ICPENDR0-2", 0x280, 0x28c, W, Kind::Clears),
    Row("ICPENDR3-31", 0x28c, 0x300, W, ZERO),
    Row("ISACTIVER0-2", 0x300, 0x30c, W, Kind::Sets(ALL)),
    Row("ISACTIVER3-31", 0x30c, 0x380, W, ZERO),
    Row("ICACTIVER0-2", 0x380, 0x38c, W, Kind::Clears),
    Row("ICACTIVER3-31", 0x38c, 0x400, W, ZERO),
    Row(
        "IPRIORITYR0-23",
        0x400,
        0x460,
        BW,
        Kind::Keeps {
            writable: 0xf8f8_f8f8,
            reset: 0,
        },
    ),
    Row("IPRIORITYR24-254", 0x460, 0x7fc, BW, ZERO),
    Row(
        "ITARGETSR0-7: the reader",
        0x800,
        0x820,
        BW,
        Kind::Fixed(0x0101_0101),
    ),
    Row(
        "ITARGETSR8-23",
        0x820,
        0x860,
        BW,
        Kind::Keeps {
            writable: 0x0303_0303,
            reset: 0,
        },
    ),
    Row("ITARGETSR24-254", 0x860, 0xbfc, BW, ZERO),
    Row(
        "ICFGR0: SGIs are edge-triggered",
        0xc00,
        0xc04,
        W,
        Kind::Fixed(0xaaaa_aaaa),
    ),
    Row("ICFGR1: PPIs are level-sensitive", 0xc04, 0xc08, W, ZERO),
    Row(
        "ICFGR2: interrupt 34 is an edge",
        0xc08,
        0xc0c,
        W,
        Kind::Keeps {
            writable: 0xaaaa_aaaa,
            reset: 0x20,
        },
    ),
    Row(
        "ICFGR3-5",
        0xc0c,
        0xc18,
        W,
        Kind::Keeps {
            writable: 0xaaaa_aaaa,
            reset: 0,
        },
    ),
    Row("ICFGR6-63", 0xc18, 0xd00, W, ZERO),
    Row("SGIR: write-only", 0xf00, 0xf04, W, ZERO),
    Row("CPENDSGIR0-3", 0xf10, 0xf20, BW, Kind::Clears),
    Row(
        "SPENDSGIR0-3: from 8 CPUs",
        0xf20,
        0xf30,
        BW,
        Kind::Sets(ALL),
    ),
    Row("identification", 0xfd0, 0x1000, W, Kind::Constant),
];

/// GICv3 distributor, IHI 0069H table 12-25; one security state, affinity routing, 64 SPIs.
const GICV3: &[Row] = &[
    Row(
        "CTLR: DS and ARE are 1",
        0x0000,
        0x0004,
        W,
        Kind::Keeps {
            writable: 3,
            reset: 0x50,
        },
    ),
    Row("TYPER, IIDR", 0x0004, 0x000c, W, Kind::Constant),
    Row("TYPER2, STATUSR", 0x000c, 0x0014, W, ZERO),
    Row("SETSPI, CLRSPI: none", 0x0040, 0x005c, &[Half, Word], ZERO),
    Row("IGROUPR0: in the redistributors", 0x0080, 0x0084, W, ZERO),
    Row(
        "IGROUPR1-2",
        0x0084,
        0x008c,
        W,
        Kind::Keeps {
            writable: ALL,
            reset: ALL,
        },
    ),
    Row("IGROUPR3-31", 0x008c, 0x0100, W, ZERO),
    Row("ISENABLER0", 0x0100, 0x0104, W, ZERO),
    Row("ISENABLER1-2", 0x0104, 0x010c, W, Kind::Sets(ALL)),
    Row("ISENABLER3-31", 0x010c, 0x0180, W, ZERO),
    Row("ICENABLER0-31", 0x0180, 0x0200, W, Kind::Clears),
    Row("ISPENDR0", 0x0200, 0x0204, W, ZERO),
    Row("ISPENDR1-2", 0x0204, 0x020c, W, Kind::Sets(ALL)),
    Row("ISPENDR3-31", 0x020c, 0x0280, W, ZERO),
    Row("ICPENDR0-31", 0x0280, 0x0300, W, Kind::Clears),
    Row("ISACTIVER0", 0x0300, 0x0304, W, ZERO),
    Row("ISACTIVER1-2", 0x0304, 0x030c, W, Kind::Sets(ALL)),
    Row("ISACTIVER3-31", 0x030c, 0x0380, W, ZERO),
    Row("ICACTIVER0-31", 0x0380, 0x0400, W, Kind::Clears),
    Row("IPRIORITYR0-7", 0x0400, 0x0420, BW, ZERO),
    Row(
        "IPRIORITYR8-23",
        0x0420,
        0x0460,
        BW,
        Kind::Keeps {
            writable: 0xf8f8_f8f8,
            reset: 0,
        },
    ),
    Row("IPRIORITYR24-254", 0x0460, 0x07fc, BW, ZERO),
    Row("ITARGETSR: affinity routing", 0x0800, 0x0bfc, BW, ZERO),
    Row("ICFGR0-1", 0x0c00, 0x0c08, W, ZERO),
    Row(
        "ICFGR2: interrupt 34 is an edge",
        0x0c08,
        0x0c0c,
        W,
        Kind::Keeps {
            writable: 0xaaaa_aaaa,
            reset: 0x20,
        },
    ),
    Row(
        "ICFGR3-5",
        0x0c0c,
        0x0c18,
        W,
        Kind::Keeps {
            writable: 0xaaaa_aaaa,
            reset: 0,
        },
    ),
    Row("ICFGR6-63", 0x0c18, 0x0d00, W, ZERO),
    Row(
        "IGRPMODR, NSACR: one security state",
        0x0d00,
        0x0f00,
        W,
        ZERO,
    ),
    Row(
        "SGIR and its like: affinity routing",
        0x0f00,
        0x0f30,
        BW,
        ZERO,
    ),
    Row("IROUTER of private interrupts", 0x6000, 0x6100, WD, ZERO),
    Row(
        "IROUTER32-95: no 1-of-N",
        0x6100,
        0x6300,
        WD,
        Kind::Keeps {
            writable: 0xff_00ff_ffff,
            reset: 0,
        },
    ),
    Row("IROUTER96-1019", 0x6300, 0x7fe0, WD, ZERO),
    Row("identification", 0xffd0, 0x1_0000, W, Kind::Constant),
];

/// GICv3 redistributor, IHI 0069H tables 12-27 and 12-28, without LPIs.
const REDISTRIBUTOR: &[Row] = &[
    Row("CTLR", 0x0000, 0x0004, W, ZERO),
    Row("IIDR", 0x0004, 0x0008, W, Kind::Constant),
    Row("TYPER", 0x0008, 0x0010, WD, Kind::Constant),
    Row("STATUSR", 0x0010, 0x0014, W, ZERO),
    // ChildrenAsleep follows ProcessorSleep.
    Row("WAKER", 0x0014, 0x0018, W, Kind::Fixed(6)),
    Row("MPAMIDR, PARTIDR", 0x0018, 0x0020, W, ZERO),
    Row("LPI registers", 0x0040, 0x00c4, WD, ZERO),
    Row("identification", 0xffd0, 0x1_0000, W, Kind::Constant),
    Row(
        "IGROUPR0",
        0x1_0080,
        0x1_0084,
        W,
        Kind::Keeps {
            writable: ALL,
            reset: ALL,
        },
    ),
    Row("ISENABLER0", 0x1_0100, 0x1_0104, W, Kind::Sets(ALL)),
    Row("ICENABLER0", 0x1_0180, 0x1_0184, W, Kind::Clears),
    Row("ISPENDR0", 0x1_0200, 0x1_0204, W, Kind::Sets(ALL)),
    Row("ICPENDR0", 0x1_0280, 0x1_0284, W, Kind::Clears),
    Row("ISACTIVER0", 0x1_0300, 0x1_0304, W, Kind::Sets(ALL)),
    Row("ICACTIVER0", 0x1_0380, 0x1_0384, W, Kind::Clears),
    Row(
        "IPRIORITYR0-7",
        0x1_0400,
        0x1_0420,
        BW,
        Kind::Keeps {
            writable: 0xf8f8_f8f8,
            reset: 0,
        },
    ),
    Row(
        "ICFGR0: SGIs are edge-triggered",
        0x1_0c00,
        0x1_0c04,
        W,
        Kind::Fixed(0xaaaa_aaaa),
    ),
    Row(
        "ICFGR1: PPIs are level-sensitive",
        0x1_0c04,
        0x1_0c08,
        W,
        ZERO,
    ),
    Row("IGRPMODR0", 0x1_0d00, 0x1_0d04, W, ZERO),
    Row("NSACR", 0x1_0e00, 0x1_0e04, W, ZERO),
    Row("identification", 0x1_ffd0, 0x2_0000, W, Kind::Constant),
];

/// The part of a register's value that an access of this width at this offset sees. Registers repeat every 8 bytes at most.
fn seen(value: u64, wide: bool, offset: u32, width: Width) -> u64 {
    let within = offset % if wide { 8 } else { 4 };
    let bits = width.bytes() * 8;
    let mask = if bits == 64 { ALL } else { (1 << bits) - 1 };
    let value = if wide { value } else { value & 0xffff_ffff };
    value >> (within * 8) & mask
}

/// Checks one frame of a machine with two CPUs, of which the first accesses; `frame` is its own.
fn walk(version: Version, frame: Frame, size: u32, rows: &[Row]) {
    let mut fresh = Machine::new(version, 2);
    for offset in 0..size {
        let row = rows.iter().find(|row| (row.1..row.2).contains(&offset));
        for width in [Byte, Half, Word, Double] {
            let known =
                row.filter(|row| row.3.contains(&width) && offset.is_multiple_of(width.bytes()));
            let first = fresh.read(0, frame, offset, width);
            let Some(Row(name, _, _, widths, kind)) = known else {
                assert_eq!(first, None, "{offset:#x} {width:?} is known");
                continue;
            };
            let wide = widths.contains(&Double);
            let part = |value| Some(seen(value, wide, offset, width));
            let mut written = Machine::new(version, 2);
            written.write(0, frame, offset, width, ALL);
            let after = written.read(0, frame, offset, width);
            let expected = match *kind {
                Kind::Keeps { writable, reset } => {
                    (part(reset), part(reset & !writable | writable))
                }
                Kind::Sets(bits) => (Some(0), part(bits)),
                Kind::Clears => (first, Some(0)),
                Kind::Fixed(value) => (part(value), part(value)),
                Kind::Constant => (first, first),
            };
            assert_eq!((first, after), expected, "{name} at {offset:#x} {width:?}");
        }
    }
}

#[test]
fn gicv2_distributor_is_as_the_manual_says_at_every_offset_and_width() {
    walk(Version::V2, Frame::Distributor, 0x1000, GICV2);
}

#[test]
fn gicv3_distributor_is_as_the_manual_says_at_every_offset_and_width() {
    walk(Version::V3, Frame::Distributor, 0x1_0000, GICV3);
}

#[test]
fn gicv3_redistributor_is_as_the_manual_says_at_every_offset_and_width() {
    let own = Frame::Redistributor(VcpuId::new(0));
    walk(Version::V3, own, 0x2_0000, REDISTRIBUTOR);
}
