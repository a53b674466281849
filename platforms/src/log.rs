//! What the log asks of this board's system.

use hv::terminal::Console;
use model::PartitionId;

use crate::{SYSTEM, storage};

/// This system.
pub struct Log;

impl hv_log::System for Log {
    #[cfg(feature = "channels")]
    const CHANNELS: &'static [model::channel::Channel] = SYSTEM.channels;

    fn name(partition: PartitionId) -> &'static str {
        let config = SYSTEM.partitions.get(usize::from(partition.get()));
        config.map_or("?", |config| config.name)
    }

    #[cfg(feature = "channels")]
    fn memory(partition: PartitionId) -> Option<&'static [model::memory::Mapping]> {
        let config = SYSTEM.partitions.get(usize::from(partition.get()))?;
        Some(config.memory)
    }

    #[cfg(feature = "monitor")]
    fn monitor(partition: PartitionId) -> Option<&'static model::monitor::Monitor> {
        let config = SYSTEM.partitions.get(usize::from(partition.get()))?;
        Some(&config.monitor)
    }
}

/// Takes a line of the log to the console.
#[unsafe(no_mangle)]
fn bulkhead_say(line: &[u8]) {
    if let Some(console) = storage::TERMINAL.get() {
        console.say(line);
    }
}
