//! Pools of CPUs. Where a pool has a CPU for each virtual CPU, each gets its own; else the CPUs' time is shared out evenly.

use super::boot_arguments::BootArguments;
use super::domain::Domain;
use super::{ImportError, Source};
use crate::devicetree::NodeId;
use crate::toml_text as text;

/// A pool and the domains that run in it.
#[derive(Debug)]
pub(super) struct Pool {
    pub name: String,
    /// Board indices.
    pub cpus: Vec<usize>,
    /// Indices of its domains.
    pub domains: Vec<usize>,
    /// With less than a CPU for each virtual CPU: what each gets of a period, in microseconds.
    pub shared: Option<Share>,
}

/// Each virtual CPU's part of a CPU, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub period: u32,
    pub budget: u32,
}

/// A period that suits guests without deadlines.
const PERIOD: u32 = 10_000;
/// Kept free for the hypervisor, in parts of a hundred.
const RESERVE: u32 = 10;

/// The pools that domains use, each with its domains.
pub(super) fn assign(
    source: &mut Source<'_>,
    domains: &[Domain],
    arguments: &BootArguments,
) -> Result<Vec<Pool>, ImportError> {
    let tree = source.tree;
    let cpus = source.cpus();
    let mut nodes: Vec<Option<NodeId>> = Vec::new();
    let mut pools: Vec<Pool> = Vec::new();
    let mut names = Vec::new();
    for node in source.children(source.chosen, &["xen,cpupool"]) {
        let phandles = tree.cells(node, "cpupool-cpus")?.unwrap_or_default();
        let members = phandles
            .iter()
            .filter_map(|phandle| tree.by_phandle(*phandle));
        let members: Vec<usize> = members
            .filter_map(|member| cpus.iter().position(|cpu| *cpu == member))
            .collect();
        if members.len() != phandles.len() || members.is_empty() {
            source.note(
                node,
                "`cpupool-cpus` names a CPU that the board does not have",
                "list the pool's CPUs by their number on the board",
            );
        }
        let name = text::name(tree.name(node), &names);
        names.push(name.clone());
        nodes.push(Some(node));
        pools.push(Pool {
            name,
            cpus: members,
            domains: Vec::new(),
            shared: None,
        });
    }
    let taken: Vec<usize> = pools.iter().flat_map(|pool| pool.cpus.clone()).collect();
    let rest: Vec<usize> = (0..cpus.len()).filter(|cpu| !taken.contains(cpu)).collect();
    // Xen's boot CPU is in Pool-0, where a domain without a pool goes.
    let default = match pools.iter().position(|pool| pool.cpus.contains(&0)) {
        Some(pool) => pool,
        None => {
            nodes.push(None);
            pools.push(Pool {
                name: text::name("pool-0", &names),
                cpus: rest,
                domains: Vec::new(),
                shared: None,
            });
            pools.len() - 1
        }
    };
    for (index, domain) in domains.iter().enumerate() {
        let asked = match tree.cell(domain.node, "domain-cpupool")? {
            Some(phandle) => {
                let node = tree.by_phandle(phandle);
                let found = nodes
                    .iter()
                    .position(|pool| pool.is_some() && *pool == node);
                if found.is_none() {
                    source.note(
                        domain.node,
                        "`domain-cpupool` names no pool",
                        "it runs in the first CPU's pool",
                    );
                }
                found
            }
            None => None,
        };
        if let Some(pool) = pools.get_mut(asked.unwrap_or(default)) {
            pool.domains.push(index);
        }
    }
    for (pool, node) in pools.iter_mut().zip(&nodes) {
        let scheduler = node.and_then(|node| tree.string(node, "cpupool-sched"));
        let scheduler = scheduler
            .or(arguments.scheduler.as_deref())
            .unwrap_or("credit2");
        let place = node.unwrap_or(source.chosen);
        share_out(source, place, pool, domains, scheduler, node.is_none());
    }
    Ok(pools
        .into_iter()
        .filter(|pool| !pool.domains.is_empty())
        .collect())
}

/// Decides how a pool's CPUs serve its domains, and says so.
fn share_out(
    source: &mut Source<'_>,
    place: NodeId,
    pool: &mut Pool,
    domains: &[Domain],
    scheduler: &str,
    implicit: bool,
) {
    if pool.domains.is_empty() {
        if !implicit {
            source.note(place, "no domain runs in this pool", "its CPUs stay parked");
        }
        return;
    }
    let members = || pool.domains.iter().filter_map(|index| domains.get(*index));
    let vcpus: u64 = members().map(|domain| u64::from(domain.vcpus)).sum();
    let cpus = pool.cpus.len().max(1) as u64;
    if vcpus <= cpus {
        let pinned = members().any(|domain| !domain.affinity.is_empty());
        if implicit && !pinned {
            pool.cpus.truncate(vcpus as usize);
        }
        if scheduler != "null" {
            let found = format!("Xen schedules its virtual CPUs with {scheduler}");
            source.note(
                place,
                found,
                "each gets a CPU of its own instead, so that no scheduler runs",
            );
        }
        return;
    }
    let each = u32::try_from(vcpus.div_ceil(cpus)).unwrap_or(u32::MAX);
    let budget = (PERIOD / 100 * (100 - RESERVE))
        .checked_div(each)
        .unwrap_or(1)
        .max(1);
    pool.shared = Some(Share {
        period: PERIOD,
        budget,
    });
    let found = format!(
        "{vcpus} virtual CPUs share {cpus} CPUs under {scheduler}, which promises none of them any time"
    );
    source.note(place, found, format!("each gets {budget} us of every {PERIOD} us: give each `period` and `budget` what its guest needs"));
}
