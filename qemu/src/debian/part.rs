//! The parts of packages that are worth keeping, and how to get at them.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::package::architecture;

/// The package with the static BusyBox.
pub const BUSYBOX: &str = "busybox-static";
/// The same for PCs.
pub const PC_BUSYBOX: &str = "busybox-static:amd64";

/// The BusyBox that runs on the kernel of a package.
pub fn busybox_for(kernel: &str) -> &'static str {
    if architecture(kernel) == architecture(PC_BUSYBOX) {
        PC_BUSYBOX
    } else {
        BUSYBOX
    }
}

/// The package with U-Boot for QEMU's machines.
pub const U_BOOT: &str = "u-boot-qemu";

/// The package with UEFI firmware for QEMU's arm64 `virt`.
pub const UEFI: &str = "qemu-efi-aarch64";

/// The package with UEFI firmware for QEMU's PCs.
pub const PC_UEFI: &str = "ovmf";

/// The packages with GRUB's modules for PCs, for one firmware each.
pub const GRUB_BIOS: &str = "grub-pc-bin:amd64";
/// The same for UEFI firmware.
pub const GRUB_UEFI: &str = "grub-efi-amd64-bin:amd64";

/// What Linux's latency is measured with, and the libraries that it loads, by packages.
pub const LATENCY: [(&str, &[&str]); 3] = [
    ("rt-tests", &["cyclictest", "hackbench"]),
    ("libnuma1", &["libnuma.so.1"]),
    (
        "libc6",
        &[
            "ld-linux-aarch64.so.1",
            "libc.so.6",
            "libpthread.so.0",
            "librt.so.1",
        ],
    ),
];

/// A part of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Image of a kernel package: a file.
    Kernel,
    /// The static BusyBox: a file.
    BusyBox,
    /// U-Boot for QEMU's arm64 `virt`: a file.
    UBoot,
    /// UEFI firmware for QEMU's arm64 `virt`: a file.
    Uefi,
    /// UEFI firmware for QEMU's PCs: a file.
    PcUefi,
    /// GRUB's modules for PCs with one firmware: a folder.
    Grub,
    /// The modules of a kernel package for a virtio network card: a folder with [`NETWORK_MODULES`].
    NetworkModules,
    /// Programs or libraries by their names, wherever they lie: a folder with them.
    Binaries(&'static [&'static str]),
    /// The compiled device trees of a kernel package: a folder with one folder a vendor.
    DeviceTrees,
    /// The hypervisor of a Xen package: a file.
    Xen,
    /// The sources of arm64 device trees in a kernel source package: a folder with [`DEVICE_TREES`] and [`BINDINGS`]. [`UIO_DRIVER`] is there,
    /// too: the package is large, and is fetched once.
    DeviceTreeSources,
}

/// Modules for a virtio network card, in the order in which they are loaded.
pub const NETWORK_MODULES: [&str; 3] = ["failover.ko", "net_failover.ko", "virtio_net.ko"];

/// Where a kernel keeps its arm64 device trees, one folder a vendor.
pub const DEVICE_TREES: &str = "arch/arm64/boot/dts";

/// Where a kernel keeps what device trees include as `<dt-bindings/…>`.
pub const BINDINGS: &str = "include";

/// Where a kernel keeps the source of its generic UIO driver for devices of a device tree, which Debian's kernels for arm64 leave out.
pub const UIO_DRIVER: &str = "drivers/uio/uio_pdrv_genirq.c";

/// What is taken from a kernel's sources. `dt-bindings/input/linux-event-codes.h` is a link to the last.
const SOURCES: [&str; 4] = [
    "*/arch/arm64/boot/dts/*",
    "*/include/dt-bindings/*",
    "*/include/uapi/linux/input-event-codes.h",
    "*/drivers/uio/uio_pdrv_genirq.c",
];

