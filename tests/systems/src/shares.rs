//! Guests that measure what they get of the CPUs that they share: the systems, and how their figures are read. Tests and `cargo xtask bench rtds` use both.

use anyhow::Context;
use qemu::session::Session;
use regex::Regex;

use crate::system_file::SystemFile;

/// What the enforcement of a budget may cost whoever comes next, the alarm's exit and the switch, in nanoseconds: `switch_cost`, as admission
/// counts it where a pool does not say it.
pub const ENFORCEMENT: u64 = 5_000;

/// The guests of [`two_busy`], with their budgets in nanoseconds.
pub const TWO_BUSY: [(&str, u64); 2] = [("more", 6_000_000), ("less", 3_000_000)];

/// Two guests that never sleep share a CPU for 9 of each 10 ms.
pub fn two_busy(board: &str, guest: &str) -> SystemFile {
    let time = |budget: &str| format!("period = \"10ms\"\nbudget = \"{budget}\"\n");
    SystemFile::new("turns-supply", board)
        .pool("shared", &[0], "\"rtds\"")
        .guest_in("shared", "more", guest, 1, &time("6ms"))
        .guest_in("shared", "less", guest, 1, &time("3ms"))
}

/// The guests of [`two_in_windows`], with their nanoseconds and their windows in each frame.
pub const TWO_IN_WINDOWS: [(&str, u64, u64); 2] =
    [("first", 4_000_000, 2), ("second", 3_000_000, 1)];

/// Two guests that never sleep have windows of a frame of 10 ms.
pub fn two_in_windows(board: &str, guest: &str) -> SystemFile {
    let windows = |list: &str| format!("windows = [{list}]\n");
    let first =
        windows("{ start = \"0ms\", length = \"2ms\" }, { start = \"5ms\", length = \"2ms\" }");
    let second = windows("{ start = \"2ms\", length = \"3ms\" }");
    SystemFile::new("turns-windows", board)
        .pool("shared", &[0], "\"cyclic\"\nmajor_frame = \"10ms\"")
        .guest_in("shared", "first", guest, 1, &first)
        .guest_in("shared", "second", guest, 1, &second)
}

/// The guest `own` has a CPU, `one` and `two` share another one.
pub fn one_alone(board: &str) -> SystemFile {
    let time = "period = \"10ms\"\nbudget = \"4ms\"\n";
    SystemFile::new("turns-entries", board)
        .guest("own", "busy", 1)
        .pool("shared", &[1], "\"rtds\"")
        .guest_in("shared", "one", "busy", 1, time)
        .guest_in("shared", "two", "busy", 1, time)
}

/// The number behind `field=` in the last line of a guest that has it.
///
/// # Errors
/// It has printed no such number.
pub fn figure(session: &Session, partition: &str, field: &str) -> anyhow::Result<u64> {
    let pattern = Regex::new(&format!(r"(?m) {field}=(\d+)"))?;
    let text = session.text(partition);
    let last = pattern.captures_iter(&text).last();
    let last = last.with_context(|| format!("{partition} printed no {field}"))?;
    Ok(last[1].parse()?)
}
