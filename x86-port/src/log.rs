//! What happened, in lines of the hypervisor's own text.

use core::fmt;

use hv::dma::DmaEvent;
use hv::event::{Event, FaultKind};
use hv::exit::AbortCause;
use hv::report::Line;
use hv::terminal::Console;
use model::PartitionId;
use smmu::{Access, Cause, Source};

use crate::{SYSTEM, storage, trace};

/// A line through the console.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut line = Line::default();
    line.put(arguments);
    line.put(format_args!("\n"));
    if let Some(console) = storage::TERMINAL.get() {
        console.say(line.bytes());
    }
}

/// A line of the core's without what ends it.
#[cfg(any(feature = "shared", feature = "trace"))]
pub fn text(line: &[u8]) -> &str {
    str::from_utf8(line.trim_ascii_end()).unwrap_or_default()
}

fn name(partition: PartitionId) -> &'static str {
    SYSTEM
        .partitions
        .get(usize::from(partition.get()))
        .map_or("?", |partition| partition.name)
}

/// Takes an event down. Faults come as fast as a guest can make them: the first eight are told, then every one whose count is a power of two.
pub fn event(event: Event) {
    trace::note(&event);
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
                #[cfg(feature = "channels")]
                if let Some(channel) = read_only_end(partition, kind, address) {
                    return line(format_args!(
                        "{}: fault {count}: write to its read-only end of channel {channel} at {address:#x}, pc {pc:#x}",
                        name(partition)
                    ));
                }
                line(format_args!(
                    "{}: fault {count}: vCPU {} {} at {address:#x}, pc {pc:#x}",
                    name(partition),
                    vcpu.get(),
                    what(kind)
                ));
            }
        }
        Event::Dma(event) => dma(&event),
        other => line(format_args!("{other:?}")),
    }
}

/// The channel that the fault was a write to, if the partition's end may only read.
#[cfg(feature = "channels")]
fn read_only_end(partition: PartitionId, kind: FaultKind, address: u64) -> Option<&'static str> {
    let config = SYSTEM.partitions.get(usize::from(partition.get()))?;
    let address = model::Ipa::new(address);
    let channel = hv::channel::read_only_end(SYSTEM.channels, config.memory, kind, address)?;
    Some(channel.name)
}

fn dma(event: &DmaEvent) {
    match event {
        DmaEvent::Fault {
            partition,
            device,
            fault,
            count,
        } => {
            let owner = partition.map_or("nobody", name);
            let stream = match fault.source {
                Source::Stream(stream) => stream.get(),
                Source::Partition(_) | Source::Nobody => 0,
            };
            let what = match fault.access {
                Some(Access::Read) => "read",
                Some(Access::Write) => "write",
                None => "interrupt",
            };
            let address = fault.address.map_or(0, |address| address.get());
            line(format_args!(
                "{owner}: fault {count}: DMA of {device}, stream {stream:#x}: {what} at {address:#x}: {}",
                why(fault.cause)
            ));
        }
        DmaEvent::Muted { device } => {
            line(format_args!(
                "{device}: its further DMA faults are not told"
            ));
        }
        DmaEvent::Failure { iommu, failure } => line(format_args!("{iommu}: {failure:?}")),
        DmaEvent::Error { iommu, error } => line(format_args!("{iommu}: {error}")),
    }
}

/// Why DMA was refused, in words. The unit does not tell a page that is not mapped from one that is mapped for something else.
const fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Translation | Cause::Permission => "nothing is mapped there for this",
        Cause::AddressSize => "the address is too wide",
        Cause::Denied | Cause::UnknownStream => "its partition does not run",
        Cause::BadConfiguration => "the unit's tables are malformed",
        Cause::ExternalAbort => "the bus answered with an error",
        Cause::AccessFlag | Cause::Other(_) => "the unit refused it",
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
