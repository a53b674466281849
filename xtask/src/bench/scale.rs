//! `cargo xtask bench scale`: what exits, boot and image cost as a system grows, one axis at a time, and that nothing grows faster than it must.
//!
//! The guest `bench` measures; what is added beside it is at rest, so its exits may not become dearer. Boot and image may grow with each unit by
//! as much as `costs.toml` says.

use std::time::Instant;

use anyhow::Context;
use rtds_experiments::{Chart, Line};
use serde::Serialize;
use systems::costs::{BOOT, Budget, Growth, IMAGE_BYTES, Measured, Row};
use systems::system_file::SystemFile;

use super::{chart, counted_text};
use crate::build::{Builder, Built};
use crate::image;
use crate::resources::write_if_changed;
use crate::setup;

const BOARD: &str = "qemu-virt-gicv3";
/// Has the same guest.
const SHARED: &str = "configs/qemu-virt-gicv3/bench.toml";
/// The guest, and its last line.
const GUEST: [&str; 2] = ["bench", "^bench: (done|FAILED.*)$"];
/// How a system grows.
struct Axis {
    /// As in `costs.toml`.
    name: &'static str,
    /// How much of it there is, in ascending order.
    amounts: &'static [u32],
    /// The system with so much of it, in which exits are measured.
    system: fn(SystemFile, u32) -> SystemFile,
    /// The same on one CPU, for boot: of several, QEMU runs one at a time, for as long as it likes.
    boot: Option<fn(SystemFile, u32) -> SystemFile>,
}

const AXES: [Axis; 5] = [
    Axis {
        name: "partitions",
        amounts: &[2, 4, 8, 16],
        system: |system, partitions| others(system.guest("bench", "bench", 2), 2, partitions - 1),
        boot: Some(|system, partitions| others(on_one(system), 0, partitions - 1)),
    },
    Axis {
        name: "vcpus",
        amounts: &[2, 4, 6, 8],
        system: |system, vcpus| system.guest("bench", "bench", vcpus),
        boot: None,
    },
    Axis {
        name: "channels",
        amounts: &[1, 4, 16],
        system: |system, count| channels(others(system.guest("bench", "bench", 2), 2, 1), count),
        boot: Some(|system, count| channels(others(on_one(system), 0, 1), count)),
    },
    Axis {
        name: "interrupts",
        amounts: &[1, 4, 16],
        system: |system, count| doorbells(others(system.guest("bench", "bench", 2), 2, 1), count),
        boot: Some(|system, count| doorbells(others(on_one(system), 0, 1), count)),
    },
    Axis {
        name: "memory",
        amounts: &[16, 64, 256, 1024],
        system: |system, mebibytes| of_memory(system, 2, mebibytes),
        boot: Some(|system, mebibytes| of_memory(system, 1, mebibytes)),
    },
];

const RTDS: &str = "\"rtds\"";
/// Turns of partitions that share a CPU: of the one that has the first, and of the others.
const FIRST: &str = "priority = 0\nperiod = \"10ms\"\nbudget = \"4ms\"\n";
const LATER: &str = "priority = 1\nperiod = \"100ms\"\nbudget = \"2ms\"\n";

/// The measured guest has the first turn on the first CPU.
fn on_one(system: SystemFile) -> SystemFile {
    system
        .pool("others", &[0], RTDS)
        .guest_in("others", "bench", "bench", 1, FIRST)
}

/// So many guests share a CPU, in a pool of their own unless it is the measured one's. Where that has others, they have ended when it measures.
fn others(system: SystemFile, cpu: u32, count: u32) -> SystemFile {
    let mut system = match cpu {
        0 => system,
        _ => system.pool("others", &[cpu], RTDS),
    };
    for number in 1..=count {
        let name = format!("hello-{number}");
        system = system.guest_in("others", &name, "hello", 1, LATER);
    }
    system
}

fn channels(system: SystemFile, count: u32) -> SystemFile {
    with_channels(system, count, "{ partition = \"bench\" }")
}

/// Interrupts of the measured guest, each with the channel that it comes from.
fn doorbells(system: SystemFile, count: u32) -> SystemFile {
    with_channels(system, count, "{ partition = \"bench\", doorbell = true }")
}

fn with_channels(system: SystemFile, count: u32, end: &str) -> SystemFile {
    let ends = [end, "{ partition = \"hello-1\" }"];
    (1..=count).fold(system, |system, number| {
        system.channel(&format!("channel-{number}"), "4KiB", &ends)
    })
}

fn of_memory(system: SystemFile, vcpus: u32, mebibytes: u32) -> SystemFile {
    let memory = format!("{mebibytes}MiB");
    system.partition("bench", vcpus, &memory, "\"guest:bench\"", "")
}

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    series: Vec<Series>,
    /// Every series holds its bounds.
    pass: bool,
}

