//! Partitions start after others that exist, and none after itself, however long the way around; and they control, watch and notify others that
//! exist. One that waits to be started has somebody who can do it.

use std::collections::BTreeSet;

use toml::Spanned;

use super::Context;
use super::partitions::MOST;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::nearest::suggestion;
use crate::raw::RawPartition;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let partitions = &context.system.partitions;
    let names: Vec<&str> = partitions.iter().filter_map(name).collect();
    let known: BTreeSet<&str> = names.iter().copied().collect();
    let starts = partitions.iter().flat_map(after);
    let starts = starts.map(|other| (other, "start after"));
    let control = partitions.iter().flat_map(|one| &one.may_control);
    let control = control.map(|other| (other, "control"));
    let watch = partitions.iter().flat_map(|one| &one.may_watch);
    let watch = watch.map(|other| (other, "watch"));
    let notify = partitions.iter().flat_map(|one| &one.notify);
    let notify = notify.map(|other| (other, "notify"));
    let consoles = partitions.iter().flat_map(|one| &one.may_read_console);
    let consoles = consoles.map(|other| (other, "read the console of"));
    let all = starts
        .chain(control)
        .chain(watch)
        .chain(consoles)
        .chain(notify);
    for (other, what) in all {
        if known.contains(other.get_ref().as_str()) {
            continue;
        }
        let message = format!("there is no partition `{}` to {what}", other.get_ref());
        let mut finding =
            Diagnostic::error(codes::UNKNOWN_PARTITION, message).at(context.source, other.span());
        finding.help = suggestion(other.get_ref(), &names);
        findings.push(finding);
    }
    for partition in partitions {
        let Some(start) = partition.start.as_ref().filter(|start| !start.automatic) else {
            continue;
        };
        let (Some(own), Some(automatic)) = (name(partition), &start.automatic_span) else {
            continue;
        };
        let mut others = partitions.iter().filter(|one| name(one) != Some(own));
        if !others.any(|one| one.may_control.iter().any(|other| other.get_ref() == own)) {
            findings.push(
                Diagnostic::error(
                    codes::NEVER_STARTS,
                    format!("nobody can start {}", partition.title()),
                )
                .at(context.source, automatic.clone())
                .found("no other partition that may control it")
                .help(format!(
                    "write `may_control = [\"{own}\"]` in another partition, or remove `automatic`"
                )),
            );
        }
    }
    if let Some(cycle) = cycle(partitions) {
        let place = cycle.first().and_then(|first| after(first).first());
        let span = place.map_or(0..0, Spanned::span);
        let way: Vec<&str> = cycle
            .iter()
            .chain(cycle.first())
            .filter_map(|one| name(one))
            .collect();
        findings.push(
            Diagnostic::error(
                codes::START_CYCLE,
                "partitions wait for one another to start",
            )
            .at(context.source, span)
            .found(way.join(" after "))
            .help("take one of them out of an `after`"),
        );
    }
}

fn name(partition: &RawPartition) -> Option<&str> {
    Some(partition.name.as_ref()?.get_ref())
}

fn after(partition: &RawPartition) -> &[Spanned<String>] {
    partition.start.as_ref().map_or(&[], |start| &start.after)
}

/// Partitions of which each starts after the next, and the last after the first. Of more than a system can have, only the first are
/// looked at: the others are refused anyway.
fn cycle(partitions: &[RawPartition]) -> Option<Vec<&RawPartition>> {
    let partitions = partitions.get(..MOST).unwrap_or(partitions);
    let find = |wanted: &Spanned<String>| {
        let wanted = wanted.get_ref().as_str();
        partitions.iter().position(|one| name(one) == Some(wanted))
    };
    let waits_for: Vec<BTreeSet<usize>> = partitions
        .iter()
        .map(|partition| after(partition).iter().filter_map(find).collect())
        .collect();
    // Those that wait for nobody left can start; who remains is in a cycle or behind one.
    let mut waiting: Vec<usize> = (0..partitions.len()).collect();
    loop {
        let before = waiting.len();
        let left = waiting.clone();
        let stuck = |index: &usize| {
            let others = waits_for.get(*index).into_iter().flatten();
            others.into_iter().any(|other| left.contains(other))
        };
        waiting.retain(stuck);
        if waiting.len() == before {
            break;
        }
    }
    // From any of them, follow one that is waited for until one comes again.
    let mut way: Vec<usize> = vec![*waiting.first()?];
    loop {
        let last = way.last()?;
        let next = *waits_for
            .get(*last)?
            .iter()
            .find(|other| waiting.contains(other))?;
        if let Some(start) = way.iter().position(|one| *one == next) {
            return way
                .get(start..)?
                .iter()
                .map(|index| partitions.get(*index))
                .collect();
        }
        way.push(next);
    }
}
