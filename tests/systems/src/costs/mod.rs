//! What the hypervisor's paths cost: the rows with their bounds, and what the guest `bench` measured.

mod measured;
mod repeated;
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

pub use measured::{Measured, Sample};
pub use repeated::repeated;
pub(crate) use tests::{run, tests};

/// Row that a system with one CPU measures: from the machine's reset to the guest's second instruction.
pub const BOOT: &str = "boot";

/// Row that no guest measures: bytes of code, constants and initialized variables.
pub const IMAGE_BYTES: &str = "image-bytes";

/// The interrupt controllers that costs are measured with; the bounds are for the first.
pub const CONTROLLERS: [&str; 2] = ["gicv3", "gicv2"];

/// All rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Most instructions that an event costs in an image that records events.
    pub traced_event: u64,
    /// In the order of the table.
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
    /// Most lines that an image may have compiled in, by the interrupt controller of its board, or by what else it has.
    pub lines: BTreeMap<String, u64>,
    /// How late a guest wakes up on a shared CPU: rows that the guest `wake` measures, with bounds for both controllers.
    #[serde(rename = "wake")]
    pub wakes: Vec<Row>,
    /// What Linux measures of itself, beside the same on the bare machine.
    pub linux: Vec<LinuxRow>,
    /// What a channel costs: rows that the guest `messages` measures, with bounds for both controllers.
    #[serde(rename = "channel")]
    pub channels: Vec<Row>,
    /// What devices behind an SMMUv3 cost: rows of `cargo xtask bench dma`.
    pub dma: Vec<Row>,
    /// What exits cost on a PC: rows of `cargo xtask bench x86`.
    pub x86: Vec<Row>,
    /// How much systems may cost more as they grow.
    pub scale: Vec<Growth>,
    /// What attacks may cost a neighbour on the same physical CPU.
    #[serde(rename = "attack")]
    pub attacks: Vec<Attacks>,
}

/// What each unit of something may add to a system.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// What grows.
    pub name: String,
    /// Instructions from reset to the guest's second instruction.
    pub boot: i64,
    /// Bytes of the image.
    pub bytes: i64,
    /// How much the medians of a row of exits may differ at all, in instructions.
    pub exits: u64,
}

/// What some attacks may cost a neighbour on the same physical CPU: rows of `cargo xtask bench masked`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Attacks {
    /// Which.
    pub names: Vec<String>,
    /// For how many nanoseconds no interrupt may be looked for at most.
    pub masked: u64,
    /// How many nanoseconds late a neighbour may wake up.
    pub late: u64,
    /// The same of one with a CPU of its own, where it may notice more than that its timer passes.
    pub alone: Option<u64>,
}

/// One row: instructions, except for [`IMAGE_BYTES`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// As the guest prints it.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it may cost on GICv3; rows of [`Budget::wakes`] and [`Budget::channels`] on GICv2 too.
    pub bound: u64,
    /// Most that the test lets it cost; `None` where the controller has no such row.
    #[serde(skip_serializing)]
    gicv3: Option<u64>,
    #[serde(skip_serializing)]
    gicv2: Option<u64>,
    /// Under Bao.
    pub bao: Option<u64>,
    /// Under hvisor.
    pub hvisor: Option<u64>,
    /// Under Xen with its default scheduler.
    pub xen: Option<u64>,
    /// Under Xen with the null scheduler.
    pub xen_null: Option<u64>,
    /// Under Xen with the scheduler rtds.
    pub xen_rtds: Option<u64>,
}

/// A row of `cargo xtask bench linux`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxRow {
    /// As the script in Linux prints it.
    pub name: String,
    /// For people.
    pub title: String,
    /// Most that it may be in a partition, in parts of a thousand of what it is on the bare machine.
    pub per_mille: u64,
}

impl LinuxRow {
    /// Most that it may be, where it is `bare` on the bare machine.
    pub fn bound(&self, bare: u64) -> u64 {
        bare.saturating_mul(self.per_mille) / 1000
    }
}

impl Budget {
    /// The rows of `costs.toml`.
    ///
    /// # Errors
    /// The file is not what this module reads.
    pub fn read() -> anyhow::Result<Self> {
        toml::from_str(include_str!("../../costs.toml")).context("costs.toml")
    }

    /// The row of this attack.
    ///
    /// # Errors
    /// There is none.
    pub fn attack(&self, name: &str) -> anyhow::Result<&Attacks> {
        let mut rows = self.attacks.iter();
        rows.find(|row| row.names.iter().any(|one| one == name))
            .with_context(|| format!("costs.toml has no row for the attack {name}"))
    }

    /// An image has no more lines compiled in than the ceiling of this name allows.
    ///
    /// # Errors
    /// It has more, or there is no such ceiling.
    pub fn check_lines(&self, ceiling: &str, lines: u64) -> anyhow::Result<()> {
        let ceiling = *self
            .lines
            .get(ceiling)
            .context("no such ceiling of lines")?;
        ensure!(
            lines <= ceiling,
            "the image has {lines} lines compiled in, at most {ceiling} are allowed"
        );
        Ok(())
    }
}

impl Row {
    /// Most that the row may cost with this controller; `None` where there is no such row.
    pub fn ceiling(&self, controller: &str) -> Option<u64> {
        match controller {
            "gicv3" => self.gicv3,
            _ => self.gicv2,
        }
    }

    /// Holds what was measured against the ceiling.
    ///
    /// # Errors
    /// It costs too much, or it was not measured.
    pub fn check(&self, controller: &str, measured: &Measured) -> anyhow::Result<()> {
        self.ceiling(controller)
            .map_or(Ok(()), |ceiling| self.check_at_most(ceiling, measured))
    }

    /// Holds what was measured against `ceiling`.
    ///
    /// # Errors
    /// It costs too much, or it was not measured.
    pub fn check_at_most(&self, ceiling: u64, measured: &Measured) -> anyhow::Result<()> {
        let cost = measured
            .cost(&self.name)
            .with_context(|| format!("{} was not measured", self.name))?;
        ensure!(
            cost <= ceiling,
            "{} costs {cost}, at most {ceiling} is allowed",
            self.name
        );
        Ok(())
    }
}
