//! The configuration compiler: a system file and a board's device tree in, everything that an image is linked with out.
//!
//! ```text
//! system file ── raw ──┐
//! board.toml ─ board ──┼─ resolve ─ check ─ system ─ plan ─┬─ emit ── table, payload, guest trees
//!                                                                   └─ report
//! device tree ─────────┘
//! ```
//!
//! - `raw` is what the text says, each word with its place; `resolve` finds what its names stand for; `check` applies the rules, one
//!   a file; `system` is what is left when all of them pass; `plan` finds a place for everything; `emit` writes it down.
//! - Every fault that can be seen is reported in one run, with file, line, column, code and fix. On an error nothing comes out.
//! - The same inputs give the same bytes.
//! - All inputs are hostile: whatever they hold, the answer is a result or a finding, never a panic.
//!
//! Limits: the policy `dedicated`; PL011 consoles.

mod admit;
mod audit;
mod board;
mod bridges;
mod check;
mod codes;
mod devicetree;
mod diagnostics;
mod eemi;
mod emit;
mod guest_gic;
mod image;
pub mod import;
mod iommus;
mod layout;
mod limits;
mod memory;
mod monitor;
mod nearest;
mod new_board;
mod ownership;
mod payload;
mod pc;
mod plan;
mod processors;
mod range;
mod raw;
mod report;
mod resolve;
mod resources;
mod separate;
mod stage2;
mod summary;
mod supply;
mod system;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod toml_text;

use std::path::{Path, PathBuf};

pub use audit::audit;
pub use board::{BoardToml, MemoryBank, QemuMachine, TreeSource, read_board_toml};
pub use codes::{Code, codes, explain};
pub use diagnostics::{Diagnostic, Diagnostics, Location, Severity, SourceText};
pub use new_board::{
    Emulator, NewBoard, Request as NewBoardRequest, TABLES_FILE, TREE_FILE, kept_tree, new_board,
    parse_load, parse_memory,
};
pub use pc::{PcBoard, pc_tables, read_pc_board};
pub use raw::schema::{explain_field, json_schema, reference};
pub use report::{
    ChannelEndEntry, ChannelEntry, CpuEntry, CpuPolicyEntry, DeviceEntry, ImageEntry,
    InterruptEntry, MapEntry, MapKind, MappingEntry, MappingKind, Owner, PartitionEntry, PoolEntry,
    ProviderEntry, RangeEntry, Report, Risk, RiskLevel, SegmentEntry, Share, StreamEntry,
    TreeEntry, VERSION as REPORT_VERSION, VcpuEntry, VcpuName, Verdict, VirtualDevice, Window,
};
pub use resources::{BoardFiles, ResourceError, Resources, Source};
pub use summary::Summary;

use check::Context;
use plan::{Plan, plan};
use raw::RawSystem;
use resolve::Resolver;
use system::{Console, System};

/// What is known of a system before anything is built: who owns what, and why that is right.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The system's name.
    pub system_name: String,
    /// The board's name.
    pub board_name: String,
    /// For each partition its name and its device tree in the flattened format.
    pub guest_trees: Vec<(String, Vec<u8>)>,
    /// Who owns what.
    pub report: Report,
    /// Findings that do not make the system wrong. What the image cannot do yet (`BH07xx`) is among them.
    pub warnings: Diagnostics,
}

impl Proof {
    /// The proof on one screen.
    pub fn summary(&self) -> Summary {
        Summary::new(self.report.clone())
    }
}

/// Which image a system is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// That of 64-bit Arm boards.
    Arm64,
    /// That of PCs.
    Pc,
}

/// A compiled system: its proof, and all that the image and the runner need.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Which image it is linked with.
    pub target: Target,
    /// What was proved of it.
    pub proof: Proof,
    /// Rust source with `pub const SYSTEM: model::system::System`.
    pub table: String,
    /// The optional parts of the hypervisor that it needs: cargo features of its image.
    pub image_features: Vec<&'static str>,
    /// The blob that is packed behind the image.
    pub payload: Vec<u8>,
    /// Images that are files of their own.
    pub files: Vec<GuestFile>,
    /// Board indices of the physical CPUs that the system uses, ascending.
    pub pcpus: Vec<usize>,
    /// What a runner must know of the partitions.
    pub partitions: Vec<PartitionInfo>,
    /// The QEMU machine that is this board, if there is one.
    pub qemu: Option<QemuMachine>,
}

/// The image of a partition that is a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFile {
    /// The partition.
    pub partition: String,
    /// Where it must lie in the board's memory before the hypervisor starts.
    pub address: u64,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What a runner must know of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its name.
    pub name: String,
    /// How many virtual CPUs it has.
    pub vcpus: usize,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// True when it has a virtual console, multiplexed on the hypervisor's.
    pub console: bool,
}