/// One axis.
#[derive(Serialize)]
struct Series {
    name: &'static str,
    points: Vec<Point>,
    /// Instructions of boot and bytes of the image for each unit, from the first amount to the last.
    boot_per_unit: Option<i64>,
    bytes_per_unit: i64,
    /// How much dearer the row of exits that grows most is at its dearest than at its cheapest, in instructions.
    exits_grow: u64,
    pass: bool,
}

/// One system.
#[derive(Serialize)]
struct Point {
    amount: u32,
    /// Medians by the names of the rows, in instructions, and the image's bytes.
    costs: Vec<(String, u64)>,
    /// What it took to check, generate and link: time of this machine, which two runs do not repeat.
    build_ms: u128,
}

/// Measures, draws and prints. The status is 1 when something grows faster than its bound.
///
/// # Errors
/// A system does not build, its guest does not measure, or a file cannot be written.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu(builder.steps(), builder.offline())?;
    let budget = Budget::read()?;
    // The guests and what all systems share is compiled before builds are timed.
    builder.build(&builder.workspace().root().join(SHARED))?;
    let mut series = Vec::new();
    for axis in &AXES {
        let growth = budget.scale.iter().find(|growth| growth.name == axis.name);
        let growth = growth.with_context(|| format!("costs.toml has no scale of {}", axis.name))?;
        let mut points = Vec::new();
        for amount in axis.amounts {
            let what = format!("{}: {amount}", axis.name);
            let steps = builder.steps();
            let point = steps.doing(&what, || measure(builder, axis, *amount, &budget.rows))?;
            points.push(point);
        }
        series.push(Series::new(axis.name, points, growth)?);
    }
    let outcome = Outcome {
        pass: series.iter().all(|one| one.pass),
        series,
    };
    let folder = builder.output().join("bench/scale");
    for one in &outcome.series {
        let file = folder.join(format!("{}.svg", one.name));
        write_if_changed(&file, chart::draw(&one.chart()).as_bytes())?;
    }
    let text = serde_json::to_string_pretty(&outcome)?;
    write_if_changed(&folder.join("scale.json"), text.as_bytes())?;
    if json {
        println!("{text}");
    } else {
        for one in &outcome.series {
            print!("{}", one.table());
        }
        let shown = builder.workspace().shown(&folder);
        println!("the same as JSON and plots: {shown}");
    }
    Ok(u8::from(!outcome.pass))
}

fn build(builder: &Builder, system: &SystemFile) -> anyhow::Result<Built> {
    let folder = builder.output().join("bench/scale");
    let file = folder.join(format!("{}.toml", system.name()));
    write_if_changed(&file, system.text().as_bytes())?;
    builder.build(&file)
}

