//! `cargo xtask bench scale`: what exits, boot and image cost as a system grows, one axis at a time, and that nothing grows faster than it must.
//!
//! The guest `bench` measures; what is added beside it is at rest, so its exits may not become dearer. Boot and image may grow with each unit by
//! as much as `costs.toml` says.

use std::time::Instant;

use anyhow::Context;
use rtds_experiments::{Chart, Line};
use serde::Serialize;
use systems::costs::{BOOT, Budget, Growth, IMAGE_BYTES, Measured};
use systems::system_file::SystemFile;

use super::{chart, counted_text};
use crate::build::Builder;
use crate::image;
use crate::resources::write_if_changed;
use crate::setup;

const BOARD: &str = "qemu-virt-gicv3";
/// Has the same guest.
const SHARED: &str = "configs/qemu-virt-gicv3/bench.toml";
/// The guest, and its last line.
const GUEST: [&str; 2] = ["bench", "^bench: (done|FAILED.*)$"];
/// Pages of transports of QEMU's `virt`, eight of which are in a page; each has an interrupt.
const TRANSPORTS: u64 = 0x0a00_0000;
const TRANSPORT_BYTES: u64 = 0x200;

/// How a system grows.
struct Axis {
    /// As in `costs.toml`.
    name: &'static str,
    /// How much of it there is, in ascending order.
    amounts: &'static [u32],
    /// The system with so much of it.
    system: fn(SystemFile, u32) -> SystemFile,
}

const AXES: [Axis; 5] = [
    Axis {
        name: "partitions",
        amounts: &[2, 4, 8, 16],
        system: partitions,
    },
    Axis {
        name: "vcpus",
        amounts: &[2, 4, 6, 8],
        system: |system, vcpus| system.guest("bench", "bench", vcpus),
    },
    Axis {
        name: "interrupts",
        amounts: &[0, 8, 16, 32],
        system: interrupts,
    },
    Axis {
        name: "channels",
        amounts: &[1, 4, 16],
        system: channels,
    },
    Axis {
        name: "memory",
        amounts: &[16, 64, 256, 1024],
        system: |system, mebibytes| {
            let memory = format!("{mebibytes}MiB");
            system.partition("bench", 2, &memory, "\"guest:bench\"", "")
        },
    },
];

/// The measured one has CPUs of its own; the others share one, and have ended when it measures.
fn partitions(system: SystemFile, partitions: u32) -> SystemFile {
    let mut system = system
        .guest("bench", "bench", 2)
        .pool("others", &[2], "\"rtds\"");
    for number in 1..partitions {
        let turns = "period = \"10ms\"\nbudget = \"500us\"\n";
        system = system.guest_in("others", &format!("hello-{number}"), "hello", 1, turns);
    }
    system
}

fn interrupts(system: SystemFile, interrupts: u32) -> SystemFile {
    let devices = (0..u64::from(interrupts))
        .map(|number| {
            let address = TRANSPORTS + number * TRANSPORT_BYTES;
            format!("\"/virtio_mmio@{address:x}\"")
        })
        .collect::<Vec<_>>()
        .join(", ");
    let more = match interrupts {
        0 => String::new(),
        _ => format!("dma = \"trusted\"\ndevices = [{devices}]\n"),
    };
    system.placed("bench", 2, "16MiB", None, "\"guest:bench\"", &more)
}

fn channels(system: SystemFile, channels: u32) -> SystemFile {
    let mut system = system.guest("bench", "bench", 2).guest("hello", "hello", 1);
    for number in 1..=channels {
        let ends = ["{ partition = \"bench\" }", "{ partition = \"hello\" }"];
        system = system.channel(&format!("channel-{number}"), "4KiB", &ends);
    }
    system
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
    boot_per_unit: i64,
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
            let rows = &budget.rows;
            let point = builder.steps().doing(&what, || {
                let names = rows.iter().map(|row| row.name.as_str());
                measure(builder, axis, *amount, names)
            })?;
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

fn measure<'a>(
    builder: &Builder,
    axis: &Axis,
    amount: u32,
    rows: impl Iterator<Item = &'a str>,
) -> anyhow::Result<Point> {
    let system = SystemFile::new(&format!("{}-{amount}", axis.name), BOARD);
    let system = (axis.system)(system, amount);
    let folder = builder.output().join("bench/scale");
    let file = folder.join(format!("{}.toml", system.name()));
    write_if_changed(&file, system.text().as_bytes())?;
    let start = Instant::now();
    let built = builder.build(&file)?;
    let build_ms = start.elapsed().as_millis();
    let text = counted_text(&built, GUEST)?;
    let mut measured = Measured::read(&text)?;
    measured.add_boot(&text)?;
    let elf = built.folder.join("bulkhead.elf");
    let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let sizes = image::sizes(&elf)?;
    measured.add(IMAGE_BYTES, sizes.text + sizes.rodata + sizes.data);
    let cost = |row: &str| Some((row.to_owned(), measured.cost(row)?));
    let costs = rows
        .map(|row| cost(row).with_context(|| format!("{row} was not measured")))
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
            grown
                .map(|grown| grown / units)
                .with_context(|| format!("{row} was not measured"))
        };
        let exits = first.costs.iter().map(|(row, _)| row.as_str());
        let exits = exits.filter(|row| ![BOOT, IMAGE_BYTES].contains(row));
        let grown = |row: &str| {
            let costs = || points.iter().filter_map(|point| point.cost(row));
            costs().max().unwrap_or(0) - costs().min().unwrap_or(0)
        };
        let exits_grow = exits.map(grown).max().unwrap_or(0);
        let (boot_per_unit, bytes_per_unit) = (per_unit(BOOT)?, per_unit(IMAGE_BYTES)?);
        Ok(Self {
            name,
            pass: boot_per_unit <= growth.boot
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
        out + &format!(
            "\n  each adds {} instructions to boot and {} bytes; exits differ by {}: {verdict}\n",
            self.boot_per_unit, self.bytes_per_unit, self.exits_grow
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
        assert_eq!((series.boot_per_unit, series.bytes_per_unit), (100, 10));
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
