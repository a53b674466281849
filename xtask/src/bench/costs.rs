//! `cargo xtask bench`: what exits, boot and image cost, beside what is asked for and what other hypervisors take.

use std::time::Duration;

use anyhow::Context;
use qemu::session::{Options, Session};
use serde::Serialize;
use systems::costs::{Budget, CONTROLLERS, IMAGE_BYTES, Measured, Row};

use crate::build::{Builder, Built};
use crate::image;
use crate::setup;

/// Longest that a run may take; it takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    rows: Vec<Line>,
    /// All rows hold their bounds.
    pass: bool,
}

#[derive(Serialize)]
struct Line {
    /// Name, bound, and what others take.
    #[serde(flatten)]
    row: Row,
    /// Ours; `null` where the controller has no such row.
    gicv3: Option<u64>,
    gicv2: Option<u64>,
    /// The bound holds.
    pass: bool,
}

/// Measures and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// A system does not build, or its guest does not measure.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu(builder.steps(), builder.offline())?;
    let [v3, v2] = CONTROLLERS.map(|controller| measure(builder, controller));
    let outcome = Outcome::new(Budget::read()?, &v3?, &v2?)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{}", outcome.table());
    }
    Ok(u8::from(!outcome.pass))
}

/// Runs the guest `bench` on two CPUs, and on one for the time that boot takes; then the guest `wake` beside one that spins.
fn measure(builder: &Builder, controller: &str) -> anyhow::Result<Measured> {
    let system = |name: &str| {
        builder
            .workspace()
            .root()
            .join(format!("configs/qemu-virt-{controller}/{name}.toml"))
    };
    builder
        .steps()
        .doing(&format!("costs with {controller}"), || {
            let bench = builder.build(&system("bench"))?;
            let mut measured = Measured::read(&text(&bench, BENCH)?)?;
            let elf = bench.folder.join("bulkhead.elf");
            let elf =
                std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
            let sizes = image::sizes(&elf)?;
            measured.add(IMAGE_BYTES, sizes.text + sizes.rodata + sizes.data);
            measured.add_boot(&text(&builder.build(&system("boot"))?, BENCH)?)?;
            measured.add_wake(&text(&builder.build(&system("wake"))?, WAKE)?)?;
            Ok(measured)
        })
}

/// A guest that measures, and what it prints at its end.
type Guest = [&'static str; 2];
const BENCH: Guest = ["bench", "^bench: (done|FAILED.*)$"];
const WAKE: Guest = ["wake", "^wake: late .* sleeps$"];

/// What the guest prints, with instructions counted.
fn text(built: &Built, [guest, end]: Guest) -> anyhow::Result<String> {
    let options = Options {
        icount: true,
        ..Options::quiet(&built.folder.join("bench-logs"))
    };
    let mut session = Session::start(&built.bootable()?, &options)?;
    session.wait_for(guest, end, PATIENCE)?;
    let text = session.text(guest);
    session.finish();
    Ok(text)
}

impl Outcome {
    fn new(budget: Budget, v3: &Measured, v2: &Measured) -> anyhow::Result<Self> {
        let rows = budget.rows.into_iter().map(|row| (row, false));
        let wakes = budget.wakes.into_iter().map(|row| (row, true));
        let lines = rows.chain(wakes).map(|(row, both)| {
            let [gicv3, gicv2] = [v3, v2].map(|measured| measured.cost(&row.name));
            let missing = || format!("{} was not measured", row.name);
            let mut cost = gicv3.with_context(missing)?;
            if both {
                cost = cost.max(gicv2.with_context(missing)?);
            }
            Ok(Line {
                pass: cost <= row.bound,
                gicv3,
                gicv2,
                row,
            })
        });
        let rows = lines.collect::<anyhow::Result<Vec<Line>>>()?;
        Ok(Self {
            pass: rows.iter().all(|line| line.pass),
            rows,
        })
    }

    /// For people: one line a row.
    fn table(&self) -> String {
        let cell = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
        let mut out = format!(
            "instructions                       GICv3   bound        GICv2 | {:>6} {:>7} {:>7} {:>9} {:>9} {:>9}\n",
            "bare", "Bao", "hvisor", "Xen", "Xen null", "Xen rtds"
        );
        for line in &self.rows {
            let row = &line.row;
            out += &format!(
                "{:<32} {:>7} {:>7} {:<4} {:>7} | {:>6} {:>7} {:>7} {:>9} {:>9} {:>9}\n",
                row.title,
                cell(line.gicv3),
                row.bound,
                if line.pass { "pass" } else { "FAIL" },
                cell(line.gicv2),
                cell(row.bare),
                cell(row.bao),
                cell(row.hvisor),
                cell(row.xen),
                cell(row.xen_null),
                cell(row.xen_rtds),
            );
        }
        out += "The bounds are for GICv3, those of the wake-up for both. The columns on the right are quoted from our own runs of the same guest: without a\nhypervisor, Bao 738e3dc, hvisor 6a3fb78, Xen 4.20 with credit2, with null and vwfi=native, with rtds. docs/costs.md says how it is measured.\n";
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row at its bound, but the first on GICv3 `more` above; on GICv2 only wake-ups were measured, and they are `later`.
    fn outcome(more: u64, later: u64) -> Outcome {
        let [mut v3, mut v2] = [Measured::default(), Measured::default()];
        let budget = Budget::read().expect("budget");
        for (index, row) in budget.rows.iter().enumerate() {
            v3.add(&row.name, row.bound + if index == 0 { more } else { 0 });
        }
        for row in &budget.wakes {
            v3.add(&row.name, row.bound);
            v2.add(&row.name, row.bound + later);
        }
        Outcome::new(budget, &v3, &v2).expect("outcome")
    }

    #[test]
    fn rows_at_their_bounds_pass_whatever_gicv2_costs() {
        let outcome = outcome(0, 0);
        assert!(outcome.pass);
        assert!(!outcome.table().contains("FAIL"));
    }

    #[test]
    fn one_row_above_its_bound_fails_and_is_marked() {
        let outcome = outcome(1, 0);
        assert!(!outcome.pass);
        assert_eq!(outcome.table().matches("FAIL").count(), 1);
    }

    #[test]
    fn wake_up_above_its_bound_fails_on_gicv2_too() {
        let outcome = outcome(0, 1);
        assert!(!outcome.pass);
        assert_eq!(outcome.table().matches("FAIL").count(), 3);
    }

    #[test]
    fn row_that_was_not_measured_is_an_error() {
        let none = Measured::default();
        assert!(Outcome::new(Budget::read().expect("budget"), &none, &none).is_err());
    }

    #[test]
    fn json_has_the_row_and_what_was_measured() {
        let json = serde_json::to_value(outcome(0, 0)).expect("JSON");
        assert_eq!(json["rows"][0]["name"], "psci-version");
        assert_eq!(json["rows"][0]["gicv3"], 60);
        assert_eq!(json["rows"][0]["bao"], 194);
    }
}
