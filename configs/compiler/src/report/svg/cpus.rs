//! The board's CPUs, one tile each.

use super::super::facts::{CpuEntry, Report};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::count;
use super::axis::Shape;
use super::shapes::{Anchor, Look, Rect, WIDTH, drawing, piece, tail, text};

const TILE_HEIGHT: u64 = 62;
const GAP: u64 = 8;

/// Draws every CPU with the partitions that run on it.
pub(in crate::report) fn cpu_grid(out: &mut Markup, report: &Report, owners: &Owners<'_>) {
    let across = (report.cpus.len() as u64).clamp(4, 8);
    let width = (WIDTH + GAP) / across - GAP;
    let lines = (report.cpus.len() as u64).div_ceil(across);
    let description = format!(
        "{}, {} parked.",
        count(report.cpus.len(), "CPU"),
        report.parked_cpus.len()
    );
    drawing(
        out,
        lines * (TILE_HEIGHT + GAP),
        "CPUs of the board and who runs on them",
        &description,
        |out| {
            for (index, cpu) in report.cpus.iter().enumerate() {
                let rect = Rect {
                    x: index as u64 % across * (width + GAP),
                    y: index as u64 / across * (TILE_HEIGHT + GAP) + 1,
                    width,
                    height: TILE_HEIGHT,
                };
                tile(out, cpu, rect, owners);
            }
        },
    );
}

fn tile(out: &mut Markup, cpu: &CpuEntry, rect: Rect, owners: &Owners<'_>) {
    let mut names: Vec<&str> = cpu.runs.iter().map(|one| one.partition.as_str()).collect();
    names.dedup();
    let title = match &cpu.pool {
        Some(pool) => format!("CPU {}, pool {pool}: {}", cpu.cpu, names.join(", ")),
        None => format!("CPU {}: parked", cpu.cpu),
    };
    let stripes = names.len().max(1) as u64;
    for stripe in 0..stripes {
        let name = names.get(stripe as usize);
        let left = rect.width * stripe / stripes;
        let right = rect.width * (stripe + 1) / stripes;
        let part = Rect {
            x: rect.x + left,
            width: right - left,
            ..rect
        };
        let look = Look {
            class: name.map_or("own-nobody".to_owned(), |name| owners.partition_class(name)),
            pattern: name.and_then(|name| owners.partition_pattern(name)),
            shape: Shape::True,
            title: title.clone(),
        };
        piece(out, part, &look);
    }
    let middle = rect.x + rect.width / 2;
    text(
        out,
        (middle, rect.y + 17),
        Anchor::Middle,
        "head",
        format!("CPU {}", cpu.cpu),
    );
    let most = (rect.width / 7) as usize;
    let runs = if names.is_empty() {
        "parked".to_owned()
    } else {
        names.join(", ")
    };
    text(
        out,
        (middle, rect.y + 36),
        Anchor::Middle,
        "name",
        tail(&runs, most),
    );
    if let Some(pool) = &cpu.pool {
        let pool = format!("pool {pool}");
        text(
            out,
            (middle, rect.y + 52),
            Anchor::Middle,
            "what",
            tail(&pool, most),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn parked_and_shared_cpus_say_so() {
        let report = sample::report();
        let mut out = Markup::default();
        cpu_grid(&mut out, &report, &Owners::new(&report));
        let text = out.finish();
        assert_eq!(text.matches(">parked</text>").count(), 3);
        assert!(text.contains("CPU 2, pool realtime: control, logger"));
    }

    #[test]
    fn grid_of_48_cpus_has_six_lines() {
        let mut report = sample::report();
        let one = report.cpus[0].clone();
        report.cpus = (0..48).map(|cpu| CpuEntry { cpu, ..one.clone() }).collect();
        let mut out = Markup::default();
        cpu_grid(&mut out, &report, &Owners::new(&report));
        assert!(out.finish().contains("viewBox=\"0 0 960 420\""));
    }
}
