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
    let unknown = named.filter(|(_, pool)| !names.contains(&pool.get_ref().as_str()));
    // A pool that was reported as wrong may be the one that is meant.
    for (partition, pool) in unknown.filter(|_| !system.pools_wrong) {
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
    // Where a pool is missing, any may be meant; that is reported already.
    let missing = system.partitions.iter().any(|partition| {
        let without = partition.vcpus.iter().any(|vcpu| vcpu.pool.is_none());
        without || partition.vcpus.is_empty() && partition.pool.is_none()
    });
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
        if !used && !missing && !system.partitions.is_empty() {
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
