//! Where a partition's devices send their messages: children of its interrupt controller.

use super::Guest;
use crate::board::HostMsi;
use crate::devicetree::NodeId;
use crate::range::AddressRange;
use crate::system::Partition;

use super::TooNarrow;

/// The ITS and the v2m frames of a partition, below its interrupt controller `gic`. Without any the controller has no children.
pub(super) fn write(
    guest: &mut Guest<'_>,
    gic: NodeId,
    partition: &Partition,
) -> Result<(), TooNarrow> {
    let targets: Vec<&HostMsi> = partition.message_targets().collect();
    let (address, size) = match targets.is_empty() {
        // Interrupts that name it carry no address then.
        true => {
            guest.tree.set_cells(gic, "#address-cells", &[0]);
            return Ok(());
        }
        false => (guest.cells.address, guest.cells.size),
    };
    guest.tree.set_cells(gic, "#address-cells", &[address]);
    guest.tree.set_cells(gic, "#size-cells", &[size]);
    guest.tree.set(gic, "ranges", []);
    for target in targets {
        match target {
            HostMsi::Its { node, .. } => {
                let registers = guest.board.gic.its().map(|its| its.registers);
                let its = child(guest, gic, *node, registers)?;
                guest.tree.set_string(its, "compatible", "arm,gic-v3-its");
                guest.tree.set_cells(its, "#msi-cells", &[1]);
            }
            HostMsi::V2m {
                frame,
                registers,
                spis: (first, count),
            } => {
                let frame = child(guest, gic, *frame, Some(*registers))?;
                guest
                    .tree
                    .set_string(frame, "compatible", "arm,gic-v2m-frame");
                // Said even where the board's tree leaves it to the frame's register: these are all that the partition has.
                guest.tree.set_cells(frame, "arm,msi-base-spi", &[*first]);
                guest.tree.set_cells(frame, "arm,msi-num-spis", &[*count]);
            }
        }
    }
    Ok(())
}

/// A child with the board's name and phandle.
fn child(
    guest: &mut Guest<'_>,
    gic: NodeId,
    from: NodeId,
    registers: Option<AddressRange>,
) -> Result<NodeId, TooNarrow> {
    let registers: Vec<AddressRange> = registers.into_iter().collect();
    let reg = guest.cells.reg(&registers)?;
    let base = registers.first().map_or(0, |range| range.base);
    let name = format!("{}@{base:x}", guest.board.tree.base_name(from));
    let node = guest.tree.add(gic, name);
    guest.tree.set_cells(node, "reg", &reg);
    guest.tree.set(node, "msi-controller", []);
    guest.copy(from, node, &["phandle"]);
    Ok(node)
}
