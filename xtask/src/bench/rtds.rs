//! `cargo xtask bench rtds`: the experiments with the scheduling policies, as tables, charts and JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use rtds_experiments::{ALL, Extent, Outcome, Schedule};

use super::{RtdsArguments, chart, decisions};
use crate::build::Builder;
use crate::steps::{Detail, Steps};
use crate::timeline;

/// Does the experiments, prints their tables, and writes charts and figures under `target/bulkhead/bench/rtds`.
pub fn run(builder: &Builder, arguments: &RtdsArguments) -> anyhow::Result<u8> {
    let workspace = builder.workspace();
    let filter = arguments.filter.as_deref().unwrap_or("");
    let chosen: Vec<_> = ALL
        .iter()
        .filter(|(name, _)| name.contains(filter))
        .collect();
    let counts = decisions::NAME.contains(filter);
    if chosen.is_empty() && !counts {
        let mut names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        names.push(decisions::NAME);
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
    for (name, experiment) in chosen {
        done(steps.doing(&format!("experiment {name}"), || Ok(experiment(extent)))?)?;
    }
    if counts {
        done(decisions::run(builder)?)?;
    }
    let json = serde_json::to_string_pretty(&outcomes)?;
    write(&folder.join("outcomes.json"), &json)?;
    if arguments.json {
        println!("{json}");
    } else {
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
        &timeline::draw(schedule),
    )?;
    let trace = serde_json::to_string(&timeline::trace_events(schedule))?;
    write(
        &folder.join(format!("{}.trace.json", schedule.name)),
        &trace,
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
