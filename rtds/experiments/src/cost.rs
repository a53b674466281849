//! What a decision costs on this machine, which instructions on QEMU do not say: nanoseconds for a wake, a sleep and a replenishment, each with all that follows from it on every
//! physical CPU, with the heaps of the policy and with the reference's sorted lists.

use std::time::Instant as Clock;

use embassy_time::Instant;
use rtds::sim::{Policy, Reference};
use rtds::{Event, PcpuIndex, Rtds, VcpuIndex};

use crate::random::Task;
use crate::{Chart, Extent, Line, Outcome, Row};

const MOST: usize = 256;
const SIZES: [u16; 7] = [4, 8, 16, 32, 64, 128, 256];
/// From the second to the last of these, a cost that is linear grows by 16.
const FROM: u16 = 16;
/// The most that it may grow in that range.
const GROWTH: f64 = 6.0;

const EVENTS: [&str; 3] = ["wake", "sleep", "replenishment"];
/// Nanoseconds of each event.
type Nanoseconds = [f64; 3];

/// A policy with what its CPUs have loaded.
struct Machine<P> {
    policy: P,
    loaded: Vec<Option<VcpuIndex>>,
    timer: Option<u64>,
    now: u64,
    tasks: Vec<VcpuIndex>,
}

impl<P: Policy> Machine<P> {
    /// With so many virtual CPUs, all awake, that share nine tenths of the CPUs.
    fn new(policy: P, count: u16) -> Self {
        let pcpus = policy.pcpus();
        let mut machine = Self {
            loaded: vec![None; pcpus],
            policy,
            timer: None,
            now: 0,
            tasks: Vec::new(),
        };
        for index in 0..u64::from(count) {
            // Periods that differ, so that replenishments come one by one.
            let period = 10_000_000 + index * 7_919;
            let share = (900 * pcpus as u64 / u64::from(count)).min(900);
            let task = Task {
                period,
                budget: period * share / 1000,
            };
            let added = machine.policy.add(task.parameters());
            machine
                .tasks
                .push(added.expect("the pool has room for the largest size"));
        }
        for index in 0..count {
            machine.tell(Event::Wake(VcpuIndex::new(index)));
        }
        machine
    }

    /// Tells the first CPU, and then every CPU that is to look, until nothing is left to do.
    fn tell(&mut self, event: Event) {
        let first = PcpuIndex::default();
        let mut pending = self.tell_one(first, event);
        while let Some(other) = pending.iter().next() {
            let kicks = self.tell_one(other, Event::Look);
            let rest = pending.iter().skip(1).chain(kicks.iter());
            pending = rest.fold(rtds::PcpuSet::EMPTY, rtds::PcpuSet::with);
        }
    }

    fn tell_one(&mut self, here: PcpuIndex, event: Event) -> rtds::PcpuSet {
        let now = Instant::from_ticks(self.now);
        let mut actions = self.policy.on(now, here, event);
        let mut kicks = actions.kick;
        if actions.run != self.loaded[here.get()] {
            actions = self.policy.on(now, here, Event::Saved);
            kicks = actions.kick.iter().fold(kicks, rtds::PcpuSet::with);
            self.loaded[here.get()] = actions.run;
        }
        if here == PcpuIndex::default() {
            self.timer = actions.timer.map(|timer| timer.as_ticks());
        }
        kicks
    }

    fn measure(&mut self, rounds: u32) -> Nanoseconds {
        // Half of them sleep and wake, so that the others keep the queues filled.
        let half: Vec<VcpuIndex> = self.tasks.iter().copied().step_by(2).collect();
        let mut sums = Nanoseconds::default();
        for _ in 0..rounds {
            sums[1] += self.time(half.len(), |machine, index| {
                machine.tell(Event::Block(half[index]))
            });
            sums[0] += self.time(half.len(), |machine, index| {
                machine.tell(Event::Wake(half[index]))
            });
            let count = half.len();
            sums[2] += self.time(count, |machine, _| {
                machine.now = machine
                    .timer
                    .map_or(machine.now + 1_000, |timer| timer.max(machine.now));
                machine.tell(Event::Look);
            });
        }
        sums.map(|sum| sum / f64::from(rounds))
    }

