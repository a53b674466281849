//! Pools exist where they are named, have CPUs, and are used.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::nearest::suggestion;
use crate::raw::RawPartition;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let system = context.system;
    let names: Vec<&str> = system
        .pools
        .iter()
        .map(|pool| pool.name.get_ref().as_str())
        .collect();
    let named = system.partitions.iter().flat_map(|partition| {
        let pools = partition.pools().into_iter();
        pools.map(move |pool| (partition, pool))
    });
    for (partition, pool) in named.filter(|(_, pool)| !names.contains(&pool.get_ref().as_str())) {
        let message = format!(
            "{} runs in pool `{}`, which does not exist",
            partition.title(),
            pool.get_ref()
        );
        let mut finding =
            Diagnostic::error(codes::UNKNOWN_POOL, message).at(context.source, pool.span());
        finding.help = suggestion(pool.get_ref(), &names).or_else(|| {
            Some(format!(
                "add a table `[pools.{}]` with its CPUs",
                pool.get_ref()
            ))
        });
        findings.push(finding);
    }
    let misspelt = context.misspelt_pools();
    for pool in &system.pools {
        let name = pool.name.get_ref();
        if let Some(cpus) = pool.cpus.as_ref().filter(|cpus| cpus.get_ref().is_empty()) {
            findings.push(
                Diagnostic::error(
                    codes::POOL_WITHOUT_CPUS,
                    format!("pool `{name}` has no CPUs"),
                )
                .at(context.source, cpus.span())
                .help("list at least one CPU: `cpus = [0]`"),
            );
        }
        let used = |name: &str| {
            system
                .partitions
                .iter()
                .flat_map(RawPartition::pools)
                .any(|pool| pool.get_ref() == name)
        };
        // A misspelt pool is reported at its partition; the pool that was meant is not unused.
        let used = used(name) || misspelt.contains(&name.as_str());
        if !used && !system.partitions.is_empty() {
            findings.push(
                Diagnostic::warning(
                    codes::UNUSED_POOL,
                    format!("no partition runs in pool `{name}`"),
                )
                .at(context.source, pool.name.span())
                .help("remove it, or let a partition name it; its CPUs stay parked"),
            );
        }
    }
}
