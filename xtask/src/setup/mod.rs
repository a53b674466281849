//! `cargo xtask setup`: everything that the other verbs need. Every step looks first and does nothing when nothing is missing.

mod install;
mod programs;
mod qemu;
mod rust;

use std::path::{Path, PathBuf};

use ::qemu::debian::cache::Cache;
use ::qemu::debian::part::{
    GRUB_BIOS, GRUB_UEFI, LATENCY, PC_UEFI, Part, U_BOOT, UEFI, UIO_DRIVER, busybox_for,
};
use ::qemu::machine::Architecture;

use crate::steps::Steps;
use crate::toolchain::Toolchain;

/// The kernels that the system tests boot.
pub const TEST_KERNELS: [&str; 3] = [
    "linux-image-cloud-arm64",
    "linux-image-rt-arm64",
    "linux-image-cloud-amd64",
];

/// The kernel package whose compiled device trees the boards of this checkout use.
pub const BOARD_TREES: &str = "linux-image-arm64";

/// The kernel source package whose device trees the boards of this checkout use.
pub const BOARD_SOURCES: &str = "linux-source-6.12";

/// Makes sure that images can be built.
///
/// # Errors
/// No Rust for the boards can be had; the message says what to do by hand.
pub fn rust(steps: Steps, offline: bool) -> anyhow::Result<Toolchain> {
    rust::ensure(steps, offline)
}

/// Makes sure that a QEMU which can run the systems is there.
///
/// # Errors
/// It cannot be installed; the message says what to do by hand.
pub fn qemu(steps: Steps, offline: bool) -> anyhow::Result<()> {
    qemu_for(steps, Architecture::Arm, offline)
}

/// The same for any architecture.
///
/// # Errors
/// See [`qemu()`].
pub fn qemu_for(steps: Steps, architecture: Architecture, offline: bool) -> anyhow::Result<()> {
    qemu::ensure(steps, architecture, offline)
}

/// Makes sure that device trees can be compiled.
///
/// # Errors
/// A program cannot be installed; the message says what to do by hand.
pub fn device_trees(steps: Steps, offline: bool) -> anyhow::Result<()> {
    programs::device_trees(steps, offline)
}

/// Makes sure that files for U-Boot can be made.
///
/// # Errors
/// See [`device_trees`].
pub fn u_boot_files(steps: Steps, offline: bool) -> anyhow::Result<()> {
    programs::u_boot_files(steps, offline)
}

/// Makes sure that a CD-ROM for PCs with one firmware can be made, and says where GRUB's modules are. `package`: [`GRUB_BIOS`] or [`GRUB_UEFI`].
///
/// # Errors
/// A program cannot be installed or the modules cannot be fetched; the message says what to do by hand.
pub fn grub(steps: Steps, cache: &Cache, package: &str, offline: bool) -> anyhow::Result<PathBuf> {
    programs::grub(steps, offline)?;
    part(steps, cache, package, Part::Grub)
}

/// Makes sure that PCs with Intel's virtualization can be emulated.
///
/// # Errors
/// See [`device_trees`].
pub fn bochs(steps: Steps, offline: bool) -> anyhow::Result<()> {
    programs::bochs(steps, offline)
}

/// Makes sure that programs for Linux partitions can be built.
///
/// # Errors
/// The target cannot be added; the message says what to do by hand.
pub fn linux_rust(steps: Steps, offline: bool) -> anyhow::Result<()> {
    rust::ensure_linux(steps, offline)
}

/// Makes sure that the generic UIO driver for the kernel of a package is in the cache, and says where: a folder with its modules.
///
/// # Errors
/// It cannot be fetched or compiled.
pub fn uio(steps: Steps, cache: &Cache, kernel: &str, offline: bool) -> anyhow::Result<PathBuf> {
    part(steps, cache, kernel, Part::Kernel)?;
    // A module is of the very version that was fetched.
    let fetched = cache.fetched(kernel);
    let version = fetched.as_deref().unwrap_or(kernel);
    if cache.has_uio(version) {
        steps.present(&format!("UIO driver for {version} (cached)"));
        return cache.uio(version, Path::new(UIO_DRIVER));
    }
    programs::modules(steps, offline)?;
    let source = part(steps, cache, BOARD_SOURCES, Part::DeviceTreeSources)?.join(UIO_DRIVER);
    let what = format!("compiling the UIO driver for {version} (fetches about 45 MB)");
    steps.doing(&what, || cache.uio(version, &source))
}

