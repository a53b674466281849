//! A Gantt chart as SVG: a row for each virtual CPU, bars where it runs, signs for what happens to it.

use rtds_experiments::{MarkKind, Schedule};

use crate::picture::{Anchor, COLOURS, FAINT, INK, Picture, ticks};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
/// Of a row, and of the bar in it.
const ROW: f64 = 50.0;
const BAR: f64 = 20.0;
/// Below the rows: the axis and the key.
const BOTTOM: f64 = 74.0;

/// Draws a schedule from its start to the end of its last run or event.
pub fn draw(schedule: &Schedule) -> String {
    let rows = schedule.vcpus.len() as f64;
    let height = TOP + rows * ROW + BOTTOM;
    let mut picture = Picture::new(WIDTH, height);
    let ends = schedule.runs.iter().map(|run| run.to);
    let end = ends
        .chain(schedule.marks.iter().map(|mark| mark.at))
        .max()
        .unwrap_or(0);
    let end = end.max(1) as f64;
    let x = |at: u64| LEFT + at as f64 / end * (WIDTH - LEFT - RIGHT);
    let base = |vcpu: usize| TOP + (vcpu as f64 + 1.0) * ROW - 8.0;
    let axis = TOP + rows * ROW;

    picture.text([LEFT, 22.0], 15.0, Anchor::Start, &schedule.title);
    for tick in ticks(0.0, end / 1e6, 12) {
        let at = x((tick * 1e6).round() as u64);
        picture.line([at, TOP], [at, axis + 5.0], FAINT, 1.0, false);
        picture.text([at, axis + 19.0], 12.0, Anchor::Middle, &format!("{tick}"));
    }
    picture.text([LEFT - 12.0, axis + 19.0], 12.0, Anchor::End, "ms");
    for (vcpu, name) in schedule.vcpus.iter().enumerate() {
        picture.line(
            [LEFT, base(vcpu)],
            [WIDTH - RIGHT, base(vcpu)],
            INK,
            1.0,
            false,
        );
        picture.text([LEFT - 12.0, base(vcpu) - 5.0], 13.0, Anchor::End, name);
    }
    for run in schedule
        .runs
        .iter()
        .filter(|run| run.vcpu < schedule.vcpus.len())
    {
        let (from, to) = (x(run.from), x(run.to));
        let colour = COLOURS[run.pcpu % COLOURS.len()];
        let [start, stop] = [run.from, run.to].map(|at| at as f64 / 1e6);
        let title = format!("CPU {}: {start} to {stop} ms", run.pcpu);
        picture.rectangle(
            [from, base(run.vcpu) - BAR, (to - from).max(0.5), BAR],
            colour,
            &title,
        );
    }
    for mark in schedule
        .marks
        .iter()
        .filter(|mark| mark.vcpu < schedule.vcpus.len())
    {
        sign(&mut picture, mark.kind, [x(mark.at), base(mark.vcpu)]);
    }

    let mut at = LEFT;
    for pcpu in 0..schedule.pcpus {
        picture.rectangle(
            [at, height - 26.0, 16.0, 12.0],
            COLOURS[pcpu % COLOURS.len()],
            "",
        );
        picture.text(
            [at + 22.0, height - 15.0],
            12.0,
            Anchor::Start,
            &format!("runs on CPU {pcpu}"),
        );
        at += 130.0;
    }
    for (kind, word) in [
        (MarkKind::Wake, "wakes"),
        (MarkKind::Block, "sleeps"),
        (MarkKind::Replenish, "replenished"),
        (MarkKind::BudgetEnd, "budget ends"),
    ] {
        sign(&mut picture, kind, [at + 6.0, height - 10.0]);
        picture.text([at + 18.0, height - 15.0], 12.0, Anchor::Start, word);
        at += 110.0;
    }
    if schedule
        .marks
        .iter()
        .any(|mark| mark.kind == MarkKind::Fault)
    {
        sign(&mut picture, MarkKind::Fault, [at + 6.0, height - 10.0]);
        picture.text([at + 18.0, height - 15.0], 12.0, Anchor::Start, "fault");
    }
    picture.finish()
}

/// A sign over the base line of a row: each kind has a shape of its own.
fn sign(picture: &mut Picture, kind: MarkKind, [x, y]: [f64; 2]) {
    let top = y - BAR;
    match kind {
        MarkKind::Wake => picture.triangle([[x - 4.0, y], [x + 4.0, y], [x, y - 8.0]], INK),
        MarkKind::Block => picture.triangle([[x - 4.0, y - 8.0], [x + 4.0, y - 8.0], [x, y]], INK),
        MarkKind::Replenish => {
            picture.line([x, y], [x, top - 8.0], INK, 1.5, false);
            picture.triangle(
                [[x - 4.0, top - 6.0], [x + 4.0, top - 6.0], [x, top - 13.0]],
                INK,
            );
        }
        MarkKind::Fault => {
            picture.line([x - 4.0, y - 9.0], [x + 4.0, y - 1.0], INK, 1.5, false);
            picture.line([x - 4.0, y - 1.0], [x + 4.0, y - 9.0], INK, 1.5, false);
        }
        MarkKind::BudgetEnd => {
            picture.line([x, y], [x, top - 3.0], INK, 1.0, false);
            picture.line([x - 4.0, top - 3.0], [x + 4.0, top - 3.0], INK, 1.5, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use rtds_experiments::{Mark, Run};

    use super::*;

    fn schedule(runs: Vec<Run>, marks: Vec<Mark>) -> Schedule {
        Schedule {
            name: "test".to_owned(),
            title: "Test".to_owned(),
            vcpus: vec!["V<1>".to_owned()],
            pcpus: 1,
            runs,
            marks,
        }
    }

    fn run(vcpu: usize, from: u64, to: u64) -> Run {
        Run {
            vcpu,
            pcpu: 0,
            from: from * 1_000_000,
            to: to * 1_000_000,
        }
    }

    #[test]
    fn bar_lies_where_its_time_is() {
        let svg = draw(&schedule(vec![run(0, 5, 10)], Vec::new()));
        assert!(
            svg.contains(r#"<rect x="525.0" y="62.0" width="455.0" height="20.0""#),
            "{svg}"
        );
        assert!(svg.contains("CPU 0: 5 to 10 ms"));
        assert!(svg.contains("V&lt;1&gt;"));
    }

    #[test]
    fn run_of_a_virtual_cpu_without_a_row_is_left_out() {
        let svg = draw(&schedule(vec![run(7, 0, 1)], Vec::new()));
        assert!(!svg.contains("CPU 0: 0 to 1 ms"));
    }

    #[test]
    fn empty_schedule_is_drawn() {
        assert!(draw(&schedule(Vec::new(), Vec::new())).ends_with("</svg>\n"));
    }
}
