//! From a system file to one bootable image.
//!
//! Everything is written into a staging folder first and moved to its place only when the whole build has worked: a build that fails
//! leaves no partial output. The staged table keeps its time of change while its text stays the same, so cargo links again only
//! when something has changed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use compiler::{BoardToml, Compiled, GuestFile, Proof, Resources, Target, TreeSource};
use nix::fcntl::{Flock, FlockArg};
use qemu::debian::cache::Cache;
use qemu::machine::{Architecture, Machine};
use qemu::session::Bootable;

use crate::command;
use crate::dependencies;
use crate::image;
use crate::linked::stack;
use crate::pc_image;
use crate::resources::{Host, command_line, write_if_changed};
use crate::setup;
use crate::steps::Steps;
use crate::toolchain::{HYPERVISOR_TARGET, PC_TARGET};
use crate::workspace::Workspace;

/// Package with the hypervisor's binary for Arm boards.
pub const PACKAGE: &str = "platforms";

/// A binary of the hypervisor.
struct Binary {
    package: &'static str,
    name: &'static str,
    /// What it is built for.
    target: &'static str,
    /// What it runs on.
    architecture: Architecture,
}

/// The binary that a system is linked with.
const fn binary(target: Target) -> Binary {
    match target {
        Target::Arm64 => Binary {
            package: PACKAGE,
            name: "bulkhead",
            target: HYPERVISOR_TARGET,
            architecture: Architecture::Arm,
        },
        Target::Pc => Binary {
            package: "x86-port",
            name: "bulkhead-x86",
            target: PC_TARGET,
            architecture: Architecture::Pc,
        },
    }
}

/// Feature of the package that asks for the binary: without it, only what can be tested on the host is built.
pub const BINARY_FEATURE: &str = "image";

/// Cargo profile of the image.
const PROFILE: &str = "image";

/// Tells the image's build where its system's table is.
const TABLE_VARIABLE: &str = "BULKHEAD_SYSTEM";

/// Builds systems in one checkout.
pub struct Builder {
    workspace: Workspace,
    output: PathBuf,
    cache: Cache,
    steps: Steps,
    offline: bool,
}

/// What a build leaves.
pub struct Built {
    /// Folder with everything.
    pub folder: PathBuf,
    /// What the compiler made of the system file.
    pub compiled: Compiled,
    /// The QEMU machine that is its board, if there is one.
    pub machine: Option<Machine>,
    /// The files of this checkout that were compiled into the image or read while it was built.
    pub sources: Vec<PathBuf>,
}

impl Builder {
    /// A builder for this checkout.
    ///
    /// # Errors
    /// The user has no cache folder.
    pub fn new(workspace: Workspace, steps: Steps, offline: bool) -> anyhow::Result<Self> {
        let cache = Cache::new(&Cache::default_folder()?, offline);
        Ok(Self {
            output: workspace.output(),
            workspace,
            cache,
            steps,
            offline,
        })
    }

    /// This checkout.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Guests.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Tells the user about long work.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// Where everything is written.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// True when nothing may be fetched.
    pub fn offline(&self) -> bool {
        self.offline
    }

