//! What ran where and when, and what happened to whom: the data of a timeline.

use serde::Serialize;

/// A schedule, for a Gantt chart: what ran where and when.
#[derive(Clone, Debug, Serialize)]
pub struct Schedule {
    /// Its file's name without the ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// The names of the virtual CPUs.
    pub vcpus: Vec<String>,
    /// How many physical CPUs there are.
    pub pcpus: usize,
    /// Who ran where.
    pub runs: Vec<Run>,
    /// What happened to whom.
    pub marks: Vec<Mark>,
}

/// A virtual CPU on a physical one, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Which of the virtual CPUs.
    pub vcpu: usize,
    /// Which of the physical CPUs.
    pub pcpu: usize,
    /// In nanoseconds.
    pub from: u64,
    /// In nanoseconds.
    pub to: u64,
}

/// Something that happened to a virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Which one.
    pub vcpu: usize,
    /// In nanoseconds.
    pub at: u64,
    /// What.
    pub kind: MarkKind,
}

/// What can happen to a virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// It has something to do.
    Wake,
    /// It sleeps.
    Block,
    /// Its budget is full again.
    Replenish,
    /// Its budget is used up.
    BudgetEnd,
    /// It, or a device of its partition, touched what the partition does not own. No simulation has this.
    Fault,
}
