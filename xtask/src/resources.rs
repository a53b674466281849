//! Where boards and guest images come from: the checkout, QEMU, Debian's archive, and the Rust guests.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use compiler::{BoardFiles, QemuMachine, ResourceError, Resources, Source, TreeSource};
use qemu::debian::cache::Cache;
use qemu::debian::package::architecture;
use qemu::debian::part::{self, BUSYBOX, PC_BUSYBOX, Part, busybox_for};
use qemu::debian::uio;
use qemu::initramfs::{self, Contents, Module};
use qemu::machine::{Architecture, Machine};
use qemu::version::{PROGRAM, Version};

use crate::command;
use crate::device_tree;
use crate::setup;
use crate::steps::Steps;
use crate::toolchain::{GUEST_TARGET, LINUX_TARGET, PC_TARGET, Toolchain};
use crate::workspace::Workspace;

/// An Arm board's machine as QEMU's options.
pub fn command_line(machine: &QemuMachine) -> Machine {
    Machine {
        architecture: Architecture::Arm,
        machine: machine.machine.clone(),
        cpu: machine.cpu.clone(),
        cpus: machine.cpus,
        // QEMU's own suffix; the boards' sizes are whole MiB.
        memory: format!("{}M", machine.memory_bytes >> 20),
        serial: machine.serial,
        devices: machine.devices.clone(),
        tree: None,
    }
}

/// What a machine takes for a kernel when its device tree is all that is wanted of it.
pub const NO_KERNEL: [u8; 4096] = [0; 4096];

/// What the UIO driver is told to drive: channels that all their ends see as Device memory, as it maps them.
const CHANNELS: &str = "of_id=bulkhead,channel-uncached";

/// The package of the programs for Linux partitions.
const LINUX_PACKAGE: &str = "bulkhead-linux";

/// What they are called there, and where cargo leaves them.
const LINUX_PROGRAMS: [(&str, &str); 2] = [
    ("channel-messages", "examples/channel-messages"),
    ("bulkheadctl", "bulkheadctl"),
];

/// The real world, as the compiler sees it. What is missing is set up when it is first asked for.
pub struct Host<'a> {
    /// This checkout.
    pub workspace: &'a Workspace,
    /// Debian's guests.
    pub cache: &'a Cache,
    /// Tells the user about long work.
    pub steps: Steps,
    /// Nothing may be fetched.
    pub offline: bool,
}