    /// What the compiler asks for boards and images.
    pub fn host(&self) -> Host<'_> {
        Host {
            workspace: &self.workspace,
            cache: &self.cache,
            steps: self.steps,
            offline: self.offline,
        }
    }

    /// Proves a system file.
    ///
    /// # Errors
    /// Its diagnostics.
    pub fn prove(&self, system: &Path) -> anyhow::Result<Proof> {
        self.ask(system, compiler::prove, |proof| &proof.warnings)
    }

    /// Compiles a system file, without building anything.
    ///
    /// # Errors
    /// Its diagnostics.
    pub fn compile(&self, system: &Path) -> anyhow::Result<Compiled> {
        self.ask(system, compiler::compile, |compiled| {
            &compiled.proof.warnings
        })
    }

    /// Asks the compiler, and shows its warnings.
    fn ask<T>(
        &self,
        system: &Path,
        question: impl FnOnce(&Path, &dyn compiler::Resources) -> Result<T, compiler::Diagnostics>,
        warnings: impl FnOnce(&T) -> &compiler::Diagnostics,
    ) -> anyhow::Result<T> {
        if !system.is_file() {
            bail!("there is no system file {}", system.display());
        }
        let answer = question(system, &self.host()).map_err(Diagnosed)?;
        let warnings = warnings(&answer);
        if !warnings.is_empty() {
            eprint!("{}", warnings.render(colour()));
        }
        Ok(answer)
    }

    /// Builds a system's image and everything that goes with it.
    ///
    /// # Errors
    /// The system's diagnostics, a missing tool, or an image that does not fit. Nothing is left behind then.
    pub fn build(&self, system: &Path) -> anyhow::Result<Built> {
        self.build_with(system, &[])
    }

    /// Builds a system with further features of the image, in a folder of their own.
    ///
    /// # Errors
    /// See [`build`](Self::build).
    pub fn build_with(&self, system: &Path, features: &[&'static str]) -> anyhow::Result<Built> {
        let mut compiled = self.compile(system)?;
        compiled.image_features.extend(features);
        let toolchain = setup::rust(self.steps, self.offline)?;
        let variant = [&[compiled.proof.system_name.as_str()], features].concat();
        let place = Path::new(&compiled.proof.board_name).join(variant.join("+"));
        let folder = self.workspace.output().join(&place);
        let staging = self.workspace.output().join("staging").join(&place);
        let _lock = self.lock()?;

        let table = staging.join("table.rs");
        write_if_changed(&table, compiled.table.as_bytes())?;
        let binary = binary(compiled.target);
        let mut build = toolchain.build(binary.target);
        build.args([
            "--quiet",
            "-p",
            binary.package,
            "--no-default-features",
            "--features",
            &[&[BINARY_FEATURE], compiled.image_features.as_slice()]
                .concat()
                .join(","),
            "--bin",
            binary.name,
            "--profile",
            PROFILE,
            "--target-dir",
        ]);
        build
            .arg(self.workspace.cargo_target())
            .env(TABLE_VARIABLE, &table)
            .current_dir(self.workspace.root());
        if self.offline {
            build.arg("--offline");
        }
        command::run(&mut build).context("the hypervisor does not build")?;
        let linked = self
            .workspace
            .cargo_target()
            .join(binary.target)
            .join(PROFILE)
            .join(binary.name);
        let elf =
            std::fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))?;
        if compiled.target == Target::Arm64 {
            stack::check(&elf, compiled.pcpus.len())?;
        }
        let sources = dependencies::read(&linked.with_extension("d"))?;
        let board = self.board(&compiled)?;
        let (image, room) = match &board {
            Some(board) => (
                image::pack(&elf, &compiled.payload)?,
                room(board, &compiled),
            ),
            None => (
                pc_image::pack(&elf, &compiled.payload)?,
                compiled.proof.report.image.size,
            ),
        };
        if image.len() as u64 > room {
            bail!(
                "the image of {} bytes does not fit into the {room} bytes that the board keeps for it",
                image.len()
            );
        }

        write_if_changed(&folder.join("table.rs"), compiled.table.as_bytes())?;
        write_if_changed(&folder.join("bulkhead.elf"), &elf)?;
        write_if_changed(&folder.join("bulkhead.img"), &image)?;
        for file in &compiled.files {
            write_if_changed(&folder.join(guest_file_name(file)), &file.bytes)?;
        }
        self.write_proof(&compiled.proof)?;
        let machine = compiled.qemu.as_ref().map(|machine| Machine {
            architecture: binary.architecture,
            ..command_line(machine)
        });
        let tree = match &board {
            Some(board) => self.machine_tree(board, &folder)?,
            None => None,
        };
        Ok(Built {
            machine: machine.map(|machine| Machine { tree, ..machine }),
            folder,
            compiled,
            sources,
        })
    }

    /// Writes the report and the guests' device trees of a system. Says which files these are, the one for people first.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_proof(&self, proof: &Proof) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.output.join(&proof.board_name).join(&proof.system_name);
        let json = serde_json::to_string_pretty(&proof.report)?;
        let mut files = vec![
            (
                "report.html".to_owned(),
                proof.report.to_html().into_bytes(),
            ),
            ("report.json".to_owned(), json.into_bytes()),
        ];
        for (partition, tree) in &proof.guest_trees {
            files.push((format!("{partition}.dtb"), tree.clone()));
        }
        files
            .into_iter()
            .map(|(name, content)| {
                let path = folder.join(name);
                write_if_changed(&path, &content)?;
                Ok(path)
            })
            .collect()
    }

    /// The file of a system's board. `None` for a PC, of which the compiler has said all.
    fn board(&self, compiled: &Compiled) -> anyhow::Result<Option<BoardToml>> {
        if compiled.target == Target::Pc {
            return Ok(None);
        }
        self.board_toml(&compiled.proof.board_name).map(Some)
    }

    /// The file of a board with a device tree.
    ///
    /// # Errors
    /// It cannot be read, or has faults.
    pub fn board_toml(&self, name: &str) -> anyhow::Result<BoardToml> {
        let path = self.workspace.board(name).join("board.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(compiler::read_board_toml(&text, &path).map_err(Diagnosed)?)
    }

    /// Where the device tree is that firmware hands over, for a QEMU machine that generates none.
    fn machine_tree(&self, board: &BoardToml, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
        if board.qemu.is_none() || board.tree == TreeSource::Qemu {
            return Ok(None);
        }
        let files = self.host().board(&board.name)?;
        let path = folder.join("board.dtb");
        write_if_changed(&path, &files.tree)?;
        Ok(Some(path))
    }

    /// One image at a time: the linked file lies at the same place for all of them until it is copied.
    fn lock(&self) -> anyhow::Result<Flock<File>> {
        let folder = self.workspace.output();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join("lock");
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .with_context(|| format!("cannot lock {}", path.display()))
    }
}

