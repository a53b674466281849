//! The known defects of the reference: the scenarios of the tests of the crate `rtds`, as schedules to look at.

use embassy_time::{Duration, Instant};
use rtds::sim::{
    Costs, ENDLESS, PerWindow, Policy, Reference, Simulation, Step, Together, Wake, busy,
};
use rtds::{Parameters, PcpuIndex, PcpuSet, Rtds, VcpuIndex};

use crate::random::Task;
use crate::record::Recorder;
use crate::{Extent, MarkKind, Outcome, Row, Schedule};

fn ms(time: u64) -> Instant {
    Instant::from_millis(time)
}

/// With times in milliseconds.
fn parameters(period: u64, budget: u64) -> Parameters {
    let [period, budget] = [period, budget].map(|time| time * 1_000_000);
    Task { period, budget }.parameters()
}

fn with_extra_time(period: u64, budget: u64) -> Parameters {
    Parameters {
        extra_time: true,
        ..parameters(period, budget)
    }
}

/// A policy under way, and who watches it.
struct Scene<'a, P> {
    simulation: Simulation<'a, P>,
    recorder: Recorder,
}

impl<'a, P: Policy> Scene<'a, P> {
    fn new(policy: P) -> Self {
        Self {
            simulation: Simulation::new(policy, ms(0), Costs::default()),
            recorder: Recorder::default(),
        }
    }

    fn add(&mut self, parameters: Parameters, steps: impl Iterator<Item = Step> + 'a) -> VcpuIndex {
        let added = self.simulation.add(parameters, steps);
        added.expect("the pools of the scenarios have room for their virtual CPUs")
    }

    /// What `watched` runs in each window, in milliseconds.
    fn windows(&mut self, watched: VcpuIndex, window: u64, end: u64) -> Vec<u64> {
        let mut windows = PerWindow::new(watched, ms(0), Duration::from_millis(window));
        let mut both = Together(&mut windows, &mut self.recorder);
        self.simulation.run_until(ms(end), &mut both);
        let mut ran = windows.ran;
        ran.resize(end.div_ceil(window) as usize, 0);
        ran.into_iter().map(|ticks| ticks / 1_000_000).collect()
    }
}

