//! RAM, and what firmware keeps of it.

use super::BoardError;
use super::file::Reserved;
use crate::devicetree::{Tree, addresses::registers};
use crate::range::{AddressRange, merge};

/// The board's RAM.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Sorted, not empty, whole pages.
    pub banks: Vec<AddressRange>,
    /// Regions that firmware or the board keeps, each with its name; whole pages.
    pub reserved: Vec<(AddressRange, String)>,
}

const PAGE: u64 = model::memory::PAGE;

/// The memory that the tree describes, less what firmware keeps by the tree's account and by `board.toml`'s.
pub(super) fn read(
    tree: &Tree,
    load: u64,
    more_reserved: &[Reserved],
) -> Result<Memory, BoardError> {
    let mut banks = Vec::new();
    for node in tree.nodes() {
        if tree.string(node, "device_type") == Some("memory") && tree.is_enabled(node) {
            banks.extend(
                registers(tree, node)?
                    .into_iter()
                    .filter_map(|bank| bank.inward(PAGE)),
            );
        }
    }
    let banks = merge(banks);
    if banks.is_empty() {
        return Err(BoardError::Lacks("memory node with a size"));
    }
    if !banks
        .iter()
        .any(|bank| (bank.base..bank.end()).contains(&load))
    {
        return Err(BoardError::Load(load));
    }
    Ok(Memory {
        banks,
        reserved: reserved(tree, more_reserved)?,
    })
}

/// `/memreserve/` entries and the static regions of `/reserved-memory` (Devicetree Specification 0.4, sections 3.5 and 5.3),
/// and what `board.toml` adds.
fn reserved(tree: &Tree, more: &[Reserved]) -> Result<Vec<(AddressRange, String)>, BoardError> {
    let entry = |range: &AddressRange| (*range, "/memreserve/".to_owned());
    let mut regions: Vec<_> = tree.reservations.iter().map(entry).collect();
    let known = |region: &Reserved| {
        let range = AddressRange::new(region.base, region.size)?;
        Some((range, region.owner.clone()))
    };
    regions.extend(more.iter().filter_map(known));
    if let Some(parent) = tree.find("/reserved-memory") {
        for node in tree
            .children(parent)
            .iter()
            .filter(|node| tree.is_enabled(**node))
        {
            for range in registers(tree, *node)? {
                regions.push((range, tree.path(*node)));
            }
        }
    }
    for (range, _) in &mut regions {
        *range = range.outward(PAGE).unwrap_or(*range);
    }
    Ok(regions)
}
