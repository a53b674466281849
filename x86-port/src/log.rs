//! What happened, in lines of the hypervisor's own text.

use core::fmt;

use hv::event::{Event, FaultKind};
use hv::exit::AbortCause;
use hv::report::Line;
use hv::terminal::Console;
use model::PartitionId;

use crate::{SYSTEM, storage};

/// A line through the console.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut line = Line::new();
    line.put(arguments);
    line.put(format_args!("\n"));
    if let Some(console) = storage::TERMINAL.get() {
        console.say(line.bytes());
    }
}

fn name(partition: PartitionId) -> &'static str {
    SYSTEM
        .partitions
        .get(usize::from(partition.get()))
        .map_or("?", |partition| partition.name)
}

/// Takes an event down. Faults come as fast as a guest can make them: the first eight are told, then every one whose count is a power of two.
pub fn event(event: Event) {
    match event {
        Event::Started {
            partition,
            restarts: 0,
        } => line(format_args!("{}: started", name(partition))),
        Event::Started {
            partition,
            restarts,
        } => line(format_args!(
            "{}: started again, {restarts} restarts",
            name(partition)
        )),
        Event::Stopped { partition } => line(format_args!("{}: stopped", name(partition))),
        Event::Fault {
            partition,
            vcpu,
            kind,
            address,
            pc,
            count,
        } => {
            if count <= 8 || count.is_power_of_two() {
                line(format_args!(
                    "{}: fault {count}: vCPU {} {} at {address:#x}, pc {pc:#x}",
                    name(partition),
                    vcpu.get(),
                    what(kind)
                ));
            }
        }
        other => line(format_args!("{other:?}")),
    }
}

/// The fault in words.
const fn what(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Read(AbortCause::TableWalk) | FaultKind::Write(AbortCause::TableWalk) => {
            "page tables"
        }
        FaultKind::Read(_) => "read of foreign memory",
        FaultKind::Write(_) => "write to foreign memory",
        FaultKind::Execute(_) => "jump to foreign memory",
        FaultKind::SystemError => "asynchronous bus error",
    }
}
