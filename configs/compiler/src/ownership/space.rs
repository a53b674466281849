//! One kind of thing that is owned in ranges: bytes of the physical address space, interrupt numbers, streams of an IOMMU, CPUs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Owner;
use crate::range::AddressRange;

/// More clashes than this are not listed: no reader gets through them, and an input that makes millions must not fill the memory.
const MOST_CLASHES: usize = 256;

/// With whom a claim may be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// With nobody, not even with another claim of the same owner: RAM.
    Nobody,
    /// With claims of the same owner: registers, an interrupt line of two devices.
    SameOwner,
    /// With everybody who only reads, too. What others read its owners only read.
    Readers,
}

/// What somebody says to be theirs.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub range: AddressRange,
    pub owner: Owner,
    /// What is there: a device's path, "memory".
    pub what: String,
    pub sharing: Sharing,
    /// Where the system file says so.
    pub span: Option<Range<usize>>,
}

impl Claim {
    /// True when both may have one and the same thing.
    fn may_share_with(&self, other: &Self) -> bool {
        if self.owner.does_not_mind(other.owner) {
            return true;
        }
        match (self.sharing, other.sharing) {
            (Sharing::Readers, Sharing::Readers) => true,
            (Sharing::SameOwner, Sharing::SameOwner) => self.owner == other.owner,
            _ => false,
        }
    }
}

/// Two claims that cannot both hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clash<'a> {
    /// The claim that was made first.
    pub first: &'a Claim,
    pub second: &'a Claim,
    /// What both claim.
    pub range: AddressRange,
}

/// Claims on one space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    claims: Vec<Claim>,
}

