//! What a partition may ask a platform's firmware for.

/// What a partition may ask the platform management firmware of a Zynq UltraScale+ to change (UG1200). Numbers are those of the firmware, sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eemi {
    /// Power management nodes of its devices alone.
    pub nodes: &'static [u32],
    /// Clocks of its devices alone.
    pub clocks: &'static [u32],
    /// Resets of its devices alone, which begin at 1000.
    pub resets: &'static [u32],
    /// Pins of its devices.
    pub pins: &'static [u32],
    /// Nodes that others need, too: they may be turned on.
    pub shared_nodes: &'static [u32],
    /// Clocks that others need, too: they may be turned on.
    pub shared_clocks: &'static [u32],
}
