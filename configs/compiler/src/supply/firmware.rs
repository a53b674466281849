//! Nodes that firmware provides: clocks, resets and power domains behind SMCs.

use crate::devicetree::{NodeId, Tree};

/// The firmware interface that the node is, or is a part of: a node without registers whose `method` is an SMC (ZynqMP's EEMI,
/// OP-TEE), or whose binding says so (SCMI over SMC). PSCI is none: the hypervisor answers it itself.
pub(super) fn interface(tree: &Tree, node: NodeId) -> Option<NodeId> {
    const SMC: &[&str] = &["arm,scmi-smc", "arm,scmi-smc-param"];
    const PSCI: &[&str] = &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];
    let mut at = Some(node);
    while let Some(here) = at {
        let by_smc = tree.string(here, "method") == Some("smc") || tree.is_compatible(here, SMC);
        if by_smc && !tree.has(here, "reg") && !tree.is_compatible(here, PSCI) {
            return Some(here);
        }
        at = tree.parent(here);
    }
    None
}
