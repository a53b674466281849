//! A partition's context bank: stage 2 alone, with the CPU's own tables (Arm IHI 0062, SMMU_CBARn, SMMU_CBA2Rn, SMMU_CBn_TCR).

use model::PartitionId;
use model::iommu::OwnedStreams;

use super::features::Features;
use super::register_map::*;
use crate::{Domain, RegisterFrame};

/// TCR: RES1.
const RES1: u32 = 1 << 31;
/// TCR: walks are inner shareable and write-back cacheable; 4 KiB granule.
const COHERENT_WALKS: u32 = 1 << 8 | 1 << 10 | 3 << 12;
/// TCR: walks are outer shareable and go past the caches; 4 KiB granule.
const PLAIN_WALKS: u32 = 2 << 12;

/// The bank's SCTLR. Without CFIE its faults are not recorded for anyone to see.
pub const ON: u32 = M | CFRE | CFIE | HUPCF;

/// What TCR holds.
pub fn control(domain: &Domain, features: &Features, coherent: bool) -> u32 {
    let start_level = match domain.ipa_bits {
        43.. => 2,
        _ => 1,
    };
    let walks = match coherent {
        true => COHERENT_WALKS,
        false => PLAIN_WALKS,
    };
    u32::from(64 - domain.ipa_bits) | start_level << 6 | walks | features.output_size << 16 | RES1
}

/// Writes the bank, which no entry leads to yet.
pub fn write(
    registers: &mut impl RegisterFrame,
    features: &Features,
    bank: usize,
    domain: &Domain,
    coherent: bool,
) {
    registers.write(features.global_1(CBA2R + 4 * bank), VA64);
    // Type 0: stage 2 alone.
    let attributes = u32::from(domain.vmid.get());
    registers.write(features.global_1(CBAR + 4 * bank), attributes);
    let control = control(domain, features, coherent);
    registers.write(features.bank(bank, TCR), control);
    registers.write_double(features.bank(bank, TTBR0), domain.root.get());
}

/// The bank of a partition: banks are given in the order in which partitions first appear in the list. `None` when it is not there.
pub fn bank_of(owned: &[OwnedStreams], partition: PartitionId) -> Option<usize> {
    let first = owned.iter().position(|one| one.partition == partition)?;
    Some(banks(owned.get(..first)?))
}

/// How many banks these owners take.
pub fn banks(owned: &[OwnedStreams]) -> usize {
    let mut seen = owned.iter().enumerate().filter(|(place, one)| {
        let before = owned.get(..*place).unwrap_or_default();
        !before.iter().any(|other| other.partition == one.partition)
    });
    seen.by_ref().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::StreamId;
    use model::iommu::Streams;

    fn owned(partitions: &[u8]) -> std::vec::Vec<OwnedStreams> {
        let all = partitions.iter().zip(0..);
        all.map(|(partition, stream)| OwnedStreams {
            streams: Streams::one(StreamId::new(stream)),
            partition: PartitionId::new(*partition),
            device: "/device",
        })
        .collect()
    }

    #[test]
    fn partitions_have_banks_in_the_order_of_their_first_streams() {
        let owned = owned(&[4, 2, 4, 7, 2]);
        let bank = |partition| bank_of(&owned, PartitionId::new(partition));
        assert_eq!([4, 2, 7, 1].map(bank), [Some(0), Some(1), Some(2), None]);
        assert_eq!(banks(&owned), 3);
    }
}
