//! `cargo xtask run`: one system in QEMU.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use qemu::live::Style;
use qemu::outcome::{End, exit_status};
use qemu::session::{Options, Origin, Session, line_regex};
use qemu::statistics::Statistics;
use qemu::terminal::{HELP, RawMode};

use crate::build::Builder;
use crate::setup;
use crate::summary::table;

/// What the user asked for.
pub struct Request {
    /// The system file.
    pub system: PathBuf,
    /// End when this appears.
    pub until: Option<String>,
    /// End after this time.
    pub timeout: Option<Duration>,
    /// Folder for the logs.
    pub logs: Option<PathBuf>,
    /// Count instructions.
    pub icount: bool,
    /// Another CPU model.
    pub cpu: Option<String>,
    /// More arguments for QEMU.
    pub extra: Vec<String>,
}

/// Builds and runs. Returns the exit status: see [`exit_status`].
///
/// # Errors
/// The system does not build or QEMU cannot be started.
pub fn run(builder: &Builder, request: &Request) -> anyhow::Result<u8> {
    let until = request.until.as_deref().map(line_regex).transpose()?;
    let built = builder.build(&request.system)?;
    if let Some(machine) = &built.machine {
        setup::qemu_for(builder.steps(), machine.architecture, builder.offline())?;
    }
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let options = Options {
        icount: request.icount,
        cpu: request.cpu.clone(),
        origin: Origin::Loaded,
        extra: request.extra.clone(),
        logs: request.logs.clone(),
        style: if interactive {
            Style::Interactive
        } else {
            Style::for_output()
        },
    };
    let mut session = Session::start(&built.bootable()?, &options)?;
    let end = {
        let _raw = interactive.then(|| {
            println!("{HELP}");
            RawMode::enter()
        });
        session.forward_input(interactive);
        session.wait_until(until.as_ref(), request.timeout)?
    };
    let complaints = session.errors();
    if let Some(statistics) = statistics(&mut session, &end, interactive) {
        let unit = if request.icount {
            "instructions"
        } else {
            "ticks"
        };
        print!("\n{}", table(&statistics, unit));
    }
    session.finish();
    explain_end(&end, request, &complaints);
    Ok(exit_status(&end, until.is_some()))
}

/// The report of a system that came to its end, or of one that a user has seen enough of. `None`: there is none, or nobody answers any more.
fn statistics(session: &mut Session, end: &End, interactive: bool) -> Option<Statistics> {
    if *end == End::Stopped && interactive {
        return session.statistics(Duration::from_secs(5)).ok();
    }
    Statistics::parse(&session.text("hv"))
}

/// Says why the run ended, where that is not what the user asked for.
fn explain_end(end: &End, request: &Request, complaints: &str) {
    let complaints = complaints.trim();
    if !complaints.is_empty() {
        eprintln!("qemu: {complaints}");
    }
    match (end, &request.until) {
        (End::TimedOut, Some(pattern)) => {
            eprintln!("error: {pattern:?} did not appear within the time limit")
        }
        (End::TimedOut, None) => eprintln!("error: the time limit passed"),
        (End::Exited(status), Some(pattern)) => {
            eprintln!("error: QEMU ended ({status}) before {pattern:?} appeared")
        }
        (End::Exited(status), None) if !status.success() => {
            eprintln!("error: QEMU failed ({status})")
        }
        (End::Stopped, Some(pattern)) => eprintln!("error: ended before {pattern:?} appeared"),
        (End::Matched | End::Exited(_) | End::Stopped, _) => {}
    }
    if let Some(logs) = &request.logs {
        eprintln!("logs: {}", logs.display());
    }
}
