//! DMA streams, IOMMU by IOMMU: two owners of one stream would share one translation.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Owner;
use crate::devicetree::NodeId;
use crate::devicetree::streams::{Ids, Stream};

/// Entries of one IOMMU that are compared with one another. More are no board: 4096 take 16 million comparisons.
pub(crate) const MOST_ENTRIES: usize = 4096;

/// Streams that somebody says to be theirs.
#[derive(Clone, Debug)]
pub(crate) struct StreamClaim {
    pub ids: Ids,
    pub owner: Owner,
    /// The device that makes them.
    pub device: String,
    /// Where the system file says so.
    pub span: Option<Range<usize>>,
}

/// All claims on streams of IOMMUs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(BTreeMap<NodeId, Vec<StreamClaim>>);

impl Streams {
    /// Enters what a device makes, entry by entry.
    pub fn claim(
        &mut self,
        streams: &[Stream],
        owner: Owner,
        device: &str,
        span: Option<&Range<usize>>,
    ) {
        for stream in streams {
            self.0.entry(stream.iommu).or_default().push(StreamClaim {
                ids: stream.ids,
                owner,
                device: device.to_owned(),
                span: span.cloned(),
            });
        }
    }

    /// Each IOMMU with the claims on its streams, in the order in which they were made.
    pub fn iommus(&self) -> impl Iterator<Item = (NodeId, &[StreamClaim])> {
        self.0
            .iter()
            .map(|(iommu, claims)| (*iommu, claims.as_slice()))
    }
}

/// For each pair of devices of two owners the first streams that both claim, the claim that was made first before the other. Compares
/// no more than [`MOST_ENTRIES`].
pub(crate) fn clashes(claims: &[StreamClaim]) -> Vec<(&StreamClaim, &StreamClaim)> {
    let claims = claims.get(..MOST_ENTRIES).unwrap_or(claims);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (index, second) in claims.iter().enumerate() {
        for first in &claims[..index] {
            let clash = first.owner != second.owner && first.ids.overlaps(second.ids);
            let pair = || (first.owner, &first.device, second.owner, &second.device);
            if clash && seen.insert(pair()) {
                found.push((first, second));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(ids: Ids, owner: usize, device: &str) -> StreamClaim {
        StreamClaim {
            ids,
            owner: Owner::Partition(owner),
            device: device.to_owned(),
            span: None,
        }
    }

    #[test]
    fn same_stream_of_two_partitions_clashes_and_of_one_does_not() {
        let claims = |second| {
            [
                claim(Ids::one(5), 0, "/a"),
                claim(Ids::one(5), second, "/b"),
            ]
        };
        assert!(clashes(&claims(0)).is_empty());
        let two = claims(1);
        let found = clashes(&two);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].0.device.as_str(), found[0].1.device.as_str()),
            ("/a", "/b")
        );
    }

    #[test]
    fn stream_in_the_middle_of_a_range_or_under_a_mask_clashes() {
        let range = Ids::Range {
            first: 0x10,
            count: 0x10,
        };
        let masked = Ids::Masked {
            id: 0x1400,
            ignored: 0xff,
        };
        for (one, other, clash) in [
            (range, Ids::one(0x1f), true),
            (range, Ids::one(0x20), false),
            (masked, Ids::one(0x1460), true),
            (
                masked,
                Ids::Range {
                    first: 0x1500,
                    count: 4,
                },
                false,
            ),
        ] {
            let claims = [claim(one, 0, "/a"), claim(other, 1, "/b")];
            assert_eq!(!clashes(&claims).is_empty(), clash, "{one} and {other}");
        }
    }

    #[test]
    fn two_devices_that_share_many_streams_are_one_clash() {
        let of = |owner, device| (0..20).map(move |id| claim(Ids::one(id), owner, device));
        let claims: Vec<StreamClaim> = of(0, "/a").chain(of(1, "/b")).collect();
        assert_eq!(clashes(&claims).len(), 1);
    }

    #[test]
    fn hostile_number_of_entries_is_compared_up_to_the_bound() {
        let wide = Ids::Masked {
            id: 0,
            ignored: u32::MAX,
        };
        let claims: Vec<StreamClaim> = (0..100_000).map(|n| claim(wide, n % 2, "/a")).collect();
        assert_eq!(clashes(&claims).len(), 2);
    }
}
