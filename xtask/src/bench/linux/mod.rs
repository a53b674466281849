//! `cargo xtask bench linux`: what Linux measures of itself, on the bare machine and in a partition, by the same kernel and the same programs.
//!
//! Debian's real-time kernel boots on one CPU, runs `cyclictest` and `hackbench`, and its own clock, which counts instructions, tells the rest.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use compiler::{Resources, Source};
use qemu::debian::part::{BUSYBOX, LATENCY, Part};
use qemu::initramfs::{self, Contents, START};
use qemu::machine::Machine;
use qemu::session::{Bootable, Options, Session};
use regex::Regex;
use serde::Serialize;
use systems::costs::{Budget, LinuxRow, Measured};
use systems::system_file::SystemFile;

use super::PATIENCE;
use super::costs::bare;
use crate::build::Builder;
use crate::resources::write_if_changed;
use crate::setup;

const BOARD: &str = "qemu-virt-gicv3";
const KERNEL: &str = "linux-image-rt-arm64";
const COMMAND_LINE: &str = "console=ttyAMA0";
/// Of the machine, and of the partition.
const MEMORY: [&str; 2] = ["256M", "256MiB"];
/// Runs in Linux.
const SCRIPT: &str = include_str!("latency");
/// Its last line.
const END: &str = "latency: (done|FAILED.*)";

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
    bare: u64,
    bulkhead: u64,
    /// Most that it may be in the partition.
    bound: u64,
    pass: bool,
}

/// Measures and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// A package cannot be had, the system does not build, or Linux does not come to the end.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu(builder.steps(), builder.offline())?;
    let folder = builder.output().join("bench/linux");
    let root = root(builder, &folder)?;
    let steps = builder.steps();
    let floor = steps.doing("Linux on the bare machine", || {
        on_bare_machine(builder, &folder, &root)
    })?;
    let ours = steps.doing("Linux in a partition", || {
        in_partition(builder, &folder, &root)
    })?;
    let rows = Budget::read()?.linux;
    let outcome = Outcome::new(rows, &floor, &ours)?;
    let text = serde_json::to_string_pretty(&outcome)?;
    write_if_changed(&folder.join("linux.json"), text.as_bytes())?;
    if json {
        println!("{text}");
    } else {
        print!("{}", outcome.table());
    }
    Ok(u8::from(!outcome.pass))
}

/// The root file system with the programs and the script.
fn root(builder: &Builder, folder: &Path) -> anyhow::Result<PathBuf> {
    let part = |package: &str, part| setup::part(builder.steps(), builder.cache(), package, part);
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut programs = vec![(START.to_owned(), SCRIPT.as_bytes().to_vec())];
    let mut libraries = Vec::new();
    for (package, names) in LATENCY {
        let binaries = part(package, Part::Binaries(names))?;
        for &name in names {
            let is_library = name.contains(".so");
            let list = if is_library {
                &mut libraries
            } else {
                &mut programs
            };
            list.push((name.to_owned(), read(&binaries.join(name))?));
        }
    }
    let contents = Contents {
        modules: &[],
        programs: &programs,
        libraries: &libraries,
    };
    let busybox = read(&part(BUSYBOX, Part::BusyBox)?)?;
    let path = folder.join("initramfs.cpio");
    write_if_changed(&path, &initramfs::build(&busybox, contents))?;
    Ok(path)
}

fn on_bare_machine(builder: &Builder, folder: &Path, root: &Path) -> anyhow::Result<Measured> {
    let machine = bare::machine(builder, BOARD)?;
    // What has no hypervisor starts at EL1. Random seeds in the device tree would place the kernel elsewhere each time, and make no two runs equal.
    let machine = Machine {
        machine: format!("{},virtualization=off,dtb-randomness=off", machine.machine),
        memory: MEMORY[0].to_owned(),
        cpus: Some(1),
        ..machine
    };
    let kernel = builder
        .host()
        .image(&Source::Debian(KERNEL.to_owned()), folder)
        .map_err(|error| anyhow::anyhow!("{KERNEL}: {error}"))?;
    let bootable = Bootable {
        image: kernel,
        elf: None,
        machine,
        partitions: Vec::new(),
        files: Vec::new(),
    };
    let root = root.to_str().context("a path that is no UTF-8")?;
    // Nor may the time of day differ.
    let clock = ["-rtc", "base=2026-01-01,clock=vm"];
    let extra = [["-initrd", root], ["-append", COMMAND_LINE], clock].concat();
    let extra = extra.into_iter().map(str::to_owned).collect();
    let logs = folder.join("bare-logs");
    let mut session = Session::start(&bootable, &options(&logs, extra))?;
    session.wait_until(Some(&Regex::new(END)?), Some(PATIENCE))?;
    session.finish();
    let log = logs.join("console.log");
    let text = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    rows(&String::from_utf8_lossy(&text))
}

