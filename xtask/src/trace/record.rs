//! `cargo xtask trace SYSTEM.toml`: a system's own events, recorded in QEMU.
//!
//! The image is built with the feature `trace`. Its hypervisor keeps the latest events of each physical CPU and prints them in its report.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use qemu::session::{Options, Session, line_regex};
use rtds_experiments::Schedule;
use serde_json::Value;

use super::chrome::add_exits;
use super::schedule::{Window, schedule};
use super::{draw, summary, trace_events};
use crate::build::Builder;
use crate::setup;

/// The image's feature.
const TRACE: &str = "trace";
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

/// Runs a system, records, and writes its trace beside its image.
///
/// # Errors
/// The system does not build or does not report.
pub fn run(builder: &Builder, request: &Request) -> anyhow::Result<u8> {
    let until = request.until.as_deref().map(line_regex).transpose()?;
    setup::qemu(builder.steps(), builder.offline())?;
    let built = builder.build_with(&request.system, &[TRACE])?;
    let logs = built.folder.join("trace-logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let mut options = Options::quiet(&logs);
    options.icount = true;
    let mut session = Session::start(&built.bootable()?, &options)?;
    session.wait_until(until.as_ref(), Some(Duration::from_secs(request.seconds)))?;
    // A system that has come to its end by itself cannot be asked: on a PC it has told then.
    let statistics = match session.statistics(REPORT) {
        Ok(statistics) => statistics,
        Err(error) => session.told_statistics().ok_or(error)?,
    };
    session.finish();
    ensure!(!statistics.trace.is_empty(), "nothing was recorded");

    let window = Window::of(&statistics.trace);
    let schedule = schedule(&built.compiled.proof.system_name, &statistics, &window);
    let summary = summary::text(&statistics, &schedule, &window);
    print!("{summary}");
    let schedule_json = serde_json::to_string_pretty(&schedule)?;
    for (ending, text) in [
        ("svg", draw(&schedule)),
        (
            "perfetto.json",
            perfetto(&schedule, &statistics.trace, &window).to_string(),
        ),
        ("schedule.json", schedule_json),
        ("txt", summary),
    ] {
        let path = built.folder.join(format!("trace.{ending}"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", builder.workspace().shown(&path));
    }
    Ok(0)
}

/// Turns, exits and what happened in them.
fn perfetto(schedule: &Schedule, rings: &[qemu::trace::Ring], window: &Window) -> Value {
    let mut trace = trace_events(schedule);
    add_exits(&mut trace, rings, window);
    trace
}
