//! `cargo xtask bench dma`: what it takes to map, unmap and invalidate for a device, and to tell a fault of one.
//!
//! The image is built with the feature `measure`, so that it times its own paths: most at boot, faults when QEMU's device `edu` makes them.

use anyhow::{Context, ensure};
use serde::Serialize;
use systems::costs::{Budget, Measured, Row, Sample};

use super::{PATIENCE, start_counting};
use crate::build::{Builder, Built};
use crate::setup;

/// The image's feature.
const MEASURE: &str = "measure";
const SYSTEM: &str = "configs/qemu-virt-gicv3-smmu/bench.toml";
/// The device, with addresses of 64 bits.
const EDU: [&str; 2] = ["-device", "edu,addr=3,dma_mask=0xffffffffffffffff"];
/// Has the guest try what is not its own, a word at a time.
const FAULT: &str = "f";
/// How often it does.
const FAULTS: usize = 12;

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    rows: Vec<Line>,
    /// All rows hold their bounds.
    pass: bool,
}

#[derive(Serialize)]
struct Line {
    name: String,
    title: String,
    bound: u64,
    least: u64,
    median: u64,
    most: u64,
    /// The median holds the bound.
    pass: bool,
}

/// Measures twice and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// The system does not build, its guest does not run, or the second run gives other numbers.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu(builder.steps(), builder.offline())?;
    let system = builder.workspace().root().join(SYSTEM);
    let built = builder.build_with(&system, &[MEASURE])?;
    let measured = measure(&built)?;
    ensure!(
        measure(&built)? == measured,
        "a second run gives other numbers"
    );
    let outcome = Outcome::new(Budget::read()?, &measured)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{}", outcome.table());
    }
    Ok(u8::from(!outcome.pass))
}

/// What the image and its guest say, with instructions counted.
fn measure(built: &Built) -> anyhow::Result<Measured> {
    let mut session = start_counting(built, &EDU)?;
    session.wait_for("attacker", "^dma: edu is there$", PATIENCE)?;
    session.send("attacker", FAULT)?;
    for _ in 0..FAULTS {
        session.wait_for("hv", r"bench: dma-fault \d+ ticks$", PATIENCE)?;
    }
    let text = session.text("hv");
    session.finish();
    let mut measured = Measured::default();
    measured.add_samples(&text)?;
    Ok(measured)
}

impl Outcome {
    fn new(budget: Budget, measured: &Measured) -> anyhow::Result<Self> {
        let line = |row: Row| {
            let sample = measured.sample(&row.name);
            let sample = sample.with_context(|| format!("{} was not measured", row.name))?;
            Ok(Line::new(row, sample))
        };
        let rows = budget.dma.into_iter().map(line);
        let rows = rows.collect::<anyhow::Result<Vec<Line>>>()?;
        Ok(Self {
            pass: rows.iter().all(|line| line.pass),
            rows,
        })
    }

    /// For people: one line a row.
    fn table(&self) -> String {
        let head = ["instructions, SMMUv3", "least", "median", "most", "bound"];
        let [title, least, median, most, bound] = head;
        let mut out = format!("{title:<46} {least:>7} {median:>7} {most:>7} {bound:>7}\n");
        for line in &self.rows {
            let verdict = if line.pass { "pass" } else { "FAIL" };
            out += &format!(
                "{:<46} {:>7} {:>7} {:>7} {:>7} {verdict}\n",
                line.title, line.least, line.median, line.most, line.bound
            );
        }
        out
    }
}

impl Line {
    fn new(row: Row, sample: Sample) -> Self {
        Self {
            pass: sample.median <= row.bound,
            name: row.name,
            title: row.title,
            bound: row.bound,
            least: sample.least,
            median: sample.median,
            most: sample.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row at its bound, but the first `more` above.
    fn outcome(more: u64) -> Outcome {
        let budget = Budget::read().expect("budget");
        let mut measured = Measured::default();
        for (index, row) in budget.dma.iter().enumerate() {
            measured.add(&row.name, row.bound + if index == 0 { more } else { 0 });
        }
        Outcome::new(budget, &measured).expect("outcome")
    }

    #[test]
    fn rows_at_their_bounds_pass_and_one_above_fails_and_is_marked() {
        assert!(outcome(0).pass);
        assert_eq!(outcome(0).table().matches("FAIL").count(), 0);
        assert!(!outcome(1).pass);
        assert_eq!(outcome(1).table().matches("FAIL").count(), 1);
    }

    #[test]
    fn row_that_was_not_measured_is_an_error() {
        let budget = Budget::read().expect("budget");
        assert!(Outcome::new(budget, &Measured::default()).is_err());
    }
}
