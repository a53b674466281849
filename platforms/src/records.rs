//! Where records of failures outlive a reset: the last eight pages of the room that is kept for the image, behind all that a loader writes.
//!
//! It is mapped as Device memory: what is written there is in memory when a reset comes, not in a cache.

use core::sync::atomic::AtomicU64;

use hv::monitor::record::{Record, Records, Registers, SLOTS, WORDS};
use model::Pa;
use model::memory::{PAGE, PhysicalRange};
use model::monitor::Class;

use crate::{SYSTEM, early};

/// Records of the boot before that are told.
const MOST_TOLD: usize = 16;

/// Bytes of the ring, a whole number of pages.
const SIZE: u64 = (SLOTS * WORDS * size_of::<AtomicU64>()) as u64;
const _: () = assert!(SIZE.is_multiple_of(PAGE));

/// The pages.
pub const PLACE: PhysicalRange = PhysicalRange {
    base: Pa::new(SYSTEM.board.image.base.get() + SYSTEM.board.image.size - SIZE),
    size: SIZE,
};

/// Finds the records that earlier boots have left, and tells those of the last one. `None` when the image was not loaded where it was built for, and covers their place.
pub fn find(image: PhysicalRange) -> Option<Records> {
    if PLACE.overlaps(&image) {
        return None;
    }
    let slots = PLACE.base.get() as *const [[AtomicU64; WORDS]; SLOTS];
    // SAFETY: `map` maps the pages, which the compiler keeps for the image and the check above keeps from it: nobody else touches it. Any bits
    // are numbers.
    let records = Records::resume(unsafe { &*slots });
    tell(&records);
    Some(records)
}

fn tell(records: &Records) {
    let mut newest = None;
    for record in records.before(MOST_TOLD) {
        let partition = SYSTEM.partitions.get(usize::from(record.partition));
        let class = Class::ALL.get(usize::from(record.class));
        // An image of another version may have written it.
        let (Some(partition), Some(class)) = (partition, class) else {
            continue;
        };
        let what = (partition.name, class.name());
        if record.vcpu == Record::NO_VCPU {
            before(what, format_args!("{:#x}", record.value));
        } else {
            let (vcpu, value, pc) = (record.vcpu, record.value, record.pc);
            before(what, format_args!("{value:#x}, vCPU {vcpu}, pc {pc:#x}"));
        }
        newest = Some(record);
    }
    let Some(newest) = newest else {
        return;
    };
    if let Some(registers) = newest.registers {
        dump(&registers);
    }
    #[cfg(feature = "trace")]
    for event in newest.trace.events() {
        early::line(format_args!("  trace {event}"));
    }
}

/// The registers of the last one.
fn dump(registers: &Registers) {
    let Registers {
        x,
        pstate,
        syndrome,
        far,
        stacks: [sp_el0, sp_el1],
    } = registers;
    early::line(format_args!(
        "  pstate {pstate:#x} esr {syndrome:#x} far {far:#x} sp_el0 {sp_el0:#x} sp_el1 {sp_el1:#x}"
    ));
    for (first, values) in (0..).step_by(4).zip(x.chunks(4)) {
        early::line(format_args!("  x{first}.. {values:x?}"));
    }
}

fn before((name, class): (&str, &str), details: core::fmt::Arguments<'_>) {
    early::line(format_args!(
        "before the last reset: {name}: {class} {details}"
    ));
}
