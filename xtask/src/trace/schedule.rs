//! Who had which physical CPU when, out of the events of all of them.

use std::collections::BTreeMap;

use qemu::statistics::Statistics;
use qemu::trace::{Event, Ring};
use rtds_experiments::{Mark, MarkKind, Run, Schedule};

/// A virtual CPU: its partition, and its place there.
type Vcpu = (usize, usize);

/// The time that is shown, in nanoseconds of the system counter: from the first time that all rings reach back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub begin: u64,
    pub end: u64,
    /// What times count from: a whole millisecond.
    pub origin: u64,
}

impl Window {
    /// The window of these rings. One that has lost nothing reaches back to the start.
    pub fn of(rings: &[Ring]) -> Self {
        let first = |ring: &Ring| Some(ring.nanoseconds(ring.events.first()?.at));
        let lost = rings.iter().filter(|ring| !ring.is_complete());
        let begin = lost.filter_map(first).max();
        let begin = begin.or_else(|| rings.iter().filter_map(first).min());
        let begin = begin.unwrap_or(0);
        let ends = rings.iter().flat_map(|ring| {
            let times = ring.events.iter().map(|event| event.at);
            times.map(|at| ring.nanoseconds(at))
        });
        Self {
            begin,
            end: ends.max().unwrap_or(begin),
            origin: begin / 1_000_000 * 1_000_000,
        }
    }

    /// How long it is, in nanoseconds.
    pub const fn length(&self) -> u64 {
        self.end - self.begin
    }

    /// A time of a ring as it is shown; `None` before the window.
    pub fn shown(&self, ring: &Ring, at: u64) -> Option<u64> {
        let at = ring.nanoseconds(at);
        (at >= self.begin).then(|| at - self.origin)
    }
}

