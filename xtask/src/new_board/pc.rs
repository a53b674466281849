//! The dump of a PC that QEMU is: Linux is started there, and runs the script that a user runs on a real one.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use qemu::debian::part::{PC_BUSYBOX, Part};
use qemu::initramfs::{self, Contents};
use qemu::machine::{Architecture, BARE};

use super::Request;
use crate::build::Builder;
use crate::setup;

/// The script.
const SCRIPT: &str = include_str!("../../../x86-port/boards/dump.sh");
/// Its first line begins so, and this is its last one.
const FIRST: &str = "# ACPI tables";
const LAST: &str = "# end";
/// What runs it.
const KERNEL: &str = "linux-image-cloud-amd64";
/// The console of that Linux, which says as little as it can.
const COMMAND_LINE: &str = "console=ttyS0,115200 quiet loglevel=0 panic=-1";
/// A dump takes some seconds; a host can be slow.
const LIMIT: Duration = Duration::from_secs(180);
/// More than any dump has.
const MOST_BYTES: u64 = 16 << 20;
const CPU: &str = "max";

/// True for a machine of QEMU's that is a PC.
pub(super) fn is_pc(machine: &str) -> bool {
    let name = machine.split(',').next().unwrap_or_default();
    matches!(name, "q35" | "pc") || name.starts_with("pc-")
}

/// QEMU, ended whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the machine that was asked for, and takes its dump.
///
/// # Errors
/// QEMU, the kernel or BusyBox cannot be had, or no whole dump comes within three minutes.
pub(super) fn dump(builder: &Builder, request: &Request, cpus: u32) -> anyhow::Result<Vec<u8>> {
    let steps = builder.steps();
    setup::qemu_for(steps, Architecture::Pc, builder.offline())?;
    let kernel = setup::part(steps, builder.cache(), KERNEL, Part::Kernel)?;
    let busybox = setup::part(steps, builder.cache(), PC_BUSYBOX, Part::BusyBox)?;
    let busybox =
        std::fs::read(&busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let initrd = folder.path().join("initrd.cpio");
    let programs = [(initramfs::START.to_owned(), SCRIPT.as_bytes().to_vec())];
    let contents = Contents {
        programs: &programs,
        ..Contents::default()
    };
    std::fs::write(&initrd, initramfs::build(&busybox, contents))
        .context("cannot write a temporary file")?;
    let mut command = Command::new(Architecture::Pc.program());
    command
        .args(["-M", request.machine.as_deref().unwrap_or_default()])
        .args(["-cpu", request.cpu.as_deref().unwrap_or(CPU)])
        .args(["-smp", &cpus.to_string()])
        .args(["-m", &format!("{}M", request.ram)])
        .args(BARE)
        .args(request.device.iter().flat_map(|device| ["-device", device]))
        .args(["-serial", "stdio", "-no-reboot", "-append", COMMAND_LINE])
        .arg("-kernel")
        .arg(&kernel)
        .arg("-initrd")
        .arg(&initrd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", Architecture::Pc.program()))?;
    let mut running = Running(child);
    let output = running.0.stdout.take().context("QEMU has no output")?;
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || drop(sender.send(lines(output))));
    let dump = receiver.recv_timeout(LIMIT);
    drop(running);
    let _ = reader.join();
    let (dump, whole) = dump.context("Linux on the machine prints no dump within three minutes")?;
    ensure!(
        whole,
        "Linux on the machine prints no whole dump; it ends with:\n{}",
        dump.lines().rev().take(5).collect::<Vec<_>>().join("\n")
    );
    Ok(dump.into_bytes())
}

/// The lines of the dump, and whether it is whole.
fn lines(output: impl Read) -> (String, bool) {
    let mut dump = String::new();
    let mut reader = BufReader::new(output.take(MOST_BYTES));
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.starts_with(FIRST) {
            dump.clear();
        }
        dump.push_str(text);
        dump.push('\n');
        if text == LAST {
            return (dump, true);
        }
        line.clear();
    }
    (dump, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_firmware_and_kernel_print_before_is_no_part_of_the_dump() {
        let said = "SeaBIOS\r\n\r\n# ACPI tables, …\r\nAPIC @ 0x0\r\n# end\r\nshell\r\n";
        let dump = "# ACPI tables, …\nAPIC @ 0x0\n# end\n".to_owned();
        assert_eq!(lines(said.as_bytes()), (dump, true));
        assert!(!lines(&said.as_bytes()[..30]).1);
    }

    #[test]
    fn machines_that_are_pcs_are_known_by_their_names() {
        for (machine, expected) in [
            ("q35,kernel-irqchip=split", true),
            ("pc-q35-10.0", true),
            ("virt,gic-version=3", false),
            ("", false),
        ] {
            assert_eq!(is_pc(machine), expected, "{machine}");
        }
    }

    #[test]
    fn script_begins_and_ends_as_it_is_waited_for() {
        assert!(SCRIPT.contains(&format!("echo '{FIRST}")));
        assert!(SCRIPT.ends_with(&format!("echo '{LAST}'\n")));
    }
}
