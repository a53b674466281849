//! Each row stays under its ceiling, and a second run gives the same.

use anyhow::{Context, ensure};

use super::{Budget, CONTROLLERS, IMAGE_BYTES, Measured};
use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

pub(crate) fn tests() -> Vec<Test> {
    CONTROLLERS
        .map(|controller| {
            Test::new(
                format!("guests/costs/{controller}"),
                &["guests", "bench"],
                move |bench| costs_are_under_their_ceilings_and_repeat(bench, controller),
            )
        })
        .into()
}

fn costs_are_under_their_ceilings_and_repeat(
    bench: &Bench<'_>,
    controller: &str,
) -> anyhow::Result<()> {
    let board = format!("qemu-virt-{controller}");
    let system = |name: &str, cpus| SystemFile::new(name, &board).guest("bench", "bench", cpus);
    let two = system("costs", 2);
    let text = run(bench, &two)?;
    let mut measured = Measured::read(&text)?;
    ensure!(
        Measured::read(&run(bench, &two)?)? == measured,
        "a second run gives other numbers"
    );
    measured.add_boot(&run(bench, &system("boot", 1))?)?;
    measured.add(IMAGE_BYTES, image_bytes(bench, &two)?);
    for row in Budget::read()?.rows {
        row.check(controller, &measured)?;
    }
    Ok(())
}

/// What the guest prints.
pub(crate) fn run(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<String> {
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    session.wait_for("bench", "^bench: done$", bench.left())?;
    Ok(session.text("bench"))
}

/// What `cargo xtask stats` says.
fn image_bytes(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<u64> {
    let file = bench.file("measured.toml", &system.text())?;
    let output = bench.xtask(&["--offline", "stats", "--json", &file.to_string_lossy()])?;
    let figures: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("`stats --json` prints no JSON")?;
    figures["image_bytes"]
        .as_u64()
        .context("`stats --json` has no image_bytes")
}

#[cfg(test)]
mod host {
    use super::*;

    #[test]
    fn every_row_of_the_budget_has_a_ceiling_that_keeps_its_bound_on_gicv3() {
        for row in Budget::read().expect("budget").rows {
            let ceiling = row.ceiling("gicv3").expect("a row of GICv3");
            assert!(ceiling <= row.bound, "{}", row.name);
        }
    }

    #[test]
    fn cost_above_the_ceiling_and_row_that_is_missing_are_refused() {
        let rows = Budget::read().expect("budget").rows;
        let row = rows.first().expect("a row");
        let ceiling = row.ceiling("gicv3").expect("a ceiling");
        let mut measured = Measured::default();
        assert!(row.check("gicv3", &measured).is_err());
        measured.add(&row.name, ceiling);
        assert!(row.check("gicv3", &measured).is_ok());
        measured.add(&row.name, ceiling + 1);
        assert!(row.check("gicv3", &measured).is_err());
    }
}