fn in_partition(builder: &Builder, folder: &Path, root: &Path) -> anyhow::Result<Measured> {
    let image = format!(
        "{{ kernel = \"debian:{KERNEL}\", initrd = {:?}, cmdline = \"{COMMAND_LINE}\" }}",
        root.display().to_string()
    );
    let system =
        SystemFile::new("linux-latency", BOARD).partition("linux", 1, MEMORY[1], &image, "");
    let file = folder.join("linux-latency.toml");
    write_if_changed(&file, system.text().as_bytes())?;
    let built = builder.build(&file)?;
    let logs = folder.join("logs");
    let mut session = Session::start(&built.bootable()?, &options(&logs, Vec::new()))?;
    session.wait_for("linux", END, PATIENCE)?;
    let text = session.text("linux");
    session.finish();
    rows(&text)
}

fn options(logs: &Path, extra: Vec<String>) -> Options {
    Options {
        icount: true,
        extra,
        ..Options::quiet(logs)
    }
}

/// What the script says.
fn rows(text: &str) -> anyhow::Result<Measured> {
    let line = Regex::new(r"(?m)^latency: (\w+) (\d+)\s*$")?;
    let end = Regex::new(r"(?m)^latency: (done|FAILED.*?)\s*$")?;
    let end = end
        .captures(text)
        .context("Linux did not come to its end")?;
    ensure!(&end[1] == "done", "in Linux: {}", &end[1]);
    let mut measured = Measured::default();
    for found in line.captures_iter(text) {
        measured.add(&found[1], found[2].parse()?);
    }
    Ok(measured)
}

impl Outcome {
    fn new(rows: Vec<LinuxRow>, floor: &Measured, ours: &Measured) -> anyhow::Result<Self> {
        let line = |row: LinuxRow| {
            let cost = |measured: &Measured| {
                let cost = measured.cost(&row.name);
                cost.with_context(|| format!("Linux did not measure {}", row.name))
            };
            let (bare, bulkhead) = (cost(floor)?, cost(ours)?);
            let bound = row.bound(bare);
            Ok(Line {
                bare,
                bulkhead,
                bound,
                pass: bulkhead <= bound,
                name: row.name,
                title: row.title,
            })
        };
        let rows = rows.into_iter().map(line);
        let rows = rows.collect::<anyhow::Result<Vec<Line>>>()?;
        Ok(Self {
            pass: rows.iter().all(|line| line.pass),
            rows,
        })
    }

    /// For people: one line a row.
    fn table(&self) -> String {
        let mut out = format!(
            "{:<46} {:>12} {:>12} {:>6} {:>12}\n",
            "Linux by its own clock, instructions", "bare", "partition", "×", "bound"
        );
        for line in &self.rows {
            let verdict = if line.pass { "pass" } else { "FAIL" };
            // For people, to the third digit.
            #[expect(clippy::cast_precision_loss)]
            let ratio = line.bulkhead as f64 / line.bare.max(1) as f64;
            out += &format!(
                "{:<46} {:>12} {:>12} {ratio:>6.3} {:>12} {verdict}\n",
                line.title, line.bare, line.bulkhead, line.bound
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: u64) -> Measured {
        let mut measured = Measured::default();
        for row in Budget::read().expect("budget").linux {
            measured.add(&row.name, value);
        }
        measured
    }

    #[test]
    fn row_at_its_bound_passes_and_one_above_fails() {
        let rows = || Budget::read().expect("budget").linux;
        let bound = rows().iter().map(|row| row.bound(100_000)).min();
        let bound = bound.expect("rows");
        let same = Outcome::new(rows(), &measured(100_000), &measured(bound));
        assert!(same.expect("rows").pass);
        let most = rows().iter().map(|row| row.bound(100_000)).max();
        let above = measured(most.expect("rows") + 1);
        let above = Outcome::new(rows(), &measured(100_000), &above).expect("rows");
        assert!(above.rows.iter().all(|line| !line.pass));
        assert!(above.table().contains("FAIL"));
    }

    #[test]
    fn rows_that_the_script_prints_are_read_and_a_failure_is_an_error() {
        let text = "noise\r\nlatency: boot 1230000\r\nlatency: Max 77\r\nlatency: done\r\n";
        let rows = rows(text).expect("rows");
        assert_eq!(
            [rows.cost("boot"), rows.cost("Max")],
            [Some(1_230_000), Some(77)]
        );
        let error = super::rows("latency: FAILED: cyclictest: no\r\n").expect_err("failed");
        assert!(error.to_string().contains("cyclictest: no"), "{error}");
        assert!(super::rows("latency: boot 1\n").is_err());
    }
}
