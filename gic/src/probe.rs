//! What a self-check at boot asks of a physical interrupt controller.

use model::IntId;

use crate::{InterruptController, ListRegister, ListRegisters, LrState};

/// `GICD_TYPER`, of every version.
const TYPER: usize = 0x4;

/// Beside what the hypervisor itself needs to know.
pub trait Probe: InterruptController + ListRegisters {
    /// Where the distributor has its architecture's version: the offset of `GICD_PIDR2` or `ICPIDR2`.
    fn peripheral_id2(&self) -> usize;

    /// Its virtual CPU interface signals interrupts of group 1.
    fn signals_group1(&self) -> bool;

    /// The register of the distributor at this offset.
    fn distributor(&self, offset: usize) -> u32;

    /// Lets interrupts of that group and of every priority be signalled.
    fn open(&self);

    /// Version of its architecture, 2 to 4, as it says itself (`GICD_PIDR2.ArchRev`, IHI 0069H 12.9.29; `ICPIDR2`, IHI 0048B 4.3.18).
    fn architecture(&self) -> u32 {
        self.distributor(self.peripheral_id2()) >> 4 & 0xf
    }

    /// How many SGIs, PPIs and SPIs it may have (`GICD_TYPER.ITLinesNumber`).
    fn interrupts(&self) -> u32 {
        ((self.distributor(TYPER) & 0x1f) + 1) * 32
    }

    /// Makes a virtual interrupt pending for the calling CPU, and lets it be signalled until
    /// [`reset_virtual_interface`](InterruptController::reset_virtual_interface).
    fn signal_one(&self) {
        let pending = ListRegister {
            virtual_id: IntId::new(32),
            group1: self.signals_group1(),
            state: LrState::Pending,
            ..ListRegister::EMPTY
        };
        self.write(0, pending);
        self.open();
    }
}
