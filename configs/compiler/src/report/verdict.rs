//! The conclusion, drawn a second time: from the report's own lists, not from the checks that made them.

use std::collections::BTreeMap;

use super::facts::{MapEntry, MapKind, MappingKind, Owner, Report, StreamEntry, Verdict};
use super::units::address;

/// Looks at every byte, interrupt, stream and CPU of the lists once.
pub(super) fn verdict(report: &Report) -> Verdict {
    let mut clashes = memory(&claims(report));
    clashes.extend(interrupts(report));
    clashes.extend(streams(report));
    clashes.extend(cpus(report));
    Verdict {
        holds: clashes.is_empty(),
        clashes,
        shared: shared(report),
    }
}

/// Who has which bytes, from the lists that the image is made of: the map is drawn so that no byte is there twice.
fn claims(report: &Report) -> Vec<MapEntry> {
    let claim = |base, size, kind, owner, what: &str| MapEntry {
        base,
        size,
        kind,
        owner,
        what: what.to_owned(),
    };
    let image = &report.image;
    let mut claims = vec![claim(
        image.base,
        image.size,
        MapKind::Ram,
        Owner::Hypervisor,
        &image.name,
    )];
    for one in &report.reserved {
        claims.push(claim(
            one.base,
            one.size,
            MapKind::Ram,
            Owner::Firmware,
            &one.name,
        ));
    }
    for one in &report.channels {
        claims.push(claim(
            one.base,
            one.size,
            MapKind::Ram,
            Owner::Channel(one.name.clone()),
            "channel",
        ));
    }
    for partition in &report.partitions {
        for one in &partition.mappings {
            let kind = match one.kind {
                MappingKind::Memory => MapKind::Ram,
                MappingKind::Registers => MapKind::Registers,
                // Shared as the system file declares, or by hardware that tells the CPUs apart.
                MappingKind::Channel
                | MappingKind::ReadOnlyRegisters
                | MappingKind::InterruptController => continue,
            };
            let owner = Owner::Partition(partition.name.clone());
            claims.push(claim(one.pa, one.size, kind, owner, &one.what));
        }
    }
    claims
}

/// Claims that lie on one another.
fn memory(map: &[MapEntry]) -> Vec<String> {
    let mut sorted: Vec<&MapEntry> = map.iter().filter(|entry| entry.size > 0).collect();
    sorted.sort_by_key(|entry| (entry.base, entry.end()));
    let mut clashes = Vec::new();
    let mut reach: Option<&MapEntry> = None;
    for entry in sorted {
        if let Some(before) = reach
            && entry.base < before.end()
            && entry.owner != before.owner
        {
            clashes.push(format!(
                "{} at {} ({}) lies on {} ({})",
                entry.what,
                address(entry.base),
                entry.owner,
                before.what,
                before.owner
            ));
        }
        if reach.is_none_or(|before| entry.end() > before.end()) {
            reach = Some(entry);
        }
    }
    clashes
}

fn interrupts(report: &Report) -> Vec<String> {
    let mut owners: BTreeMap<u32, &Owner> = BTreeMap::new();
    let mut clashes = Vec::new();
    for one in &report.interrupts {
        let first = owners.entry(one.intid).or_insert(&one.owner);
        if **first != one.owner {
            clashes.push(format!(
                "interrupt {} belongs to {} and to {}",
                one.intid, first, one.owner
            ));
        }
    }
    clashes
}

fn streams(report: &Report) -> Vec<String> {
    let mut clashes = Vec::new();
    for (index, one) in report.streams.iter().enumerate() {
        for other in report.streams.iter().skip(index + 1) {
            if one.iommu == other.iommu && one.owner != other.owner && overlap(one, other) {
                clashes.push(format!(
                    "stream {:#x} of {} belongs to {} and to {}",
                    other.first, one.iommu, one.owner, other.owner
                ));
            }
        }
    }
    clashes
}