impl Part {
    /// What it is called in the cache.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "Image",
            Self::BusyBox => "busybox",
            Self::UBoot => "u-boot.bin",
            Self::Uefi => "uefi.fd",
            Self::PcUefi => "uefi.fd",
            Self::Grub => "grub",
            Self::Xen => "xen",
            Self::NetworkModules => "network-modules",
            Self::Binaries(_) => "binaries",
            Self::DeviceTrees => "device-trees",
            Self::DeviceTreeSources => "kernel-sources",
        }
    }

    /// Where it lies in the package, for people.
    pub(super) fn found_at(self) -> &'static str {
        match self {
            Self::Kernel => "boot/vmlinuz-…",
            Self::BusyBox => "bin/busybox",
            Self::UBoot => "usr/lib/u-boot/qemu_arm64/u-boot.bin",
            Self::Uefi => "usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
            Self::PcUefi => "usr/share/OVMF/OVMF_CODE_4M.fd",
            Self::Grub => "usr/lib/grub/i386-pc or usr/lib/grub/x86_64-efi",
            Self::Xen => "boot/xen-…",
            Self::NetworkModules => "lib/modules/…/virtio_net.ko, failover.ko and net_failover.ko",
            Self::Binaries(_) => "programs in usr/bin and libraries in lib",
            Self::DeviceTrees => "usr/lib/linux-image-…",
            Self::DeviceTreeSources => {
                "arch/arm64/boot/dts, include/dt-bindings, include/uapi/linux/input-event-codes.h and drivers/uio/uio_pdrv_genirq.c (from usr/src/linux-source-….tar.xz)"
            }
        }
    }

    /// Unpacks it from a `.deb` file somewhere into a folder, and says where it is.
    pub(super) fn unpack(self, archive: &Path, work: &Path) -> anyhow::Result<PathBuf> {
        let root = work.join("root");
        std::fs::create_dir_all(&root)
            .with_context(|| format!("cannot create {}", root.display()))?;
        match self {
            // Since the merge of /bin into /usr/bin a file may be in either.
            Self::Kernel => unpack_all(archive, &root)
                .and_then(|()| first(&root, &["boot", "usr/boot"], "vmlinuz-")),
            Self::BusyBox => unpack_all(archive, &root)
                .and_then(|()| first(&root, &["bin", "usr/bin"], "busybox")),
            Self::Xen => unpack_all(archive, &root).and_then(|()| first(&root, &["boot"], "xen-")),
            Self::UBoot => unpack_all(archive, &root)
                .and_then(|()| first(&root, &["usr/lib/u-boot/qemu_arm64"], "u-boot.bin")),
            Self::Uefi => unpack_all(archive, &root)
                .and_then(|()| first(&root, &["usr/share/qemu-efi-aarch64"], "QEMU_EFI.fd")),
            Self::PcUefi => unpack_all(archive, &root)
                .and_then(|()| first(&root, &["usr/share/OVMF"], "OVMF_CODE_4M.fd")),
            // A folder for each machine and firmware; these packages have one.
            Self::Grub => {
                unpack_all(archive, &root).and_then(|()| first(&root, &["usr/lib/grub"], ""))
            }
            Self::NetworkModules => {
                let mut tar = extract(&root);
                tar.args(NETWORK_MODULES.map(|name| format!("*/kernel/*/{name}*")));
                pipeline(&mut [files(archive), tar])?;
                let folder = work.join("network-modules");
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
                for name in NETWORK_MODULES {
                    collect_module(&root, name, &folder.join(name))?;
                }
                Ok(folder)
            }
            Self::Binaries(names) => {
                unpack_all(archive, &root)?;
                let folder = work.join("binaries");
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
                for name in names {
                    collect_binary(&root, name, &folder.join(name))?;
                }
                Ok(folder)
            }
            Self::DeviceTrees => {
                let mut tar = extract(&root);
                tar.arg("./usr/lib/linux-image-*.dtb");
                pipeline(&mut [files(archive), tar])?;
                first(&root, &["usr/lib"], "linux-image-")
            }
            Self::DeviceTreeSources => {
                let mut sources = Command::new("tar");
                sources.args([
                    "--extract",
                    "--to-stdout",
                    "--wildcards",
                    "./usr/src/linux-source-*.tar.xz",
                ]);
                let mut unpacked = Command::new("xz");
                unpacked.args(["--decompress", "--stdout", "--threads=0"]);
                let mut tar = extract(&root);
                tar.arg("--strip-components=1").args(SOURCES);
                pipeline(&mut [files(archive), sources, unpacked, tar])?;
                Ok(root)
            }
        }
    }
}

