//! Which DMA streams a node makes, as its IOMMU names them (Linux, iommu.txt, arm,smmu.yaml, arm,smmu-v3.yaml, renesas,ipmmu-vmsa.yaml,
//! pci-iommu.txt).

use std::fmt::{self, Display};

use super::requesters;
use super::specifiers::{Specifier, specifiers};
use super::{NodeId, Tree, TreeError};

/// Which IOMMU a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IommuKind {
    /// Arm SMMUv3 (Arm IHI 0070).
    SmmuV3,
    /// Arm SMMUv1 or v2 (Arm IHI 0062), MMU-500 and ThunderX's among them.
    SmmuV2,
    /// Renesas IPMMU: streams are micro-TLBs.
    Ipmmu,
    /// One that Bulkhead does not know.
    Unknown,
}

impl IommuKind {
    /// What the node's `compatible` says.
    pub fn of(tree: &Tree, node: NodeId) -> Self {
        const V2: &[&str] = &[
            "arm,smmu-v1",
            "arm,smmu-v2",
            "arm,mmu-400",
            "arm,mmu-401",
            "arm,mmu-500",
            "cavium,smmu-v2",
        ];
        let ipmmu = |name: &&str| {
            name.starts_with("renesas,ipmmu-") || *name == "renesas,rcar-gen4-ipmmu-vmsa"
        };
        if tree.is_compatible(node, &["arm,smmu-v3"]) {
            Self::SmmuV3
        } else if tree.is_compatible(node, V2) {
            Self::SmmuV2
        } else if tree.strings(node, "compatible").iter().any(ipmmu) {
            Self::Ipmmu
        } else {
            Self::Unknown
        }
    }

    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmmuV3 => "SMMUv3",
            Self::SmmuV2 => "SMMUv2",
            Self::Ipmmu => "IPMMU",
            Self::Unknown => "unknown IOMMU",
        }
    }
}

/// A set of stream numbers of one IOMMU, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ids {
    /// `first` up to and with `first + count - 1`, which does not wrap. `count` is at least 1.
    Range { first: u32, count: u32 },
    /// Every number that is `id` but for the bits of `ignored`, as a stream match register compares.
    Masked { id: u32, ignored: u32 },
}

impl Ids {
    /// One number.
    pub const fn one(id: u32) -> Self {
        Self::Range {
            first: id,
            count: 1,
        }
    }

    /// A stream match register; without bits to ignore it is one number.
    const fn masked(id: u32, ignored: u32) -> Self {
        match ignored {
            0 => Self::one(id),
            _ => Self::Masked {
                id: id & !ignored,
                ignored,
            },
        }
    }

    /// True when the number is in the set.
    pub fn contains(self, number: u32) -> bool {
        match self {
            Self::Range { first, count } => number.checked_sub(first).is_some_and(|at| at < count),
            Self::Masked { id, ignored } => number & !ignored == id & !ignored,
        }
    }

    /// True when a number is in both sets.
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Range { first, count }, set) | (set, Self::Range { first, count }) => {
                set.from(first).is_some_and(|next| next - first < count)
            }
            (
                Self::Masked { id, ignored },
                Self::Masked {
                    id: other,
                    ignored: also,
                },
            ) => (id ^ other) & !(ignored | also) == 0,
        }
    }

    /// True when every number of `other` is in this set. A set with ignored bits is not said to cover a range of several numbers.
    pub fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Range { .. }, _) => self.contains(other.first()) && self.contains(other.last()),
            (Self::Masked { .. }, Self::Range { first, count }) => {
                count == 1 && self.contains(first)
            }
            (Self::Masked { ignored, .. }, Self::Masked { id, ignored: also }) => {
                also & !ignored == 0 && self.contains(id)
            }
        }
    }

    /// The smallest number of the set.
    pub fn first(self) -> u32 {
        match self {
            Self::Range { first, .. } => first,
            Self::Masked { id, ignored } => id & !ignored,
        }
    }

    /// The largest number of the set.
    pub fn last(self) -> u32 {
        match self {
            Self::Range { first, count } => first + (count - 1),
            Self::Masked { id, ignored } => id | ignored,
        }
    }

    /// The smallest number of the set that is not below `start`.
    fn from(self, start: u32) -> Option<u32> {
        match self {
            Self::Range { first, .. } => (start <= self.last()).then(|| start.max(first)),
            Self::Masked { .. } if self.contains(start) => Some(start),
            // Above `start` by a first bit that is 1 instead of 0: equal before it, as small as can be behind it.
            Self::Masked { id, ignored } => (0..u32::BITS).find_map(|bit| {
                let below = (1u32 << bit) - 1;
                let above = !below ^ (1 << bit);
                let next = (start & above) | 1 << bit | (id & !ignored & below);
                (start & 1 << bit == 0 && self.contains(next)).then_some(next)
            }),
        }
    }
}