impl Resources for Host<'_> {
    fn board(&self, name: &str) -> Result<BoardFiles, ResourceError> {
        let path = self.workspace.board(name).join("board.toml");
        let pc = self.workspace.pc(name).join("board.toml");
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !name.starts_with('.');
        let read = |path: &Path| {
            let text = is_name.then(|| std::fs::read_to_string(path));
            text.and_then(Result::ok)
        };
        // A PC has no device tree; its file may name a dump of its ACPI tables.
        if let Some(board_toml) = read(&pc) {
            let tables = compiler::pc_tables(&board_toml)
                .map(|tables| self::read(&pc.with_file_name(tables)));
            let tables = tables
                .transpose()
                .map_err(|error| unavailable(&error, None))?;
            return Ok(BoardFiles {
                board_toml,
                path: pc,
                tree: Vec::new(),
                tables: tables.unwrap_or_default(),
            });
        }
        let Some(board_toml) = read(&path) else {
            return Err(ResourceError::NotFound {
                looked_for: self.workspace.shown(&path).to_string(),
            });
        };
        let tree = self
            .tree(&board_toml, &path)
            .map_err(|error| unavailable(&error, None))?;
        Ok(BoardFiles {
            board_toml,
            path,
            tree,
            tables: Vec::new(),
        })
    }

    fn boards(&self) -> Vec<String> {
        let folders = [self.workspace.board(""), self.workspace.pc("")];
        let folders = folders
            .into_iter()
            .filter_map(|one| std::fs::read_dir(one).ok());
        let folders = folders.flatten().flatten();
        let mut names: Vec<String> = folders
            .filter(|folder| folder.path().join("board.toml").is_file())
            .filter_map(|folder| folder.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn image(&self, source: &Source, system_dir: &Path) -> Result<PathBuf, ResourceError> {
        match source {
            Source::File(path) => {
                let path = system_dir.join(path);
                if path.is_file() {
                    Ok(path)
                } else {
                    Err(ResourceError::NotFound {
                        looked_for: path.display().to_string(),
                    })
                }
            }
            Source::Debian(package) => setup::part(self.steps, self.cache, package, Part::Kernel)
                .map_err(|error| unavailable(&error, Some("`cargo xtask setup` fetches it"))),
            Source::Busybox => self
                .busybox(BUSYBOX, None)
                .map_err(|error| unavailable(&error, Some("`cargo xtask setup` fetches it"))),
            Source::PcBusybox => self
                .busybox(PC_BUSYBOX, None)
                .map_err(|error| unavailable(&error, Some("`cargo xtask setup` fetches it"))),
            Source::BusyboxFor(package) => self
                .busybox(busybox_for(package), Some(package))
                .map_err(|error| unavailable(&error, Some("`cargo xtask setup` fetches it"))),
            Source::BusyboxUio(package) => self
                .busybox_uio(package)
                .map_err(|error| unavailable(&error, Some("`cargo xtask setup` fetches it"))),
            Source::Guest(name) => self.guest(name),
        }
    }

    fn overlay(&self, path: &Path, system_dir: &Path) -> Result<Vec<u8>, ResourceError> {
        let path = system_dir.join(path);
        if !path.is_file() {
            return Err(ResourceError::NotFound {
                looked_for: path.display().to_string(),
            });
        }
        self.tree_file(&path)
            .map_err(|error| unavailable(&error, None))
    }
}

impl Host<'_> {
    /// The board's device tree. A `board.toml` with faults has none; the compiler reports the faults when it reads the same text.
    fn tree(&self, board_toml: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
        let Ok(board) = compiler::read_board_toml(board_toml, path) else {
            return Ok(Vec::new());
        };
        match (board.tree, board.qemu) {
            (TreeSource::File(file), _) => self.tree_file(&path.with_file_name(file)),
            (TreeSource::Package { package, path }, _) => self.packaged(&package, &path),
            (TreeSource::Source { package, path }, _) => self.compiled(&package, &path),
            (TreeSource::Qemu, Some(machine)) => self.dump(&command_line(&machine)),
            (TreeSource::Qemu, None) => bail!(
                "{} takes its device tree from QEMU but has no [qemu] section",
                path.display()
            ),
        }
    }

    /// A device tree or overlay in a file of the user's, compiled where it is source. Source may include the kernel's bindings, when
    /// a board's device tree has brought them into the cache.
    ///
    /// # Errors
    /// It cannot be read, or not be compiled.
    pub fn tree_file(&self, path: &Path) -> anyhow::Result<Vec<u8>> {
        if device_tree::is_source(path) {
            setup::device_trees(self.steps, self.offline)?;
            let (package, sources) = (setup::BOARD_SOURCES, Part::DeviceTreeSources);
            let cached = self.cache.has(package, sources);
            let sources = cached
                .then(|| self.cache.get(package, sources))
                .transpose()?;
            let bindings = sources.map(|sources| sources.join(part::BINDINGS));
            let bindings: Vec<&Path> = bindings.iter().map(PathBuf::as_path).collect();
            return device_tree::compile(path, &bindings);
        }
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A device tree of a Debian kernel package.
    fn packaged(&self, package: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
        let file = setup::part(self.steps, self.cache, package, Part::DeviceTrees)?.join(path);
        std::fs::read(&file).with_context(|| format!("{package} has no {}", path.display()))
    }

    /// A device tree compiled from Debian's kernel sources, and kept: it changes only with the sources.
    fn compiled(&self, package: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
        let kept = self
            .cache
            .beside(package, "compiled")
            .join(path.with_extension("dtb"));
        if let Ok(tree) = std::fs::read(&kept) {
            return Ok(tree);
        }
        setup::device_trees(self.steps, self.offline)?;
        let sources = setup::part(self.steps, self.cache, package, Part::DeviceTreeSources)?;
        let source = sources.join(part::DEVICE_TREES).join(path);
        ensure!(
            source.is_file(),
            "{package} has no {}/{}",
            part::DEVICE_TREES,
            path.display()
        );
        let tree = device_tree::compile(&source, &[&sources.join(part::BINDINGS)])?;
        write_if_changed(&kept, &tree)?;
        Ok(tree)
    }

    /// The device tree that QEMU generates for a machine, dumped and kept.
    fn dump(&self, machine: &Machine) -> anyhow::Result<Vec<u8>> {
        setup::qemu(self.steps, self.offline)?;
        let version = Version::installed().with_context(|| format!("{PROGRAM} does not run"))?;
        let mut hasher = DefaultHasher::new();
        let nothing = Path::new("");
        machine.dump_arguments(nothing, nothing).hash(&mut hasher);
        let folder = self.workspace.output().join("boards");
        let kept = folder.join(format!("{version}-{:016x}.dtb", hasher.finish()));
        if let Ok(tree) = std::fs::read(&kept) {
            return Ok(tree);
        }
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let dumped = folder.join(format!("dumping-{}.dtb", std::process::id()));
        let kernel = dumped.with_extension("kernel");
        std::fs::write(&kernel, NO_KERNEL)
            .with_context(|| format!("cannot write {}", kernel.display()))?;
        let output = Command::new(PROGRAM)
            .args(machine.dump_arguments(&dumped, &kernel))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        let _ = std::fs::remove_file(&kernel);
        ensure!(
            output.status.success() && dumped.is_file(),
            "{PROGRAM} cannot dump the device tree of {}: {}",
            machine.machine,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        std::fs::rename(&dumped, &kept)
            .with_context(|| format!("cannot write {}", kept.display()))?;
        std::fs::read(&kept).with_context(|| format!("cannot read {}", kept.display()))
    }

    /// The initramfs, built anew each time: it takes less time than to find out whether it is current. With network modules for the kernel of a
    /// package: they must be of the very version that was fetched.
    fn busybox(&self, package: &str, kernel: Option<&str>) -> anyhow::Result<PathBuf> {
        let busybox = read(&setup::part(
            self.steps,
            self.cache,
            package,
            Part::BusyBox,
        )?)?;
        let Some(kernel) = kernel else {
            let name = format!("initramfs-{}.cpio", architecture(package));
            let path = self.workspace.output().join(name);
            write_if_changed(&path, &initramfs::build(&busybox, Contents::default()))?;
            return Ok(path);
        };
        setup::part(self.steps, self.cache, kernel, Part::Kernel)?;
        let fetched = self.cache.fetched(kernel);
        let version = fetched.as_deref().unwrap_or(kernel);
        let folder = setup::part(self.steps, self.cache, version, Part::NetworkModules)?;
        let module = |name: &&str| module(&folder.join(name), "");
        let modules: anyhow::Result<Vec<_>> = part::NETWORK_MODULES.iter().map(module).collect();
        let contents = Contents {
            modules: &modules?,
            ..Contents::default()
        };
        let path = self
            .workspace
            .output()
            .join(format!("initramfs-{version}.cpio"));
        write_if_changed(&path, &initramfs::build(&busybox, contents))?;
        Ok(path)
    }

    /// The initramfs with the generic UIO driver for the kernel of a package, and this checkout's programs for Linux.
    fn busybox_uio(&self, kernel: &str) -> anyhow::Result<PathBuf> {
        let busybox = read(&setup::part(
            self.steps,
            self.cache,
            BUSYBOX,
            Part::BusyBox,
        )?)?;
        let folder = setup::uio(self.steps, self.cache, kernel, self.offline)?;
        let module = |name: &str, parameters| module(&folder.join(name), parameters);
        let [uio, driver] = uio::MODULES;
        let modules = [module(uio, "")?, module(driver, CHANNELS)?];
        let programs = self.linux_programs()?;
        let name = format!("initramfs-uio-{kernel}.cpio");
        let path = self.workspace.output().join(name);
        let contents = Contents {
            modules: &modules,
            programs: &programs,
            ..Contents::default()
        };
        write_if_changed(&path, &initramfs::build(&busybox, contents))?;
        Ok(path)
    }

    /// Builds the programs for Linux partitions: static, so that they need nothing there.
    fn linux_programs(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        setup::linux_rust(self.steps, self.offline)?;
        let built = self.workspace.cargo_target().join("guests");
        let mut build = Toolchain::Prebuilt.build(LINUX_TARGET);
        build
            .args([
                "--quiet",
                "--release",
                "-p",
                LINUX_PACKAGE,
                "--bins",
                "--examples",
            ])
            .arg("--target-dir")
            .arg(&built)
            .current_dir(self.workspace.root());
        if self.offline {
            build.arg("--offline");
        }
        command::run(&mut build).context("the programs for Linux do not build")?;
        let folder = built.join(LINUX_TARGET).join("release");
        let programs = LINUX_PROGRAMS.iter();
        programs
            .map(|(name, path)| Ok(((*name).to_owned(), read(&folder.join(path))?)))
            .collect()
    }

    fn guest(&self, name: &str) -> Result<PathBuf, ResourceError> {
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        // A name is in one of the workspaces only: `pc-` begins those for PCs.
        let places = [
            (self.workspace.guests(), GUEST_TARGET),
            (self.workspace.pc_guests(), PC_TARGET),
        ];
        let place = places
            .into_iter()
            .find(|(folder, _)| is_name && folder.join(name).join("Cargo.toml").is_file());
        let Some((folder, target)) = place else {
            let looked_for = self.workspace.guests().join(name);
            return Err(ResourceError::NotFound {
                looked_for: self.workspace.shown(&looked_for).to_string(),
            });
        };
        self.build_guest(name, &folder, target)
            .map_err(|error| unavailable(&error, None))
    }

    fn build_guest(&self, name: &str, folder: &Path, target: &str) -> anyhow::Result<PathBuf> {
        let toolchain = setup::rust(self.steps, self.offline)?;
        let built = self.workspace.cargo_target().join("guests");
        let mut build = toolchain.build(target);
        build
            .args(["--quiet", "--release", "-p", name, "--target-dir"])
            .arg(&built)
            .current_dir(folder);
        if self.offline {
            build.arg("--offline");
        }
        command::run(&mut build).with_context(|| format!("the guest {name} does not build"))?;
        Ok(built.join(target).join("release").join(name))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn module(path: &Path, parameters: &'static str) -> anyhow::Result<Module> {
    let bytes = read(path)?;
    Ok(Module { bytes, parameters })
}

/// Writes a file by rename, and not at all when it has this content already, so that its time of change means something.
pub fn write_if_changed(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let folder = path.parent().context("a file has a folder")?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(format!(
        ".{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let written = path.with_file_name(name);
    std::fs::write(&written, content)
        .with_context(|| format!("cannot write {}", written.display()))?;
    std::fs::rename(&written, path).with_context(|| format!("cannot write {}", path.display()))
}

fn unavailable(error: &anyhow::Error, help: Option<&str>) -> ResourceError {
    ResourceError::Unavailable {
        reason: format!("{error:#}"),
        help: help.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_content_is_not_written_again() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("new/table.rs");
        write_if_changed(&path, b"one").expect("first");
        let time = std::fs::metadata(&path)
            .and_then(|meta| meta.modified())
            .expect("time");
        write_if_changed(&path, b"one").expect("second");
        assert_eq!(
            std::fs::metadata(&path)
                .and_then(|meta| meta.modified())
                .expect("time"),
            time
        );
        write_if_changed(&path, b"two").expect("third");
        assert_eq!(std::fs::read(&path).expect("file"), b"two");
        assert_eq!(
            std::fs::read_dir(folder.path().join("new"))
                .expect("folder")
                .count(),
            1
        );
    }
}
