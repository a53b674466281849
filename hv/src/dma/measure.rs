//! What the paths of DMA take, by the system counter: for `cargo xtask bench dma`, and in no other image.
//!
//! The paths are the image's own. They run at boot, before any partition has started: each owner's devices are attached and detached
//! again, so nothing is left that a start would not find otherwise.

use smmu::Iommu;

use super::Unit;
use crate::machine::{Cpu, Machine};
use crate::partition::Partition;
use crate::vcpu::Hypervisor;

/// How often each path is taken.
pub const ROUNDS: usize = 8;

/// A path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A page of 4 KiB is entered into a stage-2 table, in the table of the page before it.
    MapPage,
    /// A block of 2 MiB is entered into a stage-2 table.
    MapBlock,
    /// The devices of a partition are attached to its memory, as at each of its starts.
    Attach,
    /// They are detached and their translations forgotten, as at each of its stops.
    Detach,
    /// Translations of a partition are forgotten.
    Invalidate,
    /// An interrupt of the IOMMU is served: faults are taken, counted, told and answered.
    Fault,
}

impl Path {
    /// As `bench` knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MapPage => "dma-map-page",
            Self::MapBlock => "dma-map-block",
            Self::Attach => "dma-attach",
            Self::Detach => "dma-detach",
            Self::Invalidate => "dma-invalidate",
            Self::Fault => "dma-fault",
        }
    }
}

/// Takes a path. Returns its result, and the ticks of the system counter that it took without those of reading the counter.
pub fn timed<C: Cpu, T>(path: impl FnOnce() -> T) -> (T, u64) {
    let before = C::now();
    let start = C::now();
    let result = path();
    let end = C::now();
    let reading = start.wrapping_sub(before);
    (result, end.wrapping_sub(start).saturating_sub(reading))
}

impl<D: Iommu> Unit<D> {
    /// Attaches the partition's devices, forgets their translations, and detaches them, [`ROUNDS`] times. `tell` gets what each took in ticks
    /// of the system counter. Does nothing where the partition has no device here.
    pub fn measure<M: Machine>(
        &self,
        hypervisor: &Hypervisor<M>,
        partition: &Partition,
        mut tell: impl FnMut(Path, u64),
    ) {
        if self.owned_by(partition.id).next().is_none() {
            return;
        }
        for _ in 0..ROUNDS {
            let ((), ticks) = timed::<M::Cpu, _>(|| self.admit(hypervisor, partition));
            tell(Path::Attach, ticks);
            let vmid = partition.config.vmid;
            let (done, ticks) = timed::<M::Cpu, _>(|| self.driver.lock().invalidate(vmid));
            self.check(hypervisor, done);
            tell(Path::Invalidate, ticks);
            let ((), ticks) = timed::<M::Cpu, _>(|| self.deny(hypervisor, partition));
            tell(Path::Detach, ticks);
        }
    }
}
