//! Shares of CPU time: the load of an rtds pool, its periods, and the major frame of a cyclic one.

use super::super::facts::{PoolEntry, Report, Share, VcpuEntry};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::{percent, time};
use super::axis::Shape;
use super::shapes::{Anchor, Look, Rect, WIDTH, drawing, piece, tail, text};

const MILLION: u64 = 1_000_000;
const LABEL: u64 = 130;
const BAR: u64 = WIDTH - LABEL - 10;
const LINE: u64 = 30;
const HEIGHT: u64 = 20;
/// A drawing of periods ends after that many of the shortest: more could not be told apart.
const MOST_PERIODS: u64 = 60;

/// A virtual CPU of a pool.
type Member<'a> = (&'a str, usize, &'a VcpuEntry);

/// The virtual CPUs of a pool, in the order of the system file.
pub(in crate::report) fn members<'a>(report: &'a Report, pool: &'a PoolEntry) -> Vec<Member<'a>> {
    let all = report.partitions.iter().flat_map(|partition| {
        let vcpus = partition.vcpus.iter().enumerate();
        vcpus.map(|(index, vcpu)| (partition.name.as_str(), index, vcpu))
    });
    all.filter(|(_, _, vcpu)| vcpu.pool == pool.name).collect()
}

/// `BAR` pixels times `part` of `whole`.
fn pixels(part: u64, whole: u64) -> u64 {
    let scaled = (u128::from(part) * u128::from(BAR)).checked_div(u128::from(whole));
    scaled.map_or(0, |pixels| pixels.min(u128::from(BAR)) as u64)
}

fn look(partition: &str, title: String, owners: &Owners<'_>) -> Look {
    Look {
        class: owners.partition_class(partition),
        pattern: owners.partition_pattern(partition),
        shape: Shape::True,
        title,
    }
}

fn frame(out: &mut Markup, y: u64, class: &'static str) {
    out.empty(
        "rect",
        &[
            ("class", &class),
            ("x", &LABEL),
            ("y", &y),
            ("width", &BAR),
            ("height", &HEIGHT),
        ],
    );
}

/// The sum of all utilisations against the pool's CPUs.
pub(in crate::report) fn rtds_load(
    out: &mut Markup,
    report: &Report,
    pool: &PoolEntry,
    owners: &Owners<'_>,
) {
    let members = members(report, pool);
    let shares = members
        .iter()
        .map(|(.., vcpu)| vcpu.share.utilisation_ppm(None));
    let total = shares.clone().fold(0, u64::saturating_add);
    let capacity = (pool.cpus.len() as u64).saturating_mul(MILLION);
    let whole = capacity.max(total);
    let title = format!("Load of pool {}", pool.name);
    let description = format!("{} of {} are promised.", percent(total), percent(capacity));
    drawing(out, 64, &title, &description, |out| {
        text(out, (LABEL - 10, 18), Anchor::End, "name", "promised");
        frame(out, 4, "piece own-nobody");
        let mut start = 0u64;
        for ((name, index, _), share) in members.iter().zip(shares) {
            let from = pixels(start, whole);
            start = start.saturating_add(share);
            let width = pixels(start, whole) - from;
            let title = format!("{name} vCPU {index}: {}", percent(share));
            let label = tail(&format!("{name} {index}"), (width / 7) as usize);
            piece(
                out,
                Rect {
                    x: LABEL + from,
                    y: 4,
                    width,
                    height: HEIGHT,
                },
                &look(name, title, owners),
            );
            if width > 30 {
                text(
                    out,
                    (LABEL + from + width / 2, 18),
                    Anchor::Middle,
                    "what",
                    label,
                );
            }
        }
        for cpu in 0..=pool.cpus.len() as u64 {
            let x = LABEL + pixels(cpu * MILLION, whole);
            out.empty("path", &[("class", &"scale"), ("d", &format!("M{x} 2V32"))]);
            let anchor = if cpu == 0 { Anchor::Start } else { Anchor::End };
            text(out, (x, 46), anchor, "legend", percent(cpu * MILLION));
        }
        text(
            out,
            (LABEL - 10, 46),
            Anchor::End,
            "legend",
            format!("{} in all", percent(total)),
        );
    });
}

/// Each virtual CPU's periods, with the budget drawn at the start of each.
pub(in crate::report) fn rtds_periods(
    out: &mut Markup,
    report: &Report,
    pool: &PoolEntry,
    owners: &Owners<'_>,
) {
    let members = members(report, pool);
    let periods = members.iter().filter_map(|(.., vcpu)| match vcpu.share {
        Share::Rtds { period_ns, .. } if period_ns > 0 => Some(period_ns),
        _ => None,
    });
    let (Some(shortest), Some(longest)) = (periods.clone().min(), periods.max()) else {
        return;
    };
    let whole = longest.min(shortest.saturating_mul(MOST_PERIODS));
    let title = format!("Periods and budgets of pool {}", pool.name);
    let description = format!("The first {} from the start.", time(whole));
    timeline(
        out,
        &members,
        whole,
        (&title, &description),
        |out, y, member| {
            let (name, index, vcpu) = member;
            let Share::Rtds {
                period_ns,
                budget_ns,
                ..
            } = vcpu.share
            else {
                return;
            };
            let title = format!(
                "{name} vCPU {index}: {} in {}",
                time(budget_ns),
                time(period_ns)
            );
            let mut start = 0u64;
            while period_ns > 0 && start < whole {
                let rect = stretch(start, budget_ns, whole, y);
                piece(out, rect, &look(name, title.clone(), owners));
                let x = rect.x;
                out.empty(
                    "path",
                    &[
                        ("class", &"scale"),
                        ("d", &format!("M{x} {}V{}", y - 2, y + HEIGHT + 3)),
                    ],
                );
                start = start.saturating_add(period_ns);
            }
        },
    );
}

