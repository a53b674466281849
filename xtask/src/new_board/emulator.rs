//! The device tree that a QEMU machine hands over: its own, or a given one with the machine's memory and firmware filled in.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use qemu::machine::{BARE, option_value};
use qemu::version::PROGRAM;

use super::Request;
use crate::build::Builder;
use crate::resources::NO_KERNEL;
use crate::setup;

/// CPU model of machines that take any, when the user names none.
const CPU: &str = "cortex-a72";
/// CPUs of machines that make their own tree, when the user names no number.
pub(super) const CPUS: u32 = 4;

/// Asks the machine for its tree; `given` is the board's, for machines that make none.
///
/// # Errors
/// QEMU cannot be had, or refuses the machine.
pub(super) fn tree(
    builder: &Builder,
    request: &Request,
    cpus: Option<u32>,
    given: Option<&[u8]>,
) -> anyhow::Result<Vec<u8>> {
    setup::qemu(builder.steps(), builder.offline())?;
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let (dumped, kernel, board) = (
        folder.path().join("dumped.dtb"),
        folder.path().join("kernel"),
        folder.path().join("board.dtb"),
    );
    let machine = request.machine.as_deref().unwrap_or_default();
    let mut command = Command::new(PROGRAM);
    command
        .arg("-M")
        .arg(format!("{machine},dumpdtb={}", option_value(&dumped)))
        .args(["-m", &format!("{}M", request.ram)])
        .args(BARE)
        .stdin(Stdio::null());
    let free = given.is_none();
    if let Some(cpu) = request.cpu.as_deref().or(free.then_some(CPU)) {
        command.args(["-cpu", cpu]);
    }
    if let Some(cpus) = cpus {
        command.args(["-smp", &cpus.to_string()]);
    }
    // Some machines complete their tree only for a kernel.
    std::fs::write(&kernel, NO_KERNEL).context("cannot write a temporary file")?;
    command.arg("-kernel").arg(&kernel);
    if let Some(tree) = given {
        std::fs::write(&board, tree).context("cannot write a temporary file")?;
        command.arg("-dtb").arg(&board);
    }
    let output = command
        .output()
        .with_context(|| format!("cannot start {PROGRAM}"))?;
    ensure!(
        output.status.success() && dumped.is_file(),
        "QEMU gives no device tree of {machine}: {}\nA machine that makes none needs one: `debian:VENDOR/FILE.dtb`, or a file; --cpu, --cpus and --ram change what it is asked for",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    std::fs::read(&dumped).with_context(|| format!("cannot read {}", dumped.display()))
}
