//! What comes out: the table for the image, guest device trees, the report.

mod guest_tree;
mod html;
mod report;
mod table;

pub(crate) use guest_tree::proven_tree;
pub(crate) use report::report;
pub(crate) use table::table;

pub use report::{
    DeviceEntry, InterruptEntry, MappingEntry, PartitionEntry, PoolEntry, RangeEntry, Report,
    SegmentEntry, VcpuEntry,
};