    /// Nanoseconds of each of so many calls.
    fn time(&mut self, count: usize, mut call: impl FnMut(&mut Self, usize)) -> f64 {
        let begin = Clock::now();
        for index in 0..count {
            call(self, index);
        }
        begin.elapsed().as_nanos() as f64 / count as f64
    }
}

/// The least of some measurements: what disturbs them only adds.
fn least<P: Policy>(make: impl Fn() -> P, count: u16, extent: Extent) -> Nanoseconds {
    let rounds = extent.of(20_000, 200) / u32::from(count);
    let mut best = [f64::INFINITY; 3];
    for _ in 0..extent.of(7, 2) {
        let measured = Machine::new(make(), count).measure(rounds.max(1));
        for (best, measured) in best.iter_mut().zip(measured) {
            *best = best.min(measured);
        }
    }
    best
}

/// Both policies at one size.
fn both<const PCPUS: usize>(count: u16, extent: Extent) -> (Nanoseconds, Nanoseconds) {
    let start = Instant::from_ticks(0);
    let ours = least(|| Box::new(Rtds::<MOST, PCPUS>::new(start)), count, extent);
    let theirs = least(|| Reference::new(start, PCPUS), count, extent);
    (ours, theirs)
}

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let mut outcome = Outcome {
        name: "cost",
        method: "nanoseconds on this machine, in a build with checks, for each event with all that follows from it".to_owned(),
        ..Outcome::default()
    };
    for (pcpus, measure) in [
        (
            1,
            both::<1> as fn(u16, Extent) -> (Nanoseconds, Nanoseconds),
        ),
        (4, both::<4>),
        (16, both::<16>),
    ] {
        let found: Vec<(u16, Nanoseconds, Nanoseconds)> = SIZES
            .iter()
            .map(|count| {
                let (ours, theirs) = measure(*count, extent);
                (*count, ours, theirs)
            })
            .collect();
        for (event, name) in EVENTS.iter().enumerate() {
            outcome.rows.push(row(pcpus, name, event, &found));
        }
        outcome.charts.push(chart(pcpus, &found));
    }
    outcome
}

fn row(pcpus: u32, name: &str, event: usize, found: &[(u16, Nanoseconds, Nanoseconds)]) -> Row {
    let at = |count: u16| found.iter().find(|(one, ..)| *one == count);
    let last = SIZES[SIZES.len() - 1];
    let (Some((_, from, _)), Some((_, to, reference))) = (at(FROM), at(last)) else {
        return Row::new(name, "not measured", "", false);
    };
    let growth = to[event] / from[event];
    Row::new(
        format!(
            "{name} on {pcpus} CPU{}, n = {FROM} and {last}",
            if pcpus == 1 { "" } else { "s" }
        ),
        format!(
            "{:.0} and {:.0} ns, × {growth:.1} (reference's lists: {:.0} ns at {last})",
            from[event], to[event], reference[event]
        ),
        format!("× {GROWTH:.0} at most, for 16 times as many"),
        growth <= GROWTH,
    )
}

fn chart(pcpus: u32, found: &[(u16, Nanoseconds, Nanoseconds)]) -> Chart {
    let line = |event: usize,
                what: &str,
                pick: fn(&(u16, Nanoseconds, Nanoseconds)) -> Nanoseconds| Line {
        name: format!("{}{what}", EVENTS[event]),
        points: found
            .iter()
            .map(|one| (f64::from(one.0), pick(one)[event]))
            .collect(),
    };
    Chart {
        name: format!("cost-{pcpus}"),
        title: format!(
            "Cost of a decision, {pcpus} CPU{}",
            if pcpus == 1 { "" } else { "s" }
        ),
        x: "virtual CPUs".to_owned(),
        y: "nanoseconds".to_owned(),
        logarithmic: true,
        lines: (0..EVENTS.len())
            .flat_map(|event| {
                [
                    line(event, "", |one| one.1),
                    line(event, ", sorted lists", |one| one.2),
                ]
            })
            .collect(),
    }
}
