//! `cargo xtask new-board`: a board's folder and its first systems, drafted from its device tree, or for a PC from a dump of its ACPI tables.

mod emulator;
mod pc;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use compiler::{
    Emulator, MemoryBank, NewBoard, NewBoardRequest, TABLES_FILE, TREE_FILE, TreeSource,
};
use qemu::debian::part::Part;

use crate::build::{Builder, Diagnosed, colour};
use crate::setup;

/// Says that a tree is one of Debian's kernel package.
const DEBIAN: &str = "debian:";

/// What the user asked for.
#[derive(Clone, clap::Args)]
pub struct Request {
    /// The board's device tree: a .dtb or .dts file, or `debian:VENDOR/FILE.dtb` of Debian's kernel package. Of a PC: what x86-port/boards/dump.sh prints there. May be left out for a QEMU machine that makes its own.
    tree: Option<String>,
    /// The board's name; by default the tree gives it.
    #[arg(long)]
    name: Option<String>,
    /// Where the boot loader puts the image: a multiple of 2 MiB.
    #[arg(long, value_name = "ADDRESS")]
    load: Option<String>,
    /// The serial port that is the console: a label, an alias or a full path of the tree; of a PC its I/O port, as 0x3f8.
    #[arg(long, value_name = "DEVICE")]
    console: Option<String>,
    /// A bank of RAM, where firmware fills it into the tree: 0x80000000+2GiB. Repeat it for each.
    #[arg(long, value_name = "ADDRESS+SIZE")]
    memory: Vec<String>,
    /// The QEMU machine that is the board, with its options: `virt,gic-version=3`. EL2 is switched on where the machine has a switch for it.
    #[arg(long)]
    machine: Option<String>,
    /// QEMU's CPU model; by default the one that the tree names.
    #[arg(long, requires = "machine")]
    cpu: Option<String>,
    /// CPUs of the QEMU machine; by default its own number, or 4 when it makes the tree.
    #[arg(long, requires = "machine")]
    cpus: Option<u32>,
    /// A device beside the QEMU machine's own: its `-device`. Repeat it for each. Only for PCs.
    #[arg(long, requires = "machine")]
    device: Vec<String>,
    /// RAM of the QEMU machine in MiB.
    #[arg(long, requires = "machine", default_value_t = 2048)]
    ram: u32,
}

/// Drafts the board, writes its files, and checks its systems.
///
/// # Errors
/// The tree cannot be had or the board cannot be used, or it is there already. Nothing is written then.
pub fn run(builder: &Builder, request: &Request) -> anyhow::Result<u8> {
    let mut request = request.clone();
    let is_pc = request.machine.as_deref().is_some_and(pc::is_pc);
    ensure!(
        is_pc || request.device.is_empty(),
        "--device is for PCs: devices of other machines are in their device trees"
    );
    if let Some(machine) = request.machine.as_mut().filter(|_| !is_pc) {
        *machine = emulator::with_el2(builder, machine)?;
    }
    let request = &request;
    let (tree, source, cpus) = tree(builder, request)?;
    let memory = request.memory.iter().map(|text| bank(text));
    let memory = memory.collect::<anyhow::Result<Vec<MemoryBank>>>()?;
    let load = request.load.as_deref().map(load).transpose()?;
    let origin = request.tree.as_deref().or(request.machine.as_deref());
    let machine = request.machine.as_deref();
    let drafted = compiler::new_board(&NewBoardRequest {
        tree: &tree,
        origin: Path::new(origin.unwrap_or_default()),
        source: source.clone(),
        name: request.name.as_deref(),
        load,
        console: request.console.as_deref(),
        memory: &memory,
        machine: machine.map(|machine| Emulator {
            machine,
            cpu: request.cpu.as_deref(),
            cpus,
            memory_bytes: u64::from(request.ram) << 20,
            devices: &request.device,
        }),
    })
    .map_err(Diagnosed)?;
    let kept = match &drafted.tables {
        Some(tables) => Some((TABLES_FILE, tables.as_bytes())),
        None => (source == compiler::kept_tree()).then_some((TREE_FILE, tree.as_slice())),
    };
    let systems = write(builder, &drafted, kept)?;
    show(builder, &drafted, &systems);
    check(builder, &systems)
}

/// The device tree, what `[tree]` says of it, and how many CPUs QEMU's machine was given.
fn tree(
    builder: &Builder,
    request: &Request,
) -> anyhow::Result<(Vec<u8>, TreeSource, Option<u32>)> {
    let Some(name) = &request.tree else {
        ensure!(
            request.machine.is_some(),
            "name a device tree, or a QEMU machine that makes its own by --machine"
        );
        let cpus = request.cpus.or(Some(emulator::CPUS));
        if request.machine.as_deref().is_some_and(pc::is_pc) {
            let dump = pc::dump(builder, request, cpus.unwrap_or(emulator::CPUS))?;
            return Ok((dump, TreeSource::Qemu, cpus));
        }
        let tree = emulator::tree(builder, request, cpus, None)?;
        return Ok((tree, TreeSource::Qemu, cpus));
    };
    let tree = match name.strip_prefix(DEBIAN) {
        Some(path) => packaged(builder, Path::new(path))?,
        None => builder.host().tree_file(Path::new(name))?,
    };
    if request.machine.is_some() {
        ensure!(
            !request.machine.as_deref().is_some_and(pc::is_pc),
            "give either a dump or a PC of QEMU's, which is dumped itself"
        );
        // What the machine hands over: memory and firmware of its own.
        let tree = emulator::tree(builder, request, request.cpus, Some(&tree))?;
        return Ok((tree, compiler::kept_tree(), request.cpus));
    }
    let source = match name.strip_prefix(DEBIAN) {
        Some(path) => TreeSource::Package {
            package: setup::BOARD_TREES.to_owned(),
            path: path.into(),
        },
        None => compiler::kept_tree(),
    };
    Ok((tree, source, None))
}

