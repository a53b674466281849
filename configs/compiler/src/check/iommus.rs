//! What is put behind an IOMMU fits it: what `board.toml` says that it holds, else the most that its architecture allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Context;
use crate::board::{Board, Iommu};
use crate::codes;
use crate::devicetree::NodeId;
use crate::devicetree::streams::{Ids, IommuKind};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::iommus::ipmmu;
use crate::ownership::{Owner, StreamClaim};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    too_many_partitions(context, board, findings);
    for (node, claims) in context.ledger.streams.iommus() {
        let Some(iommu) = board.iommu(node) else {
            continue;
        };
        for excess in excesses(&Limits::of(iommu), claims) {
            let span = excess.at.span.clone().unwrap_or(0..0);
            let message = format!(
                "{} cannot hold the streams of {}: too many {}",
                board.tree.path(node),
                excess.at.device,
                excess.what
            );
            findings.push(
                Diagnostic::error(codes::IOMMU_FULL, message)
                    .at(context.source, span)
                    .found(format!("{} with this device", excess.wanted))
                    .expected(excess.most.to_string())
                    .help("give fewer devices away behind this IOMMU"),
            );
        }
    }
}

/// An IPMMU has a context for each partition, whichever of its instances the partition's devices are behind.
fn too_many_partitions(context: &Context<'_>, board: &Board, findings: &mut Diagnostics) {
    let mut partitions: BTreeMap<NodeId, BTreeSet<Owner>> = BTreeMap::new();
    for (node, claims) in context.ledger.streams.iommus() {
        let Some(iommu) = board.iommu(node).filter(|one| one.kind == IommuKind::Ipmmu) else {
            continue;
        };
        let main = iommu.main.unwrap_or(node);
        let generation = ipmmu::generation(&board.tree, main);
        let said = board.iommu(main).and_then(|main| main.limits.as_ref());
        let most = Most::of(
            said.and_then(|limits| limits.contexts),
            Some((
                u32::from(generation.partitions()),
                "as many contexts as it has",
            )),
        );
        let Some(most) = most else { continue };
        let owners = partitions.entry(main).or_default();
        for claim in claims {
            if !owners.insert(claim.owner) || owners.len() as u64 != most.number + 1 {
                continue;
            }
            let message = format!(
                "{} cannot hold the translations of so many partitions",
                board.tree.path(main)
            );
            findings.push(
                Diagnostic::error(codes::IOMMU_FULL, message)
                    .at(context.source, claim.span.clone().unwrap_or(0..0))
                    .found(format!("{} with {}", owners.len(), claim.device))
                    .expected(most.to_string())
                    .help("give devices behind this IPMMU to fewer partitions"),
            );
        }
    }
}

/// The most of something that an IOMMU holds, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Most {
    number: u64,
    source: &'static str,
}

impl Most {
    /// What `board.toml` says, else what the architecture says.
    fn of(said: Option<u32>, architecture: Option<(u32, &'static str)>) -> Option<Self> {
        let (number, source) = said
            .map(|said| (said, "as board.toml says"))
            .or(architecture)?;
        Some(Self {
            number: u64::from(number),
            source,
        })
    }
}

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {}, {}", self.number, self.source)
    }
}

/// What an IOMMU holds; `None` where nothing limits it.
#[derive(Clone, Copy, Debug)]
struct Limits {
    registers: Option<Most>,
    contexts: Option<Most>,
    bits: Option<Most>,
}

impl Limits {
    fn of(iommu: &Iommu) -> Self {
        const V2: &str = "as the architecture SMMUv2 has it";
        // Arm IHI 0062, 2.3 and SMMU_IDR0.EXIDS.
        let v2 = |most: u32| (iommu.kind == IommuKind::SmmuV2).then_some((most, V2));
        let said = iommu.limits.as_ref();
        // The contexts of an IPMMU are its main instance's: see `too_many_partitions`.
        let contexts = said.and_then(|said| said.contexts);
        Self {
            registers: Most::of(said.and_then(|said| said.stream_match_registers), v2(128)),
            contexts: Most::of(contexts.filter(|_| iommu.kind != IommuKind::Ipmmu), v2(128)),
            bits: Most::of(said.and_then(|said| said.stream_bits), v2(16)),
        }
    }
}

