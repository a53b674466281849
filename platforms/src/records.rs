//! Where records of failures outlive a reset: the last page of the room that is kept for the image, behind all that a loader writes.
//!
//! It is mapped as Device memory: what is written there is in memory when a reset comes, not in a cache.

use core::sync::atomic::AtomicU64;

use hv::monitor::record::{Record, Records, SLOTS};
use model::Pa;
use model::memory::{PAGE, PhysicalRange};
use model::monitor::Class;

use crate::{SYSTEM, early};

/// Records of the boot before that are told.
const MOST_TOLD: usize = 16;

/// The page.
pub const PLACE: PhysicalRange = PhysicalRange {
    base: Pa::new(SYSTEM.board.image.base.get() + SYSTEM.board.image.size - PAGE),
    size: PAGE,
};

/// Finds the records that earlier boots have left, and tells those of the last one. `None` when the image was not loaded where it was built for, and covers their place.
pub fn find(image: PhysicalRange) -> Option<Records> {
    const { assert!(size_of::<[[AtomicU64; 8]; SLOTS]>() == PAGE as usize) };
    if PLACE.overlaps(&image) {
        return None;
    }
    let slots = PLACE.base.get() as *const [[AtomicU64; 8]; SLOTS];
    // SAFETY: `map` maps the page, which the compiler keeps for the image and the check above keeps from it: nobody else touches it. Any bits
    // are numbers.
    let records = Records::resume(unsafe { &*slots });
    tell(&records);
    Some(records)
}

fn tell(records: &Records) {
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
    }
}

fn before((name, class): (&str, &str), details: core::fmt::Arguments<'_>) {
    early::line(format_args!(
        "before the last reset: {name}: {class} {details}"
    ));
}
