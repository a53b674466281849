//! In a dedicated pool each virtual CPU gets a physical CPU of its own.

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::PoolPolicy;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let partitions = &context.system.partitions;
    let misspelt = context.misspelt_pools();
    for pool in &context.system.pools {
        let dedicated = pool.policy.as_ref().map(Spanned::get_ref) == Some(&PoolPolicy::Dedicated);
        let cpus = pool.cpus.as_ref().filter(|_| dedicated);
        let Some(cpus) = cpus.filter(|cpus| !cpus.get_ref().is_empty()) else {
            continue;
        };
        let (name, has) = (pool.name.get_ref(), cpus.get_ref().len() as u64);
        let mut wanted = 0u64;
        let mut users = 0;
        // A partition that misspells the pool is reported; how many CPUs it leaves idle is not known.
        let mut known = !misspelt.contains(&name.as_str());
        for partition in partitions {
            if !partition.pools().iter().any(|pool| pool.get_ref() == name) {
                continue;
            }
            users += 1;
            known &= !partition.vcpus.is_empty();
            let before = wanted;
            let of_pool = |pool: &Spanned<String>| pool.get_ref() == name;
            let own = partition
                .vcpus
                .iter()
                .filter(|vcpu| vcpu.pool.as_ref().is_some_and(of_pool));
            let own = own.count() as u64;
            wanted += own;
            // Reported once, at the partition that asks for the first CPU too many.
            if before <= has && wanted > has {
                let message = format!("pool `{name}` has too few CPUs for {}", partition.title());
                let left = has - before;
                findings.push(
                    Diagnostic::error(codes::TOO_MANY_VCPUS, message)
                        .at(context.source, partition.vcpus_span.clone())
                        .found(format!("{} virtual CPUs, {left} of {has} CPUs are left", own))
                        .help("a dedicated pool gives each virtual CPU a CPU of its own: add CPUs to the pool or ask for fewer"),
                );
            }
        }
        if known && users > 0 && wanted > 0 && wanted < has {
            let idle = has - wanted;
            let message = format!("{idle} of the {has} CPUs of pool `{name}` stay parked");
            let finding =
                Diagnostic::warning(codes::IDLE_CPU, message).at(context.source, cpus.span());
            findings.push(finding.help(format!(
                "list {wanted} in `cpus`, or give its partitions more virtual CPUs"
            )));
        }
    }
}
