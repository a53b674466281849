//! Nodes that are nothing but data: a copy serves as well as the original.

use crate::devicetree::{NodeId, Tree};

/// `compatible` of nodes that describe a fact, or combine what other nodes provide, and have no registers of their own. What they
/// name is followed in turn: a fixed regulator that a GPIO switches needs the GPIO.
const DATA: &[&str] = &[
    "fixed-clock",
    "fixed-factor-clock",
    "gpio-gate-clock",
    "gpio-mux-clock",
    "regulator-fixed",
    "regulator-gpio",
    "usb-nop-xceiv",
    "mmc-pwrseq-simple",
    "mmc-pwrseq-emmc",
    "operating-points-v2",
];

/// True when the node can be copied. A node with registers never can.
pub(super) fn is_data(tree: &Tree, node: NodeId) -> bool {
    tree.is_compatible(node, DATA) && !tree.has(node, "reg")
}
