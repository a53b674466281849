//! What must hold once all guests are at their first instruction.

use crate::board::Board;
use crate::dma;
use crate::machine::Guest;
use crate::stage2::{self, Leaf};

/// `GITS_TRANSLATER`, from the start of an ITS's registers (IHI 0069H 12.18).
const DOORBELL: u64 = 0x1_0040;

/// Where the image lies: nobody's.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// Everything that contradicts isolation: partitions that reach the image, the registers that the hypervisor drives (but for a console that is
/// given away) or each other, and devices that reach what their partition does not.
pub fn contradictions(
    board: &Board,
    guests: &[Guest],
    own: Own,
    console_given: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for guest in guests {
        let mut reaches = |name: &str, base, size| {
            if let Some(leaf) = guest.leaves.iter().find(|leaf| leaf.touches(base, size)) {
                found.push(format!(
                    "partition {} reaches {name} at {:#x}",
                    guest.vmid, leaf.pa
                ));
            }
        };
        reaches("the image", own.base, own.size);
        let mut devices = board.bus.devices();
        // The first one is the console.
        let console = devices.next().filter(|_| !console_given);
        for (name, base, size) in devices.chain(console) {
            reaches(name, base, size);
        }
    }
    for (index, one) in guests.iter().enumerate() {
        for other in guests[index + 1..]
            .iter()
            .filter(|other| other.vmid != one.vmid)
        {
            let shared = common(&one.leaves, &other.leaves);
            let shared = shared.filter(|address| !is_banked(board, *address));
            found.extend(shared.map(|address| {
                format!(
                    "partitions {} and {} both reach {address:#x}",
                    one.vmid, other.vmid
                )
            }));
        }
    }
    for (name, iommu) in &board.iommus {
        for (address, places) in owned_addresses(guests).map(|at| (at, dma::reached(iommu, at))) {
            let of_somebody = |place: &u64| {
                guests
                    .iter()
                    .any(|guest| stage2::translate(&guest.leaves, address) == Some(*place))
            };
            if let Some(place) = places.iter().find(|place| !of_somebody(place)) {
                found.push(format!(
                    "{name} lets a device at {address:#x} reach {place:#x}"
                ));
            }
        }
        if dma::bypassed(iommu) {
            found.push(format!("{name} lets a device pass untranslated"));
        }
    }
    found
}

/// What contradicts the isolation of messages once all guests are at their first instruction: tables of interrupts outside the image, where a
/// partition may have them, translations that firmware left, and functions that may write memory before their guests say so.
pub fn messages(board: &Board, own: Own) -> Vec<String> {
    let outside = |what: &str, memory: Vec<(u64, u64)>| {
        let strays = memory
            .into_iter()
            .filter(|(base, size)| *base < own.base || base + size > own.base + own.size);
        strays
            .map(|(base, _)| format!("{what} has a table at {base:#x}, outside the image"))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (base, its) in &board.its {
        found.extend(outside("the ITS", its.borrow().memory()));
        let left = its.borrow().mapped();
        if left > 0 {
            found.push(format!(
                "the ITS at {base:#x} has {left} devices that nobody mapped"
            ));
        }
    }
    if let Some(lpis) = &board.lpis {
        found.extend(outside("a redistributor", lpis.memory()));
    }
    for bridge in &board.bridges {
        let masters = bridge.borrow().masters();
        found.extend(
            masters
                .iter()
                .map(|place| format!("function {place:#x} may write memory")),
        );
    }
    found
}

/// How many streams reach the place where an ITS takes messages, which no partition's CPUs reach.
pub fn doorbells(board: &Board) -> usize {
    let bells = board.its.iter().map(|(base, _)| base + DOORBELL);
    let of = |bell: u64| {
        let reached = board
            .iommus
            .iter()
            .map(move |(_, iommu)| dma::reached(iommu, bell));
        reached.map(move |places| places.iter().filter(|place| **place == bell).count())
    };
    bells.flat_map(of).sum()
}

fn is_banked(board: &Board, address: u64) -> bool {
    let place = board.banked;
    place.is_some_and(|(base, size)| (base..base + size).contains(&address))
}

/// How many streams of all IOMMUs reach memory of a partition.
pub fn streams(board: &Board, guests: &[Guest]) -> usize {
    let of = |(_, iommu)| {
        let most = owned_addresses(guests).map(|address| dma::reached(iommu, address).len());
        most.max().unwrap_or(0)
    };
    board
        .iommus
        .iter()
        .map(|(name, iommu)| of((name, iommu)))
        .sum()
}

/// An address in each guest's RAM, as the guest sees it.
fn owned_addresses(guests: &[Guest]) -> impl Iterator<Item = u64> {
    guests.iter().map(|guest| guest.tree)
}

/// Addresses that both reach, the lowest of each pair.
fn common<'a>(one: &'a [Leaf], other: &'a [Leaf]) -> impl Iterator<Item = u64> + 'a {
    let touched = |leaf: &'a Leaf| {
        let met = other.iter().find(|other| other.touches(leaf.pa, leaf.size));
        met.map(|other| other.pa.max(leaf.pa))
    };
    one.iter().filter_map(touched)
}
