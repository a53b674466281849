//! CPUs and how they are started.

use model::ids::Mpidr;

use super::BoardError;
use crate::devicetree::{NodeId, Tree, addresses::unit};

/// A CPU of the board.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub node: NodeId,
    pub mpidr: Mpidr,
}

pub(super) fn read(tree: &Tree) -> Result<Vec<Cpu>, BoardError> {
    let parent = tree
        .find("/cpus")
        .ok_or(BoardError::Lacks("`/cpus` node"))?;
    let is_cpu =
        |node: &NodeId| tree.string(*node, "device_type") == Some("cpu") && tree.is_enabled(*node);
    let mut cpus: Vec<Cpu> = Vec::new();
    for node in tree.children(parent).iter().copied().filter(is_cpu) {
        let mpidr = Mpidr::new(unit(tree, node)?);
        if mpidr != Mpidr::from_register(mpidr.get()) {
            return Err(tree
                .error(node, "reg", "has bits that no MPIDR affinity has")
                .into());
        }
        if cpus.iter().any(|other| other.mpidr == mpidr) {
            return Err(tree
                .error(node, "reg", "is that of another CPU, too")
                .into());
        }
        cpus.push(Cpu { node, mpidr });
    }
    if cpus.is_empty() {
        return Err(BoardError::Lacks("enabled CPU"));
    }
    // CPU indices must fit `PcpuId`.
    cpus.truncate(usize::from(u8::MAX));
    Ok(cpus)
}

/// The PSCI node. Only the SMC conduit leaves EL2.
pub(super) fn psci(tree: &Tree) -> Result<NodeId, BoardError> {
    const VERSIONS: [&str; 3] = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];
    let node = tree
        .nodes()
        .find(|node| tree.is_compatible(*node, &VERSIONS));
    let node = node.ok_or(BoardError::Lacks("PSCI node"))?;
    match tree.string(node, "method") {
        Some("smc") => Ok(node),
        _ => Err(BoardError::Lacks(
            "PSCI with method \"smc\": the firmware below EL2 is called by SMC",
        )),
    }
}