/// Finds a module somewhere below a folder, compressed or not, and writes it as the kernel loads it.
pub(super) fn collect_module(root: &Path, name: &str, to: &Path) -> anyhow::Result<()> {
    let packed = format!("{name}.xz");
    for path in below(root)? {
        let found = path.file_name().and_then(|name| name.to_str());
        if found == Some(name) {
            std::fs::rename(&path, to)?;
            return Ok(());
        } else if found == Some(&packed) {
            let mut unpacked = Command::new("xz");
            let unpacked = unpacked.args(["--decompress", "--stdout"]).arg(&path);
            let output = unpacked.output().context("cannot start xz")?;
            ensure!(output.status.success(), "xz cannot unpack {name}");
            std::fs::write(to, output.stdout)?;
            return Ok(());
        }
    }
    bail!("the package holds no {name}")
}

/// Finds a program or library somewhere below a folder and copies it. A link counts when it leads to one, a text of the same name does not.
fn collect_binary(root: &Path, name: &str, to: &Path) -> anyhow::Result<()> {
    for path in below(root)? {
        if path.file_name().is_some_and(|found| found == name)
            && let Ok(content) = std::fs::read(&path)
            && content.starts_with(b"\x7fELF")
        {
            return std::fs::write(to, content)
                .with_context(|| format!("cannot write {}", to.display()));
        }
    }
    bail!("the package holds no {name}")
}

