//! A virtual CPU that moves does so between CPUs of one type: it keeps the identification of the CPU that it started on.

use std::ops::Range;

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::{RawPool, RawVcpu};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let moves = |pool: &&RawPool| pool.is_global() && !pool.allows_mixed_cpus();
    for pool in context.system.pools.iter().filter(moves) {
        let partitions = context.system.partitions.iter();
        let vcpus = partitions.flat_map(|partition| &partition.vcpus);
        let own = vcpus.filter(|vcpu| {
            let name = vcpu.pool.as_ref().map(Spanned::get_ref);
            name == Some(pool.name.get_ref())
        });
        // What several virtual CPUs have in common is one place.
        let mut seen: Vec<Range<usize>> = Vec::new();
        for (cpus, span) in own.filter_map(|vcpu| places(vcpu, pool)) {
            if seen.contains(&span) {
                continue;
            }
            if let Some(types) = two_types(context, &cpus) {
                findings.push(refusal(context, pool, &span, &types));
            }
            seen.push(span);
        }
    }
}

/// The CPUs between which it moves, and where the file says so.
fn places(vcpu: &RawVcpu, pool: &RawPool) -> Option<(Vec<u32>, Range<usize>)> {
    let list = vcpu.affinity.as_ref().or(pool.cpus.as_ref())?;
    let cpus = list.get_ref().iter().map(|cpu| *cpu.get_ref());
    Some((cpus.collect(), list.span()))
}

/// The types of these CPUs, as the device tree names them, each with one of its CPUs, if there are several.
fn two_types<'a>(context: &Context<'a>, cpus: &[u32]) -> Option<Vec<(&'a str, u32)>> {
    let board = context.board?;
    let mut types: Vec<(&str, u32)> = Vec::new();
    for cpu in cpus {
        // A CPU that is not on the board is reported as such.
        if let Some(known) = board.cpus.get(*cpu as usize) {
            let name = board.tree.string(known.node, "compatible");
            let name = name.unwrap_or("an unknown type");
            if types.iter().all(|(other, _)| *other != name) {
                types.push((name, *cpu));
            }
        }
    }
    (types.len() > 1).then_some(types)
}

fn refusal(
    context: &Context<'_>,
    pool: &RawPool,
    span: &Range<usize>,
    types: &[(&str, u32)],
) -> Diagnostic {
    let listed: Vec<String> = types
        .iter()
        .map(|(name, cpu)| format!("CPU {cpu} is {name}"))
        .collect();
    let message = format!(
        "a virtual CPU of pool `{}` would move between CPUs of different types: {}",
        pool.name.get_ref(),
        listed.join(", ")
    );
    Diagnostic::error(codes::MIXED_CPUS, message)
        .at(context.source, span.clone())
        .expected("CPUs of one type")
        .help(
            "make a pool of each type, or give each virtual CPU an `affinity` of one type; if the guests bear it, say `mixed_cpus = true` in the pool",
        )
}

#[cfg(test)]
mod tests {
    use crate::tests::compile_text;

    /// One virtual CPU in a global pool of CPUs 0 and 2, which are of one type, and 1, which is of another.
    fn system(pool: &str, vcpu: &str) -> String {
        format!(
            "[system]\nname = \"types\"\nboard = \"two-types\"\n[pools.rt]\ncpus = [0, 1, 2]\npolicy = \"rtds\"\nplacement = \"global\"\n{pool}\
             [[partition]]\nname = \"one\"\npool = \"rt\"\nvcpus = 1\nmemory = \"64MiB\"\nimage = \"program.elf\"\n\
             period = \"10ms\"\nbudget = \"4ms\"\n{vcpu}"
        )
    }

    #[test]
    fn virtual_cpu_may_move_between_cpus_of_one_type_of_a_pool_that_has_two() {
        let found = compile_text(&system("", "affinity = [0, 2]\n"));
        assert!(found.is_ok(), "{}", found.err().unwrap());
    }

    #[test]
    fn virtual_cpu_whose_affinity_has_two_types_is_refused_there() {
        let found = compile_text(&system("", "affinity = [2, 1]\n"));
        let text = found.expect_err("refused").to_string();
        assert!(
            text.contains("BH0235") && text.contains("affinity = [2, 1]"),
            "{text}"
        );
    }

    #[test]
    fn virtual_cpu_moves_between_types_where_the_pool_says_so() {
        let found = compile_text(&system("mixed_cpus = true\n", ""));
        assert!(found.is_ok(), "{}", found.err().unwrap());
    }
}
