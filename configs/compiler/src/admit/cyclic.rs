//! Cyclic pools: each virtual CPU on one physical CPU, on which no two windows overlap.

use ::rtds::admission::cyclic::{Window, clash};
use ::rtds::admission::{PlaceError, place};
use embassy_time::Duration;

use super::share::per_cent;
use super::{Member, PoolAdmission, Refusal, decided};
use crate::codes;
use crate::diagnostics::Diagnostic;
use crate::raw::RawVcpu;
use crate::raw::pool::RawPool;
use crate::raw::quantity::human_time;

/// `None` when a rule about windows or the frame is broken.
pub(super) fn admit(
    pool: &RawPool,
    cpus: &[usize],
    members: &[Member<'_>],
) -> Option<Result<PoolAdmission, Refusal>> {
    let frame = *pool.major_frame.as_ref()?.get_ref();
    let sets: Option<Vec<Vec<Window>>> = members
        .iter()
        .map(|member| windows(member.raw, frame))
        .collect();
    let sets = sets?;
    let order: Vec<usize> = (0..members.len()).collect();
    let mut homes = vec![None; members.len()];
    let placed = place(&order, cpus.len(), &mut homes, |item, cpu, homes| {
        let may = members
            .get(item)
            .zip(cpus.get(cpu))
            .is_some_and(|(member, cpu)| member.allowed.contains(cpu));
        may && neighbour(&sets, homes, item, cpu).is_none()
    });
    let homes: Vec<usize> = match placed {
        Ok(()) => homes
            .iter()
            .flatten()
            .filter_map(|place| cpus.get(*place).copied())
            .collect(),
        Err(error) => return Some(Err(refusal(pool, cpus, members, &sets, error))),
    };
    let used = |index: usize| {
        let length = |window: &Window| window.length.as_ticks();
        let total: u64 = sets.get(index).into_iter().flatten().map(length).sum();
        u64::try_from(u128::from(total) * 1_000_000 / u128::from(frame.max(1))).unwrap_or(u64::MAX)
    };
    Some(Ok(decided(cpus, members, &homes, |cpu, here| {
        let names = here.iter().filter_map(|index| {
            let all: Vec<String> = sets.get(*index)?.iter().map(show).collect();
            Some(format!(
                "{} {}",
                members.get(*index)?.name,
                all.join(" and ")
            ))
        });
        let names: Vec<String> = names.collect();
        let total = per_cent(here.iter().map(|index| used(*index)).sum());
        let frame = human_time(frame);
        vec![format!(
            "CPU {cpu}, {total} of each {frame}: {}; no two windows overlap",
            names.join(", ")
        )]
    })))
}

/// The windows of a virtual CPU. `None` when they are missing, leave the frame or overlap one another.
fn windows(raw: &RawVcpu, frame: u64) -> Option<Vec<Window>> {
    let windows = raw.windows.as_ref()?.get_ref().iter();
    let windows: Vec<Window> = windows
        .map(|window| Window {
            start: Duration::from_ticks(*window.start.get_ref()),
            length: Duration::from_ticks(*window.length.get_ref()),
        })
        .collect();
    let inside = windows
        .iter()
        .all(|window| window.lies_in(Duration::from_ticks(frame)));
    let apart = windows.iter().enumerate().all(|(index, window)| {
        let before = windows.iter().take(index);
        !before.into_iter().any(|other| other.overlaps(window))
    });
    (!windows.is_empty() && inside && apart).then_some(windows)
}

/// Who has a window on that CPU that overlaps one of the item's.
fn neighbour(
    sets: &[Vec<Window>],
    homes: &[Option<usize>],
    item: usize,
    cpu: usize,
) -> Option<(usize, Window, Window)> {
    let own = sets.get(item)?;
    let there = homes
        .iter()
        .enumerate()
        .filter(|(_, home)| **home == Some(cpu));
    there.into_iter().find_map(|(other, _)| {
        let (a, b) = clash(own, sets.get(other)?)?;
        Some((other, a, b))
    })
}

fn show(window: &Window) -> String {
    let (start, length) = (window.start.as_ticks(), window.length.as_ticks());
    format!(
        "{} to {}",
        human_time(start),
        human_time(start.saturating_add(length))
    )
}

fn refusal(
    pool: &RawPool,
    cpus: &[usize],
    members: &[Member<'_>],
    sets: &[Vec<Window>],
    error: PlaceError,
) -> Refusal {
    let (PlaceError::Impossible(stuck) | PlaceError::GaveUp(stuck)) = error else {
        return (
            pool.name.span(),
            Diagnostic::error(codes::WINDOWS_OVERLAP, "no order of windows"),
        );
    };
    // First fit again, up to the one that found no place, to say who is in the way.
    let mut homes = vec![None; members.len()];
    let before: Vec<usize> = (0..stuck).collect();
    let _ = place(&before, cpus.len(), &mut homes, |item, cpu, homes| {
        let may = members
            .get(item)
            .zip(cpus.get(cpu))
            .is_some_and(|(member, cpu)| member.allowed.contains(cpu));
        may && neighbour(sets, homes, item, cpu).is_none()
    });
    let name = members.get(stuck).map_or("?", |member| &member.name);
    let message = format!("the windows of {name} overlap others on each CPU that it may run on");
    let mut finding = Diagnostic::error(codes::WINDOWS_OVERLAP, message);
    for (index, cpu) in cpus.iter().enumerate() {
        if let Some((other, own, theirs)) = neighbour(sets, &homes, stuck, index)
            && let Some(other) = members.get(other)
        {
            finding = finding.note(format!(
                "CPU {cpu}: {} overlaps {} of {}",
                show(&own),
                show(&theirs),
                other.name
            ));
        }
    }
    if matches!(error, PlaceError::GaveUp(_)) {
        finding =
            finding.note("not every combination was tried; `affinity` can say where each one runs");
    }
    let windows = members
        .get(stuck)
        .and_then(|member| member.raw.windows.as_ref());
    let span = windows.map_or(pool.name.span(), |windows| windows.span());
    (
        span,
        finding.help("move the windows apart, or add a CPU to the pool"),
    )
}