impl Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { first, count: 1 } => write!(f, "{first:#x}"),
            Self::Range { first, .. } => write!(f, "{first:#x} to {:#x}", self.last()),
            Self::Masked { id, ignored } => write!(f, "{id:#x} with any of {ignored:#x}"),
        }
    }
}

/// A stream, or several in a row, at one IOMMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub iommu: NodeId,
    pub ids: Ids,
    /// The specifier as the tree gives it; for an entry of an `iommu-map` the first number alone.
    pub cells: Vec<u32>,
}

const MAP: &str = "iommu-map";
const MASK: &str = "iommu-map-mask";
const CELLS: &str = "#iommu-cells";

/// All streams of a node, those of disabled IOMMUs included: its `iommus`, and for a bus everything that its `iommu-map` can yield.
///
/// # Errors
/// A malformed specifier or map.
pub(crate) fn streams(tree: &Tree, node: NodeId) -> Result<Vec<Stream>, TreeError> {
    let mut found = Vec::new();
    for one in specifiers(tree, node, "iommus", CELLS)? {
        found.push(Stream {
            iommu: one.provider,
            ids: ids(tree, node, &one)?,
            cells: one.arguments,
        });
    }
    for entry in requesters::entries(tree, node, MAP)? {
        found.push(Stream {
            iommu: entry.provider,
            ids: Ids::Range {
                first: entry.first,
                count: entry.count,
            },
            cells: vec![entry.first],
        });
    }
    Ok(found)
}

/// The stream of one requester of a bus; `None` when the map leaves it out: no IOMMU sees its DMA.
///
/// # Errors
/// A malformed map.
pub(crate) fn of_requester(
    tree: &Tree,
    bus: NodeId,
    requester: u32,
) -> Result<Option<Stream>, TreeError> {
    let found = requesters::look_up(tree, bus, MAP, MASK, requester)?;
    Ok(found.map(|(iommu, number)| Stream {
        iommu,
        ids: Ids::one(number),
        cells: vec![number],
    }))
}

