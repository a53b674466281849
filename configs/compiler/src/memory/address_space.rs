//! What a partition sees at addresses of its own: registers at the board's places, and memory beside them.

use std::collections::BTreeSet;

use model::memory::PAGE;
use toml::Spanned;

use super::{BLOCK, ChannelMemory, Region};
use crate::board::{Board, HostMsi};
use crate::guest_gic::GuestGic;
use crate::range::{AddressRange, align_up};
use crate::raw::{RawConsole, RawPartition};
use crate::resolve::Resolved;

/// Addresses of a partition end here: stage 2 translates 48 bits.
pub(super) const END: u64 = 1 << 48;

/// Registers at an address of their own in a partition's view.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Whole pages.
    pub pages: AddressRange,
    /// As the device tree has it.
    pub range: AddressRange,
    pub what: String,
    /// True for what the hypervisor plays: the virtual interrupt controller and console.
    pub emulated: bool,
}

/// All registers in a partition's view: its virtual interrupt controller, its virtual console, its devices.
pub(crate) fn seen(board: &Board, partition: &RawPartition, resolved: &Resolved) -> Vec<Seen> {
    let vcpus = partition.vcpus.len().max(1) as u64;
    let gic = GuestGic::of(board, partition.gic_version());
    let gic = [
        (gic.distributor(), "the GIC distributor"),
        (gic.cpu_interface(), "the GIC CPU interface"),
        (gic.redistributors(vcpus), "the GIC redistributor region"),
    ];
    let console = partition.console.as_ref().map(Spanned::get_ref);
    let console = matches!(console, Some(RawConsole::Virtual))
        .then_some((Some(board.virtual_uart.page), "the virtual console"));
    let emulated = gic
        .into_iter()
        .chain(console)
        .filter_map(|(range, what)| Some((range?, what.to_owned(), true)));
    let mut targets = resolved
        .devices
        .iter()
        .filter_map(|(_, device)| device.msi());
    let its = targets.find_map(|msi| match msi {
        HostMsi::Its { .. } => board.gic.its(),
        HostMsi::V2m { .. } => None,
    });
    let its = its.map(|its| (its.registers, "the ITS".to_owned(), true));
    let functions = resolved.devices.iter();
    let functions = functions.filter_map(|(_, device)| device.function().zip(Some(device)));
    let configuration = functions.map(|(function, device)| {
        let what = format!(
            "the configuration space of {}",
            board.tree.path(device.node)
        );
        (function.configuration, what, true)
    });
    let emulated = emulated.chain(its).chain(configuration);
    let devices = resolved.devices.iter().flat_map(|(_, device)| {
        let registers = device.registers.iter();
        registers.map(|range| (*range, device.path.clone(), false))
    });
    let whole = |(range, what, emulated): (AddressRange, String, bool)| {
        Some(Seen {
            pages: range.outward(PAGE)?,
            range,
            what,
            emulated,
        })
    };
    emulated.chain(devices).filter_map(whole).collect()
}

/// Gives each region whose place in the partition's view does not depend on where it lies that place: the first at the base of RAM, as
/// on the bare board; each other behind the one before, beside all registers.
pub(super) fn settle(regions: &mut [Region], ram_base: u64, seen: &[Seen]) {
    let mut next = None;
    for region in regions {
        if region.ipa.is_none() && !region.identity {
            region.ipa = match next {
                // The first stays at the base of RAM even where registers are in its way: programs are linked for that.
                None => Some(ram_base),
                Some(from) => free_place(from, region.size, seen.iter().map(|seen| seen.pages))
                    // Beyond all addresses it is reported as such.
                    .or(Some(END)),
            };
        }
        next = region.seen().map(AddressRange::end).or(next);
    }
}