/// All events by time, each with its ring. Those of a ring stay in their order where their times are the same.
fn by_time(rings: &[Ring]) -> Vec<(&Ring, &Event)> {
    let all = rings.iter().flat_map(|ring| {
        let events = ring.events.iter();
        events.map(move |event| (ring, event))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(ring, event)| ring.nanoseconds(event.at));
    all
}

fn vcpu(event: &Event) -> Option<Vcpu> {
    event.partition.zip(event.vcpu)
}

/// True for what says that a virtual CPU takes turns.
fn is_turn(event: &Event) -> bool {
    ["run", "stop"].contains(&event.kind.as_str())
}

/// The timeline of a report. A virtual CPU that takes turns has a physical CPU from `run` to `stop`, one with its own while its guest runs.
pub fn schedule(system: &str, statistics: &Statistics, window: &Window) -> Schedule {
    let events = by_time(&statistics.trace);
    // Where each one is in the chart, and whether it takes turns.
    let mut rows: BTreeMap<Vcpu, (usize, bool)> = BTreeMap::new();
    for (_, event) in &events {
        let shown = is_turn(event) || ["exit", "entry", "short"].contains(&event.kind.as_str());
        if let Some(vcpu) = vcpu(event).filter(|_| shown) {
            rows.entry(vcpu).or_default().1 |= is_turn(event);
        }
    }
    for (place, row) in rows.values_mut().enumerate() {
        row.0 = place;
    }
    let mut schedule = Schedule {
        name: "trace".to_owned(),
        title: format!("{system}, from {} ms", window.origin / 1_000_000),
        vcpus: rows
            .keys()
            .map(|vcpu| name(statistics, &rows, *vcpu))
            .collect(),
        pcpus: statistics
            .trace
            .iter()
            .map(|ring| ring.pcpu + 1)
            .max()
            .unwrap_or(0),
        runs: Vec::new(),
        marks: Vec::new(),
    };
    let mut since: BTreeMap<usize, (usize, u64)> = BTreeMap::new();
    for (ring, event) in events {
        let at = ring.nanoseconds(event.at);
        // A device's fault is its partition's.
        let who = vcpu(event).or(event.partition.map(|partition| (partition, 0)));
        let Some(&(row, takes_turns)) = who.and_then(|who| rows.get(&who)) else {
            continue;
        };
        match (event.kind.as_str(), takes_turns) {
            ("run", _) | ("entry", false) => {
                since.insert(row, (ring.pcpu, at));
            }
            ("stop", _) | ("exit", false) => {
                if let Some(since) = since.remove(&row) {
                    schedule.runs.extend(run(row, since, at, window));
                }
            }
            (kind, _) => {
                let at = window.shown(ring, event.at);
                if let (Some(kind), Some(at)) = (mark(kind), at) {
                    schedule.marks.push(Mark {
                        vcpu: row,
                        at,
                        kind,
                    });
                }
            }
        }
    }
    for (row, since) in since {
        schedule.runs.extend(run(row, since, window.end, window));
    }
    schedule.runs.sort_by_key(|run| (run.from, run.vcpu));
    schedule
}

/// A run as far as it is in the window.
fn run(vcpu: usize, (pcpu, from): (usize, u64), to: u64, window: &Window) -> Option<Run> {
    let from = from.max(window.begin);
    (to > from).then(|| Run {
        vcpu,
        pcpu,
        from: from - window.origin,
        to: to - window.origin,
    })
}

fn mark(kind: &str) -> Option<MarkKind> {
    Some(match kind {
        "wake" => MarkKind::Wake,
        "block" => MarkKind::Block,
        "replenish" => MarkKind::Replenish,
        "budget-end" => MarkKind::BudgetEnd,
        "fault" | "dma" => MarkKind::Fault,
        _ => return None,
    })
}

/// Its partition's name, with its place where others of the partition are there.
fn name<T>(statistics: &Statistics, rows: &BTreeMap<Vcpu, T>, (partition, vcpu): Vcpu) -> String {
    let name = statistics.partitions.get(partition);
    let name = name.map_or("?", |found| found.name.as_str());
    let others = rows.keys().filter(|row| row.0 == partition).count() > 1;
    if others || vcpu > 0 {
        format!("{name}/{vcpu}")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_events(rings: &[&str]) -> (Schedule, Window) {
        let mut report = "report partition name=a state=running restarts=0 faults=0\n\
            report partition name=b state=running restarts=0 faults=0\n"
            .to_owned();
        for (pcpu, events) in rings.iter().enumerate() {
            let (count, events) = events.split_once(':').expect("count: events");
            report += &format!(
                "report trace pcpu={pcpu} frequency=1000000000 events={count}\n\
                 report events pcpu={pcpu} {events}\n"
            );
        }
        let statistics = Statistics::parse(&(report + "report end")).expect("a report");
        let window = Window::of(&statistics.trace);
        (schedule("test", &statistics, &window), window)
    }

    fn run(vcpu: usize, pcpu: usize, from: u64, to: u64) -> Run {
        Run {
            vcpu,
            pcpu,
            from,
            to,
        }
    }

    #[test]
    fn turn_lasts_from_run_to_stop_and_the_last_one_to_the_end() {
        let (schedule, _) = of_events(&[
            "5:wake/0.0@5000100 run/0.0@5000100 budget-end/0.0@6000000 stop/0.0@6000000 run/1.0@6000000 entry:sync/1.0@7000000",
        ]);
        assert_eq!(schedule.vcpus, ["a", "b"]);
        assert_eq!(
            (schedule.pcpus, schedule.title.as_str()),
            (1, "test, from 5 ms")
        );
        let runs = [run(0, 0, 100, 1_000_000), run(1, 0, 1_000_000, 2_000_000)];
        assert_eq!(schedule.runs, runs);
        let marks: Vec<_> = schedule
            .marks
            .iter()
            .map(|mark| (mark.at, mark.kind))
            .collect();
        assert_eq!(
            marks,
            [(100, MarkKind::Wake), (1_000_000, MarkKind::BudgetEnd)]
        );
    }

    #[test]
    fn turns_are_on_the_cpu_in_whose_ring_they_stand() {
        let (schedule, _) = of_events(&[
            "2:run/0.0@5000 stop/0.0@5100",
            "2:run/0.0@5200 stop/0.0@5300",
        ]);
        assert_eq!(
            schedule.runs,
            [run(0, 0, 5_000, 5_100), run(0, 1, 5_200, 5_300)]
        );
    }

    #[test]
    fn one_with_its_own_cpu_has_it_while_its_guest_runs() {
        let (schedule, _) = of_events(&[
            "9:exit:sync/0.1@100 entry:mmio/0.1@150 exit:sync/0.1@400 fault:read/0.1@420 entry:fault/0.1@500",
        ]);
        assert_eq!(schedule.vcpus, ["a/1"]);
        assert_eq!(schedule.runs, [run(0, 0, 150, 400)]);
        assert_eq!(
            (schedule.marks[0].at, schedule.marks[0].kind),
            (420, MarkKind::Fault)
        );
    }

    #[test]
    fn turn_whose_begin_was_lost_is_left_out_and_nothing_is_shown_before_the_window() {
        let (schedule, window) = of_events(&[
            "9:stop/0.0@3000 run/0.0@4000 stop/0.0@6000",
            "3:wake/1.0@500 run/1.0@1000 stop/1.0@5000",
        ]);
        assert_eq!((window.begin, window.end), (3_000, 6_000));
        assert_eq!(
            schedule.runs,
            [run(1, 1, 3_000, 5_000), run(0, 0, 4_000, 6_000)]
        );
        assert!(schedule.marks.is_empty());
    }

    #[test]
    fn report_without_events_has_no_turns() {
        assert!(of_events(&[]).0.runs.is_empty());
    }
}
