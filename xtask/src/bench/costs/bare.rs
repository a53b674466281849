//! The floor: the guest `bench` on the machine itself.

use anyhow::Context;
use compiler::{Resources, Source};
use qemu::live::Style;
use qemu::machine::Machine;
use qemu::session::{Bootable, Options, Origin, Session};
use regex::Regex;
use systems::costs::Measured;

use crate::bench::PATIENCE;
use crate::build::Builder;
use crate::resources::command_line;

/// Runs the guest on two CPUs, and on one for the time that boot takes.
///
/// # Errors
/// The guest does not build or does not measure.
pub fn measure(builder: &Builder, board: &str) -> anyhow::Result<Measured> {
    let machine = machine(builder, board)?;
    // What has no hypervisor starts at EL1.
    let machine = Machine {
        machine: format!("{},virtualization=off", machine.machine),
        ..machine
    };
    let text = |cpus| {
        let bootable = Bootable {
            image: guest(builder)?,
            elf: None,
            machine: Machine {
                cpus: Some(cpus),
                ..machine.clone()
            },
            partitions: Vec::new(),
            files: Vec::new(),
        };
        console(builder, &bootable, Vec::new())
    };
    let mut measured = Measured::read(&text(2)?)?;
    measured.add_boot(&text(1)?)?;
    Ok(measured)
}

/// The ELF file of the guest.
pub fn guest(builder: &Builder) -> anyhow::Result<std::path::PathBuf> {
    let source = Source::Guest("bench".to_owned());
    builder
        .host()
        .image(&source, builder.workspace().root())
        .map_err(|error| anyhow::anyhow!("the guest bench: {error:?}"))
}

/// The machine that the board is.
pub fn machine(builder: &Builder, board: &str) -> anyhow::Result<Machine> {
    let machine = builder.board_toml(board)?.qemu.as_ref().map(command_line);
    machine.with_context(|| format!("QEMU has no machine for the board {board}"))
}

/// Everything that the machine prints until `bench` is done, with instructions counted.
///
/// # Errors
/// QEMU does not run, or the guest does not come to its end.
pub fn console(
    builder: &Builder,
    bootable: &Bootable,
    extra: Vec<String>,
) -> anyhow::Result<String> {
    let logs = builder.output().join("bench/costs/logs");
    let options = Options {
        icount: true,
        cpu: None,
        origin: Origin::Loaded,
        extra,
        logs: Some(logs.clone()),
        style: Style::Quiet,
    };
    let mut session = Session::start(bootable, &options)?;
    let end = Regex::new(r"bench: (done|FAILED)")?;
    session.wait_until(Some(&end), Some(PATIENCE))?;
    session.finish();
    let log = logs.join("console.log");
    let text = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    anyhow::ensure!(
        text.contains("bench: done"),
        "the guest bench did not come to its end: see {}",
        log.display()
    );
    Ok(text)
}
