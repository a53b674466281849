//! Tables of their own for devices behind an IOMMU that cannot walk the CPU's.

use hv::dma::reached_by_devices;
use hv::memory::{FramePool, MapError, long_descriptor};
use hv::partition::Partition;
use model::PartitionId;
use model::iommu::{Iommu, IommuKind};
use model::ipmmu::Tables;

use crate::SYSTEM;

/// Gives the partition's devices a table of their own where they need one.
///
/// # Errors
/// [`MapError`], which the compiler has excluded.
pub fn give(mut partition: Partition, pool: &mut FramePool) -> Result<Partition, MapError> {
    if SYSTEM.iommus.iter().any(|iommu| needs(iommu, partition.id)) {
        partition.dma_root = long_descriptor::build(reached_by_devices(partition.config), pool)?;
    }
    Ok(partition)
}

/// Whether the partition has devices behind this IOMMU, and it does not walk the CPU's tables.
fn needs(iommu: &Iommu, partition: PartitionId) -> bool {
    let own = match iommu.kind {
        IommuKind::Ipmmu(ipmmu) => ipmmu.tables == Tables::Stage1,
        IommuKind::SmmuV3 | IommuKind::SmmuV3OnePage | IommuKind::SmmuV2 | IommuKind::Mmu500 => {
            false
        }
    };
    own && iommu.owned.iter().any(|owned| owned.partition == partition)
}
