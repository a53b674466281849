//! The hypervisor's own map: each piece of memory as what it is used for, at its physical address. Nothing else is reachable.

use hv::memory::{FramePool, MapError, Table};
use model::Pa;
use model::memory::{MemoryKind, PAGE};
use x86_port::host::{Host, Use};

use crate::storage::{self, PCPUS, STACK_SIZE};
use crate::{SYSTEM, boot, dma};

/// Builds the map. Returns its root.
///
/// # Errors
/// [`MapError`] when the system's memory does not fit into it: the table contradicts itself.
pub fn build() -> Result<Pa, MapError> {
    let pages = storage::MAP.take();
    // The image is mapped as it lies, from its first instruction on.
    let base = Pa::new(pages.as_ptr() as u64);
    let mut pool = FramePool::new(pages, base).ok_or(MapError::Misaligned(base.get()))?;
    let mut table = Table::<Host>::new(&mut pool, 47)?;
    let mut map = |from: u64, to: u64, usage| match to.checked_sub(from) {
        None | Some(0) => Ok(()),
        Some(size) => table.map(from, Pa::new(from), size, usage, &mut pool),
    };
    let edges = boot::edges();
    map(edges.start, edges.text, Use::Code)?;
    map(edges.text, edges.constants, Use::Constants)?;
    map(edges.constants, edges.variables, Use::Data)?;
    // The lowest page of each stack is left out: who runs off its end faults.
    for stack in 0..=PCPUS {
        let top = storage::stack_top(stack);
        map(top - STACK_SIZE as u64 + PAGE, top, Use::Data)?;
    }
    map(
        edges.payload,
        edges.payload + SYSTEM.payload_size,
        Use::Constants,
    )?;
    for (from, to) in dma::uncached() {
        map(from, to, Use::Uncached)?;
    }
    for channel in SYSTEM.channels {
        let from = channel.memory.base.get();
        map(from, from + channel.memory.size, Use::Data)?;
    }
    for partition in SYSTEM.partitions {
        for mapping in partition
            .memory
            .iter()
            .filter(|mapping| mapping.kind == MemoryKind::Ram)
        {
            let from = mapping.pa.get();
            map(from, from + mapping.size, Use::Data)?;
        }
    }
    Ok(table.root())
}
