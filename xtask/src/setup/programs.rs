//! Programs that make device trees, files for U-Boot, and a module out of a kernel's sources.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use qemu::debian::uio::COMPILER;

use super::install;
use crate::steps::Steps;

/// A program, and the packages that have it.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    debian: &'static str,
    elsewhere: &'static str,
}

const DEVICE_TREES: [Program; 3] = [
    Program {
        name: "dtc",
        debian: "device-tree-compiler",
        elsewhere: "`dtc` (Fedora, Arch, Homebrew)",
    },
    Program {
        name: "cpp",
        debian: "cpp",
        elsewhere: "`cpp` (Fedora), `gcc` (Arch, Homebrew)",
    },
    Program {
        name: "xz",
        debian: "xz-utils",
        elsewhere: "`xz` (Fedora, Arch, Homebrew)",
    },
];

const U_BOOT_FILES: [Program; 2] = [
    Program {
        name: "mkimage",
        debian: "u-boot-tools",
        elsewhere: "`uboot-tools` (Fedora, Arch), `u-boot-tools` (Homebrew)",
    },
    // It runs this one.
    DEVICE_TREES[0],
];

const MODULES: [Program; 2] = [
    Program {
        name: "make",
        debian: "make",
        elsewhere: "`make`",
    },
    Program {
        name: COMPILER,
        debian: COMPILER_PACKAGE,
        elsewhere: "`gcc-aarch64-linux-gnu` (Fedora), `aarch64-linux-gnu-gcc` (Arch)",
    },
];

const GRUB: [Program; 3] = [
    Program {
        name: "grub-mkrescue",
        debian: "grub-common",
        elsewhere: "`grub2-tools-extra` (Fedora), `grub` (Arch)",
    },
    Program {
        name: "xorriso",
        debian: "xorriso",
        elsewhere: "`xorriso` (Fedora), `libisoburn` (Arch)",
    },
    Program {
        name: "mformat",
        debian: "mtools",
        elsewhere: "`mtools`",
    },
];

const BOCHS: [Program; 2] = [
    Program {
        name: "bochs",
        debian: "bochs",
        elsewhere: "`bochs`",
    },
    // Its screen in a terminal. No host has it without the program.
    Program {
        name: "bochs",
        debian: "bochs-term",
        elsewhere: "`bochs`",
    },
];

/// On an Arm host it is the compiler of the host.
#[cfg(target_arch = "aarch64")]
const COMPILER_PACKAGE: &str = "gcc";
#[cfg(not(target_arch = "aarch64"))]
const COMPILER_PACKAGE: &str = "gcc-aarch64-linux-gnu";

/// Makes sure that sources of device trees can be unpacked, preprocessed and compiled.
pub fn device_trees(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let what = "device-tree compiler and C preprocessor (dtc, cpp, xz)";
    ensure(&DEVICE_TREES, what, steps, offline)
}

/// Makes sure that a FIT and a boot script for U-Boot can be made.
pub fn u_boot_files(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let what = "maker of FITs and boot scripts for U-Boot (mkimage, dtc)";
    ensure(&U_BOOT_FILES, what, steps, offline)
}

/// Makes sure that a module of an arm64 kernel can be compiled.
pub fn modules(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let what = "C compiler for modules of arm64 kernels (make, gcc)";
    ensure(&MODULES, what, steps, offline)
}

/// Makes sure that CD-ROMs can be made from which GRUB boots.
pub fn grub(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let what = "programs that make bootable CD-ROMs (grub-mkrescue, xorriso, mformat)";
    ensure(&GRUB, what, steps, offline)
}

/// Makes sure that PCs with Intel's virtualization can be emulated.
pub fn bochs(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let what = "emulator of PCs with Intel's virtualization (bochs)";
    ensure(&BOCHS, what, steps, offline)
}

fn ensure(programs: &[Program], what: &str, steps: Steps, offline: bool) -> anyhow::Result<()> {
    let missing: Vec<&Program> = programs.iter().filter(|one| !one.runs()).collect();
    if missing.is_empty() {
        steps.present(what);
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|one| one.name).collect();
    let packages: Vec<&str> = missing.iter().map(|one| one.debian).collect();
    steps
        .doing(
            &format!(
                "there is no {}: installing {}",
                names.join(", "),
                packages.join(", ")
            ),
            || install::packages(&packages, offline),
        )
        .with_context(|| by_hand(&missing))?;
    match missing.iter().find(|one| !one.runs()) {
        Some(still) => bail!(
            "{} was installed but no `{}` is on the PATH",
            still.debian,
            still.name
        ),
        None => Ok(()),
    }
}

impl Program {
    /// Bochs has no `--version`.
    fn runs(&self) -> bool {
        ["--version", "--help"].iter().any(|argument| {
            Command::new(self.name)
                .arg(argument)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
    }
}

fn by_hand(missing: &[&Program]) -> String {
    let hints: Vec<String> = missing
        .iter()
        .map(|one| format!("`{}` (Debian, Ubuntu), {}", one.debian, one.elsewhere))
        .collect();
    format!("it is needed here. Install {}", hints.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_names_the_package_of_each_missing_program() {
        let hint = by_hand(&[&DEVICE_TREES[0], &DEVICE_TREES[2]]);
        assert!(
            hint.contains("`device-tree-compiler` (Debian, Ubuntu)") && hint.contains("`xz-utils`"),
            "{hint}"
        );
        assert!(!hint.contains("`cpp`"), "{hint}");
    }

    #[test]
    fn program_that_is_not_there_does_not_run() {
        let absent = Program {
            name: "no-such-program-of-bulkhead",
            debian: "",
            elsewhere: "",
        };
        assert!(!absent.runs());
    }
}
