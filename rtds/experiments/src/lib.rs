//! Experiments with the scheduling policies: the state machine of the image, driven by the simulator of the crate `rtds`, against what it
//! promises and beside a model of the reference.
//!
//! Each experiment is a module with a function that returns its [`Outcome`]: rows with a value, a bar and whether it is met, and the
//! figures behind them for a chart. All random numbers come from fixed seeds, so everything but the measured times is the same on every
//! run. How it is shown is left to the caller.

pub mod burst;
pub mod conformance;
pub mod cost;
pub mod curves;
pub mod cyclic;
pub mod defects;
pub mod random;
pub mod record;
pub mod schedule;
pub mod soundness;
pub mod supply;

pub use schedule::{Mark, MarkKind, Run, Schedule};
use serde::Serialize;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As much as the bars ask for.
    Full,
    /// A small part of it, to see that the experiments work.
    Quick,
}

impl Extent {
    /// The number for the full extent, or the one for the quick one.
    pub const fn of(self, full: u32, quick: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// One line of an experiment's table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub value: String,
    /// What is asked for.
    pub bar: String,
    /// Whether it is met.
    pub pass: bool,
}

impl Row {
    /// A row.
    pub fn new(
        what: impl Into<String>,
        value: impl Into<String>,
        bar: impl Into<String>,
        pass: bool,
    ) -> Self {
        Self {
            what: what.into(),
            value: value.into(),
            bar: bar.into(),
            pass,
        }
    }
}

/// A chart of lines over one axis.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    /// Its file's name without the ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What the horizontal axis counts, with its unit.
    pub x: String,
    /// What the vertical axis counts, with its unit.
    pub y: String,
    /// Whether both axes are logarithmic.
    pub logarithmic: bool,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line of a chart.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// What an experiment found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How it was done, in one sentence.
    pub method: String,
    /// What was found.
    pub rows: Vec<Row>,
    /// The figures as charts.
    pub charts: Vec<Chart>,
    /// Schedules to look at.
    pub schedules: Vec<Schedule>,
}

impl Outcome {
    /// True when every bar is met.
    pub fn passes(&self) -> bool {
        self.rows.iter().all(|row| row.pass)
    }
}

/// An experiment: its name, and the function that does it.
pub type Experiment = (&'static str, fn(Extent) -> Outcome);

/// All experiments.
pub const ALL: [Experiment; 8] = [
    ("conformance", conformance::run),
    ("defects", defects::run),
    ("curves", curves::run),
    ("soundness", soundness::run),
    ("supply", supply::run),
    ("burst", burst::run),
    ("cost", cost::run),
    ("cyclic", cyclic::run),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_holds_in_the_quick_extent() {
        for (name, run) in ALL {
            // Times depend on the machine, and few sets do not give a curve.
            if name == "cost" || name == "curves" {
                continue;
            }
            let outcome = run(Extent::Quick);
            let failed: Vec<&Row> = outcome.rows.iter().filter(|row| !row.pass).collect();
            assert!(failed.is_empty(), "{name}: {failed:#?}");
            assert_eq!(outcome.name, name);
        }
    }

    #[test]
    fn experiments_give_the_same_figures_twice() {
        for (name, run) in ALL {
            if name == "cost" {
                continue;
            }
            let figures = || format!("{:?}", run(Extent::Quick));
            assert_eq!(figures(), figures(), "{name}");
        }
    }
}