/// The windows of a major frame, a line for each virtual CPU.
pub(in crate::report) fn cyclic_frame(
    out: &mut Markup,
    report: &Report,
    pool: &PoolEntry,
    owners: &Owners<'_>,
) {
    let Some(whole) = pool.major_frame_ns.filter(|frame| *frame > 0) else {
        return;
    };
    let title = format!("Major frame of pool {}", pool.name);
    let description = format!("{} long, again and again.", time(whole));
    let members = members(report, pool);
    timeline(
        out,
        &members,
        whole,
        (&title, &description),
        |out, y, member| {
            let (name, index, vcpu) = member;
            let Share::Cyclic { windows } = &vcpu.share else {
                return;
            };
            for window in windows {
                let title = format!(
                    "{name} vCPU {index}: {} from {}",
                    time(window.length_ns),
                    time(window.start_ns)
                );
                let rect = stretch(window.start_ns, window.length_ns, whole, y);
                piece(out, rect, &look(name, title, owners));
                if rect.width > 60 {
                    text(
                        out,
                        (rect.x.midpoint(rect.x + rect.width), y + 14),
                        Anchor::Middle,
                        "what",
                        time(window.length_ns),
                    );
                }
            }
        },
    );
}

/// A line for each virtual CPU along one axis of time; `draw` fills it, at the height that it is told.
fn timeline<'a>(
    out: &mut Markup,
    members: &[Member<'a>],
    whole: u64,
    (title, description): (&str, &str),
    draw: impl Fn(&mut Markup, u64, &Member<'a>),
) {
    let height = members.len() as u64 * LINE + 24;
    drawing(out, height, title, description, |out| {
        for (line, member) in members.iter().enumerate() {
            let (name, index, _) = member;
            let y = line as u64 * LINE + 2;
            text(
                out,
                (LABEL - 10, y + 14),
                Anchor::End,
                "name",
                tail(&format!("{name} vCPU {index}"), 20),
            );
            frame(out, y, "piece own-nobody");
            draw(out, y, member);
        }
        draw_ends(out, height - 6, whole);
    });
}

/// The piece of a line that stands for a time.
fn stretch(start: u64, length: u64, whole: u64, y: u64) -> Rect {
    let from = pixels(start, whole);
    let to = pixels(start.saturating_add(length), whole);
    Rect {
        x: LABEL + from,
        y,
        width: to - from,
        height: HEIGHT,
    }
}

/// The ends of the time axis.
fn draw_ends(out: &mut Markup, y: u64, whole: u64) {
    text(out, (LABEL, y), Anchor::Start, "legend", "0");
    text(out, (LABEL + BAR, y), Anchor::End, "legend", time(whole));
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    fn drawn(draw: fn(&mut Markup, &Report, &PoolEntry, &Owners<'_>), pool: usize) -> String {
        let report = sample::report();
        let mut out = Markup::default();
        draw(
            &mut out,
            &report,
            &report.pools[pool],
            &Owners::new(&report),
        );
        out.finish()
    }

    #[test]
    fn load_tells_the_sum_and_the_capacity() {
        let text = drawn(rtds_load, 1);
        assert!(text.contains("105 % of 200 % are promised"), "{text}");
    }

    #[test]
    fn longest_period_fills_the_axis() {
        let text = drawn(rtds_periods, 1);
        // Ten periods of 1 ms, three of 4 ms, one of 10 ms; and a frame for each of the three lines.
        assert_eq!(
            text.matches("<rect class=\"piece own-p").count(),
            10 + 3 + 1
        );
        assert!(text.contains(">10 ms</text>"));
    }

    #[test]
    fn windows_are_drawn_in_their_frame() {
        let text = drawn(cyclic_frame, 2);
        assert_eq!(text.matches("<rect class=\"piece own-p").count(), 3);
    }

    #[test]
    fn pixels_stay_within_the_bar() {
        assert_eq!(
            [(0, 10), (5, 10), (10, 10), (30, 10), (1, 0)].map(|(part, whole)| pixels(part, whole)),
            [0, BAR / 2, BAR, BAR, 0]
        );
        assert_eq!(pixels(u64::MAX, u64::MAX), BAR);
    }

    #[test]
    fn very_different_periods_are_drawn_in_bounded_room() {
        let mut report = sample::report();
        let share = |period_ns| Share::Rtds {
            period_ns,
            budget_ns: 1,
            extra_time: false,
            priority: 0,
        };
        report.partitions[1].vcpus[0].share = share(10_000);
        report.partitions[1].vcpus[1].share = share(3_600_000_000_000);
        let mut out = Markup::default();
        rtds_periods(&mut out, &report, &report.pools[1], &Owners::new(&report));
        assert!(out.finish().len() < 60_000);
    }
}
