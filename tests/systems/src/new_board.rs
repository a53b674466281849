//! Boards that no folder of this repository describes: what `cargo xtask new-board` drafts runs as it is, or says why it cannot.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use compiler::PcBoard;

use crate::bench::Bench;
use crate::registry::{Need, Test};

/// What the smallest system says when it is up, behind the partition's name and before the interrupt controller.
const UP: &str = "hello: 16 MiB RAM, 1 CPUs";

/// A machine, and what becomes of it.
struct Case {
    name: &'static str,
    /// What `new-board` is asked for.
    arguments: &'static [&'static str],
    /// What it finds.
    found: &'static [&'static str],
    /// What ends the run of the drafted system.
    until: &'static str,
    /// What its self-check says before.
    checked: &'static [&'static str],
}

const GICV2: Case = Case {
    name: "gicv2",
    arguments: &[
        "--machine",
        "virt,gic-version=2,highmem=off",
        "--cpu",
        "cortex-a53",
        "--cpus",
        "3",
        "--ram",
        "768",
    ],
    found: &[
        "3 × arm,cortex-a53",
        "768MiB at 0x40000000",
        "GICv2 at 0x8000000",
        "PL011",
    ],
    until: UP,
    checked: &["check ok: CPU 0x0: virtual interrupts reach EL1"],
};

/// QEMU 10.0's model of this board wires no virtual interrupts to its CPUs: without the self-check guests would stand still.
const INCOMPLETE: Case = Case {
    name: "imx8mp",
    arguments: &["debian:freescale/imx8mp-evk.dtb", "--machine", "imx8mp-evk"],
    found: &["4 × arm,cortex-a53", "GICv3 at 0x38800000"],
    until: "stop: the self-check has found 1 difference",
    checked: &[
        "check ok: CPU 0x0: the virtual timer raises interrupt 27",
        "check DIFFERS: CPU 0x0: the GIC's virtual interrupts do not reach the CPU",
    ],
};

pub fn tests() -> Vec<Test> {
    let test = |case: &'static Case| {
        Test::new(
            format!("new-board/{}", case.name),
            &["boards", "cli"],
            move |bench| drafted_system_ends_as_expected(bench, case),
        )
    };
    vec![
        test(&GICV2),
        // Its tree is in the package of this one's.
        test(&INCOMPLETE).needs(Need::Board("raspi4b")),
        Test::new(
            "new-board/pc",
            &["boards", "cli", "x86", "acpi"],
            drafted_pc_is_the_one_of_this_checkout,
        )
        .needs(Need::Pc)
        .needs(Need::Kernel("linux-image-cloud-amd64")),
    ]
}

/// The folders of a board that is made and removed again, whatever happens.
struct Folders([PathBuf; 3]);

impl Folders {
    fn new(root: &Path, board: &str) -> Self {
        let folders = ["configs", "platforms/boards", "x86-port/boards"];
        let folders = Self(folders.map(|folder| root.join(folder).join(board)));
        // What a run that was killed has left.
        folders.remove();
        folders
    }

    fn remove(&self) {
        for folder in &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        self.remove();
    }
}

fn drafted_system_ends_as_expected(bench: &Bench<'_>, case: &Case) -> anyhow::Result<()> {
    let board = format!("test-{}", case.name);
    let folders = Folders::new(bench.root(), &board);
    let common = ["--offline", "new-board", "--name", &board];
    let said = succeed(bench, &[&common, case.arguments].concat())?;
    for found in case.found {
        ensure!(said.contains(found), "{found} was not found:\n{said}");
    }
    let said = run_hello(bench, &folders, case.until)?;
    for line in case.checked {
        ensure!(said.contains(line), "{line:?} was not said:\n{said}");
    }
    Ok(())
}

/// Runs the smallest system of a drafted board.
fn run_hello(bench: &Bench<'_>, folders: &Folders, until: &str) -> anyhow::Result<String> {
    let system = folders.0[0].join("hello.toml");
    let system = system.to_string_lossy();
    let run = [
        "--offline",
        "run",
        &system,
        "--timeout",
        "60",
        "--until",
        until,
    ];
    succeed(bench, &run)
}

/// Linux on the machine of a PC's board dumps it, and the board that is drafted from the dump is that board.
fn drafted_pc_is_the_one_of_this_checkout(bench: &Bench<'_>) -> anyhow::Result<()> {
    let (name, model) = ("test-pc", "x86-qemu-vtd");
    let folders = Folders::new(bench.root(), name);
    let expected = pc_board(
        &bench.root().join("x86-port/boards").join(model),
        str::to_owned,
    )?;
    let machine = expected.qemu.as_ref().context("the board has no machine")?;
    let ram = (machine.memory_bytes >> 20).to_string();
    let cpus = expected.cpus.len().to_string();
    let mut arguments = vec!["--offline", "new-board", "--name", name];
    arguments.extend(["--machine", &machine.machine, "--cpu", &machine.cpu]);
    arguments.extend(["--cpus", &cpus, "--ram", &ram]);
    let devices = machine.devices.iter();
    arguments.extend(devices.flat_map(|device| ["--device", device]));
    let said = succeed(bench, &arguments)?;
    for found in ["4 (x2APIC 0, 1, 2, 3)", "VT-d at 0xfed90000"] {
        ensure!(said.contains(found), "{found} was not found:\n{said}");
    }
    // What is offered is given away.
    let drafted = pc_board(&folders.0[2], |text| {
        text.replace("#   { function", "{ function")
    })?;
    let drafted = PcBoard {
        name: expected.name.clone(),
        description: expected.description.clone(),
        ..drafted
    };
    ensure!(
        drafted == expected,
        "the dump makes another board:\n{drafted:#?}\nand not\n{expected:#?}"
    );
    run_hello(bench, &folders, "hello: from 64-bit mode").map(drop)
}

/// The board of a folder, with its file as `change` makes it.
fn pc_board(folder: &Path, change: impl Fn(&str) -> String) -> anyhow::Result<PcBoard> {
    let path = folder.join("board.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let text = change(&text);
    let tables = compiler::pc_tables(&text).context("the board names no tables")?;
    let tables = std::fs::read(folder.join(tables)).context("cannot read the tables")?;
    let board = compiler::read_pc_board(&text, &path, Some(&tables));
    board.map_err(|findings| anyhow::anyhow!("{findings}"))
}

/// What the command line prints.
fn succeed(bench: &Bench<'_>, arguments: &[&str]) -> anyhow::Result<String> {
    let output = bench.xtask(arguments)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}{errors}");
    Ok(said)
}
