//! What is put behind an IOMMU fits it, where `board.toml` says how much it holds, or its kind.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use crate::board::{Board, IommuLimits};
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
        let iommu = board.iommu(node);
        let Some(limits) = iommu.and_then(|iommu| iommu.limits.as_ref()) else {
            continue;
        };
        for excess in excesses(limits, claims) {
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
                    .expected(format!("at most {}, as board.toml says", excess.most))
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
        let most = usize::from(ipmmu::generation(&board.tree, main).partitions());
        let owners = partitions.entry(main).or_default();
        for claim in claims {
            if !owners.insert(claim.owner) || owners.len() != most + 1 {
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
                    .expected(format!("at most {most}"))
                    .help("give devices behind this IPMMU to fewer partitions"),
            );
        }
    }
}

/// More than an IOMMU holds.
struct Excess<'a> {
    what: &'static str,
    wanted: u64,
    most: u64,
    /// The first claim that is too much.
    at: &'a StreamClaim,
}

/// What is too much, each limit at most once.
fn excesses<'a>(limits: &IommuLimits, claims: &'a [StreamClaim]) -> Vec<Excess<'a>> {
    let mut found = Vec::new();
    let mut registers = 0;
    let mut owners = BTreeSet::new();
    let mut over = |what, limit: Option<u64>, wanted: u64, at: &'a StreamClaim| {
        let most = limit.filter(|most| wanted > *most);
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
        let streams = limits.stream_match_registers.map(u64::from);
        over("stream match registers", streams, registers, claim);
        let contexts = limits.contexts.map(u64::from);
        over("contexts", contexts, owners.len() as u64, claim);
        let bits = u64::from(u32::BITS - claim.ids.last().leading_zeros());
        let most = limits.stream_bits.map(u64::from);
        over("bits in a stream number", most, bits, claim);
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

    fn limits(registers: u32, contexts: u32, bits: u32) -> IommuLimits {
        IommuLimits {
            node: "smmu".to_owned(),
            stream_match_registers: Some(registers),
            contexts: Some(contexts),
            stream_bits: Some(bits),
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