/// Gives each end of each channel that has no place in its partition's view one behind the partition's memory. `partition_of` says
/// which partition an end belongs to. Returns what each partition has then.
pub(super) fn settle_channels(
    channels: &mut [Option<ChannelMemory>],
    partitions: &[Vec<Region>],
    seen: &[Vec<Seen>],
    partition_of: impl Fn(usize, usize) -> Option<usize>,
) -> Vec<Vec<AddressRange>> {
    // What each partition has so far.
    let mut taken: Vec<Vec<AddressRange>> = partitions
        .iter()
        .zip(seen)
        .map(|(regions, seen)| {
            let memory = regions.iter().filter_map(Region::seen);
            memory.chain(seen.iter().map(|seen| seen.pages)).collect()
        })
        .collect();
    // A partition has one end of a channel; a second one is refused elsewhere and gets no place.
    let mut met = BTreeSet::new();
    let mut ends: Vec<(usize, usize, usize)> = Vec::new();
    for (index, channel) in channels.iter().enumerate() {
        for end in channel.iter().flat_map(|channel| 0..channel.ends.len()) {
            let partition = partition_of(index, end).filter(|partition| *partition < taken.len());
            ends.extend(
                partition
                    .filter(|partition| met.insert((index, *partition)))
                    .map(|partition| (index, end, partition)),
            );
        }
    }
    for (channel, end, partition) in &ends {
        let Some(one) = &channels[*channel] else {
            continue;
        };
        taken[*partition].extend(one.seen(*end));
        taken[*partition].extend(one.doorbell(*end));
    }
    for (channel, end, partition) in ends {
        let Some(one) = channels[channel]
            .as_mut()
            // One that lies nowhere is reported already.
            .filter(|one| one.ends[end].is_none() && one.lies().is_some())
        else {
            continue;
        };
        let size = one.span_of(end);
        let place = place_behind(&partitions[partition], size, &mut taken[partition]);
        one.ends[end] = Some(place);
    }
    taken
}

/// Takes a place for `size` bytes behind a partition's memory, beside all that it has.
pub(super) fn place_behind(memory: &[Region], size: u64, taken: &mut Vec<AddressRange>) -> u64 {
    // Beyond all addresses it is reported as such.
    behind(memory.iter().filter_map(Region::seen), size, taken).unwrap_or_else(|| {
        taken.extend(AddressRange::new(END, size));
        END
    })
}

/// Takes a place for `size` bytes behind memory, beside all that is taken. `None`: there is none below 48 bits.
pub(crate) fn behind(
    memory: impl Iterator<Item = AddressRange>,
    size: u64,
    taken: &mut Vec<AddressRange>,
) -> Option<u64> {
    let from = memory.map(AddressRange::end).max().unwrap_or(0);
    let place = free_place(from, size, taken.iter().copied())?;
    taken.extend(AddressRange::new(place, size));
    Some(place)
}

/// The lowest multiple of 2 MiB from `from` on where `size` bytes touch nothing that is taken.
fn free_place(from: u64, size: u64, taken: impl Iterator<Item = AddressRange>) -> Option<u64> {
    let mut taken: Vec<AddressRange> = taken.collect();
    taken.sort_unstable();
    let mut base = align_up(from, BLOCK)?;
    for range in taken {
        let wanted = AddressRange::new(base, size)?;
        if wanted.overlaps(range) {
            base = align_up(range.end(), BLOCK)?;
        }
    }
    AddressRange::new(base, size).filter(|place| place.end() <= END)?;
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn range(base: u64, size: u64) -> AddressRange {
        AddressRange::new(base, size).unwrap()
    }

    #[test]
    fn free_place_steps_over_everything_that_is_taken() {
        let taken = [range(6 * MIB, 1), range(2 * MIB, 4096), range(0, 16)];
        assert_eq!(free_place(0, 2 * MIB, taken.into_iter()), Some(4 * MIB));
        assert_eq!(free_place(0, 4 * MIB, taken.into_iter()), Some(8 * MIB));
    }

    #[test]
    fn free_place_ends_at_48_bits() {
        assert_eq!(
            free_place(END - BLOCK, BLOCK, [].into_iter()),
            Some(END - BLOCK)
        );
        assert_eq!(free_place(END - BLOCK, BLOCK + 1, [].into_iter()), None);
        assert_eq!(free_place(u64::MAX, 1, [].into_iter()), None);
    }
}
