//! What one must have seen: the title, the verdict, the risks, the warnings.

use super::super::facts::{MapKind, Owner, Report, Risk, RiskLevel};
use super::super::markup::Markup;
use super::super::units::{count, ranges, size};
use super::table::facts;

/// The system, the board, and what it is for.
pub(super) fn title(out: &mut Markup, report: &Report) {
    out.element("header", &[], |out| {
        out.element("h1", &[], |out| {
            out.text(&report.system);
            out.leaf(
                "span",
                &[("class", &"on")],
                format_args!(" on {}", report.board),
            );
        });
        if let Some(description) = &report.description {
            out.leaf("p", &[("class", &"description")], description);
        }
        out.element("p", &[("class", &"board")], |out| {
            if !report.board_description.is_empty() {
                out.text(&report.board_description);
                out.text(" · ");
            }
            out.leaf("code", &[], &report.compatible);
        });
    });
}

/// The conclusion and the figures behind it.
pub(super) fn verdict(out: &mut Markup, report: &Report) {
    let verdict = &report.verdict;
    let class = if verdict.holds {
        "verdict holds"
    } else {
        "verdict broken"
    };
    out.element(
        "section",
        &[("class", &class), ("aria-label", &"Verdict")],
        |out| {
            out.element("p", &[("class", &"conclusion")], |out| {
                if verdict.holds {
                    out.text("✓ Every byte, interrupt, stream and CPU has one owner");
                    out.text(match verdict.shared.len() {
                        0 => ".".to_owned(),
                        number => format!(
                            ", except for {} that the system file declares.",
                            count(number, "sharing")
                        ),
                    });
                } else {
                    out.text("✗ Not proven: something has two owners.");
                }
            });
            for (class, items) in [("clashes", &verdict.clashes), ("shared", &verdict.shared)] {
                if !items.is_empty() {
                    out.element("ul", &[("class", &class)], |out| {
                        for item in items {
                            out.leaf("li", &[], item);
                        }
                    });
                }
            }
            facts(out, &figures(report));
        },
    );
}

fn figures(report: &Report) -> Vec<(&'static str, String)> {
    let sum = |wanted: fn(&Owner) -> bool| {
        let ram = report
            .memory_map
            .iter()
            .filter(|one| one.kind == MapKind::Ram && wanted(&one.owner));
        size(ram.map(|one| one.size).fold(0, u64::saturating_add))
    };
    let total = report
        .memory
        .iter()
        .map(|bank| bank.size)
        .fold(0, u64::saturating_add);
    let given = report
        .interrupts
        .iter()
        .filter(|one| matches!(one.owner, Owner::Partition(_)));
    let streams = report.streams.iter();
    let streams = streams.filter(|one| matches!(one.owner, Owner::Partition(_)));
    let parked = match report.parked_cpus.as_slice() {
        [] => "none parked".to_owned(),
        cpus => format!("{} parked", ranges(cpus)),
    };
    let devices: usize = report.partitions.iter().map(|one| one.devices.len()).sum();
    vec![
        ("Partitions", report.partitions.len().to_string()),
        ("RAM", size(total)),
        (
            "of partitions",
            sum(|owner| matches!(owner, Owner::Partition(_))),
        ),
        (
            "of channels",
            sum(|owner| matches!(owner, Owner::Channel(_))),
        ),
        (
            "of the hypervisor",
            sum(|owner| *owner == Owner::Hypervisor),
        ),
        ("of firmware", sum(|owner| *owner == Owner::Firmware)),
        ("free", sum(|owner| *owner == Owner::Nobody)),
        ("CPUs", format!("{}; {parked}", report.cpus.len())),
        ("Devices given", devices.to_string()),
        ("Interrupts given", given.count().to_string()),
        ("Streams given", streams.count().to_string()),
        ("Console", report.console.clone()),
    ]
}

/// Risks, or that there is none.
pub(super) fn risks(out: &mut Markup, report: &Report) {
    let class = if report.risks.is_empty() {
        "risks none"
    } else {
        "risks"
    };
    out.element("section", &[("class", &class), ("id", &"risks")], |out| {
        if report.risks.is_empty() {
            out.leaf("h2", &[], "Risks: none found");
            out.leaf(
                "p",
                &[],
                "No device is without an IOMMU that could write memory, nothing but declared channels is shared, no firmware call beyond PSCI passes, and no device depends on what nobody guards.",
            );
            return;
        }
        out.leaf("h2", &[], format_args!("⚠ {}", count(report.risks.len(), "risk")));
        for group in groups(&report.risks) {
            draw_risks(out, &group);
        }
    });
}

/// Risks that differ in their place only, together; in the order of the first of each.
fn groups(risks: &[Risk]) -> Vec<Vec<&Risk>> {
    let mut groups: Vec<Vec<&Risk>> = Vec::new();
    for risk in risks {
        let same = |group: &&mut Vec<&Risk>| {
            let of = |one: &Risk| (one.level, one.kind, one.what.clone(), one.remedy.clone());
            group.first().is_some_and(|first| of(first) == of(risk))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(risk),
            None => groups.push(vec![risk]),
        }
    }
    groups
}

fn draw_risks(out: &mut Markup, group: &[&Risk]) {
    let Some(risk) = group.first() else {
        return;
    };
    let (class, word) = match risk.level {
        RiskLevel::High => ("high", "high"),
        RiskLevel::Medium => ("medium", "medium"),
        RiskLevel::Low => ("low", "low"),
    };
    out.element(
        "article",
        &[("class", &format_args!("risk {class}"))],
        |out| {
            out.element("p", &[("class", &"risk-head")], |out| {
                out.leaf("strong", &[("class", &"level")], word);
                out.leaf("span", &[("class", &"kind")], risk.kind);
                out.text(" ");
                out.prose(&risk.what);
            });
            out.element("ul", &[("class", &"places")], |out| {
                for one in group {
                    out.element("li", &[], |out| out.code(&one.place));
                }
            });
            if !risk.remedy.is_empty() {
                out.element("p", &[("class", &"remedy")], |out| {
                    out.leaf("span", &[], "What to do: ");
                    out.prose(&risk.remedy);
                });
            }
        },
    );
}

/// Warnings of the checks, as `check` prints them.
pub(super) fn warnings(out: &mut Markup, report: &Report) {
    if report.warnings.is_empty() {
        return;
    }
    out.element("section", &[("id", &"warnings")], |out| {
        out.leaf("h2", &[], "Warnings");
        out.leaf(
            "pre",
            &[("class", &"warnings")],
            report.warnings.to_string().trim_end(),
        );
    });
}
