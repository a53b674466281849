//! In a dedicated pool each virtual CPU gets a physical CPU of its own.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use model::partition::MOST_VCPUS;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let partitions = &context.system.partitions;
    for partition in partitions {
        if let Some(vcpus) = partition
            .vcpus
            .as_ref()
            .filter(|vcpus| *vcpus.get_ref() == 0)
        {
            findings.push(
                Diagnostic::error(
                    codes::NO_VCPUS,
                    format!("{} has no virtual CPU", partition.title()),
                )
                .at(context.source, vcpus.span())
                .expected("at least 1"),
            );
        }
    }
    for partition in partitions {
        let Some(vcpus) = partition
            .vcpus
            .as_ref()
            .filter(|vcpus| *vcpus.get_ref() as usize > MOST_VCPUS)
        else {
            continue;
        };
        let message = format!("{} has too many virtual CPUs", partition.title());
        findings.push(
            Diagnostic::error(codes::PARTITION_TOO_WIDE, message)
                .at(context.source, vcpus.span())
                .found(vcpus.get_ref().to_string())
                .expected(format!(
                    "at most {MOST_VCPUS}: the virtual interrupt controller addresses no more"
                ))
                .help("split it into several partitions"),
        );
    }
    let misspelt = context.misspelt_pools();
    for pool in &context.system.pools {
        let Some(cpus) = pool.cpus.as_ref().filter(|cpus| !cpus.get_ref().is_empty()) else {
            continue;
        };
        let (name, has) = (pool.name.get_ref(), cpus.get_ref().len() as u64);
        let mut wanted = 0u64;
        let mut users = 0;
        // A partition that misspells the pool is reported; how many CPUs it leaves idle is not known.
        let mut known = !misspelt.contains(&name.as_str());
        for partition in partitions
            .iter()
            .filter(|one| one.pool.as_ref().is_some_and(|pool| pool.get_ref() == name))
        {
            users += 1;
            let Some(vcpus) = &partition.vcpus else {
                known = false;
                continue;
            };
            let before = wanted;
            wanted += u64::from(*vcpus.get_ref());
            // Reported once, at the partition that asks for the first CPU too many.
            if before <= has && wanted > has {
                let message = format!("pool `{name}` has too few CPUs for {}", partition.title());
                let left = has - before;
                findings.push(
                    Diagnostic::error(codes::TOO_MANY_VCPUS, message)
                        .at(context.source, vcpus.span())
                        .found(format!("{} virtual CPUs, {left} of {has} CPUs are left", vcpus.get_ref()))
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
