//! What is told of events.

#[cfg(feature = "channels")]
mod channels;
#[cfg(feature = "iommu")]
mod dma;
#[cfg(feature = "monitor")]
mod monitor;

use defmt::intern;
use hv::event::Event;
use hv::event::FaultKind::{self, Execute, Read, SystemError, Write};
use hv::exit::AbortCause::{Alignment, External, TableWalk};

use crate::System;

/// Takes an event down. Faults come as fast as a guest can make them: the first eight are told, then every one whose count is a power of two.
pub fn event<S: System>(event: Event) {
    match event {
        Event::Started {
            partition,
            restarts: 0,
        } => defmt::info!("{=str}: started", S::name(partition)),
        Event::Started {
            partition,
            restarts,
        } => defmt::info!(
            "{=str}: started again, {=u64} restarts",
            S::name(partition),
            restarts
        ),
        Event::Stopped { partition } => defmt::info!("{=str}: stopped", S::name(partition)),
        Event::StrayInterrupt { intid } => {
            defmt::warn!("interrupt {=u32} belongs to nobody: disabled", intid);
        }
        #[cfg(feature = "iommu")]
        Event::Dma(event) => dma::event::<S>(event),
        #[cfg(feature = "monitor")]
        Event::Failed {
            partition,
            failure,
            count,
        } => monitor::failed::<S>(partition, &failure, count),
        #[cfg(feature = "monitor")]
        Event::Restarting {
            partition,
            class,
            number,
        } => monitor::restarting::<S>(partition, class, number),
        #[cfg(feature = "monitor")]
        Event::LimitReached {
            partition,
            class,
            restarts,
        } => monitor::limit_reached::<S>(partition, class, restarts),
        #[cfg(feature = "monitor")]
        Event::Held { partition } => monitor::held::<S>(partition),
        #[cfg(feature = "monitor")]
        Event::Controlled {
            by,
            partition,
            order,
        } => monitor::controlled::<S>(by, partition, order),
        #[cfg(feature = "pristine")]
        Event::Damaged { partition } => defmt::error!(
            "{=str}: not started: its image is damaged, the checksum is not the one of the build",
            S::name(partition)
        ),
        #[cfg(feature = "files")]
        Event::WrongFile { partition, address } => defmt::error!(
            "{=str}: not started: its file at {=u64:#x} is not the one that was built",
            S::name(partition),
            address
        ),
        Event::Fault {
            partition,
            vcpu,
            kind,
            address,
            pc,
            count,
        } if count <= 8 || count.is_power_of_two() => {
            #[cfg(feature = "channels")]
            if channels::refused::<S>(partition, kind, address, pc, count) {
                return;
            }
            defmt::warn!(
                "{=str}: fault {=u64}: vCPU {=u8} {=istr} at {=u64:#x}, pc {=u64:#x}",
                S::name(partition),
                count,
                vcpu.get(),
                what(kind),
                address,
                pc
            );
        }
        Event::Fault { .. } => {}
    }
}

/// The fault in words.
fn what(kind: FaultKind) -> defmt::Str {
    match kind {
        Read(TableWalk) | Write(TableWalk) => intern!("page tables"),
        Read(External) | Write(External) => intern!("bus error"),
        Read(Alignment) | Write(Alignment) => intern!("misaligned access to an emulated device"),
        Read(_) => intern!("read of foreign memory"),
        Write(_) => intern!("write to foreign memory"),
        Execute(_) => intern!("jump to foreign memory"),
        SystemError => intern!("asynchronous bus error"),
    }
}