impl Space {
    /// Enters a claim. Whether it holds is found by [`clashes`](Self::clashes).
    pub fn claim(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    /// True when an owner claims a part of the range.
    pub fn has(&self, owner: Owner, range: AddressRange) -> bool {
        let mut claims = self.claims.iter();
        claims.any(|claim| claim.owner == owner && claim.range.overlaps(range))
    }

    /// Every pair of claims that overlap and may not, up to a bound; the flag says that there are more.
    ///
    /// One pass from the lowest to the highest number, with the claims of each owner that reach beyond the present one at hand: time
    /// is n·log n plus what is found and what is shared.
    pub fn clashes(&self) -> (Vec<Clash<'_>>, bool) {
        let mut order: Vec<usize> = (0..self.claims.len()).collect();
        order.sort_by_key(|index| (self.claims[*index].range.base, *index));
        // For each owner the claims that have begun and not ended, by their ends.
        let mut open: BTreeMap<Owner, BTreeSet<(u64, usize)>> = BTreeMap::new();
        let mut found = Vec::new();
        for index in order {
            let claim = &self.claims[index];
            open.retain(|_, claims| {
                *claims = claims.split_off(&(claim.range.base + 1, 0));
                !claims.is_empty()
            });
            for (owner, claims) in &open {
                if owner.does_not_mind(claim.owner) {
                    continue;
                }
                for (_, other) in claims {
                    let Some(clash) = self.clash(index, *other) else {
                        continue;
                    };
                    if found.len() == MOST_CLASHES {
                        return (found, true);
                    }
                    found.push(clash);
                }
            }
            open.entry(claim.owner)
                .or_default()
                .insert((claim.range.end(), index));
        }
        (found, false)
    }

    /// The clash of two claims, if they overlap and may not.
    fn clash(&self, one: usize, other: usize) -> Option<Clash<'_>> {
        let (first, second) = (&self.claims[one.min(other)], &self.claims[one.max(other)]);
        let range = AddressRange::between(
            first.range.base.max(second.range.base),
            first.range.end().min(second.range.end()),
        )?;
        (!first.may_share_with(second)).then_some(Clash {
            first,
            second,
            range,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(base: u64, size: u64, owner: Owner, sharing: Sharing) -> Claim {
        Claim {
            range: AddressRange::new(base, size).unwrap(),
            owner,
            what: format!("{base}+{size}"),
            sharing,
            span: None,
        }
    }

    fn space(claims: impl IntoIterator<Item = Claim>) -> Space {
        let mut space = Space::default();
        for one in claims {
            space.claim(one);
        }
        space
    }

    const P: Owner = Owner::Partition(0);
    const Q: Owner = Owner::Partition(1);

    #[test]
    fn neighbours_do_not_clash_and_one_shared_byte_does() {
        let two = |base| {
            space([
                claim(0, 10, P, Sharing::Nobody),
                claim(base, 5, Q, Sharing::Nobody),
            ])
        };
        assert!(two(10).clashes().0.is_empty());
        let overlapping = two(9);
        let (clashes, _) = overlapping.clashes();
        assert_eq!(clashes.len(), 1);
        assert_eq!(clashes[0].range, AddressRange::new(9, 1).unwrap());
        assert_eq!((clashes[0].first.owner, clashes[0].second.owner), (P, Q));
    }

    #[test]
    fn first_is_who_claimed_first_wherever_it_lies() {
        let space = space([
            claim(50, 10, Q, Sharing::SameOwner),
            claim(0, 60, P, Sharing::SameOwner),
        ]);
        assert_eq!(space.clashes().0[0].first.owner, Q);
    }

    #[test]
    fn claim_over_several_clashes_with_each() {
        let space = space([
            claim(0, 10, P, Sharing::SameOwner),
            claim(20, 10, P, Sharing::SameOwner),
            claim(0, 100, Q, Sharing::SameOwner),
            claim(90, 20, Owner::Hypervisor, Sharing::SameOwner),
        ]);
        assert_eq!(space.clashes().0.len(), 3);
    }

    #[test]
    fn registers_of_one_owner_may_overlap_and_its_ram_may_not() {
        let twice = |sharing| space([claim(0, 10, P, sharing), claim(5, 10, P, sharing)]);
        assert!(twice(Sharing::SameOwner).clashes().0.is_empty());
        assert_eq!(twice(Sharing::Nobody).clashes().0.len(), 1);
    }

    #[test]
    fn readers_share_with_readers_only() {
        let with = |sharing| space([claim(0, 10, P, Sharing::Readers), claim(0, 10, Q, sharing)]);
        assert!(with(Sharing::Readers).clashes().0.is_empty());
        assert_eq!(with(Sharing::SameOwner).clashes().0.len(), 1);
    }

    #[test]
    fn thousands_of_clashes_are_cut_and_said_to_be() {
        let owners =
            (0..200).map(|index| claim(0, 10, Owner::Partition(index), Sharing::SameOwner));
        let space = space(owners);
        let (clashes, cut) = space.clashes();
        assert_eq!((clashes.len(), cut), (MOST_CLASHES, true));
    }

    #[test]
    fn many_devices_of_nobody_over_one_another_take_no_time() {
        let space = space((0..50_000).map(|n| claim(n, 100_000, Owner::Board, Sharing::SameOwner)));
        assert!(space.clashes().0.is_empty());
    }

    fn any_claim() -> impl Strategy<Value = Claim> {
        let owner = prop_oneof![
            Just(Owner::Hypervisor),
            Just(Owner::Firmware),
            Just(Owner::Board),
            (0usize..3).prop_map(Owner::Partition),
            (0usize..2).prop_map(Owner::Channel),
        ];
        let sharing = prop_oneof![
            Just(Sharing::Nobody),
            Just(Sharing::SameOwner),
            Just(Sharing::Readers)
        ];
        (0u64..48, 1u64..12, owner, sharing)
            .prop_map(|(base, size, owner, sharing)| claim(base, size, owner, sharing))
    }

    /// Whether both may have one and the same byte, told another way: partitions and channels share what they declare; the board's
    /// own parties are told apart only where the hypervisor would lie in what firmware keeps.
    fn may_share(one: &Claim, other: &Claim) -> bool {
        let of_board = |claim: &Claim| matches!(claim.owner, Owner::Board | Owner::Firmware);
        let readers = one.sharing == Sharing::Readers && other.sharing == Sharing::Readers;
        let own = one.owner == other.owner
            && [one, other].map(|claim| claim.sharing) == [Sharing::SameOwner; 2];
        let unowned = one.owner == Owner::Board && other.owner == Owner::Hypervisor
            || one.owner == Owner::Hypervisor && other.owner == Owner::Board;
        readers || own || unowned || of_board(one) && of_board(other)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        /// What the ledger accepts has, byte by byte, one owner or a declared sharing; and it refuses nothing else.
        #[test]
        fn accepted_claims_give_every_byte_one_owner_or_a_declared_sharing(
            claims in prop::collection::vec(any_claim(), 0..12),
        ) {
            let space = space(claims.clone());
            let sound = (0..64).all(|byte| {
                let here: Vec<&Claim> = claims
                    .iter()
                    .filter(|claim| (claim.range.base..claim.range.end()).contains(&byte))
                    .collect();
                here.iter().enumerate().all(|(index, one)| {
                    here[index + 1..].iter().all(|other| may_share(one, other))
                })
            });
            prop_assert_eq!(space.clashes().0.is_empty(), sound);
        }
    }
}
