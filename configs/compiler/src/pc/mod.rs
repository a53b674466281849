//! Systems for PCs: from the same system file to a table, a payload and a report for the image of the x86 port.
//!
//! What a system file says and the rules that ask no device tree are the same as everywhere; this module has what a PC does differently: its
//! board is described by `board.toml` alone, and its partitions have no device tree.

mod acpi;
mod board;
mod channels;
pub(crate) mod dump;
mod functions;
mod known;
mod limits;
pub(crate) mod linux;
mod place;
mod plan;
mod report;
mod start_info;
mod table;
#[cfg(test)]
mod tests;

pub use board::{PcBoard, pc_tables, read_pc_board};

use std::path::Path;

use crate::check::{self, Context};
use crate::diagnostics::{Diagnostic, Diagnostics, Severity, SourceText};
use crate::image::Machine;
use crate::raw::RawSystem;
use crate::resolve::Resolver;
use crate::resources::Resources;
use crate::system::Console;
use crate::{Compiled, PartitionInfo, Proof, Target, codes};

use plan::Plan;

/// The board of a system, if it is a PC.
///
/// # Errors
/// It is a PC, and its file is wrong.
pub(crate) fn board(
    raw: &RawSystem,
    resources: &dyn Resources,
) -> Result<Option<PcBoard>, Diagnostics> {
    let Some(name) = &raw.board else {
        return Ok(None);
    };
    // What cannot be had is told where every board is looked for.
    match resources.board(name.get_ref()) {
        Ok(files) if board::is_pc(&files.board_toml) => {
            let tables = pc_tables(&files.board_toml).map(|_| files.tables.as_slice());
            read_pc_board(&files.board_toml, &files.path, tables).map(Some)
        }
        _ => Ok(None),
    }
}

/// A system file that was read.
pub(crate) struct Input<'a> {
    pub source: &'a SourceText,
    pub raw: &'a RawSystem,
    pub resources: &'a dyn Resources,
    /// The system file's folder.
    pub folder: &'a Path,
}

/// Proves a system for a PC.
///
/// # Errors
/// As [`crate::prove`].
pub(crate) fn prove(
    input: &Input<'_>,
    board: PcBoard,
    findings: Diagnostics,
) -> Result<Proof, Diagnostics> {
    let (plan, warnings) = prepare(input, board, findings, Severity::Warning)?;
    Ok(proof(&plan, warnings))
}

/// Compiles a system for a PC.
///
/// # Errors
/// As [`crate::compile`].
pub(crate) fn compile(
    input: &Input<'_>,
    board: PcBoard,
    findings: Diagnostics,
) -> Result<Compiled, Diagnostics> {
    let (plan, warnings) = prepare(input, board, findings, Severity::Error)?;
    let info = plan.partitions.iter().map(|partition| PartitionInfo {
        name: partition.name.clone(),
        vcpus: partition.cpus.len(),
        memory_bytes: partition.memory_size(),
        console: partition.console == Console::Virtual,
    });
    Ok(Compiled {
        target: Target::Pc,
        table: table::table(&plan),
        image_features: plan.image_features(),
        payload: plan.payload.build(),
        files: Vec::new(),
        pcpus: plan.cpus.clone(),
        partitions: info.collect(),
        qemu: plan.board.qemu.clone(),
        proof: proof(&plan, warnings),
    })
}

fn proof(plan: &Plan, warnings: Diagnostics) -> Proof {
    Proof {
        system_name: plan.name.clone(),
        board_name: plan.board.name.clone(),
        guest_trees: Vec::new(),
        report: report::report(plan, &warnings),
        warnings,
    }
}

fn prepare(
    input: &Input<'_>,
    board: PcBoard,
    mut findings: Diagnostics,
    limits: Severity,
) -> Result<(Plan, Diagnostics), Diagnostics> {
    let resolver = Resolver {
        source: input.source,
        resources: input.resources,
        folder: input.folder,
        machine: Machine::X86,
    };
    let resolved = resolver.partitions(input.raw, None, &mut findings);
    let context = Context::new(input.source, input.raw, None, &resolved, &mut findings);
    check::check(&context, &mut findings);
    crate::limits::check(&context, limits, &mut findings);
    limits::check(&context, &board, &mut findings);
    let functions = functions::assign(&context, &board, &mut findings);
    let places = place::arrange(&context, &board, &functions, &mut findings);
    findings.sort();
    if findings.has_errors() {
        return Err(findings);
    }
    let plan = places.and_then(|places| Plan::new(input.raw, board, &resolved, places, functions));
    match plan {
        Some(plan) => Ok((plan, findings)),
        None => {
            let message = "the system passes every rule and cannot be put together";
            findings.push(
                Diagnostic::error(codes::INCONSISTENT, message)
                    .at(input.source, 0..0)
                    .help("this is a fault of the compiler: report it with the system file"),
            );
            Err(findings)
        }
    }
}