impl Built {
    /// What QEMU needs.
    ///
    /// # Errors
    /// The board is no QEMU machine.
    pub fn bootable(&self) -> anyhow::Result<Bootable> {
        let machine = self.machine.clone().with_context(|| {
            format!(
                "QEMU has no machine for the board {}",
                self.compiled.proof.board_name
            )
        })?;
        // CPUs above the highest used one would only wait, and each costs the emulator a thread. Machines that are real boards have theirs.
        let highest = self.compiled.pcpus.iter().max();
        let cpus = match machine.machine.split(',').next() {
            Some("virt") => Some(highest.map_or(1, |&highest| highest as u32 + 1)),
            _ => machine.cpus,
        };
        Ok(Bootable {
            image: self.folder.join("bulkhead.img"),
            elf: Some(self.folder.join("bulkhead.elf")),
            machine: Machine { cpus, ..machine },
            partitions: self
                .compiled
                .partitions
                .iter()
                .map(|partition| partition.name.clone())
                .collect(),
            files: self
                .compiled
                .files
                .iter()
                .map(|file| (file.address, self.folder.join(guest_file_name(file))))
                .collect(),
        })
    }
}

/// The name of a partition's image that is a file of its own.
pub fn guest_file_name(file: &GuestFile) -> String {
    format!("{}.bin", file.partition)
}

/// Bytes from where the board loads the image to the end of what the compiler keeps free for it.
fn room(board: &BoardToml, compiled: &Compiled) -> u64 {
    let kept = &compiled.proof.report.image;
    (kept.base + kept.size).saturating_sub(board.load)
}

/// Diagnostics, shown as they are.
#[derive(Debug)]
pub struct Diagnosed(pub compiler::Diagnostics);

impl std::fmt::Display for Diagnosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.render(colour()).trim_end())
    }
}

impl std::error::Error for Diagnosed {}

/// True when standard error is a terminal that may show colours.
pub fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