fn measure(builder: &Builder, axis: &Axis, amount: u32, rows: &[Row]) -> anyhow::Result<Point> {
    let named = |what: &str| SystemFile::new(&format!("{what}-{}-{amount}", axis.name), BOARD);
    let start = Instant::now();
    let built = build(builder, &(axis.system)(named("x"), amount))?;
    let build_ms = start.elapsed().as_millis();
    let mut measured = Measured::read(&counted_text(&built, GUEST)?)?;
    if let Some(boot) = axis.boot {
        let built = build(builder, &boot(named("b"), amount))?;
        measured.add_boot(&counted_text(&built, GUEST)?)?;
    }
    let elf = built.folder.join("bulkhead.elf");
    let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let sizes = image::sizes(&elf)?;
    measured.add(IMAGE_BYTES, sizes.text + sizes.rodata + sizes.data);
    let wanted = rows
        .iter()
        .filter(|row| row.name != BOOT || axis.boot.is_some());
    let costs = wanted
        .map(|row| {
            let cost = measured.cost(&row.name);
            let cost = cost.with_context(|| format!("{} was not measured", row.name))?;
            Ok((row.name.clone(), cost))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Point {
        amount,
        costs,
        build_ms,
    })
}

impl Point {
    /// `None` when there is no such row.
    fn cost(&self, row: &str) -> Option<u64> {
        let found = self.costs.iter().find(|(name, _)| name == row);
        found.map(|(_, cost)| *cost)
    }
}

impl Series {
    /// Judges the points, which are in ascending order.
    fn new(name: &'static str, points: Vec<Point>, growth: &Growth) -> anyhow::Result<Self> {
        let ends = points.first().zip(points.last());
        let (first, last) = ends.with_context(|| format!("{name} has no points"))?;
        let units = i64::from(last.amount - first.amount).max(1);
        let per_unit = |row: &str| {
            let cost = |point: &Point| point.cost(row).and_then(|cost| i64::try_from(cost).ok());
            let grown = cost(last)
                .zip(cost(first))
                .map(|(last, first)| last - first);
            grown.map(|grown| grown / units)
        };
        let exits = first.costs.iter().map(|(row, _)| row.as_str());
        let exits = exits.filter(|row| ![BOOT, IMAGE_BYTES].contains(row));
        let grown = |row: &str| {
            let costs = || points.iter().filter_map(|point| point.cost(row));
            costs().max().unwrap_or(0) - costs().min().unwrap_or(0)
        };
        let exits_grow = exits.map(grown).max().unwrap_or(0);
        let boot_per_unit = per_unit(BOOT);
        let bytes_per_unit = per_unit(IMAGE_BYTES).context("the image was not measured")?;
        Ok(Self {
            name,
            pass: boot_per_unit.is_none_or(|boot| boot <= growth.boot)
                && bytes_per_unit <= growth.bytes
                && exits_grow <= growth.exits,
            points,
            boot_per_unit,
            bytes_per_unit,
            exits_grow,
        })
    }

    /// For people: a line a row, a column a system.
    fn table(&self) -> String {
        let mut out = format!("{:<18}", self.name);
        for point in &self.points {
            out += &format!(" {:>9}", point.amount);
        }
        out += "\n";
        let rows = self.points.first().map(|point| &point.costs);
        for (row, _) in rows.into_iter().flatten() {
            out += &format!("  {row:<16}");
            for point in &self.points {
                out += &format!(" {:>9}", point.cost(row).unwrap_or(0));
            }
            out += "\n";
        }
        out += &format!("  {:<16}", "build, ms here");
        for point in &self.points {
            out += &format!(" {:>9}", point.build_ms);
        }
        let verdict = if self.pass { "pass" } else { "FAIL" };
        let boot = self.boot_per_unit;
        let boot = boot.map_or(String::new(), |boot| {
            format!("{boot} instructions to boot and ")
        });
        out + &format!(
            "\n  each adds {boot}{} bytes to the image; exits differ by {}: {verdict}\n",
            self.bytes_per_unit, self.exits_grow
        )
    }

    /// Each row over the amount.
    fn chart(&self) -> Chart {
        let rows = self.points.first().map(|point| &point.costs);
        let line = |row: &str| Line {
            name: row.to_owned(),
            points: self
                .points
                .iter()
                .filter_map(|point| {
                    // A logarithmic axis has no 0.
                    let amount = f64::from(point.amount.max(1));
                    Some((amount, point.cost(row)? as f64))
                })
                .collect(),
        };
        Chart {
            name: self.name.to_owned(),
            title: format!("What a system costs as its {} grow", self.name),
            x: match self.name {
                "memory" => "memory of the measured partition, MiB".to_owned(),
                name => name.to_owned(),
            },
            y: "instructions (image: bytes)".to_owned(),
            logarithmic: true,
            lines: rows
                .into_iter()
                .flatten()
                .map(|(row, _)| line(row))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two systems; the second has ten units more, and costs more by this.
    fn series(boot: u64, bytes: u64, exit: u64) -> Series {
        let point = |amount, boot, bytes, exit| Point {
            amount,
            costs: [
                (BOOT, 1000 + boot),
                (IMAGE_BYTES, 1000 + bytes),
                ("exit", exit),
            ]
            .map(|(row, cost)| (row.to_owned(), cost))
            .into(),
            build_ms: 1,
        };
        let points = vec![point(1, 0, 0, 50), point(11, boot, bytes, 50 + exit)];
        let growth = Growth {
            name: "test".to_owned(),
            boot: 100,
            bytes: 10,
            exits: 2,
        };
        Series::new("test", points, &growth).expect("series")
    }

    #[test]
    fn growth_at_its_bounds_passes() {
        let series = series(1000, 100, 2);
        assert!(series.pass);
        assert_eq!(
            (series.boot_per_unit, series.bytes_per_unit),
            (Some(100), 10)
        );
    }

    #[test]
    fn growth_above_any_bound_fails() {
        for (boot, bytes, exit) in [(1010, 0, 0), (0, 110, 0), (0, 0, 3)] {
            let series = series(boot, bytes, exit);
            assert!(
                !series.pass && series.table().contains("FAIL"),
                "{boot} {bytes} {exit}"
            );
        }
    }

    #[test]
    fn every_axis_has_its_bounds_and_each_of_its_systems_another_text() {
        let budget = Budget::read().expect("budget");
        for axis in &AXES {
            assert!(budget.scale.iter().any(|growth| growth.name == axis.name));
            let text = |amount: &u32| (axis.system)(SystemFile::new("s", BOARD), *amount).text();
            let texts: std::collections::BTreeSet<String> = axis.amounts.iter().map(text).collect();
            assert_eq!(texts.len(), axis.amounts.len(), "{}", axis.name);
        }
    }
}
