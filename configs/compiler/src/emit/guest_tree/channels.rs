//! A partition's ends of channels, as docs/channels.md describes them.

use super::cells::edge;
use super::{Guest, TooNarrow};
use crate::devicetree::Tree;
use crate::system::{End, Partition};

/// Devices under the root: Linux makes none of what stands below `/reserved-memory`, and its UIO driver could not be bound to them.
pub(super) fn write(guest: &mut Guest<'_>, partition: &Partition) -> Result<(), TooNarrow> {
    let cells = guest.cells;
    let tree = &mut guest.tree;
    for End {
        name,
        seen,
        pa: _,
        writable,
        uncached,
        number,
        doorbell,
        ring,
    } in &partition.channels
    {
        let node = tree.add(Tree::ROOT, format!("channel-{name}@{:x}", seen.base));
        // Generic UIO is told what it may drive: a cached channel is none of its.
        let compatible = match uncached {
            true => "bulkhead,channel-uncached\0bulkhead,channel",
            false => "bulkhead,channel",
        };
        tree.set_string(node, "compatible", compatible);
        let ranges: Vec<_> = [Some(*seen), *ring].into_iter().flatten().collect();
        tree.set_cells(node, "reg", &cells.reg(&ranges)?);
        tree.set_string(node, "bulkhead,name", name);
        let access = if *writable { "read-write" } else { "read-only" };
        tree.set_string(node, "bulkhead,access", access);
        tree.set_cells(node, "bulkhead,end", &[*number]);
        if let Some(spi) = doorbell {
            tree.set_cells(node, "interrupts", &edge(*spi));
        }
    }
    Ok(())
}
