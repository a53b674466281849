//! How each owner looks: a colour and a pattern, the same in every drawing and table of a report.

use super::facts::{MappingKind, Owner, Report};
use super::markup::Markup;

/// The style sheet has that many colours for partitions, and the page as many patterns.
const LOOKS: usize = 8;

/// The looks of a report's owners.
pub(super) struct Owners<'a> {
    partitions: Vec<&'a str>,
}

impl<'a> Owners<'a> {
    /// Partitions get their looks in the order of the system file.
    pub fn new(report: &'a Report) -> Self {
        Self {
            partitions: report
                .partitions
                .iter()
                .map(|one| one.name.as_str())
                .collect(),
        }
    }

    /// Class of an owner's colour in the style sheet.
    pub fn class(&self, owner: &Owner) -> String {
        match owner {
            Owner::Hypervisor => "own-hypervisor".to_owned(),
            Owner::Firmware => "own-firmware".to_owned(),
            Owner::Partition(name) => self.partition_class(name),
            Owner::Channel(_) => "own-channel".to_owned(),
            Owner::Shared(_) => "own-shared".to_owned(),
            Owner::Nobody => "own-nobody".to_owned(),
        }
    }

    /// Class of a partition's colour.
    pub fn partition_class(&self, name: &str) -> String {
        self.index(name).map_or("own-nobody".to_owned(), |index| {
            format!("own-p{}", index % LOOKS)
        })
    }

    /// Class of what a partition sees in its address space.
    pub fn mapping_class(&self, partition: &str, kind: MappingKind) -> String {
        match kind {
            MappingKind::Memory | MappingKind::Registers => self.partition_class(partition),
            MappingKind::Channel => self.class(&Owner::Channel(String::new())),
            MappingKind::ReadOnlyRegisters => self.class(&Owner::Shared(Vec::new())),
            MappingKind::InterruptController => "own-played".to_owned(),
        }
    }

    /// Reference to an owner's pattern, drawn over its colour; `None` for those that are plain.
    pub fn pattern(&self, owner: &Owner) -> Option<String> {
        match owner {
            Owner::Hypervisor | Owner::Nobody => None,
            Owner::Firmware => Some("url(#look-firmware)".to_owned()),
            Owner::Channel(_) | Owner::Shared(_) => Some("url(#look-shared)".to_owned()),
            Owner::Partition(name) => self.partition_pattern(name),
        }
    }

    /// Reference to a partition's pattern. The first partition is plain.
    pub fn partition_pattern(&self, name: &str) -> Option<String> {
        let look = self.index(name)? % LOOKS;
        (look > 0).then(|| format!("url(#look-{look})"))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.partitions.iter().position(|one| *one == name)
    }

    /// The patterns, for all drawings of the page.
    pub fn definitions(out: &mut Markup) {
        const LINES: [(&str, &str); LOOKS + 1] = [
            ("look-1", "M0 8L8 0M-2 2L2 -2M6 10L10 6"),
            ("look-2", "M1.5 2h1.5M5.5 6h1.5"),
            ("look-3", "M0 0L8 8M-2 6L2 10M6 -2L10 2"),
            ("look-4", "M0 4H8"),
            ("look-5", "M4 0V8"),
            ("look-6", "M0 0L8 8M0 8L8 0"),
            ("look-7", "M0 4H8M4 0V8"),
            ("look-firmware", "M0 2H8M0 6H8"),
            ("look-shared", "M0 0L8 8M0 8L8 0"),
        ];
        let size: &dyn std::fmt::Display = &8;
        out.element(
            "svg",
            &[
                ("class", &"patterns"),
                ("width", &0),
                ("height", &0),
                ("aria-hidden", &"true"),
            ],
            |out| {
                out.element("defs", &[], |out| {
                    for (id, path) in LINES {
                        let pattern: super::markup::Attributes<'_> = &[
                            ("id", &id),
                            ("width", size),
                            ("height", size),
                            ("patternUnits", &"userSpaceOnUse"),
                        ];
                        out.element("pattern", pattern, |out| {
                            out.empty("path", &[("class", &"hatch"), ("d", &path)]);
                        });
                    }
                });
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn first_eight_partitions_look_different_and_the_ninth_like_the_first() {
        let mut report = sample::report();
        let one = report.partitions[0].clone();
        report.partitions = (0..9)
            .map(|index| super::super::PartitionEntry {
                name: format!("p{index}"),
                ..one.clone()
            })
            .collect();
        let owners = Owners::new(&report);
        let mut classes: Vec<String> = (0..8)
            .map(|index| owners.partition_class(&format!("p{index}")))
            .collect();
        assert_eq!(owners.partition_class("p8"), classes[0]);
        classes.dedup();
        assert_eq!(classes.len(), 8);
    }

    #[test]
    fn every_pattern_that_is_named_is_defined() {
        let report = sample::report();
        let owners = Owners::new(&report);
        let mut out = Markup::default();
        Owners::definitions(&mut out);
        let page = out.finish();
        for name in ["control", "logger", "safety"] {
            let pattern = owners.partition_pattern(name).unwrap();
            let id = pattern.trim_start_matches("url(#").trim_end_matches(')');
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}
