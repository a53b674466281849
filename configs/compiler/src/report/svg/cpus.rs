//! The board's CPUs, one tile each.

use super::super::facts::{CpuEntry, Report};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::count;
use super::axis::Shape;
use super::shapes::{Anchor, Look, Rect, WIDTH, drawing, piece, tail, text};

const ACROSS: u64 = 8;
const GAP: u64 = 8;
/// Height of a tile's head, and of each partition below it.
const LINE: u64 = 20;
/// A tile names so many partitions.
const MOST: usize = 3;
const BASELINE: u64 = 14;
/// Width of a letter, so that names can be cut to their tile.
const LETTER: u64 = 7;

/// Draws every CPU with the partitions that run on it.
pub(in crate::report) fn cpu_grid(out: &mut Markup, report: &Report, owners: &Owners<'_>) {
    let width = (WIDTH - 1) / ACROSS - GAP;
    let names = report
        .cpus
        .iter()
        .map(|cpu| names(cpu).len().clamp(1, MOST + 1));
    let height = LINE * (1 + names.max().unwrap_or(1) as u64);
    let lines = (report.cpus.len() as u64).div_ceil(ACROSS);
    let description = format!(
        "{}, {} parked.",
        count(report.cpus.len(), "CPU"),
        report.parked_cpus.len()
    );
    drawing(
        out,
        lines * (height + GAP) + 2,
        "CPUs of the board and who runs on them",
        &description,
        |out| {
            for (index, cpu) in report.cpus.iter().enumerate() {
                let rect = Rect {
                    x: index as u64 % ACROSS * (width + GAP) + 1,
                    y: index as u64 / ACROSS * (height + GAP) + 1,
                    width,
                    height,
                };
                tile(out, cpu, rect, owners);
            }
        },
    );
}

/// The partitions that run on a CPU, each once.
fn names(cpu: &CpuEntry) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for one in &cpu.runs {
        if !names.contains(&one.partition.as_str()) {
            names.push(&one.partition);
        }
    }
    names
}

/// A head with the CPU's number and pool, and a line for each partition.
fn tile(out: &mut Markup, cpu: &CpuEntry, rect: Rect, owners: &Owners<'_>) {
    let names = names(cpu);
    let middle = rect.x + rect.width / 2;
    let most = (rect.width / LETTER) as usize;
    let (head, title) = match &cpu.pool {
        Some(pool) => (
            format!("CPU {} · {pool}", cpu.cpu),
            format!("CPU {}, pool {pool}: {}", cpu.cpu, names.join(", ")),
        ),
        None => (
            format!("CPU {}", cpu.cpu),
            format!("CPU {}: parked", cpu.cpu),
        ),
    };
    let look = |class: String, pattern| Look {
        class,
        pattern,
        shape: Shape::True,
        title: title.clone(),
    };
    piece(out, rect, &look("own-nobody".to_owned(), None));
    text(
        out,
        (middle, rect.y + BASELINE),
        Anchor::Middle,
        "head",
        shorten(&head, most),
    );
    if names.is_empty() {
        text(
            out,
            (middle, rect.y + LINE + BASELINE),
            Anchor::Middle,
            "legend",
            "parked",
        );
    }
    for (line, name) in names.iter().enumerate().take(MOST) {
        let y = rect.y + LINE * (line as u64 + 1);
        let pattern = owners.partition_pattern(name);
        piece(
            out,
            Rect {
                y,
                height: LINE,
                ..rect
            },
            &look(owners.partition_class(name), pattern),
        );
        text(
            out,
            (middle, y + BASELINE),
            Anchor::Middle,
            "name",
            tail(name, most),
        );
    }
    if let Some(others) = names.len().checked_sub(MOST).filter(|others| *others > 0) {
        let y = rect.y + LINE * (MOST as u64 + 1);
        text(
            out,
            (middle, y + BASELINE),
            Anchor::Middle,
            "legend",
            format!("and {others} more"),
        );
    }
}

/// `text`, shortened to `most` characters at its end.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    fn drawn(report: &Report) -> String {
        let mut out = Markup::default();
        cpu_grid(&mut out, report, &Owners::new(report));
        out.finish()
    }

    #[test]
    fn parked_and_shared_cpus_say_so() {
        let text = drawn(&sample::report());
        assert_eq!(text.matches(">parked</text>").count(), 3);
        assert!(text.contains("CPU 2, pool realtime: control, logger"));
    }

    #[test]
    fn partitions_that_do_not_fit_a_tile_are_counted() {
        let mut report = sample::report();
        let one = report.cpus[0].runs[0].clone();
        for index in 0..5 {
            let partition = format!("p{index}");
            report.cpus[0].runs.push(super::super::super::VcpuName {
                partition,
                ..one.clone()
            });
        }
        assert!(drawn(&report).contains(">and 3 more</text>"));
    }

    #[test]
    fn grid_of_48_cpus_has_six_lines() {
        let mut report = sample::report();
        let one = report.cpus[0].clone();
        report.cpus = (0..48).map(|cpu| CpuEntry { cpu, ..one.clone() }).collect();
        assert!(drawn(&report).contains("viewBox=\"0 0 860 290\""));
    }
}
