//! `cargo xtask bench rtds`: the experiments with the scheduling policies, as tables, charts and JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use rtds_experiments::{ALL, Extent, Outcome, Schedule};

use super::{RtdsArguments, chart, decisions, turns};
use crate::build::Builder;
use crate::steps::{Detail, Steps};
use crate::trace;

/// Those that QEMU runs, by name.
const ON_QEMU: [(&str, OnQemu); 2] = [(decisions::NAME, decisions::run), (turns::NAME, turns::run)];
type OnQemu = fn(&Builder) -> anyhow::Result<Outcome>;

/// Does the experiments, prints their tables, and writes charts and figures under `target/bulkhead/bench/rtds`.
pub fn run(builder: &Builder, arguments: &RtdsArguments) -> anyhow::Result<u8> {
    let workspace = builder.workspace();
    let filter = arguments.filter.as_deref().unwrap_or("");
    let hosts = ALL.iter().map(|(name, _)| *name);
    let names: Vec<&str> = hosts.chain(ON_QEMU.map(|(name, _)| name)).collect();
    let chosen = |name: &str| name.contains(filter);
    if !names.iter().any(|name| chosen(name)) {
        bail!(
            "no experiment is called \"{filter}\"; there are {}",
            names.join(", ")
        );
    }
    let extent = if arguments.quick {
        Extent::Quick
    } else {
        Extent::Full
    };
    let folder = workspace.output().join("bench/rtds");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;

    let steps = Steps::new(Detail::Changes);
    let mut outcomes = Vec::new();
    let mut done = |outcome: Outcome| -> anyhow::Result<()> {
        draw(&folder, &outcome)?;
        if !arguments.json {
            print!("{}", table(&outcome));
        }
        outcomes.push(outcome);
        Ok(())
    };
    for (name, experiment) in ALL.iter().filter(|(name, _)| chosen(name)) {
        done(steps.doing(&format!("experiment {name}"), || Ok(experiment(extent)))?)?;
    }
    for (_, experiment) in ON_QEMU.iter().filter(|(name, _)| chosen(name)) {
        done(experiment(builder)?)?;
    }
    let json = serde_json::to_string_pretty(&outcomes)?;
    write(&folder.join("outcomes.json"), &json)?;
    if arguments.json {
        println!("{json}");
    } else {
        println!("{}", summary(&outcomes));
        println!("charts and figures: {}", workspace.shown(&folder));
    }
    Ok(u8::from(!outcomes.iter().all(Outcome::passes)))
}

/// The rows of an experiment.
fn table(outcome: &Outcome) -> String {
    let mut lines = vec![format!("{}: {}", outcome.name, outcome.method)];
    for row in &outcome.rows {
        let verdict = if row.pass { "pass" } else { "FAIL" };
        lines.push(format!("  {verdict}  {}", row.what));
        lines.push(format!(
            "        found {}; asked for {}",
            row.value, row.bar
        ));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

/// How many bars were met, and those that were not.
fn summary(outcomes: &[Outcome]) -> String {
    let rows = || {
        outcomes
            .iter()
            .flat_map(|outcome| outcome.rows.iter().map(move |row| (outcome.name, row)))
    };
    let failed = rows().filter(|(_, row)| !row.pass);
    let failed: Vec<String> = failed
        .map(|(name, row)| format!("\n  FAIL  {name}: {}", row.what))
        .collect();
    let [met, all] = [rows().count() - failed.len(), rows().count()];
    format!("{met} of {all} bars are met{}", failed.concat())
}

fn draw(folder: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    for chart in &outcome.charts {
        write(
            &folder.join(format!("{}.svg", chart.name)),
            &chart::draw(chart),
        )?;
    }
    for schedule in &outcome.schedules {
        timelines(folder, schedule)?;
    }
    Ok(())
}

fn timelines(folder: &Path, schedule: &Schedule) -> anyhow::Result<()> {
    write(
        &folder.join(format!("{}.svg", schedule.name)),
        &trace::draw(schedule),
    )?;
    let events = serde_json::to_string(&trace::trace_events(schedule))?;
    write(
        &folder.join(format!("{}.trace.json", schedule.name)),
        &events,
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use rtds_experiments::Row;

    use super::*;

    #[test]
    fn summary_counts_bars_and_names_those_that_are_not_met() {
        let row = |what, pass| Row::new(what, "1", "0", pass);
        let outcome = |name, rows| Outcome {
            name,
            rows,
            ..Outcome::default()
        };
        let outcomes = [
            outcome("burst", vec![row("one", true)]),
            outcome("supply", vec![row("two", false), row("three", true)]),
        ];
        assert_eq!(
            summary(&outcomes),
            "2 of 3 bars are met\n  FAIL  supply: two"
        );
        assert_eq!(summary(&outcomes[..1]), "1 of 1 bars are met");
    }

    #[test]
    fn table_says_what_was_found_and_what_was_asked_for() {
        let outcome = Outcome {
            name: "supply",
            method: "as it is done".to_owned(),
            rows: vec![Row::new("misses", "3", "0", false)],
            ..Outcome::default()
        };
        let table = table(&outcome);
        assert_eq!(
            table,
            "supply: as it is done\n  FAIL  misses\n        found 3; asked for 0\n\n"
        );
    }
}