fn list(times: &[u64]) -> String {
    let shown: Vec<String> = times.iter().take(12).map(u64::to_string).collect();
    let more = if times.len() > 12 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// V1 (10, 2) and V4 (100, 50), both with extra time and always busy.
fn missed_preemption(policy: impl Policy, name: &str, title: &str) -> (Vec<u64>, Schedule) {
    let mut scene = Scene::new(policy);
    let watched = scene.add(with_extra_time(10, 2), busy(ms(0)));
    scene.add(with_extra_time(100, 50), busy(ms(0)));
    let ran = scene.windows(watched, 10, 120);
    (ran, scene.recorder.schedule(name, title, &["V1", "V4"], 1))
}

/// V1 (10, 2) with extra time sleeps from 17 to 18 ms; V2 (100, 10) is always busy; V3 (20, 13) wakes at 20 ms.
fn late_replenishment(policy: impl Policy, name: &str, title: &str) -> (Vec<u64>, Schedule) {
    let mut scene = Scene::new(policy);
    let step = |at, work| Step {
        wake: Wake::At(ms(at)),
        work,
    };
    let steps = [step(0, Duration::from_millis(7)), step(18, ENDLESS)];
    let watched = scene.add(with_extra_time(10, 2), steps.into_iter());
    scene.add(parameters(100, 10), busy(ms(0)));
    scene.add(parameters(20, 13), busy(ms(20)));
    scene.windows(watched, 10, 120);
    let schedule = scene.recorder.schedule(name, title, &["V1", "V2", "V3"], 1);
    let marks = schedule
        .marks
        .iter()
        .filter(|mark| mark.vcpu == watched.get());
    let mut replenished: Vec<u64> = marks
        .filter(|mark| mark.kind == MarkKind::Replenish)
        .map(|mark| mark.at / 1_000_000)
        .collect();
    replenished.dedup();
    (replenished, schedule)
}

/// CPU 0 runs V0 (10, 10) from 5 ms on, CPU 1 runs V1 (14, 14). V2 (15, 2), for CPU 1 only, heads the queue; V3 (16, 1), for CPU 0, is
/// next. At 10 ms V0 gets the deadline 20 ms, and V3 has 16.
fn head_elsewhere(policy: impl Policy, name: &str, title: &str) -> (Vec<u64>, Schedule) {
    let on = |pcpu, parameters| Parameters {
        affinity: PcpuSet::EMPTY.with(PcpuIndex::new(pcpu)),
        ..parameters
    };
    let mut scene = Scene::new(policy);
    scene.add(on(0, parameters(10, 10)), busy(ms(5)));
    scene.add(on(1, parameters(14, 14)), busy(ms(0)));
    scene.add(on(1, parameters(15, 2)), busy(ms(6)));
    let watched = scene.add(on(0, parameters(16, 1)), busy(ms(6)));
    let ran = scene.windows(watched, 1, 16);
    let at = ran
        .iter()
        .zip(0..)
        .filter(|(ran, _)| **ran > 0)
        .map(|(_, at)| at);
    (
        at.collect(),
        scene
            .recorder
            .schedule(name, title, &["V0", "V1", "V2", "V3"], 2),
    )
}

/// The experiment.
pub fn run(_: Extent) -> Outcome {
    let start = ms(0);
    let mut outcome = Outcome {
        name: "defects",
        method: "three scenarios in which the reference breaks a guarantee, with its rules and with ours".to_owned(),
        ..Outcome::default()
    };

    let title = "Defect 1, V1 (10, 2) and V4 (100, 50) with extra time, both busy";
    let (ours, ours_drawn) = missed_preemption(
        Rtds::<2, 1>::new(start),
        "defect-1-bulkhead",
        &format!("{title}: Bulkhead"),
    );
    let (theirs, theirs_drawn) = missed_preemption(
        Reference::new(start, 1),
        "defect-1-reference",
        &format!("{title}: reference"),
    );
    outcome.rows.push(Row::new(
        "missed preemption: ms of V1 in each 10 ms",
        format!("{} (reference: {})", list(&ours), list(&theirs)),
        "never below 2",
        ours.iter().all(|ran| *ran >= 2),
    ));

    let title = "Defect 2, V1 (10, 2) with extra time sleeps from 17 to 18 ms";
    let (ours, ours_drawn_2) = late_replenishment(
        Rtds::<3, 1>::new(start),
        "defect-2-bulkhead",
        &format!("{title}: Bulkhead"),
    );
    let (theirs, theirs_drawn_2) = late_replenishment(
        Reference::new(start, 1),
        "defect-2-reference",
        &format!("{title}: reference"),
    );
    let expected: Vec<u64> = (1..12).map(|count| count * 10).collect();
    outcome.rows.push(Row::new(
        "replenishments out of order: those of V1, at ms",
        format!("{} (reference: {})", list(&ours), list(&theirs)),
        "10 20 30 …",
        ours == expected,
    ));

    let title = "Defect 3, V3 waits behind V2, which may not run on CPU 0";
    let (ours, ours_drawn_3) = head_elsewhere(
        Rtds::<4, 2, 2>::new(start),
        "defect-3-bulkhead",
        &format!("{title}: Bulkhead"),
    );
    let (theirs, theirs_drawn_3) = head_elsewhere(
        Reference::new(start, 2),
        "defect-3-reference",
        &format!("{title}: reference"),
    );
    outcome.rows.push(Row::new(
        "only the queue's head is considered: V3 runs at ms",
        format!("{} (reference: {})", list(&ours), list(&theirs)),
        "10, when it outranks V0",
        ours == [10],
    ));

    outcome.schedules = vec![
        theirs_drawn,
        ours_drawn,
        theirs_drawn_2,
        ours_drawn_2,
        theirs_drawn_3,
        ours_drawn_3,
    ];
    outcome
}
