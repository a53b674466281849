//! Each row stays under its ceiling, and a second run gives the same.

use anyhow::{Context, ensure};

use super::{Budget, CONTROLLERS, IMAGE_BYTES, Measured, repeated};
use crate::bench::Bench;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

pub(crate) fn tests() -> Vec<Test> {
    let dma = Test::new("guests/costs/dma", &["guests", "bench", "dma"], |bench| {
        rows_are_within_their_bounds(bench, "dma")
    });
    let linux = Test::new("linux/latency", &["linux", "bench"], |bench| {
        rows_are_within_their_bounds(bench, "linux")
    })
    .needs(Need::Kernel("linux-image-rt-arm64"))
    .needs(Need::Latency);
    let x86 = Test::new("x86/costs", &["x86", "bench"], |bench| {
        rows_are_within_their_bounds(bench, "x86")
    })
    .needs(Need::Pc);
    let mut tests: Vec<Test> = CONTROLLERS
        .map(|controller| {
            Test::new(
                format!("guests/costs/{controller}"),
                &["guests", "bench"],
                move |bench| costs_are_under_their_ceilings_and_repeat(bench, controller),
            )
        })
        .into();
    tests.extend([dma, linux, x86]);
    tests
}

/// `cargo xtask bench` measures a subject and compares.
fn rows_are_within_their_bounds(bench: &Bench<'_>, subject: &str) -> anyhow::Result<()> {
    let output = bench.xtask(&["--offline", "bench", subject, "--json"])?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn costs_are_under_their_ceilings_and_repeat(
    bench: &Bench<'_>,
    controller: &str,
) -> anyhow::Result<()> {
    let board = format!("qemu-virt-{controller}");
    let system = |name: &str, cpus| SystemFile::new(name, &board).guest("bench", "bench", cpus);
    let two = system("costs", 2);
    let mut measured = repeated(|| Measured::read(&run(bench, &two)?))?;
    measured.add_boot(&run(bench, &system("boot", 1))?)?;
    let image = stats(bench, &two)?;
    measured.add(IMAGE_BYTES, figure(&image, "image_bytes")?);
    let budget = Budget::read()?;
    for row in &budget.rows {
        row.check(controller, &measured)?;
    }
    budget.check_lines(controller, figure(&image, "lines")?)
}

/// What the guest prints.
pub(crate) fn run(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<String> {
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    session.wait_for("bench", "^bench: done$", bench.left())?;
    Ok(session.text("bench"))
}

/// What `cargo xtask stats` says of a system.
fn stats(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<serde_json::Value> {
    let file = bench.file("measured.toml", &system.text())?;
    let output = bench.xtask(&["--offline", "stats", "--json", &file.to_string_lossy()])?;
    serde_json::from_slice(&output.stdout).context("`stats --json` prints no JSON")
}

fn figure(figures: &serde_json::Value, name: &str) -> anyhow::Result<u64> {
    figures[name]
        .as_u64()
        .with_context(|| format!("`stats --json` has no {name}"))
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
    fn each_controller_has_a_ceiling_of_lines() {
        let lines = Budget::read().expect("budget").lines;
        assert!(
            CONTROLLERS
                .iter()
                .all(|controller| lines.contains_key(*controller))
        );
    }

    #[test]
    fn image_with_more_lines_than_its_ceiling_and_ceiling_that_is_not_there_are_refused() {
        let budget = Budget::read().expect("budget");
        let most = budget.lines["gicv3"];
        assert!(budget.check_lines("gicv3", most).is_ok());
        assert!(budget.check_lines("gicv3", most + 1).is_err());
        assert!(budget.check_lines("gicv9", 0).is_err());
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