/// True when two streams of one IOMMU may have an ID in common. Bits that do not count are compared only where both have them.
fn overlap(one: &StreamEntry, other: &StreamEntry) -> bool {
    let ranges = one.first <= other.last && other.first <= one.last;
    match (one.ignored, other.ignored) {
        (0, 0) => ranges,
        (one_bits, other_bits) if one_bits != 0 && other_bits != 0 => {
            (one.first ^ other.first) & !(one_bits | other_bits) == 0
        }
        // A range against a match: said to overlap when it might.
        _ => ranges,
    }
}

/// CPUs of two pools, and CPUs that run several virtual CPUs without a policy that divides their time.
fn cpus(report: &Report) -> Vec<String> {
    let mut pools: BTreeMap<usize, &str> = BTreeMap::new();
    let mut clashes = Vec::new();
    for pool in &report.pools {
        for cpu in &pool.cpus {
            if let Some(other) = pools.insert(*cpu, &pool.name) {
                clashes.push(format!(
                    "CPU {cpu} is in the pools {other} and {}",
                    pool.name
                ));
            }
        }
    }
    let dedicated = |name: &str| {
        report
            .pools
            .iter()
            .any(|pool| pool.name == name && pool.policy == "dedicated")
    };
    for cpu in &report.cpus {
        if cpu.runs.len() > 1 && cpu.pool.as_deref().is_some_and(dedicated) {
            clashes.push(format!(
                "CPU {} is dedicated to {} virtual CPUs",
                cpu.cpu,
                cpu.runs.len()
            ));
        }
    }
    clashes
}

/// What the system file declares as shared.
fn shared(report: &Report) -> Vec<String> {
    let channels = report.channels.iter().map(|channel| {
        let ends: Vec<&str> = channel
            .ends
            .iter()
            .map(|end| end.partition.as_str())
            .collect();
        format!("channel {} between {}", channel.name, ends.join(", "))
    });
    let registers = report.memory_map.iter().filter_map(|entry| {
        let Owner::Shared(names) = &entry.owner else {
            return None;
        };
        Some(format!("{} between {}", entry.what, names.join(", ")))
    });
    channels.chain(registers).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn partition(name: &str) -> Owner {
        Owner::Partition(name.to_owned())
    }

    #[test]
    fn sample_has_one_owner_for_everything() {
        let verdict = verdict(&sample::report());
        assert_eq!(verdict.clashes, [""; 0]);
        assert!(verdict.holds);
        assert_eq!(verdict.shared.len(), 3);
    }

    #[test]
    fn byte_of_two_owners_is_a_clash_even_behind_a_small_neighbour() {
        let entry = |base, size, owner| MapEntry {
            base,
            size,
            kind: MapKind::Ram,
            owner,
            what: "memory".to_owned(),
        };
        let claims = [
            entry(0, 100, partition("a")),
            entry(10, 10, partition("a")),
            entry(90, 20, partition("b")),
        ];
        assert_eq!(memory(&claims), ["memory at 0x5a (b) lies on memory (a)"]);
    }

    #[test]
    fn partition_in_memory_of_another_or_of_firmware_is_a_clash() {
        let mut report = sample::report();
        report.partitions[1].mappings[0].pa = report.partitions[2].mappings[0].pa;
        report.partitions[3].mappings[0].pa = report.reserved[0].base;
        assert_eq!(verdict(&report).clashes.len(), 2);
    }

    #[test]
    fn interrupt_of_two_owners_is_a_clash() {
        let mut report = sample::report();
        let mut copy = report.interrupts[0].clone();
        copy.owner = partition("thief");
        report.interrupts.push(copy);
        assert!(!verdict(&report).holds);
    }

    #[test]
    fn overlapping_streams_of_two_owners_are_a_clash() {
        let mut report = sample::report();
        let mut copy = report.streams[0].clone();
        copy.owner = partition("thief");
        report.streams.push(copy);
        assert_eq!(verdict(&report).clashes.len(), 1);
    }

    #[test]
    fn cpu_of_two_pools_is_a_clash() {
        let mut report = sample::report();
        let cpu = report.pools[0].cpus[0];
        report.pools[1].cpus.push(cpu);
        assert!(!verdict(&report).holds);
    }
}