/// Proves a system: applies every rule, images included, and says who owns what. What the image of this version cannot do is a
/// warning: the answer holds for a system that only a later version can run.
///
/// # Errors
/// Everything that is wrong with the system file, its board and its images, all at once. Warnings are among them then.
pub fn prove(system_file: &Path, resources: &dyn Resources) -> Result<Proof, Diagnostics> {
    let read = Read::new(system_file, resources)?;
    if let Some(board) = &read.pc {
        return pc::prove(&read.input(resources), board.clone(), read.findings.clone());
    }
    let (plan, raw, warnings) = prepare(read, resources, Severity::Warning)?;
    Ok(proof(&plan, &raw, warnings))
}

/// Compiles a system file: proves it, and makes what an image is linked with.
///
/// # Errors
/// The same as [`prove`], and everything that the image of this version cannot do.
pub fn compile(system_file: &Path, resources: &dyn Resources) -> Result<Compiled, Diagnostics> {
    let read = Read::new(system_file, resources)?;
    if let Some(board) = &read.pc {
        return pc::compile(&read.input(resources), board.clone(), read.findings.clone());
    }
    let (plan, raw, warnings) = prepare(read, resources, Severity::Error)?;
    let system = &plan.system;
    let info = system.partitions.iter().map(|partition| PartitionInfo {
        name: partition.name.clone(),
        vcpus: partition.vcpus.len(),
        memory_bytes: partition.memory_size(),
        console: partition.console == Console::Virtual,
    });
    Ok(Compiled {
        target: Target::Arm64,
        table: emit::table(&plan),
        image_features: emit::features(&plan),
        payload: plan.payload.build(),
        files: plan
            .separate()
            .map(|(partition, file)| GuestFile {
                partition: partition.name.clone(),
                address: file.address,
                bytes: file.payload.build(),
            })
            .collect(),
        pcpus: system.cpus(),
        partitions: info.collect(),
        qemu: system.board.qemu.clone(),
        proof: proof(&plan, &raw, warnings),
    })
}

fn proof(plan: &Plan, raw: &RawSystem, warnings: Diagnostics) -> Proof {
    let system = &plan.system;
    let trees = system.partitions.iter().zip(&plan.partitions);
    Proof {
        system_name: system.name.clone(),
        board_name: system.board.name.clone(),
        guest_trees: trees
            .map(|(partition, planned)| (partition.name.clone(), planned.tree.to_vec()))
            .collect(),
        report: report::report(plan, raw, &warnings),
        warnings,
    }
}

/// A system file that was read, and what kind of board it is for: the one place where architectures part.
struct Read {
    source: SourceText,
    folder: PathBuf,
    raw: RawSystem,
    /// Its board, if that is a PC.
    pc: Option<PcBoard>,
    findings: Diagnostics,
}

impl Read {
    fn new(system_file: &Path, resources: &dyn Resources) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(system_file).map_err(|error| {
            Diagnostic::error(
                codes::UNREADABLE,
                format!("{} cannot be read: {error}", system_file.display()),
            )
            .help("give the path of a system file, like `configs/qemu-virt-gicv3/demo.toml`")
        })?;
        let source = SourceText::new(system_file, text);
        let mut findings = Diagnostics::default();
        let raw = raw::system::read(&source, &mut findings);
        Ok(Self {
            pc: pc::board(&raw, resources)?,
            source,
            folder: system_file.parent().unwrap_or(Path::new(".")).to_owned(),
            raw,
            findings,
        })
    }

    fn input<'a>(&'a self, resources: &'a dyn Resources) -> pc::Input<'a> {
        pc::Input {
            source: &self.source,
            raw: &self.raw,
            resources,
            folder: &self.folder,
        }
    }
}

/// Everything up to the point where bytes are written. What the image cannot do is as bad as `limits` says. The findings that come
/// with a plan are warnings.
fn prepare(
    read: Read,
    resources: &dyn Resources,
    limits: Severity,
) -> Result<(Plan, RawSystem, Diagnostics), Diagnostics> {
    let Read {
        source,
        folder,
        raw,
        mut findings,
        ..
    } = read;
    let resolver = Resolver {
        source: &source,
        resources,
        folder: &folder,
        machine: image::Machine::Arm64,
    };
    let board = resolver.board(&raw, &mut findings);
    let resolved = resolver.partitions(&raw, board.as_ref(), &mut findings);
    let context = Context::new(&source, &raw, board.as_ref(), &resolved, &mut findings);
    check::check(&context, &mut findings);
    limits::check(&context, limits, &mut findings);
    findings.sort();
    let memory = context.memory;
    let checked = board
        .filter(|_| !findings.has_errors())
        .and_then(|board| System::new(&raw, board, resolved, memory));
    let Some(system) = checked else {
        if !findings.has_errors() {
            findings.push(inconsistent(&source));
        }
        return Err(findings);
    };
    match plan(system, &source) {
        Ok(plan) => Ok((plan, raw, findings)),
        Err(more) => {
            findings.extend(more);
            findings.sort();
            Err(findings)
        }
    }
}

/// Every rule passed, but what it passed does not fit together.
fn inconsistent(source: &SourceText) -> Diagnostic {
    let message = "the system passes every rule and cannot be put together";
    Diagnostic::error(codes::INCONSISTENT, message)
        .at(source, 0..0)
        .help("this is a fault of the compiler: report it with the system file")
}
