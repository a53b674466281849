//! Cyclic pools: each virtual CPU on one physical CPU, on which no two windows overlap.

use ::rtds::admission::cyclic::{Window, clash};
use ::rtds::admission::{PlaceError, Placing, place};
use embassy_time::Duration;

use super::share::per_cent;
use super::{Member, PoolAdmission, Refusal, decided, first_fit, gave_up, stuck};
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
    let mut frame_of = Frame {
        cpus,
        members,
        sets: &sets,
        here: vec![Vec::new(); cpus.len()],
    };
    let order: Vec<usize> = (0..members.len()).collect();
    let mut homes = vec![None; members.len()];
    if let Err(error) = place(&order, cpus.len(), &mut homes, &mut frame_of) {
        return Some(Err(frame_of.refusal(pool, error)));
    }
    let places = homes.iter().flatten();
    let homes: Vec<usize> = places
        .filter_map(|place| cpus.get(*place).copied())
        .collect();
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

/// The windows of a virtual CPU, sorted by start. `None` when they are missing, leave the frame or overlap one another.
fn windows(raw: &RawVcpu, frame: u64) -> Option<Vec<Window>> {
    let windows = raw.windows.as_ref()?.get_ref().iter();
    let mut windows: Vec<Window> = windows
        .map(|window| Window {
            start: Duration::from_ticks(*window.start.get_ref()),
            length: Duration::from_ticks(*window.length.get_ref()),
        })
        .collect();
    windows.sort_by_key(|window| window.start);
    let inside = windows
        .iter()
        .all(|window| window.lies_in(Duration::from_ticks(frame)));
    let apart = windows.windows(2).all(|pair| match pair {
        [one, next] => !one.overlaps(next),
        _ => true,
    });
    (!windows.is_empty() && inside && apart).then_some(windows)
}

/// Virtual CPUs with windows, and the CPUs that they share.
struct Frame<'a> {
    cpus: &'a [usize],
    members: &'a [Member<'a>],
    sets: &'a [Vec<Window>],
    /// Who is on each CPU.
    here: Vec<Vec<usize>>,
}

impl Placing for Frame<'_> {
    fn fits(&self, item: usize, cpu: usize) -> bool {
        let pair = self.members.get(item).zip(self.cpus.get(cpu));
        let may_run = pair.is_some_and(|(member, cpu)| member.allowed.contains(cpu));
        may_run && self.neighbour(item, cpu).is_none()
    }

    fn put(&mut self, item: usize, cpu: usize) {
        self.here
            .get_mut(cpu)
            .into_iter()
            .for_each(|here| here.push(item));
    }

    fn take(&mut self, _: usize, cpu: usize) {
        self.here.get_mut(cpu).and_then(Vec::pop);
    }
}

impl Frame<'_> {
    /// Who has a window on that CPU that overlaps one of the item's.
    fn neighbour(&self, item: usize, cpu: usize) -> Option<(usize, Window, Window)> {
        let own = self.sets.get(item)?;
        self.here.get(cpu)?.iter().find_map(|other| {
            let (a, b) = clash(own, self.sets.get(*other)?)?;
            Some((*other, a, b))
        })
    }

    fn refusal(&mut self, pool: &RawPool, error: PlaceError) -> Refusal {
        let stuck = stuck(error);
        first_fit(0..stuck, self.cpus.len(), self);
        let name = self.members.get(stuck).map_or("?", |member| &member.name);
        let message =
            format!("the windows of {name} overlap others on each CPU that it may run on");
        let mut finding = Diagnostic::error(codes::WINDOWS_OVERLAP, message);
        for (index, cpu) in self.cpus.iter().enumerate() {
            if let Some((other, own, theirs)) = self.neighbour(stuck, index)
                && let Some(other) = self.members.get(other)
            {
                let (own, theirs) = (show(&own), show(&theirs));
                finding = finding.note(format!(
                    "CPU {cpu}: {own} overlaps {theirs} of {}",
                    other.name
                ));
            }
        }
        finding.notes.extend(gave_up(error).map(str::to_owned));
        let member = self.members.get(stuck);
        let windows = member.and_then(|member| member.raw.windows.as_ref());
        let span = windows.map_or(pool.name.span(), |windows| windows.span());
        let help = "move the windows apart, or add a CPU to the pool";
        (span, finding.help(help))
    }
}

fn show(window: &Window) -> String {
    let (start, length) = (window.start.as_ticks(), window.length.as_ticks());
    format!(
        "{} to {}",
        human_time(start),
        human_time(start.saturating_add(length))
    )
}