/// Makes sure that a part of a Debian package is in the cache, and says where.
///
/// # Errors
/// It cannot be fetched.
pub fn part(steps: Steps, cache: &Cache, package: &str, part: Part) -> anyhow::Result<PathBuf> {
    let what = describe(package, part);
    if cache.has(package, part) {
        steps.present(&format!("{what} (cached)"));
        return cache.get(package, part);
    }
    steps.doing(
        &format!(
            "fetching {what} from Debian's archive into {}",
            cache.folder().display()
        ),
        || cache.get(package, part),
    )
}

/// Makes sure that what Linux's latency is measured with is in the cache.
///
/// # Errors
/// A package cannot be fetched.
pub fn latency(steps: Steps, cache: &Cache) -> anyhow::Result<()> {
    for (package, names) in LATENCY {
        part(steps, cache, package, Part::Binaries(names))?;
    }
    Ok(())
}

fn describe(package: &str, part: Part) -> String {
    match part {
        Part::Kernel => format!("guest kernel {package}"),
        Part::BusyBox => "BusyBox for the guests' root file system".to_owned(),
        Part::UBoot => "U-Boot for QEMU".to_owned(),
        Part::Uefi => "UEFI firmware for QEMU".to_owned(),
        Part::PcUefi => "UEFI firmware for QEMU's PCs".to_owned(),
        Part::Grub => format!("GRUB's modules in {package}"),
        Part::NetworkModules => format!("network modules of the guest kernel {package}"),
        Part::Binaries(names) => format!("{} of {package}", names.join(", ")),
        Part::Xen => format!("{package}, to compare with"),
        Part::DeviceTrees => format!("device trees of boards in {package} (about 90 MB)"),
        Part::DeviceTreeSources => {
            format!("sources of device trees of boards in {package} (about 150 MB)")
        }
    }
}

/// Makes sure that these kernels and the BusyBox of each are in the cache.
///
/// # Errors
/// One cannot be fetched.
pub fn guests(steps: Steps, cache: &Cache, kernels: &[&str]) -> anyhow::Result<()> {
    for &kernel in kernels {
        part(steps, cache, kernel, Part::Kernel)?;
        part(steps, cache, busybox_for(kernel), Part::BusyBox)?;
    }
    Ok(())
}

/// The verb: all of it.
///
/// # Errors
/// Those of the steps. Each step is tried, and every error is told, so that one look shows all that is left to do by hand.
pub fn run(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let cache = Cache::new(&Cache::default_folder()?, offline);
    all([
        rust(steps, offline).map(drop),
        qemu(steps, offline),
        qemu_for(steps, Architecture::Pc, offline),
        guests(steps, &cache, &TEST_KERNELS),
        part(steps, &cache, U_BOOT, Part::UBoot).map(drop),
        part(steps, &cache, UEFI, Part::Uefi).map(drop),
        part(steps, &cache, PC_UEFI, Part::PcUefi).map(drop),
        grub(steps, &cache, GRUB_BIOS, offline).map(drop),
        grub(steps, &cache, GRUB_UEFI, offline).map(drop),
        bochs(steps, offline),
        latency(steps, &cache),
        device_trees(steps, offline),
        u_boot_files(steps, offline),
        part(steps, &cache, BOARD_TREES, Part::DeviceTrees).map(drop),
        part(steps, &cache, BOARD_SOURCES, Part::DeviceTreeSources).map(drop),
        linux_rust(steps, offline),
        uio(steps, &cache, TEST_KERNELS[0], offline).map(drop),
    ])
}

/// Succeeds when every step has; otherwise one error with the messages of all that failed.
fn all<const N: usize>(results: [anyhow::Result<()>; N]) -> anyhow::Result<()> {
    let failed: Vec<String> = results
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\nerror: "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_step_is_told() {
        let error = all([
            Err(anyhow::anyhow!("reason").context("no Rust")),
            Ok(()),
            Err(anyhow::anyhow!("no QEMU")),
        ])
        .expect_err("two steps failed");
        assert_eq!(error.to_string(), "no Rust: reason\nerror: no QEMU");
    }

    #[test]
    fn steps_without_errors_succeed() {
        assert!(all([Ok(()), Ok(())]).is_ok());
    }
}
