//! CD-ROMs from which GRUB starts an image on a PC, by the Multiboot2 protocol.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use qemu::debian::part::{GRUB_BIOS, GRUB_UEFI, PC_UEFI, Part};
use systems::bench::{Cdrom, Firmware};

use crate::build::Builder;
use crate::command;
use crate::setup;

/// What GRUB does. It speaks through the serial port: the machine has no screen.
const CONFIGURATION: &str = "serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo GRUB loads the image
multiboot2 /boot/bulkhead.img
boot
";

/// Modules that are there before GRUB reads its configuration.
const MODULES: &str = "--install-modules=normal iso9660 multiboot2 serial echo";

/// The package with GRUB's modules for a firmware.
const fn package(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => GRUB_BIOS,
        Firmware::Uefi => GRUB_UEFI,
    }
}

/// Makes sure that [`cdrom`] works.
///
/// # Errors
/// A program cannot be installed or a package cannot be fetched.
pub fn provide(builder: &Builder, firmware: Firmware) -> anyhow::Result<()> {
    parts(builder, firmware).map(drop)
}

/// GRUB's modules, and the firmware's file where QEMU does not bring it along.
fn parts(builder: &Builder, firmware: Firmware) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let (steps, cache) = (builder.steps(), builder.cache());
    let modules = setup::grub(steps, cache, package(firmware), builder.offline())?;
    let file = match firmware {
        Firmware::Bios => None,
        Firmware::Uefi => Some(setup::part(steps, cache, PC_UEFI, Part::PcUefi)?),
    };
    Ok((modules, file))
}

/// Makes a CD-ROM with `image` in `folder`.
///
/// # Errors
/// A program or GRUB's modules cannot be had, or the folder cannot be written.
pub fn cdrom(
    builder: &Builder,
    image: &Path,
    firmware: Firmware,
    folder: &Path,
) -> anyhow::Result<Cdrom> {
    let (modules, firmware) = parts(builder, firmware)?;
    let files = folder.join("cdrom");
    let boot = files.join("boot/grub");
    std::fs::create_dir_all(&boot).with_context(|| format!("cannot create {}", boot.display()))?;
    std::fs::write(boot.join("grub.cfg"), CONFIGURATION)
        .with_context(|| format!("cannot write into {}", boot.display()))?;
    let copy = files.join("boot/bulkhead.img");
    std::fs::copy(image, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    let file = folder.join("bulkhead.iso");
    let mut make = Command::new("grub-mkrescue");
    make.arg("--directory").arg(&modules);
    make.args([MODULES, "--fonts=", "--locales=", "--themes="]);
    make.arg("--output").arg(&file).arg(&files);
    command::run(&mut make)?;
    Ok(Cdrom { file, firmware })
}
