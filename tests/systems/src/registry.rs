//! What a test is, and the list of all.

use std::time::Duration;

use crate::bench::{Bench, Firmware};
use crate::iommus;
use crate::{
    attacks, boards, boot_loaders, channels, command_line, containment, control, costs, cpu_models,
    defects, demo, desk, desk_messages, dma, dma_storm, forged, functions, global, guests,
    hostile_gic, legacy, linux, machines, messages, new_board, panics, partitions, registers,
    self_check, shapes, stress, trace, turns, wrong_board, x86, x86_bochs, x86_dma, x86_trace,
    x86_turns, zynqmp,
};

/// Something that must be there before a test can say anything about Bulkhead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// QEMU and Rust for the boards: images can be built and started.
    Systems,
    /// QEMU for PCs.
    Pc,
    /// A Debian kernel package and BusyBox.
    Kernel(&'static str),
    /// The generic UIO driver of a Debian kernel package, and Rust for programs in Linux partitions.
    Uio(&'static str),
    /// U-Boot for QEMU's `virt`.
    UBoot,
    /// UEFI firmware for QEMU's `virt`.
    Uefi,
    /// What makes CD-ROMs from which GRUB boots PCs with this firmware, and the firmware.
    Grub(Firmware),
    /// Bochs, a second emulator of PCs.
    Bochs,
    /// `cyclictest`, `hackbench`, and the libraries that they load.
    Latency,
    /// The device tree of a board, and a compiler for device trees.
    Board(&'static str),
}

/// The body of a test.
type Body = Box<dyn Fn(&Bench<'_>) -> anyhow::Result<()> + Send + Sync>;

/// One system test.
pub struct Test {
    /// Unique; parts separated by `/`.
    pub name: String,
    /// What else a filter may pick it by.
    pub tags: &'static [&'static str],
    /// What must be there; otherwise the test is skipped, loudly.
    pub needs: Vec<Need>,
    /// It fails when it takes longer.
    pub limit: Duration,
    /// Why one run may fail for no fault of Bulkhead's: it fails when a second one does, too.
    pub disturbed: Option<&'static str>,
    /// What it does.
    pub body: Body,
}

/// Every test of this crate carries it, beside its own tags.
pub const COMMON_TAG: &str = "systems";

impl Test {
    /// A test that boots systems, with a time limit that suits a few boots on a slow machine.
    pub fn new(
        name: impl Into<String>,
        tags: &'static [&'static str],
        body: impl Fn(&Bench<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            tags,
            needs: vec![Need::Systems],
            limit: Duration::from_secs(180),
            disturbed: None,
            body: Box::new(body),
        }
    }

    /// Adds a need.
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Sets the time limit.
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// A run that fails is repeated once, which the output says: one run may be disturbed by what `why` names, which no second run meets again. What Bulkhead
    /// does wrong under `-icount` it does again.
    pub fn disturbed_by(mut self, why: &'static str) -> Self {
        self.disturbed = Some(why);
        self
    }

    /// True when the filter is part of the name or of a tag. No filter picks everything.
    pub fn matches(&self, filter: Option<&str>) -> bool {
        let Some(filter) = filter else { return true };
        self.name.contains(filter)
            || COMMON_TAG.contains(filter)
            || self.tags.iter().any(|tag| tag.contains(filter))
    }
}

/// All system tests, quick ones first.
pub fn all() -> Vec<Test> {
    let mut tests = Vec::new();
    tests.extend(command_line::tests());
    tests.extend(boards::tests());
    tests.extend(iommus::tests());
    tests.extend(desk::tests());
    tests.extend(desk_messages::tests());
    tests.extend(guests::tests());
    tests.extend(defects::tests());
    tests.extend(containment::tests());
    tests.extend(control::tests());
    tests.extend(panics::tests());
    tests.extend(x86::tests());
    tests.extend(x86_bochs::tests());
    tests.extend(x86_dma::tests());
    tests.extend(x86_turns::tests());
    tests.extend(x86_trace::tests());
    tests.extend(costs::tests());
    tests.extend(messages::tests());
    tests.extend(hostile_gic::tests());
    tests.extend(attacks::tests());
    tests.extend(channels::tests());
    tests.extend(dma::tests());
    tests.extend(dma_storm::tests());
    tests.extend(forged::tests());
    tests.extend(functions::tests());
    tests.extend(turns::tests());
    tests.extend(global::tests());
    tests.extend(trace::tests());
    tests.extend(wrong_board::tests());
    tests.extend(partitions::tests());
    tests.extend(legacy::tests());
    tests.extend(stress::tests());
    tests.extend(linux::tests());
    tests.extend(cpu_models::tests());
    tests.extend(zynqmp::tests());
    tests.extend(shapes::tests());
    tests.extend(machines::tests());
    tests.extend(boot_loaders::tests());
    tests.extend(new_board::tests());
    tests.extend(self_check::tests());
    tests.extend(registers::tests());
    tests.extend(demo::tests());
    tests
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_fit_a_folder() {
        let tests = all();
        let names: HashSet<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names.len(), tests.len());
        assert!(
            names.iter().all(|name| name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/-".contains(c))),
            "{names:?}"
        );
    }

    #[test]
    fn filter_picks_by_part_of_name_or_tag() {
        let test = Test::new("linux/cloud/2-vcpus", &["boot"], |_| Ok(()));
        assert!(
            test.matches(None)
                && test.matches(Some("cloud"))
                && test.matches(Some("boo"))
                && test.matches(Some("systems"))
        );
        assert!(!test.matches(Some("dma")));
    }

    #[test]
    fn linux_boots_on_every_cell_of_the_matrix() {
        let cells = all()
            .iter()
            .filter(|test| test.tags.contains(&"matrix"))
            .count();
        assert_eq!(cells, 2 * 3 * 2 * 3);
    }
}