/// More than an IOMMU holds.
struct Excess<'a> {
    what: &'static str,
    wanted: u64,
    most: Most,
    /// The first claim that is too much.
    at: &'a StreamClaim,
}

/// What is too much, each limit at most once.
fn excesses<'a>(limits: &Limits, claims: &'a [StreamClaim]) -> Vec<Excess<'a>> {
    let mut found = Vec::new();
    let mut registers = 0;
    let mut owners = BTreeSet::new();
    let mut over = |what, limit: Option<Most>, wanted: u64, at: &'a StreamClaim| {
        let most = limit.filter(|most| wanted > most.number);
        if let Some(most) = most.filter(|_| !found.iter().any(|one: &Excess| one.what == what)) {
            found.push(Excess {
                what,
                wanted,
                most,
                at,
            });
        }
    };
    for claim in claims {
        registers += match_registers(claim.ids);
        owners.insert(claim.owner);
        over("stream match registers", limits.registers, registers, claim);
        over("contexts", limits.contexts, owners.len() as u64, claim);
        let bits = u64::from(u32::BITS - claim.ids.last().leading_zeros());
        over("bits in a stream number", limits.bits, bits, claim);
    }
    found
}

/// How many stream match registers compare all of some streams: one for each aligned block (Arm IHI 0062, SMMU_SMRn).
fn match_registers(ids: Ids) -> u64 {
    let Ids::Range { first, count } = ids else {
        return 1;
    };
    let (mut at, mut left, mut blocks) = (u64::from(first), u64::from(count), 0);
    while left > 0 {
        let aligned = if at == 0 {
            u64::MAX
        } else {
            at & at.wrapping_neg()
        };
        let largest = 1 << (u64::BITS - 1 - left.leading_zeros());
        let block = aligned.min(largest);
        at += block;
        left -= block;
        blocks += 1;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::Owner;

    fn claim(ids: Ids, owner: usize) -> StreamClaim {
        StreamClaim {
            ids,
            owner: Owner::Partition(owner),
            device: format!("/dma@{owner}"),
            span: None,
        }
    }

    fn limits(registers: u32, contexts: u32, bits: u32) -> Limits {
        let most = |number| Most::of(Some(number), None);
        Limits {
            registers: most(registers),
            contexts: most(contexts),
            bits: most(bits),
        }
    }

    #[test]
    fn range_takes_a_register_for_each_aligned_block() {
        let range = |first, count| match_registers(Ids::Range { first, count });
        assert_eq!(range(0, 16), 1);
        assert_eq!(range(4, 4), 1);
        assert_eq!(range(5, 4), 3);
        assert_eq!(range(0, u32::MAX), 32);
        assert_eq!(
            match_registers(Ids::Masked {
                id: 0x1400,
                ignored: 0xff
            }),
            1
        );
    }

    #[test]
    fn each_limit_is_exceeded_by_one_and_not_by_its_whole() {
        let claims = [claim(Ids::one(5), 0), claim(Ids::one(0x3f), 1)];
        let what = |limits| -> Vec<&str> {
            let found = excesses(&limits, &claims);
            found.iter().map(|one| one.what).collect()
        };
        assert!(what(limits(2, 2, 6)).is_empty());
        assert_eq!(what(limits(1, 2, 6)), ["stream match registers"]);
        assert_eq!(what(limits(2, 1, 6)), ["contexts"]);
        assert_eq!(what(limits(2, 2, 5)), ["bits in a stream number"]);
    }

    #[test]
    fn excess_is_told_once_at_the_first_claim_too_many() {
        let claims = [0, 1, 2, 3].map(|owner| claim(Ids::one(owner), owner as usize));
        let found = excesses(&limits(2, 4, 8), &claims);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].wanted, found[0].at.device.as_str()),
            (3, "/dma@2")
        );
    }
}
