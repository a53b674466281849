//! What happened, as frames of the log, and what somebody asked for, in lines of plain text.

use core::fmt;

use hv::event::Event;
use hv::report::Line;
use hv::terminal::Console;
use hv_log::System;
use model::PartitionId;

use crate::{SYSTEM, storage, trace};

/// This system.
struct Log;

impl System for Log {
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
}

/// A line of plain text through the console.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut line = Line::default();
    line.put(arguments);
    line.put(format_args!("\n"));
    bulkhead_say(line.bytes());
}

/// A line of the core's without what ends it.
#[cfg(any(feature = "shared", feature = "trace"))]
pub fn text(line: &[u8]) -> &str {
    str::from_utf8(line.trim_ascii_end()).unwrap_or_default()
}

/// Takes an event down.
pub fn event(event: Event) {
    trace::note(&event);
    hv_log::event::<Log>(event);
}

/// Takes a line of the log to the console.
#[unsafe(no_mangle)]
fn bulkhead_say(line: &[u8]) {
    if let Some(console) = storage::TERMINAL.get() {
        console.say(line);
    }
}
