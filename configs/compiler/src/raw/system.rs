//! The system file as a whole.

use model::x86::cpu::CpuPolicy;
use toml::Spanned;
use toml::de::DeTable;

use super::channel::{RawChannel, read_channels};
use super::cpu_policy::{RawCpuPolicy, read_cpu_policies};
use super::hypervisor::{RawHypervisor, read_hypervisor};
use super::partition::{RawPartition, read_partitions};
use super::pool::{RawPool, read_pools};
use super::reader::{TableReader, parse, table_of};
use super::schema;
use super::values::{string, strings};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// A system file as it stands. A field is `None` when it is missing or was already reported as wrong.
#[derive(Debug, Default)]
pub(crate) struct RawSystem {
    pub name: Option<Spanned<String>>,
    pub board: Option<Spanned<String>>,
    pub description: Option<Spanned<String>>,
    /// Overlays applied to the board's tree, in this order.
    pub overlays: Vec<Spanned<String>>,
    pub hypervisor: RawHypervisor,
    /// In the order of the file.
    pub pools: Vec<RawPool>,
    /// True when a pool was reported as wrong and is not among them.
    pub pools_wrong: bool,
    /// In the order of the file.
    pub cpu_policies: Vec<RawCpuPolicy>,
    pub partitions: Vec<RawPartition>,
    pub channels: Vec<RawChannel>,
}

impl RawSystem {
    /// What a partition is shown of its CPUs, and the name of that. `None`: it names a policy that does not exist.
    pub fn cpu_policy(&self, partition: &RawPartition) -> Option<(String, CpuPolicy)> {
        let Some(name) = &partition.cpu_policy else {
            return Some(("full".to_owned(), CpuPolicy::FULL));
        };
        let name = name.get_ref();
        let built_in = CpuPolicy::BUILT_IN.iter().find(|(one, _)| one == name);
        let own = || {
            let mut own = self.cpu_policies.iter();
            own.find(|one| one.name.get_ref() == name)
        };
        let policy = built_in.map(|(_, policy)| *policy);
        let policy = policy.or_else(|| own().map(RawCpuPolicy::policy));
        Some((name.clone(), policy?))
    }
}

/// Reads a system file. Everything wrong with its form goes to `findings`.
pub(crate) fn read(source: &SourceText, findings: &mut Diagnostics) -> RawSystem {
    let mut syntax = Diagnostics::default();
    let document = parse(source, &mut syntax);
    if syntax.has_errors() {
        // What stands after a syntax error is a guess; findings about it would mislead.
        findings.extend(syntax);
        return RawSystem::default();
    }
    let mut system = RawSystem::default();
    let mut root = TableReader::new(
        source,
        "a system file",
        &schema::ROOT,
        document.get_ref(),
        0..0,
    );
    match root.table("system", findings) {
        Some((table, span)) => {
            let reader = TableReader::new(source, "`[system]`", &schema::SYSTEM, table, span);
            read_header(reader, &mut system, findings);
        }
        None if root.value("system").is_none() => findings.push(
            Diagnostic::error(codes::MISSING_FIELD, "there is no `[system]` table")
                .at(source, 0..0)
                .help("begin with `[system]`, `name = \"…\"` and `board = \"…\"`"),
        ),
        None => {}
    }
    if let Some((table, span)) = root.table("hypervisor", findings) {
        let reader = TableReader::new(source, "`[hypervisor]`", &schema::HYPERVISOR, table, span);
        system.hypervisor = read_hypervisor(reader, findings);
    }
    if let Some((slot, value)) = root.value("pools") {
        let tables = table_of(source, slot, value, findings);
        let pools = tables.map(|table| (table.len(), read_pools(source, slot, table, findings)));
        system.pools_wrong = pools.as_ref().is_none_or(|(all, read)| read.len() < *all);
        system.pools = pools.map_or(Vec::new(), |(_, pools)| pools);
    }
    if let Some((slot, value)) = root.value("cpu_policies")
        && let Some(table) = table_of(source, slot, value, findings)
    {
        system.cpu_policies = read_cpu_policies(source, slot, table, findings);
    }
    match root.value("partition") {
        Some((slot, value)) => system.partitions = read_partitions(source, slot, value, findings),
        None => findings.push(no_partition(source, document.get_ref())),
    }
    if let Some((slot, value)) = root.value("channel") {
        system.channels = read_channels(source, slot, value, findings);
    }
    root.finish(findings);
    system
}

fn read_header(mut reader: TableReader<'_>, system: &mut RawSystem, findings: &mut Diagnostics) {
    system.name = reader.required("name", string, findings);
    system.board = reader.required("board", string, findings);
    system.description = reader.optional("description", string, findings);
    system.overlays = reader
        .optional("overlays", strings, findings)
        .map_or(Vec::new(), Spanned::into_inner);
    reader.finish(findings);
}

fn no_partition(source: &SourceText, root: &DeTable<'_>) -> Diagnostic {
    let header = root.get("system").map_or(0..0, Spanned::span);
    Diagnostic::error(codes::NO_PARTITION, "the system has no partition")
        .at(source, header)
        .help("add a `[[partition]]` table with `name`, `pool`, `memory` and `image`")
}
