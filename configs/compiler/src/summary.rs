//! One screen about a system.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::diagnostics::Diagnostics;
use crate::emit::Report;
use crate::range::human_size;

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
        writeln!(f, "{} on {}: no errors", report.system, report.board)?;
        writeln!(f)?;
        writeln!(
            f,
            "  {:<15} {:<10} {:>10}  {:<12} {:<8} image",
            "partition", "CPUs", "memory", "at", "console"
        )?;
        for partition in &report.partitions {
            let cpus: Vec<String> = partition
                .vcpus
                .iter()
                .map(|vcpu| vcpu.cpu.to_string())
                .collect();
            let memory = partition
                .mappings
                .iter()
                .find(|mapping| mapping.kind == "memory");
            let (size, place) = memory.map_or((0, 0), |mapping| (mapping.size, mapping.pa));
            writeln!(
                f,
                "  {:<15} {:<10} {:>10}  {:<12} {:<8} {}",
                partition.name,
                cpus.join(","),
                human_size(size),
                format!("{place:#x}"),
                partition.console,
                partition.image
            )?;
            for device in &partition.devices {
                writeln!(f, "  {:<15} owns {}", "", device.path)?;
            }
        }
        writeln!(f)?;
        let kept = human_size(report.image.size);
        let payload = human_size(report.payload_size);
        writeln!(
            f,
            "  hypervisor: {kept} at {:#x} kept, payload {payload}",
            report.image.base
        )?;
        if !report.parked_cpus.is_empty() {
            let parked: Vec<String> = report.parked_cpus.iter().map(usize::to_string).collect();
            writeln!(f, "  parked CPUs: {}", parked.join(", "))?;
        }
        Ok(())
    }
}
