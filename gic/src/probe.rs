//! What a self-check at boot asks of a physical interrupt controller.

use crate::InterruptController;

/// Beside what the hypervisor itself needs to know.
pub trait Probe: InterruptController {
    /// Version of its architecture, 2 to 4, as it says itself (`GICD_PIDR2.ArchRev`, IHI 0069H 12.9.29; `ICPIDR2`, IHI 0048B 4.3.18).
    fn architecture(&self) -> u32;

    /// How many SGIs, PPIs and SPIs it may have (`GICD_TYPER.ITLinesNumber`).
    fn interrupts(&self) -> u32;

    /// Makes a virtual interrupt pending for the calling CPU, and lets it be signalled until
    /// [`reset_virtual_interface`](InterruptController::reset_virtual_interface).
    fn signal_one(&self);
}
