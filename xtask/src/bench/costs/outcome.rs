//! The rows with all that was measured, judged.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use systems::costs::{Budget, CONTROLLERS, Measured, Row, Sample};

use super::xen::Xen;

/// What was measured with one interrupt controller.
pub struct Controller {
    /// Under Bulkhead.
    pub bulkhead: Measured,
    /// Without a hypervisor.
    pub bare: Measured,
    /// Under Xen, where it could be had.
    pub xen: Option<Xen>,
}

/// What `--json` prints and `--compare` reads.
#[derive(Debug, Deserialize, Serialize)]
pub struct Outcome {
    /// The Xen that was measured; `null` when the figures of Xen are older ones.
    pub xen_version: Option<String>,
    /// One line a row.
    pub rows: Vec<Line>,
    /// All rows hold their bounds.
    pub pass: bool,
}

/// A row.
#[derive(Debug, Deserialize, Serialize)]
pub struct Line {
    /// As the guest prints it.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it may cost.
    pub bound: u64,
    /// Measured with GICv3.
    pub gicv3: Cells,
    /// Measured with GICv2.
    pub gicv2: Cells,
    /// From older runs of our own with GICv3.
    pub quoted: Quoted,
    /// The bound holds.
    pub pass: bool,
}

/// `null` where there is no such row.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cells {
    /// Ours.
    pub bulkhead: Option<Sample>,
    /// Without a hypervisor.
    pub bare: Option<Sample>,
    /// Under Xen with its default scheduler.
    pub xen: Option<Sample>,
    /// Under Xen with the null scheduler.
    pub xen_null: Option<Sample>,
}

/// Medians under other hypervisors.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Quoted {
    /// Under Bao.
    pub bao: Option<u64>,
    /// Under hvisor.
    pub hvisor: Option<u64>,
    /// Under Xen 4.20 with its default scheduler.
    pub xen: Option<u64>,
    /// Under Xen 4.20 with the null scheduler.
    pub xen_null: Option<u64>,
    /// Under Xen 4.20 with the scheduler rtds.
    pub xen_rtds: Option<u64>,
}

impl Outcome {
    /// Judges: the bounds are for GICv3, those of wake-ups and channels for both.
    ///
    /// # Errors
    /// A row was not measured.
    pub fn new(budget: Budget, measured: [Controller; 2]) -> anyhow::Result<Self> {
        let rows = budget.rows.into_iter().map(|row| (row, false));
        let channels = budget.channels.into_iter().map(|row| (row, true));
        let wakes = budget.wakes.into_iter().map(|row| (row, true));
        let lines = rows
            .chain(wakes)
            .chain(channels)
            .map(|(row, both)| Line::new(row, both, &measured));
        let rows = lines.collect::<anyhow::Result<Vec<Line>>>()?;
        let [v3, _] = &measured;
        Ok(Self {
            xen_version: v3.xen.as_ref().map(|xen| xen.version.clone()),
            pass: rows.iter().all(|line| line.pass),
            rows,
        })
    }

    /// What an earlier run wrote.
    ///
    /// # Errors
    /// The file cannot be read or is not from `bench`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not what `bench --json` prints", path.display()))
    }
}

impl Line {
    fn new(row: Row, both: bool, measured: &[Controller; 2]) -> anyhow::Result<Self> {
        let [gicv3, gicv2] = measured.each_ref().map(|one| Cells::of(&row.name, one));
        let missing = || format!("{} was not measured", row.name);
        let judged = if both {
            &[&gicv3, &gicv2][..]
        } else {
            &[&gicv3]
        };
        let mut pass = true;
        for cells in judged {
            pass &= cells.bulkhead.with_context(missing)?.median <= row.bound;
        }
        let quoted = Quoted {
            bao: row.bao,
            hvisor: row.hvisor,
            xen: row.xen,
            xen_null: row.xen_null,
            xen_rtds: row.xen_rtds,
        };
        Ok(Self {
            name: row.name,
            title: row.title,
            bound: row.bound,
            gicv3,
            gicv2,
            quoted,
            pass,
        })
    }

    /// What was measured with a controller, by its index in [`CONTROLLERS`].
    pub fn cells(&self, controller: usize) -> &Cells {
        match CONTROLLERS.get(controller) {
            Some(&"gicv2") => &self.gicv2,
            _ => &self.gicv3,
        }
    }
}

impl Cells {
    fn of(row: &str, one: &Controller) -> Self {
        let xen = one.xen.as_ref();
        Self {
            bulkhead: one.bulkhead.sample(row),
            bare: one.bare.sample(row),
            xen: xen.and_then(|xen| xen.credit2.sample(row)),
            xen_null: xen.and_then(|xen| xen.null.sample(row)),
        }
    }
}

/// For tests: every row at its bound, but the first on GICv3 `more` above; on GICv2 only wake-ups were measured, and they are `later`.
#[cfg(test)]
pub fn example(more: u64, later: u64) -> Outcome {
    let mut measured = [(); 2].map(|()| Controller {
        bulkhead: Measured::default(),
        bare: Measured::default(),
        xen: None,
    });
    let budget = Budget::read().expect("budget");
    for (index, row) in budget.rows.iter().enumerate() {
        let more = if index == 0 { more } else { 0 };
        measured[0].bulkhead.add(&row.name, row.bound + more);
        measured[0].bare.add(&row.name, 2);
    }
    for row in &budget.channels {
        for one in &mut measured {
            one.bulkhead.add(&row.name, row.bound);
        }
    }
    for row in &budget.wakes {
        measured[0].bulkhead.add(&row.name, row.bound);
        measured[1].bulkhead.add(&row.name, row.bound + later);
    }
    Outcome::new(budget, measured).expect("outcome")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_at_their_bounds_pass_whatever_gicv2_costs() {
        assert!(example(0, 0).pass);
    }

    #[test]
    fn one_row_above_its_bound_fails() {
        let outcome = example(1, 0);
        assert!(!outcome.pass);
        let failed: Vec<_> = outcome.rows.iter().filter(|line| !line.pass).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].name, "psci-version");
    }

    #[test]
    fn wake_up_above_its_bound_fails_on_gicv2_too() {
        let outcome = example(0, 1);
        assert_eq!(outcome.rows.iter().filter(|line| !line.pass).count(), 3);
    }

    #[test]
    fn row_that_was_not_measured_is_an_error() {
        let none = [(); 2].map(|()| Controller {
            bulkhead: Measured::default(),
            bare: Measured::default(),
            xen: None,
        });
        assert!(Outcome::new(Budget::read().expect("budget"), none).is_err());
    }

    #[test]
    fn outcome_that_was_written_is_read_again() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("costs.json");
        let json = serde_json::to_string(&example(0, 0)).expect("JSON");
        std::fs::write(&file, json).expect("written");
        let read = Outcome::read(&file).expect("read");
        let first = &read.rows[0];
        assert_eq!(
            (first.name.as_str(), first.quoted.bao),
            ("psci-version", Some(194))
        );
        assert_eq!(first.gicv3.bulkhead.map(|sample| sample.median), Some(60));
    }

    #[test]
    fn file_that_is_no_outcome_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("other.json");
        std::fs::write(&file, "{}").expect("written");
        let error = Outcome::read(&file).expect_err("no rows").to_string();
        assert!(error.contains("other.json"), "{error}");
    }
}
