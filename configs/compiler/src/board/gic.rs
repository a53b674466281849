//! The interrupt controller.

use model::ids::IntId;
use model::memory::PAGE;

use super::BoardError;
use crate::devicetree::{NodeId, Tree, addresses::registers, interrupts::interrupts};
use crate::guest_gic::CPU_INTERFACE_SIZE;
use crate::range::AddressRange;

/// The physical GIC.
#[derive(Debug)]
pub(crate) struct Gic {
    pub node: NodeId,
    pub kind: GicKind,
    pub maintenance: IntId,
    /// All its registers, children's (v2m, ITS) included: never given to a partition as they are.
    pub registers: Vec<AddressRange>,
}

/// Which architecture version, and its frames.
#[derive(Debug)]
pub(crate) enum GicKind {
    V2 {
        distributor: u64,
        cpu: u64,
        control: u64,
        virtual_cpu: u64,
    },
    V3 {
        distributor: u64,
        redistributors: Vec<AddressRange>,
    },
}

const V2: &[&str] = &["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];
const V3: &[&str] = &["arm,gic-v3"];
/// Stage 2 and the hypervisor's own map reach 48 bits.
const END: u64 = 1 << 48;
/// A redistributor region list longer than this is no board.
const MOST_REGIONS: u32 = 256;

pub(super) fn read(tree: &Tree) -> Result<Gic, BoardError> {
    let is_gic = |node: &NodeId| tree.is_compatible(*node, V2) || tree.is_compatible(*node, V3);
    let node = tree
        .nodes()
        .find(is_gic)
        .ok_or(BoardError::Lacks("GICv3 or GICv2 node"))?;
    let frames = registers(tree, node)?;
    if frames
        .iter()
        .any(|frame| !frame.base.is_multiple_of(PAGE) || frame.end() > END)
    {
        return Err(tree
            .error(
                node,
                "reg",
                "has a frame that is not page-aligned or lies beyond 48 bits",
            )
            .into());
    }
    let kind = if tree.is_compatible(node, V3) {
        v3(tree, node, &frames)?
    } else {
        v2(tree, node, &frames)?
    };
    let own = interrupts(tree, node, node)?;
    let maintenance = own
        .first()
        .map(|one| one.intid)
        .filter(|intid| intid.is_private());
    let mut all = frames;
    for child in tree.children(node) {
        all.extend(registers(tree, *child)?);
    }
    Ok(Gic {
        node,
        kind,
        maintenance: maintenance
            .ok_or(BoardError::Lacks("maintenance interrupt at its GIC node"))?,
        registers: all,
    })
}

/// GICD, GICC, GICH, GICV in this order (Linux, arm,gic.yaml).
fn v2(tree: &Tree, node: NodeId, frames: &[AddressRange]) -> Result<GicKind, BoardError> {
    let [distributor, cpu, control, virtual_cpu, ..] = frames else {
        return Err(BoardError::Lacks(
            "GICH and GICV registers at its GICv2 node: virtualization is off",
        ));
    };
    if cpu.size < CPU_INTERFACE_SIZE || virtual_cpu.size < CPU_INTERFACE_SIZE {
        return Err(tree
            .error(node, "reg", "has a CPU interface of less than 8 KiB")
            .into());
    }
    Ok(GicKind::V2 {
        distributor: distributor.base,
        cpu: cpu.base,
        control: control.base,
        virtual_cpu: virtual_cpu.base,
    })
}

/// GICD, then `#redistributor-regions` regions of GICR (Linux, arm,gic-v3.yaml).
fn v3(tree: &Tree, node: NodeId, frames: &[AddressRange]) -> Result<GicKind, BoardError> {
    let regions = tree.cell(node, "#redistributor-regions")?.unwrap_or(1);
    if regions == 0 || regions > MOST_REGIONS {
        return Err(tree
            .error(node, "#redistributor-regions", "is not a sensible number")
            .into());
    }
    let split = frames
        .split_first()
        .and_then(|(first, rest)| Some((first, rest.get(..regions as usize)?)));
    let (distributor, redistributors) = split.ok_or(BoardError::Lacks(
        "redistributor registers at its GICv3 node",
    ))?;
    Ok(GicKind::V3 {
        distributor: distributor.base,
        redistributors: redistributors.to_vec(),
    })
}
