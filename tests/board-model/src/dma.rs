//! What devices reach through the board's IOMMUs, asked of the register models after the boot.

use smmu::ipmmu::register_model as ipmmu;
use smmu::v2::register_model as two;
use smmu::v3::register_model as three;

use crate::board::Iommu;

/// Streams of an SMMU that are asked: more than any board of today uses.
const STREAMS: u32 = 0x1_0000;

/// Where a write of each stream to `address` goes, for those whose write goes anywhere.
pub fn reached(iommu: &Iommu, address: u64) -> Vec<u64> {
    match iommu {
        Iommu::Ipmmu(model, micro_tlbs) => {
            let caches = model.borrow().behaviour.caches;
            let all =
                (0..caches).flat_map(|cache| (0..*micro_tlbs).map(move |number| (cache, number)));
            all.filter_map(|(cache, number)| {
                match model.borrow_mut().access(cache, number, address, true) {
                    ipmmu::Outcome::Reached(place) => Some(place),
                    ipmmu::Outcome::Aborted => None,
                }
            })
            .collect()
        }
        Iommu::SmmuV2(handle) => (0..STREAMS)
            .filter_map(
                |stream| match handle.0.borrow_mut().access(stream, address, true) {
                    two::Outcome::Reached(place) => Some(place),
                    two::Outcome::Aborted => None,
                },
            )
            .collect(),
        Iommu::SmmuV3(handle) => (0..STREAMS)
            .filter_map(
                |stream| match handle.0.borrow_mut().access(stream, address, true) {
                    three::Outcome::Reached(place) => Some(place),
                    three::Outcome::Aborted => None,
                },
            )
            .collect(),
    }
}

/// True when some access has passed untranslated.
pub fn bypassed(iommu: &Iommu) -> bool {
    match iommu {
        Iommu::Ipmmu(model, _) => model.borrow().bypassed,
        Iommu::SmmuV2(handle) => handle.0.borrow().bypassed,
        Iommu::SmmuV3(handle) => handle.0.borrow().bypassed,
    }
}
