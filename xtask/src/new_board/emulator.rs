//! The device tree that a QEMU machine hands over: its own, or a given one with the machine's memory and firmware filled in.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use qemu::machine::{BARE, option_value};
use qemu::version::PROGRAM;

use super::Request;
use crate::build::Builder;
use crate::command;
use crate::resources::NO_KERNEL;
use crate::setup;

/// CPU model of machines that take any, when the user names none.
const CPU: &str = "cortex-a72";
/// CPUs of machines that make their own tree, when the user names no number.
pub(super) const CPUS: u32 = 4;

/// The machine with its switch for EL2 on, where it has one and the user says nothing of it: without EL2 there is nothing to run on.
///
/// # Errors
/// QEMU cannot be had.
pub(super) fn with_el2(builder: &Builder, machine: &str) -> anyhow::Result<String> {
    setup::qemu(builder.steps(), builder.offline())?;
    let name = machine.split(',').next().unwrap_or_default();
    let mut help = Command::new(PROGRAM);
    help.args(["-M", &format!("{name},help")]);
    // A machine that QEMU does not know is told of when its tree is asked for.
    let options = command::output(&mut help).unwrap_or_default();
    Ok(switched_on(machine, &options))
}

fn switched_on(machine: &str, options: &str) -> String {
    const SWITCH: &str = "virtualization=";
    let has = |line: &str| line.trim_start().starts_with(SWITCH);
    if machine.contains(SWITCH) || !options.lines().any(has) {
        return machine.to_owned();
    }
    format!("{machine},{SWITCH}on")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn el2_is_switched_on_where_the_machine_has_a_switch_and_nobody_has_set_it() {
        let virt =
            "virt options:\n  usb=<bool>             - USB\n  virtualization=<bool>  - EL2\n";
        for (machine, options, expected) in [
            (
                "virt,gic-version=3",
                virt,
                "virt,gic-version=3,virtualization=on",
            ),
            ("virt,virtualization=off", virt, "virt,virtualization=off"),
            ("raspi4b", "raspi4b options:\n  usb=<bool>\n", "raspi4b"),
        ] {
            assert_eq!(switched_on(machine, options), expected);
        }
    }
}