/// What a specifier means to its IOMMU.
fn ids(tree: &Tree, node: NodeId, specifier: &Specifier) -> Result<Ids, TreeError> {
    let iommu = specifier.provider;
    let kind = IommuKind::of(tree, iommu);
    match (kind, specifier.arguments.as_slice()) {
        // A mask for all specifiers without one (arm,smmu.yaml).
        (IommuKind::SmmuV2, [id]) => {
            let mask = tree.cell(iommu, "stream-match-mask")?.unwrap_or(0);
            Ok(Ids::masked(*id, mask))
        }
        (IommuKind::SmmuV2, [id, mask]) => Ok(Ids::masked(*id, *mask)),
        (IommuKind::SmmuV3 | IommuKind::Ipmmu, [id]) => Ok(Ids::one(*id)),
        // Its one stream has no number, or its numbers have a meaning of their own: the first cell tells them apart.
        (IommuKind::Unknown, cells) => Ok(Ids::one(cells.first().copied().unwrap_or(0))),
        (_, cells) => {
            let what = format!(
                "gives {} cells to {}, an {}",
                cells.len(),
                tree.path(iommu),
                kind.name()
            );
            Err(tree.error(node, "iommus", what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A device with `iommus` at an IOMMU.
    fn behind(compatible: &str, cells: u32, iommus: &[u32]) -> (Tree, NodeId, NodeId) {
        let mut tree = Tree::new();
        let smmu = tree.add(Tree::ROOT, "smmu");
        tree.set_string(smmu, "compatible", compatible);
        tree.set_cells(smmu, "phandle", &[1]);
        tree.set_cells(smmu, CELLS, &[cells]);
        let device = tree.add(Tree::ROOT, "device");
        tree.set_cells(device, "iommus", iommus);
        (tree, device, smmu)
    }

    fn ids_of(tree: &Tree, device: NodeId) -> Vec<Ids> {
        let found = streams(tree, device).unwrap();
        found.into_iter().map(|one| one.ids).collect()
    }

    #[test]
    fn smmuv3_and_ipmmu_take_one_number() {
        for name in ["arm,smmu-v3", "renesas,ipmmu-r8a7795"] {
            let (tree, device, _) = behind(name, 1, &[1, 5, 1, 6]);
            assert_eq!(ids_of(&tree, device), [Ids::one(5), Ids::one(6)]);
        }
    }

    #[test]
    fn smmuv2_takes_a_mask_from_the_specifier_or_for_all() {
        let (tree, device, _) = behind("arm,mmu-500", 2, &[1, 0x1460, 0x20]);
        let masked = Ids::Masked {
            id: 0x1440,
            ignored: 0x20,
        };
        assert_eq!(ids_of(&tree, device), [masked]);
        let (mut tree, device, smmu) = behind("arm,mmu-500", 1, &[1, 0x1460]);
        assert_eq!(ids_of(&tree, device), [Ids::one(0x1460)]);
        tree.set_cells(smmu, "stream-match-mask", &[0x20]);
        assert_eq!(ids_of(&tree, device), [masked]);
    }

    #[test]
    fn smmuv3_with_two_cells_is_an_error() {
        let (tree, device, _) = behind("arm,smmu-v3", 2, &[1, 5, 0]);
        let error = streams(&tree, device).unwrap_err().to_string();
        assert_eq!(error, "/device: `iommus` gives 2 cells to /smmu, an SMMUv3");
    }

    #[test]
    fn pci_host_has_a_range_and_each_function_one_of_it() {
        let (mut tree, host, smmu) = behind("arm,smmu-v3", 1, &[]);
        tree.set_cells(host, MAP, &[0, 1, 0x1_0000, 0x1_0000]);
        let range = Ids::Range {
            first: 0x1_0000,
            count: 0x1_0000,
        };
        assert_eq!(ids_of(&tree, host), [range]);
        let one = of_requester(&tree, host, 0x18).unwrap().unwrap();
        assert_eq!((one.iommu, one.ids), (smmu, Ids::one(0x1_0018)));
        assert_eq!(of_requester(&tree, host, 0x1_0000), Ok(None));
    }

    #[test]
    fn iommu_of_unknown_kind_is_told_apart_by_the_first_cell() {
        let (tree, device, smmu) = behind("vendor,iommu", 0, &[1]);
        assert_eq!(IommuKind::of(&tree, smmu), IommuKind::Unknown);
        assert_eq!(ids_of(&tree, device), [Ids::one(0)]);
    }

    fn any_ids() -> impl Strategy<Value = Ids> {
        let range = (0u32..64, 1u32..64).prop_map(|(first, count)| Ids::Range { first, count });
        let masked = (0u32..128, 0u32..128).prop_map(|(id, ignored)| Ids::masked(id, ignored));
        prop_oneof![range, masked]
    }

    proptest! {
        #[test]
        fn sets_overlap_when_a_number_is_in_both(one in any_ids(), other in any_ids()) {
            let both = (0..128).any(|number| one.contains(number) && other.contains(number));
            prop_assert_eq!(one.overlaps(other), both);
            prop_assert_eq!(other.overlaps(one), both);
        }

        #[test]
        fn set_that_covers_another_has_all_its_numbers(one in any_ids(), other in any_ids()) {
            let all = (0..128).all(|number| one.contains(number) || !other.contains(number));
            let said = one.covers(other);
            prop_assert!(all || !said);
            let several = matches!(other, Ids::Range { count, .. } if count > 1);
            let masked = matches!(one, Ids::Masked { .. });
            prop_assert!(said || !all || (several && masked));
        }

        #[test]
        fn extreme_sets_never_panic(id: u32, ignored: u32, first: u32) {
            let masked = Ids::masked(id, ignored);
            let range = Ids::Range { first, count: u32::MAX - first };
            prop_assume!(first < u32::MAX);
            prop_assert_eq!(masked.overlaps(range), range.overlaps(masked));
            prop_assert!(masked.contains(masked.last()));
        }
    }
}
