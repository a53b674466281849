//! What an assessor reads first: all that the checks cannot rule out, found in the facts of the report.

use super::facts::{Owner, PartitionEntry, Report, Risk, RiskLevel};

/// The risks of a system, the worst first, in the order of the system file within a level.
pub(super) fn risks(report: &Report) -> Vec<Risk> {
    let mut risks: Vec<Risk> = report.partitions.iter().flat_map(partition).collect();
    risks.extend(shared(report));
    risks.extend(limits(report));
    // The sort is stable.
    risks.sort_by_key(|risk| risk.level);
    risks
}

fn partition(partition: &PartitionEntry) -> Vec<Risk> {
    let mut risks = Vec::new();
    let place = format!("partition {}", partition.name);
    for device in partition.devices.iter().filter(|one| one.dma_unconfined) {
        risks.push(Risk {
            level: RiskLevel::High,
            kind: "no-iommu",
            what: "No IOMMU confines this device: whoever programs it can read and write all memory of the board, the hypervisor's included."
                .to_owned(),
            place: format!("{place}, device {}", device.path),
            remedy: "Give away a device behind an IOMMU, or treat this partition's software as part of what must be trusted.".to_owned(),
        });
    }
    if partition.dma_trusted {
        risks.push(Risk {
            level: RiskLevel::High,
            kind: "trusted-dma",
            what: "The system file says `dma = \"trusted\"`: devices of this partition that no IOMMU confines are accepted.".to_owned(),
            place: place.clone(),
            remedy: "Remove `dma = \"trusted\"` once no device of the partition needs it.".to_owned(),
        });
    }
    match partition.firmware_calls.as_str() {
        "none" => {}
        "mediated" => risks.push(Risk {
            level: RiskLevel::Medium,
            kind: "firmware-calls",
            what: "Firmware calls for nodes that this partition owns reach the firmware; the filter and the firmware behind it are trusted."
                .to_owned(),
            place: place.clone(),
            remedy: "Remove `firmware_calls = \"mediated\"` if its drivers can do without.".to_owned(),
        }),
        _ => risks.push(Risk {
            level: RiskLevel::High,
            kind: "firmware-calls",
            what: "Every firmware call of this partition reaches the firmware, which can switch clocks, power and resets of the whole board."
                .to_owned(),
            place: place.clone(),
            remedy: "Use `firmware_calls = \"mediated\"`, or none.".to_owned(),
        }),
    }
    risks.extend(partition.devices.iter().flat_map(|device| {
        let place = format!("{place}, device {}", device.path);
        device.providers.iter().filter_map(move |provider| {
            let (level, kind, what, remedy) = match provider.resolution.as_str() {
                "left-as-firmware-set-it" | "fixed-clock" if !provider.owner.is_empty() => (
                    RiskLevel::Medium,
                    "foreign-provider",
                    format!("What a device needs belongs to partition `{}`, which can change it or stop it at any time.", provider.owner),
                    "Give the provider to this partition or to none, or see to it that its owner leaves it alone.",
                ),
                "left-as-firmware-set-it" => (
                    RiskLevel::Low,
                    "firmware-state",
                    "What is left out stays as the firmware left it; nobody changes it, nobody guards it.".to_owned(),
                    "Make sure that the firmware sets it up before the hypervisor starts.",
                ),
                "fixed-clock" => (
                    RiskLevel::Low,
                    "firmware-state",
                    "The partition is told a frequency that nobody measures; the firmware must have started the clock.".to_owned(),
                    "Measure the clock on the board, or read it from the firmware's clock tree.",
                ),
                "missing" => (
                    RiskLevel::Medium,
                    "missing-provider",
                    "A device needs what its partition has not.".to_owned(),
                    "Give the provider, too, or take the property away with `without`.",
                ),
                _ => return None,
            };
            Some(Risk {
                level,
                kind,
                what,
                place: format!("{place}: {} → {}", provider.property, provider.provider),
                remedy: remedy.to_owned(),
            })
        })
    }));
    risks
}

/// Registers that several partitions reach.
fn shared(report: &Report) -> Vec<Risk> {
    let shared = report.memory_map.iter().filter_map(|entry| {
        let Owner::Shared(names) = &entry.owner else {
            return None;
        };
        Some(Risk {
            level: RiskLevel::Medium,
            kind: "shared-device",
            what: format!(
                "{} read these registers; none may write them. A read that changes the device's state would be felt by the others.",
                names.join(", ")
            ),
            place: entry.what.clone(),
            remedy: "Check in the device's manual that reading has no effect.".to_owned(),
        })
    });
    shared.collect()
}

/// What the image of this version cannot do of what the system asks for.
fn limits(report: &Report) -> Vec<Risk> {
    let limits = report
        .warnings
        .iter()
        .filter(|one| one.code.as_str().starts_with("BH07"));
    let risk = |one: &crate::Diagnostic| Risk {
        level: RiskLevel::Medium,
        kind: "image-limit",
        what: sentence(&one.message),
        place: one.location.as_ref().map_or(one.code.to_string(), |at| {
            format!("{} at line {}", one.code, at.line)
        }),
        remedy: one.help.clone().unwrap_or_default(),
    };
    limits.map(risk).collect()
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn kinds(report: &Report) -> Vec<(&'static str, RiskLevel)> {
        risks(report)
            .iter()
            .map(|risk| (risk.kind, risk.level))
            .collect()
    }

    #[test]
    fn sample_shows_every_kind_worst_first() {
        let kinds = kinds(&sample::report());
        assert!(kinds.is_sorted_by_key(|(_, level)| *level));
        for kind in [
            "no-iommu",
            "trusted-dma",
            "firmware-calls",
            "shared-device",
            "firmware-state",
            "missing-provider",
            "image-limit",
        ] {
            assert!(kinds.iter().any(|(one, _)| *one == kind), "{kind}");
        }
    }

    #[test]
    fn system_without_devices_has_no_risk() {
        let mut report = sample::report();
        report.partitions.clear();
        report.memory_map.clear();
        report.warnings = crate::Diagnostics::default();
        assert_eq!(kinds(&report), []);
    }
}
