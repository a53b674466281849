//! `cargo xtask timeline SYSTEM.toml`: a system's own events, recorded in QEMU.
//!
//! The image is built with the feature `trace`. Its hypervisor keeps the latest events of each virtual CPU and prints them in its report.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use qemu::session::{Options, Session, line_regex};
use qemu::statistics::{Statistics, TurnStatistics};
use rtds_experiments::{Mark, MarkKind, Run, Schedule};

use super::{draw, trace_events};
use crate::build::Builder;
use crate::setup;

/// The image's feature.
const TRACE: &str = "trace";
/// Policies that have turns.
const SHARED: [&str; 2] = ["rtds", "cyclic"];
/// Patience with the report.
const REPORT: Duration = Duration::from_secs(60);

/// What the user asked for.
pub struct Request {
    /// The system file.
    pub system: PathBuf,
    /// The recording ends when this appears.
    pub until: Option<String>,
    /// The recording ends after this time.
    pub seconds: u64,
}

/// Runs a system, records, and writes its timeline beside its image.
///
/// # Errors
/// The system does not build, has no shared CPU, or does not report.
pub fn run(builder: &Builder, request: &Request) -> anyhow::Result<u8> {
    let until = request.until.as_deref().map(line_regex).transpose()?;
    setup::qemu(builder.steps(), builder.offline())?;
    let built = builder.build_with(&request.system, &[TRACE])?;
    let features = &built.compiled.image_features;
    if !features.iter().any(|feature| SHARED.contains(feature)) {
        bail!("the system has no pool of shared CPUs: nobody takes turns");
    }
    let logs = built.folder.join("timeline-logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let mut options = Options::quiet(&logs);
    options.icount = true;
    let mut session = Session::start(&built.bootable()?, &options)?;
    session.wait_until(until.as_ref(), Some(Duration::from_secs(request.seconds)))?;
    let statistics = session.statistics(REPORT)?;
    session.finish();

    let schedule = schedule(&built.compiled.proof.system_name, &statistics);
    ensure!(!schedule.runs.is_empty(), "nobody has had a turn");
    for (ending, text) in [
        ("svg", draw(&schedule)),
        ("trace.json", trace_events(&schedule).to_string()),
        ("schedule.json", serde_json::to_string_pretty(&schedule)?),
    ] {
        let path = built.folder.join(format!("timeline.{ending}"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", builder.workspace().shown(&path));
    }
    Ok(0)
}

/// The timeline of a report, from the first time that all rings reach back to. It counts from a whole millisecond.
fn schedule(system: &str, statistics: &Statistics) -> Schedule {
    let mut vcpus: Vec<(String, &TurnStatistics)> = Vec::new();
    for partition in &statistics.partitions {
        for (index, turns) in partition.turns.iter().enumerate() {
            let name = match partition.turns.len() {
                1 => partition.name.clone(),
                _ => format!("{}/{index}", partition.name),
            };
            if !turns.events.is_empty() {
                vcpus.push((name, turns));
            }
        }
    }
    let times = |turns: &TurnStatistics| {
        turns
            .events
            .iter()
            .map(|event| event.at)
            .collect::<Vec<_>>()
    };
    let all = vcpus.iter().map(|(_, turns)| times(turns));
    let begin = all.clone().filter_map(|times| times.first().copied()).max();
    let end = all.filter_map(|times| times.last().copied()).max();
    let (begin, end) = (begin.unwrap_or(0), end.unwrap_or(0));
    let origin = begin / 1_000_000 * 1_000_000;
    let mut schedule = Schedule {
        name: "timeline".to_owned(),
        title: format!("{system}, from {} ms", origin / 1_000_000),
        vcpus: vcpus.iter().map(|(name, _)| name.clone()).collect(),
        pcpus: 0,
        runs: Vec::new(),
        marks: Vec::new(),
    };
    for (vcpu, (_, turns)) in vcpus.iter().enumerate() {
        let mut since = None;
        let mut finish = |(pcpu, since): (usize, u64), to: u64| {
            schedule.pcpus = schedule.pcpus.max(pcpu + 1);
            let from = since.max(begin);
            if to > from {
                let from = from - origin;
                schedule.runs.push(Run {
                    vcpu,
                    pcpu,
                    from,
                    to: to - origin,
                });
            }
        };
        for event in &turns.events {
            // One that moves says where it runs: `run.1`.
            let (kind, pcpu) = match event.kind.split_once('.') {
                Some((kind, pcpu)) => (kind, pcpu.parse().ok()),
                None => (event.kind.as_str(), Some(turns.pcpu as usize)),
            };
            let kind = match kind {
                "run" => {
                    since = pcpu.map(|pcpu| (pcpu, event.at));
                    continue;
                }
                "stop" => {
                    if let Some(since) = since.take() {
                        finish(since, event.at);
                    }
                    continue;
                }
                "wake" => MarkKind::Wake,
                "block" => MarkKind::Block,
                "replenish" => MarkKind::Replenish,
                "budget-end" => MarkKind::BudgetEnd,
                _ => continue,
            };
            if event.at >= begin {
                let at = event.at - origin;
                schedule.marks.push(Mark { vcpu, at, kind });
            }
        }
        if let Some(since) = since {
            finish(since, end);
        }
    }
    schedule.runs.sort_by_key(|run| run.from);
    schedule.marks.sort_by_key(|mark| mark.at);
    schedule
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "report partition name=a state=running restarts=0 faults=0\n\
        report turns partition=a vcpu=0 pcpu=1 entries=4\n\
        report events partition=a vcpu=0 wake@5000100 run@5000100 budget-end@6000000\n\
        report events partition=a vcpu=0 stop@6000000 run@7000000\n\
        report partition name=b state=running restarts=0 faults=0\n\
        report turns partition=b vcpu=0 pcpu=1 entries=4\n\
        report events partition=b vcpu=0 stop@5000100 run@6000000 stop@7000000\n\
        report end\n";

    fn of_report() -> Schedule {
        schedule("test", &Statistics::parse(REPORT).expect("a report"))
    }

    #[test]
    fn turn_lasts_from_run_to_stop_and_the_last_one_to_the_end() {
        let run = |vcpu, from, to| Run {
            vcpu,
            pcpu: 1,
            from,
            to,
        };
        let schedule = of_report();
        assert_eq!(schedule.vcpus, ["a", "b"]);
        assert_eq!(schedule.pcpus, 2);
        assert_eq!(
            schedule.runs,
            [run(0, 100, 1_000_000), run(1, 1_000_000, 2_000_000)]
        );
        assert_eq!(schedule.title, "test, from 5 ms");
    }

    #[test]
    fn turns_of_one_that_moves_are_on_the_cpus_that_it_names() {
        let report = "report partition name=a state=running restarts=0 faults=0\n\
            report turns partition=a vcpu=0 pcpu=0 entries=4\n\
            report events partition=a vcpu=0 run.0@5000000 stop@5001000 run.2@5002000 stop@5003000\n\
            report end\n";
        let schedule = schedule("test", &Statistics::parse(report).expect("a report"));
        let runs: Vec<_> = schedule
            .runs
            .iter()
            .map(|run| (run.pcpu, run.from))
            .collect();
        assert_eq!(runs, [(0, 0), (2, 2_000)]);
        assert_eq!(schedule.pcpus, 3);
    }

    #[test]
    fn turn_whose_begin_was_lost_is_left_out_and_marks_stand_where_they_were() {
        let marks: Vec<_> = of_report()
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
    fn report_without_events_has_no_turns() {
        let statistics = Statistics::parse("report end").expect("a report");
        assert!(schedule("test", &statistics).runs.is_empty());
    }
}