fn packaged(builder: &Builder, path: &Path) -> anyhow::Result<Vec<u8>> {
    let trees = setup::part(
        builder.steps(),
        builder.cache(),
        setup::BOARD_TREES,
        Part::DeviceTrees,
    )?;
    let file = trees.join(path);
    std::fs::read(&file).with_context(|| {
        format!(
            "{} has no {}; its device trees are in {}",
            setup::BOARD_TREES,
            path.display(),
            trees.display()
        )
    })
}

fn bank(text: &str) -> anyhow::Result<MemoryBank> {
    compiler::parse_memory(text).with_context(|| {
        format!("`{text}` is no bank of memory: write its address and size, like 0x80000000+2GiB")
    })
}

fn load(text: &str) -> anyhow::Result<u64> {
    let address = compiler::parse_load(text)
        .with_context(|| format!("`{text}` is no address: write one like 0x40200000"))?;
    ensure!(
        address.is_multiple_of(2 << 20),
        "{text} is no multiple of 2 MiB: an arm64 Image is loaded at one"
    );
    Ok(address)
}

/// A board's folder.
fn folder(builder: &Builder, drafted: &NewBoard) -> PathBuf {
    match drafted.tables {
        Some(_) => builder.workspace().pc(&drafted.name),
        None => builder.workspace().board(&drafted.name),
    }
}

/// Writes the board's files, and the one that is kept beside them. Returns where the systems are.
fn write(
    builder: &Builder,
    drafted: &NewBoard,
    kept: Option<(&str, &[u8])>,
) -> anyhow::Result<Vec<PathBuf>> {
    let name = &drafted.name;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure!(
        !name.is_empty() && name.chars().all(is_name) && !name.starts_with('-'),
        "`{name}` is no name of a board: use lower-case letters, digits and `-`, and begin with none"
    );
    let board = folder(builder, drafted);
    let configs = builder.workspace().systems(name);
    for folder in [&board, &configs] {
        if folder.exists() {
            bail!(
                "{} exists already; take another name by --name, or remove it",
                builder.workspace().shown(folder)
            );
        }
    }
    let put = |path: PathBuf, content: &[u8]| {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        std::fs::write(&path, content)
            .with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(path)
    };
    put(board.join("board.toml"), drafted.board_toml.as_bytes())?;
    if let Some((file, content)) = kept {
        put(board.join(file), content)?;
    }
    drafted
        .systems
        .iter()
        .map(|(file, text)| put(configs.join(file), text.as_bytes()))
        .collect()
}

fn show(builder: &Builder, drafted: &NewBoard, systems: &[PathBuf]) {
    for (what, found) in &drafted.facts {
        println!("  {what:<10}{found}");
    }
    let silent = match drafted.tables {
        Some(_) => "tables do",
        None => "device tree does",
    };
    println!("\nWhat the {silent} not say:");
    for one in &drafted.open {
        println!("  - {one}");
    }
    let board = folder(builder, drafted).join("board.toml");
    println!("\nWritten: {}", builder.workspace().shown(&board));
    for system in systems {
        println!("         {}", builder.workspace().shown(system));
    }
}

/// Checks the systems. A system with errors stays: its text is where mending begins.
fn check(builder: &Builder, systems: &[PathBuf]) -> anyhow::Result<u8> {
    let mut status = 0;
    for system in systems {
        let shown = builder.workspace().shown(system);
        match compiler::prove(system, &builder.host()) {
            Ok(proof) => {
                eprint!("{}", proof.warnings.render(colour()));
                println!("\n{}", proof.summary());
            }
            Err(findings) => {
                eprint!("\n{shown} is not right yet:\n{}", findings.render(colour()));
                status = 1;
            }
        }
    }
    if let [first, ..] = systems {
        println!(
            "Next: cargo xtask build {} (or run, for a QEMU machine), then docs/bring-up.md",
            builder.workspace().shown(first)
        );
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_is_no_multiple_of_2_mib_is_refused() {
        assert_eq!(load("0x4020_0000").unwrap(), 0x4020_0000);
        for (text, what) in [("0x40080000", "2 MiB"), ("4020", "no address")] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn memory_without_a_unit_is_refused_with_an_example() {
        let error = bank("0x80000000+2").unwrap_err().to_string();
        assert!(error.contains("like 0x80000000+2GiB"), "{error}");
    }
}
