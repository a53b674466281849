//! By which interrupt a partition is told of others' failures, and by which page its programs make calls, as docs/containment.md describes it.

use super::cells::edge;
use super::{Guest, TooNarrow};
use crate::devicetree::Tree;
use crate::monitor::{ControlPage, Covered};
use crate::system::Partition;

/// A device under the root, so that Linux can bind a driver to it. With a page there is one device for both: generic UIO gives a program a device's
/// registers and its interrupt.
pub(super) fn write(guest: &mut Guest<'_>, partition: &Partition) -> Result<(), TooNarrow> {
    let (name, compatible) = match (&partition.page, partition.notices) {
        (None, None) => return Ok(()),
        (None, Some(_)) => ("failures".to_owned(), "bulkhead,failures"),
        (Some(page), notices) => (
            format!("control@{:x}", page.range.base),
            match notices {
                Some(_) => "bulkhead,control\0bulkhead,failures",
                None => "bulkhead,control",
            },
        ),
    };
    let node = guest.tree.add(Tree::ROOT, name);
    guest.tree.set_string(node, "compatible", compatible);
    if let Some(ControlPage { range, covers }) = &partition.page {
        let reg = guest.cells.reg(&[*range])?;
        guest.tree.set_cells(node, "reg", &reg);
        let strings = |string: fn(&Covered) -> String| {
            let strings: Vec<String> = covers.iter().map(string).collect();
            strings.join("\0")
        };
        let names = strings(|one| one.name.clone());
        let rights = strings(|one| one.rights.join(" "));
        let numbers: Vec<u32> = covers.iter().map(|one| one.number).collect();
        if !covers.is_empty() {
            guest.tree.set_string(node, "bulkhead,names", &names);
            guest.tree.set_string(node, "bulkhead,rights", &rights);
            guest.tree.set_cells(node, "bulkhead,numbers", &numbers);
        }
    }
    if let Some(spi) = partition.notices {
        guest.tree.set_cells(node, "interrupts", &edge(spi));
    }
    Ok(())
}
