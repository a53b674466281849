//! One screen about a system.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::diagnostics::{Diagnostics, Severity};
use crate::report::units::{address, count, ranges, size};
use crate::report::{MappingKind, Owner, PartitionEntry, Report, RiskLevel};

/// So many devices of a partition are named.
const MOST_DEVICES: usize = 4;
/// So many risks are named.
const MOST_RISKS: usize = 6;

/// So many letters of a risk's place are shown.
const MOST_LETTERS: usize = 70;

/// What a checked system amounts to. Its `Display` fills at most a screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Summary {
    report: Report,
}

impl Summary {
    pub(crate) fn new(report: Report) -> Self {
        Self { report }
    }

    /// The facts behind it.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Findings that did not stop the check.
    pub fn warnings(&self) -> &Diagnostics {
        &self.report.warnings
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let warnings = report
            .warnings
            .iter()
            .filter(|one| one.severity == Severity::Warning);
        let warnings = match warnings.count() {
            0 => String::new(),
            number => format!(", {}", count(number, "warning")),
        };
        writeln!(
            f,
            "{} on {}: no errors{warnings}",
            report.system, report.board
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  {:<15} {:<10} {:>10}  {:<15} {:<8} image",
            "partition", "CPUs", "memory", "at", "console"
        )?;
        for partition in &report.partitions {
            write_partition(f, partition)?;
        }
        writeln!(f)?;
        write_board(f, report)?;
        write_risks(f, report)
    }
}

fn write_partition(f: &mut fmt::Formatter<'_>, partition: &PartitionEntry) -> fmt::Result {
    let mut cpus: Vec<usize> = partition
        .vcpus
        .iter()
        .flat_map(|vcpu| vcpu.cpus.iter().copied())
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    let memory = || {
        partition
            .mappings
            .iter()
            .filter(|one| one.kind == MappingKind::Memory)
    };
    let bytes = memory().map(|one| one.size).fold(0, u64::saturating_add);
    let place = memory()
        .map(|one| one.pa)
        .next()
        .map_or(String::new(), address);
    let image = partition.images.first().map_or("", |image| &image.source);
    writeln!(
        f,
        "  {:<15} {:<10} {:>10}  {:<15} {:<8} {image}",
        partition.name,
        ranges(&cpus),
        size(bytes),
        place,
        partition.console,
    )?;
    if !partition.devices.is_empty() {
        let names = partition.devices.iter().map(|device| device.name.as_str());
        writeln!(f, "  {:<15} owns {}", "", some(names, MOST_DEVICES))?;
    }
    Ok(())
}

/// The first `most` of them, and how many there are besides.
fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> String {
    let others = names.len().saturating_sub(most);
    let named: Vec<&str> = names.take(most).collect();
    match others {
        0 => named.join(", "),
        _ => format!("{} and {others} more", named.join(", ")),
    }
}

fn write_board(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let total = report
        .memory
        .iter()
        .map(|bank| bank.size)
        .fold(0, u64::saturating_add);
    let free = report
        .memory_map
        .iter()
        .filter(|one| one.kind == crate::report::MapKind::Ram && one.owner == Owner::Nobody);
    let free = free.map(|one| one.size).fold(0, u64::saturating_add);
    writeln!(
        f,
        "  RAM         {} of {} free; the hypervisor keeps {} at {}",
        size(free),
        size(total),
        size(report.image.size),
        address(report.image.base)
    )?;
    let parked = match report.parked_cpus.as_slice() {
        [] => "none is parked".to_owned(),
        cpus => format!("parked: {}", ranges(cpus)),
    };
    let pools = report
        .pools
        .iter()
        .map(|pool| format!("{} ({})", pool.name, pool.policy));
    let pools: Vec<String> = pools.collect();
    writeln!(
        f,
        "  CPUs        {}, {parked}; pools: {}",
        report.cpus.len(),
        some(pools.iter().map(String::as_str), MOST_DEVICES)
    )?;
    let given = |owner: &Owner| matches!(owner, Owner::Partition(_));
    let interrupts = report.interrupts.iter().filter(|one| given(&one.owner));
    let streams = report.streams.iter().filter(|one| given(&one.owner));
    let devices: usize = report.partitions.iter().map(|one| one.devices.len()).sum();
    writeln!(
        f,
        "  devices     {}, {}, {}",
        count(devices, "device"),
        count(interrupts.count(), "interrupt"),
        count(streams.count(), "stream")
    )?;
    if !report.channels.is_empty() {
        let names = report.channels.iter().map(|channel| channel.name.as_str());
        writeln!(f, "  channels    {}", some(names, MOST_DEVICES))?;
    }
    Ok(())
}

fn write_risks(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    // Limits of the image are warnings, which stand above.
    let risks: Vec<_> = report
        .risks
        .iter()
        .filter(|risk| risk.kind != "image-limit")
        .collect();
    if risks.is_empty() {
        return writeln!(f, "  risks       none found");
    }
    writeln!(f, "\n  {}", count(risks.len(), "risk"))?;
    for risk in risks.iter().take(MOST_RISKS) {
        let level = match risk.level {
            RiskLevel::High => "HIGH",
            RiskLevel::Medium => "medium",
            RiskLevel::Low => "low",
        };
        writeln!(f, "  {level:<7} {:<16} {}", risk.kind, cut(&risk.place))?;
    }
    match risks.len().saturating_sub(MOST_RISKS) {
        0 => Ok(()),
        others => writeln!(f, "  … and {others} more in the report"),
    }
}

/// A place, cut to what a line can hold.
fn cut(place: &str) -> String {
    if place.chars().count() <= MOST_LETTERS {
        return place.to_owned();
    }
    let kept: String = place.chars().take(MOST_LETTERS - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn rich_system_fits_a_screen_of_100_columns_by_30_lines() {
        let text = Summary::new(sample::report()).to_string();
        assert!(text.lines().count() <= 30, "{text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{text}");
    }

    #[test]
    fn worst_risks_come_first_and_the_rest_is_counted() {
        let text = Summary::new(sample::report()).to_string();
        let high = text.find("HIGH").unwrap();
        assert!(high < text.find("medium").unwrap());
        assert!(text.contains("more in the report"), "{text}");
    }

    #[test]
    fn parked_cpus_channels_and_free_memory_are_told() {
        let text = Summary::new(sample::report()).to_string();
        for part in [
            "parked: 5–7",
            "setpoints, alarms",
            "2.88 GiB of 4 GiB free",
            "gateway on sample-board: no errors, 2 warnings",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
