//! The trace in words: what each partition got of the CPUs, and what its exits cost.

use std::fmt::Write;

use qemu::statistics::{ExitStatistics, Statistics};
use qemu::trace::{Event, Ring};
use rtds_experiments::Schedule;

use super::schedule::Window;

/// The summary: supply in the time that the trace shows, exits since the start.
pub fn text(statistics: &Statistics, schedule: &Schedule, window: &Window) -> String {
    let mut text = format!(
        "trace: {} ms, from {} ms on\n",
        milliseconds(window.length()),
        milliseconds(window.begin)
    );
    let mut line = |line: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    for ring in &statistics.trace {
        if let Some(exit) = &ring.dearest {
            line(&dearest(statistics, ring, exit));
        }
    }
    for partition in &statistics.partitions {
        line("");
        let supply = supply(&partition.name, schedule);
        let share = supply as f64 * 100.0 / window.length().max(1) as f64;
        line(&format!(
            "{}: {} ms on a CPU, {share:.1} % of one",
            partition.name,
            milliseconds(supply)
        ));
        for exit in &partition.exits {
            line(&exits(exit));
        }
    }
    text
}

/// The dearest exit of a physical CPU.
fn dearest(statistics: &Statistics, ring: &Ring, exit: &Event) -> String {
    let partition = ring
        .author_of_dearest()
        .and_then(|place| statistics.partitions.get(place));
    format!(
        "dearest exit on CPU {}: {} of {}, {} ticks, at {} ms",
        ring.pcpu,
        exit.detail,
        partition.map_or("?", |found| found.name.as_str()),
        exit.value,
        milliseconds(ring.nanoseconds(exit.at))
    )
}

/// How long the virtual CPUs of a partition had a physical one, in nanoseconds.
fn supply(partition: &str, schedule: &Schedule) -> u64 {
    let is_its = |vcpu: &String| vcpu.split('/').next() == Some(partition);
    let runs = schedule.runs.iter();
    let own = runs.filter(|run| schedule.vcpus.get(run.vcpu).is_some_and(is_its));
    own.map(|run| run.to - run.from).sum()
}

fn exits(exit: &ExitStatistics) -> String {
    let timed = exit.count - exit.short.min(exit.count);
    let cost = match exit.total.checked_div(timed) {
        Some(mean) => format!("mean {mean:>8}, worst {:>8}", exit.max),
        None => "not timed".to_owned(),
    };
    format!(
        "  {:<10} {:>9} exits, {:>9} of them short; ticks: {cost}",
        exit.kind, exit.count, exit.short
    )
}

fn milliseconds(nanoseconds: u64) -> String {
    format!("{:.3}", nanoseconds as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::super::schedule::schedule;
    use super::*;

    #[test]
    fn partition_has_its_supply_and_its_exits_with_mean_and_worst_cost() {
        let report = "report partition name=a state=running restarts=0 faults=0\n\
            report exits partition=a kind=mmio count=5 short=3 total=300 p50=100 p999=200 max=210\n\
            report exits partition=a kind=hvc count=7 short=7 total=0 p50=0 p999=0 max=0\n\
            report partition name=b state=running restarts=0 faults=0\n\
            report trace pcpu=0 frequency=1000000000 events=3\n\
            report events pcpu=0 run/0.0@1000000 stop/0.0@1250000 run/1.0@1250000 stop/1.0@2000000\n\
            report around pcpu=0 exit:sync/1.0=0x1@1499790 entry:mmio/0.0=0xd2@1500000\n\
            report dearest pcpu=0 entry:mmio/0.0=0xd2@1500000\n\
            report end";
        let statistics = Statistics::parse(report).expect("a report");
        let window = Window::of(&statistics.trace);
        let text = text(
            &statistics,
            &schedule("test", &statistics, &window),
            &window,
        );
        for expected in [
            "trace: 1.000 ms, from 1.000 ms on",
            "dearest exit on CPU 0: mmio of b, 210 ticks, at 1.500 ms",
            "a: 0.250 ms on a CPU, 25.0 % of one",
            "mmio               5 exits,         3 of them short; ticks: mean      150, worst      210",
            "hvc                7 exits,         7 of them short; ticks: not timed",
            "b: 0.750 ms on a CPU, 75.0 % of one",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
