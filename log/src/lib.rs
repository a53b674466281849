//! The hypervisor's log on every board: defmt frames, each in one line of its own text, `~` and base64, so that one wire carries text and frames
//! alike, and the lines of all events. `defmt.ld` is where the linker puts the strings.
#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::indexing_slicing)]

mod event;
mod frame;

pub use event::event;

/// The system that the log is about.
pub trait System {
    /// Memory that partitions share.
    #[cfg(feature = "channels")]
    const CHANNELS: &'static [model::channel::Channel];
    /// A partition's name.
    fn name(partition: model::PartitionId) -> &'static str;
    /// A partition's memory.
    #[cfg(feature = "channels")]
    fn memory(partition: model::PartitionId) -> Option<&'static [model::memory::Mapping]>;
    /// How a partition is watched over.
    #[cfg(feature = "monitor")]
    fn monitor(partition: model::PartitionId) -> Option<&'static model::monitor::Monitor>;
}
