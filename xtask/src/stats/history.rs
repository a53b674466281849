//! What became of an image's figures from commit to commit: a file with a line for each, and a plot.

use std::process::Command;

use anyhow::{Context, ensure};
use rtds_experiments::{Chart, Line};
use serde::{Deserialize, Serialize};

use crate::bench::chart;
use crate::command;
use crate::resources::write_if_changed;
use crate::workspace::Workspace;

/// The file: one JSON object a line, the oldest first.
const FILE: &str = "docs/history.jsonl";
/// The plot of it.
const PLOT: &str = "docs/history.svg";

/// The figures of a system's image at a commit.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The first twelve digits of its hash.
    pub commit: String,
    /// Its date, as `2026-11-22`.
    pub date: String,
    /// The system's name.
    pub system: String,
    /// The rest.
    #[serde(flatten)]
    pub sizes: Sizes,
}

/// What is kept of the figures, and its ceilings.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Bytes of code, constants and initialized variables.
    pub image_bytes: u64,
    /// Lines compiled in.
    pub lines: u64,
    /// `unsafe` blocks compiled in.
    pub unsafe_blocks: u64,
    /// Most bytes of stack below an entry, that of the boot among them. Older images were not asked.
    pub stack_bytes: Option<u64>,
}

/// A figure: what it is called, and its value where there is one.
type Figure = (&'static str, fn(&Sizes) -> Option<u64>);

const FIGURES: [Figure; 4] = [
    ("bytes of the image", |sizes| Some(sizes.image_bytes)),
    ("lines", |sizes| Some(sizes.lines)),
    ("unsafe blocks", |sizes| Some(sizes.unsafe_blocks)),
    ("stack", |sizes| sizes.stack_bytes),
];

/// Writes the figures down for the commit that is checked out, in place of those of an earlier time, and draws the system's history.
///
/// # Errors
/// There is no git, the checkout has changes, or the file is damaged.
pub fn add(workspace: &Workspace, system: &str, sizes: Sizes) -> anyhow::Result<()> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(workspace.root());
        command::output(&mut git).map(|text| text.trim().to_owned())
    };
    let own = [FILE, PLOT].map(|path| format!(":!{path}"));
    let changes = git(&["status", "--porcelain", "--", ".", &own[0], &own[1]])?;
    ensure!(
        changes.is_empty(),
        "the checkout has changes that no commit has: commit them first\n{changes}"
    );
    let record = Record {
        commit: git(&["rev-parse", "--short=12", "HEAD"])?,
        date: git(&["log", "-1", "--format=%cs"])?,
        system: system.to_owned(),
        sizes,
    };
    let path = workspace.root().join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {FILE}")),
    };
    let records = with(parse(&text)?, record);
    let lines = records.iter().map(serde_json::to_string);
    let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
    write_if_changed(&path, (lines.join("\n") + "\n").as_bytes())?;
    let plot = chart::draw(&chart_of(&records, system));
    write_if_changed(&workspace.root().join(PLOT), plot.as_bytes())
}

fn parse(text: &str) -> anyhow::Result<Vec<Record>> {
    let record = |(index, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{FILE}, line {}", index + 1))
    };
    text.lines().enumerate().map(record).collect()
}

/// A system has one record a commit.
fn with(mut records: Vec<Record>, new: Record) -> Vec<Record> {
    let same = |old: &&mut Record| old.commit == new.commit && old.system == new.system;
    if let Some(old) = records.iter_mut().find(same) {
        *old = new;
    } else {
        records.push(new);
    }
    records
}

/// Each figure of a system in parts of a hundred of what it was in the first record.
fn chart_of(records: &[Record], system: &str) -> Chart {
    let of_system = || records.iter().filter(|record| record.system == system);
    let line = |(name, figure): Figure| {
        let values = of_system().enumerate();
        let values = values.filter_map(|(index, record)| Some((index, figure(&record.sizes)?)));
        let first = values.clone().next().map_or(1, |(_, value)| value.max(1));
        let share = |value: u64| value as f64 * 100.0 / first as f64;
        Line {
            name: name.to_owned(),
            points: values
                .map(|(index, value)| (index as f64 + 1.0, share(value)))
                .collect(),
        }
    };
    let ends = [of_system().next(), of_system().next_back()];
    let [from, to] = ends.map(|end| end.map_or("", |record| record.date.as_str()));
    Chart {
        name: "history".to_owned(),
        title: format!("{system}, {from} to {to}"),
        x: "record".to_owned(),
        y: "% of its first record".to_owned(),
        logarithmic: false,
        lines: FIGURES.map(line).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(commit: &str, system: &str, lines: u64) -> Record {
        Record {
            commit: commit.to_owned(),
            date: "2026-11-22".to_owned(),
            system: system.to_owned(),
            sizes: Sizes {
                image_bytes: 1000,
                lines,
                unsafe_blocks: 4,
                stack_bytes: None,
            },
        }
    }

    #[test]
    fn second_record_of_a_commit_takes_the_place_of_the_first() {
        let records = with(Vec::new(), record("a", "demo", 10));
        let records = with(records, record("a", "other", 11));
        let records = with(records, record("b", "demo", 12));
        let records = with(records, record("a", "demo", 13));
        let lines: Vec<u64> = records.iter().map(|record| record.sizes.lines).collect();
        assert_eq!(lines, [13, 11, 12]);
    }

    #[test]
    fn record_is_read_as_it_was_written_and_a_damaged_line_is_named() {
        let one = record("a", "demo", 10);
        let text = serde_json::to_string(&one).expect("JSON");
        assert_eq!(parse(&text).expect("records"), [one]);
        let error = parse(&format!("{text}\n{{")).expect_err("damaged");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn plot_has_the_records_of_its_system_as_shares_of_the_first() {
        let records = [("a", "demo", 10), ("a", "other", 1), ("b", "demo", 15)];
        let records = records.map(|(commit, system, lines)| record(commit, system, lines));
        let chart = chart_of(&records, "demo");
        let lines = chart.lines.iter().find(|line| line.name == "lines");
        assert_eq!(lines.expect("lines").points, [(1.0, 100.0), (2.0, 150.0)]);
        let stack = chart.lines.iter().find(|line| line.name == "stack");
        assert_eq!(stack.expect("stack").points, []);
    }

    #[test]
    fn history_of_the_checkout_can_be_read() {
        let text = include_str!("../../../docs/history.jsonl");
        assert!(!parse(text).expect("records").is_empty());
    }
}
