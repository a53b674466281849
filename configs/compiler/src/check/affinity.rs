//! A virtual CPU is bound to CPUs of its pool.

use std::collections::BTreeSet;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    // What a partition says for all of its virtual CPUs is one place.
    let mut seen: Vec<(usize, &str)> = Vec::new();
    for vcpu in context
        .system
        .partitions
        .iter()
        .flat_map(|partition| &partition.vcpus)
    {
        let (Some(affinity), Some(name)) = (&vcpu.affinity, &vcpu.pool) else {
            continue;
        };
        let place = (affinity.span().start, name.get_ref().as_str());
        if seen.contains(&place) {
            continue;
        }
        seen.push(place);
        if affinity.get_ref().is_empty() {
            findings.push(
                Diagnostic::error(codes::BAD_AFFINITY, "`affinity` leaves no CPU to run on")
                    .at(context.source, affinity.span())
                    .help("list CPUs of the pool, or remove the field to allow them all"),
            );
        }
        let mut pools = context.system.pools.iter();
        let pool = pools.find(|pool| pool.name.get_ref() == name.get_ref());
        let Some(cpus) = pool.and_then(|pool| pool.cpus.as_ref()) else {
            continue;
        };
        let list: BTreeSet<u32> = cpus.get_ref().iter().map(|cpu| *cpu.get_ref()).collect();
        let mut listed = BTreeSet::new();
        for cpu in affinity.get_ref() {
            let number = *cpu.get_ref();
            if !list.contains(&number) {
                let message = format!("CPU {number} is not in pool `{}`", name.get_ref());
                findings.push(
                    Diagnostic::error(codes::BAD_AFFINITY, message)
                        .at(context.source, cpu.span())
                        .expected(format!("CPUs of the pool: {}", listed_as(&list)))
                        .help("add the CPU to the pool, or remove it here"),
                );
            }
            if !listed.insert(number) {
                findings.push(
                    Diagnostic::error(codes::BAD_AFFINITY, format!("CPU {number} is listed twice"))
                        .at(context.source, cpu.span())
                        .help("remove one of them"),
                );
            }
        }
    }
}

fn listed_as(cpus: &BTreeSet<u32>) -> String {
    let cpus: Vec<String> = cpus.iter().map(u32::to_string).collect();
    cpus.join(", ")
}