/// All files and links below a folder. Links to folders are not followed.
fn below(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut waiting = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder)?.flatten() {
            let is_folder = entry.file_type()?.is_dir();
            let list = if is_folder { &mut waiting } else { &mut files };
            list.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn unpack_all(archive: &Path, root: &Path) -> anyhow::Result<()> {
    pipeline(&mut [files(archive), extract(root)])
}

/// Writes the package's files as a tar archive.
fn files(archive: &Path) -> Command {
    let mut command = Command::new("dpkg-deb");
    command.arg("--fsys-tarfile").arg(archive);
    command
}

/// Extracts files whose names match the patterns that follow.
fn extract(root: &Path) -> Command {
    let mut command = Command::new("tar");
    command
        .args([
            "--extract",
            "--wildcards",
            "--no-same-owner",
            "--no-same-permissions",
            "--directory",
        ])
        .arg(root);
    command
}

/// Runs programs, each reading what the one before writes. No file of the size of a kernel's sources is ever on the disk.
fn pipeline(commands: &mut [Command]) -> anyhow::Result<()> {
    let mut running: Vec<(String, Child)> = Vec::new();
    let last = commands.len().saturating_sub(1);
    for (index, command) in commands.iter_mut().enumerate() {
        let input = running
            .last_mut()
            .and_then(|(_, child)| child.stdout.take())
            .map_or_else(Stdio::null, Stdio::from);
        let name = command.get_program().to_string_lossy().into_owned();
        let output = if index == last {
            Stdio::null()
        } else {
            Stdio::piped()
        };
        // A program that cannot be started closes the pipe of the one before, which then ends by itself.
        let child = command
            .env("LC_ALL", "C")
            .stdin(input)
            .stdout(output)
            .spawn();
        match child {
            Ok(child) => running.push((name, child)),
            Err(error) => {
                finish(running).err();
                return Err(error).with_context(|| format!("cannot start {name}"));
            }
        }
    }
    finish(running)
}

/// Waits for all of them; the first that fails is the error.
fn finish(running: Vec<(String, Child)>) -> anyhow::Result<()> {
    let ended = running
        .into_iter()
        .map(|(name, mut child)| {
            let status = child
                .wait()
                .with_context(|| format!("cannot wait for {name}"))?;
            ensure!(
                status.success(),
                "{name} cannot unpack the package ({status})"
            );
            Ok(())
        })
        .collect::<Vec<_>>();
    ended.into_iter().collect()
}

/// The first entry of the folders whose name starts with `prefix`.
fn first(root: &Path, folders: &[&str], prefix: &str) -> anyhow::Result<PathBuf> {
    for folder in folders {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(root.join(folder))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        let found = entries.into_iter().find(|path| {
            path.file_name()
                .is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()))
        });
        if let Some(found) = found {
            return Ok(found);
        }
    }
    bail!("the package holds no {prefix}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busybox_is_that_of_the_kernels_architecture() {
        assert_eq!(
            busybox_for("linux-image-6.12.95+deb12-cloud-amd64"),
            PC_BUSYBOX
        );
        assert_eq!(busybox_for("linux-image-rt-arm64"), BUSYBOX);
    }

    #[test]
    fn first_entry_with_the_prefix_is_found_in_either_folder() {
        let root = tempfile::tempdir().expect("folder");
        std::fs::create_dir_all(root.path().join("usr/bin")).expect("folder");
        std::fs::write(root.path().join("usr/bin/busybox"), b"x").expect("file");
        let found = first(root.path(), &["bin", "usr/bin"], "busybox").expect("found");
        assert!(found.ends_with("usr/bin/busybox"));
        let error = first(root.path(), &["boot"], "vmlinuz-").expect_err("not there");
        assert!(error.to_string().contains("vmlinuz-"));
    }

    #[test]
    fn module_is_found_wherever_it_lies_and_a_missing_one_is_named() {
        let root = tempfile::tempdir().expect("folder");
        let folder = root.path().join("lib/modules/6.12/kernel/drivers/net");
        std::fs::create_dir_all(&folder).expect("folder");
        std::fs::write(folder.join("virtio_net.ko"), b"module").expect("file");
        let to = root.path().join("taken");
        collect_module(root.path(), "virtio_net.ko", &to).expect("found");
        assert_eq!(std::fs::read(&to).expect("written"), b"module");
        let error = collect_module(root.path(), "failover.ko", &to).expect_err("not there");
        assert!(error.to_string().contains("failover.ko"));
    }

    #[test]
    fn binary_is_found_through_a_link_and_a_text_of_its_name_is_not_taken() {
        let root = tempfile::tempdir().expect("folder");
        let [lib, share] = ["lib/aarch64-linux-gnu", "a/completions"].map(|name| {
            let folder = root.path().join(name);
            std::fs::create_dir_all(&folder).expect("folder");
            folder
        });
        std::fs::write(share.join("libx.so.1"), b"text").expect("file");
        std::fs::write(lib.join("libx.so.1.0"), b"\x7fELF library").expect("file");
        std::os::unix::fs::symlink("libx.so.1.0", lib.join("libx.so.1")).expect("link");
        let to = root.path().join("taken");
        collect_binary(root.path(), "libx.so.1", &to).expect("found");
        assert_eq!(std::fs::read(&to).expect("written"), b"\x7fELF library");
        assert!(collect_binary(root.path(), "liby.so.1", &to).is_err());
    }

    #[test]
    fn pipeline_passes_what_one_program_writes_to_the_next() {
        let mut one = Command::new("echo");
        one.arg("text");
        let mut two = Command::new("grep");
        two.args(["-q", "text"]);
        assert!(pipeline(&mut [one, two]).is_ok());
    }

    #[test]
    fn pipeline_fails_when_any_of_its_programs_does() {
        let error = pipeline(&mut [Command::new("false"), Command::new("true")]);
        assert!(
            error
                .expect_err("false fails")
                .to_string()
                .contains("false")
        );
        let error = pipeline(&mut [Command::new("true"), Command::new("no-such-program")]);
        assert!(
            error
                .expect_err("not started")
                .to_string()
                .contains("no-such-program")
        );
    }
}
