//! The windows of a virtual CPU lie in the major frame, one after the other.

use embassy_time::Duration;
use rtds::admission::cyclic::Window;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::PoolPolicy;
use crate::raw::quantity::human_time;
use crate::raw::vcpu::RawWindow;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    // Windows that a partition gives to several virtual CPUs are looked at once.
    let mut seen: Vec<usize> = Vec::new();
    for vcpu in context
        .system
        .partitions
        .iter()
        .flat_map(|partition| &partition.vcpus)
    {
        let (Some(windows), Some(name)) = (&vcpu.windows, &vcpu.pool) else {
            continue;
        };
        let mut pools = context.system.pools.iter();
        let pool = pools.find(|pool| pool.name.get_ref() == name.get_ref());
        let cyclic = |policy: &PoolPolicy| *policy == PoolPolicy::Cyclic;
        let Some(frame) = pool
            .filter(|pool| {
                pool.policy
                    .as_ref()
                    .is_some_and(|policy| cyclic(policy.get_ref()))
            })
            .and_then(|pool| pool.major_frame.as_ref())
        else {
            continue;
        };
        if seen.contains(&windows.span().start) {
            continue;
        }
        seen.push(windows.span().start);
        if windows.get_ref().is_empty() {
            findings.push(
                Diagnostic::error(
                    codes::BAD_WINDOW,
                    "there is no window: the virtual CPU would never run",
                )
                .at(context.source, windows.span())
                .help("add one: `windows = [{ start = \"0ms\", length = \"2ms\" }]`"),
            );
        }
        each(context, windows.get_ref(), *frame.get_ref(), findings);
    }
}

fn each(context: &Context<'_>, windows: &[RawWindow], frame: u64, findings: &mut Diagnostics) {
    let mut sorted: Vec<&RawWindow> = windows.iter().collect();
    sorted.sort_by_key(|window| *window.start.get_ref());
    // The one that ends last of those that begin earlier.
    let mut last: Option<&RawWindow> = None;
    for raw in sorted {
        let window = time(raw);
        let report = |message: &str| {
            Diagnostic::error(codes::BAD_WINDOW, message).at(context.source, raw.span.clone())
        };
        if !window.lies_in(Duration::from_ticks(frame)) {
            findings.push(
                report("the window does not end within the major frame")
                    .found(show(raw))
                    .expected(format!("an end at {} or before", human_time(frame)))
                    .help("split it in two: one up to the frame's end, one from its start"),
            );
        }
        if let Some(other) = last.filter(|other| time(other).overlaps(&window)) {
            findings.push(
                report("two windows of one virtual CPU overlap")
                    .found(format!("{} and {}", show(other), show(raw)))
                    .help("make one window of both, or move them apart"),
            );
        }
        if last.is_none_or(|other| time(other).end() < window.end()) {
            last = Some(raw);
        }
    }
}

fn time(window: &RawWindow) -> Window {
    Window {
        start: Duration::from_ticks(*window.start.get_ref()),
        length: Duration::from_ticks(*window.length.get_ref()),
    }
}

fn show(window: &RawWindow) -> String {
    let (start, length) = (*window.start.get_ref(), *window.length.get_ref());
    format!(
        "{} to {}",
        human_time(start),
        human_time(start.saturating_add(length))
    )
}
