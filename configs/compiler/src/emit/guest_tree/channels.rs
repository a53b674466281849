//! A partition's ends of channels, as docs/channels.md describes them.

use super::{Guest, TooNarrow};
use crate::devicetree::Tree;
use crate::system::{End, Partition};

/// Cells of a specifier of the GIC: an SPI, edge-triggered (Linux, arm,gic.yaml).
const SPI: u32 = 0;
const EDGE: u32 = 1;

pub(super) fn write(guest: &mut Guest<'_>, partition: &Partition) -> Result<(), TooNarrow> {
    if partition.channels.is_empty() {
        return Ok(());
    }
    let cells = guest.cells;
    let tree = &mut guest.tree;
    let parent = match tree.child(Tree::ROOT, "reserved-memory") {
        Some(parent) => parent,
        None => tree.add(Tree::ROOT, "reserved-memory"),
    };
    tree.set_cells(parent, "#address-cells", &[cells.address]);
    tree.set_cells(parent, "#size-cells", &[cells.size]);
    tree.set(parent, "ranges", []);
    for End {
        name,
        seen,
        pa: _,
        writable,
        doorbell,
    } in &partition.channels
    {
        let node = tree.add(parent, format!("channel-{name}@{:x}", seen.base));
        tree.set_string(node, "compatible", "bulkhead,channel");
        tree.set_cells(node, "reg", &cells.reg(&[*seen])?);
        tree.set(node, "no-map", []);
        tree.set_string(node, "bulkhead,name", name);
        let access = if *writable { "read-write" } else { "read-only" };
        tree.set_string(node, "bulkhead,access", access);
        if let Some(spi) = doorbell {
            let number = spi.get() - model::IntId::FIRST_SPI;
            tree.set_cells(node, "interrupts", &[SPI, number, EDGE]);
        }
    }
    Ok(())
}
