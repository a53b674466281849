//! Windows of random frames, looked at by timers that fire up to their resolution late, and once after a long delay.

use embassy_time::{Duration, Instant};
use rand::RngExt;
use rtds::VcpuIndex;
use rtds::cyclic::{Frame, Window};

use crate::random::numbers;
use crate::{Extent, Outcome, Row};

/// How late a timer fires at most, in nanoseconds.
const RESOLUTION: u64 = 1_000;

#[derive(Debug, Default)]
struct Found {
    windows: u64,
    missed: u64,
    latest: u64,
    out_of_phase: u64,
}

fn frame(part: u64, found: &mut Found) {
    let mut numbers = numbers("cyclic", part);
    let mut windows = Vec::new();
    let mut end = 0;
    for index in 0..numbers.random_range(1..=8u16) {
        let start = end + numbers.random_range(0..2u64) * numbers.random_range(2_000..1_000_000u64);
        let length = numbers.random_range(2_000..3_000_000u64);
        windows.push(Window {
            start: Duration::from_ticks(start),
            length: Duration::from_ticks(length),
            vcpu: VcpuIndex::new(index),
        });
        end = start + length;
    }
    let length = end + numbers.random_range(0..2u64) * numbers.random_range(2_000..1_000_000u64);
    let frame =
        Frame::new(Duration::from_ticks(length), &windows).expect("the windows follow one another");
    let start = Instant::from_ticks(numbers.random_range(0..1_000_000_000));

    let mut now = start;
    let mut begun = 0;
    let frames = 50;
    while now.as_ticks() < start.as_ticks() + frames * length {
        let turn = frame.at(start, now);
        if turn.run.is_some() {
            begun += 1;
            found.latest = found.latest.max(now.as_ticks() - turn.since.as_ticks());
            let into = (turn.since.as_ticks() - start.as_ticks()) % length;
            let right = windows
                .iter()
                .any(|window| window.start.as_ticks() == into && Some(window.vcpu) == turn.run);
            found.out_of_phase += u64::from(!right);
        }
        now = Instant::from_ticks(turn.until.as_ticks() + numbers.random_range(0..=RESOLUTION));
    }
    found.windows += begun;
    found.missed += (frames * windows.len() as u64).saturating_sub(begun);
    // A day later, in the middle of nowhere.
    let late = Instant::from_ticks(now.as_ticks() + numbers.random_range(0..86_400_000_000_000));
    let turn = frame.at(start, late);
    let into = (turn.until.as_ticks() - start.as_ticks()) % length;
    let edge = |window: &Window| {
        let start = window.start.as_ticks();
        [start, start + window.length.as_ticks()]
            .map(|at| at % length)
            .contains(&into)
    };
    found.out_of_phase += u64::from(into != 0 && !windows.iter().any(edge));
}

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let frames = extent.of(2_000, 50);
    let mut found = Found::default();
    (0..u64::from(frames)).for_each(|part| frame(part, &mut found));
    Outcome {
        name: "cyclic",
        method: format!(
            "{frames} random frames, 50 times each, timers up to {RESOLUTION} ns late, then one look up to a day later"
        ),
        rows: vec![
            Row::new(
                format!(
                    "windows of {} that were missed",
                    found.windows + found.missed
                ),
                found.missed.to_string(),
                "0",
                found.missed == 0,
            ),
            Row::new(
                "latest start of a window",
                format!("{} ns after its instant", found.latest),
                format!("at most {RESOLUTION} ns, the timer's resolution"),
                found.latest <= RESOLUTION,
            ),
            Row::new(
                "windows out of phase",
                found.out_of_phase.to_string(),
                "0",
                found.out_of_phase == 0,
            ),
        ],
        ..Outcome::default()
    }
}
