//! `cargo xtask demo`: Linux beside a real-time guest and a hostile one.
//!
//! On a terminal the user types into Linux. Otherwise the demo runs by itself with counted instructions, types a command, waits for
//! all three guests, and ends with a table.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use qemu::live::Style;
use qemu::outcome::End;
use qemu::session::{Bootable, Options, Session};
use qemu::statistics::Statistics;
use qemu::terminal::{HELP, RawMode};

use crate::build::Builder;
use crate::setup;
use crate::summary::table;

/// What is typed into Linux, and what tells that it has answered.
const COMMAND: &str = "uname -a; cat /proc/interrupts; echo answered $((6 * 7))\n";
const ANSWER: &str = "^answered 42$";

/// What shows that each guest has done its part.
const SIGNS: [(&str, &str); 3] = [
    ("linux", qemu::initramfs::BANNER),
    ("vandal", "^vandal: done"),
    ("rt", "^rt: done"),
];

/// Runs the demo. The exit status is 1 when a guest did not do its part.
///
/// # Errors
/// The set-up does not work or the system does not build.
pub fn run(
    builder: &Builder,
    board: &str,
    limit: Duration,
    logs: Option<PathBuf>,
) -> anyhow::Result<u8> {
    let start = Instant::now();
    setup::rust(builder.steps(), builder.offline())?;
    let system = builder
        .workspace()
        .root()
        .join("configs")
        .join(board)
        .join("demo.toml");
    let built = builder
        .steps()
        .doing("building the demo", || builder.build(&system))?;
    if let Some(machine) = &built.machine {
        setup::qemu_for(builder.steps(), machine.architecture, builder.offline())?;
    }
    let bootable = built.bootable()?;
    let logs = logs.unwrap_or_else(|| built.folder.join("logs"));
    let status = if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        interactive(&bootable, &logs)?
    } else {
        by_itself(&bootable, &logs, limit)?
    };
    println!(
        "\nlogs: {}   report: {}",
        builder.workspace().shown(&logs),
        builder.workspace().shown(&built.folder.join("report.html"))
    );
    println!("{:.0} s", start.elapsed().as_secs_f32());
    Ok(status)
}

fn interactive(bootable: &Bootable, logs: &Path) -> anyhow::Result<u8> {
    println!("{HELP}");
    let mut session = Session::start(bootable, &options(logs, Style::Interactive, false))?;
    let end = {
        let _raw = RawMode::enter().context("the terminal cannot be switched to raw mode")?;
        session.forward_input(true);
        session.wait_until(None, None)?
    };
    println!();
    if end == End::Stopped {
        // The machine still runs; one that does not answer any more has nothing to report.
        if let Ok(statistics) = session.statistics(Duration::from_secs(5)) {
            print!("{}", table(&statistics, "ticks"));
        }
    }
    print!("{}", guests_lines(&session));
    Ok(0)
}

fn by_itself(bootable: &Bootable, logs: &Path, limit: Duration) -> anyhow::Result<u8> {
    println!(
        "Not on a terminal: the demo runs by itself and ends with a table (at most {} s).",
        limit.as_secs()
    );
    let mut session = Session::start(bootable, &options(logs, Style::for_output(), true))?;
    let deadline = Instant::now() + limit;
    let result = drive(&mut session, deadline);
    println!();
    let statistics = match result {
        Ok(statistics) => statistics,
        Err(error) => {
            eprintln!("error: the demo is incomplete: {error:#}");
            return Ok(1);
        }
    };
    print!("{}", table(&statistics, "instructions"));
    print!("{}", guests_lines(&session));
    let harm = harm(&statistics, &session.text("vandal"));
    if harm.is_empty() {
        println!("\nLinux and rt are unharmed.");
        return Ok(0);
    }
    for line in harm {
        eprintln!("error: {line}");
    }
    Ok(1)
}

fn options(logs: &Path, style: Style, icount: bool) -> Options {
    Options {
        icount,
        style,
        ..Options::quiet(logs)
    }
}

/// Waits for every guest's part, then talks to Linux: it must still answer when the vandal is through.
fn drive(session: &mut Session, deadline: Instant) -> anyhow::Result<Statistics> {
    let left = || deadline.saturating_duration_since(Instant::now());
    for (partition, sign) in SIGNS {
        session.wait_for(partition, sign, left())?;
    }
    session.wait_for("linux", "# $", left())?;
    session.send("linux", COMMAND)?;
    session.wait_for("linux", ANSWER, left())?;
    session.statistics(left().min(Duration::from_secs(30)))
}

/// What rt measured, and what vandal tried and got.
fn guests_lines(session: &Session) -> String {
    let pick = |partition: &str, wanted: fn(&str) -> bool| -> String {
        session
            .text(partition)
            .lines()
            .filter(|line| wanted(line))
            .map(|line| format!("  {line}\n"))
            .collect()
    };
    let jitter = pick("rt", |line| {
        line.starts_with("rt: jitter") || line.starts_with("rt: missed")
    });
    let attacks = pick("vandal", |line| {
        line.starts_with("vandal: ") && line.contains(" -> ") || line.starts_with("vandal: tried ")
    });
    format!("\nwhat rt measured:\n{jitter}\nwhat vandal tried, and what it got:\n{attacks}")
}

/// What is wrong with the two guests that did nothing wrong, and with what the vandal says of itself.
fn harm(statistics: &Statistics, vandal: &str) -> Vec<String> {
    let mut harm = Vec::new();
    for name in ["linux", "rt"] {
        match statistics.partition(name) {
            None => harm.push(format!("the report has no partition {name}")),
            Some(found) if found.restarts > 0 || found.faults > 0 => {
                harm.push(format!(
                    "{name} was harmed: {} restarts, {} faults",
                    found.restarts, found.faults
                ));
            }
            Some(_) => {}
        }
    }
    harm.extend(
        vandal
            .lines()
            .filter(|line| line.contains("BREACH"))
            .map(|line| format!("a breach: {line}")),
    );
    harm
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu::statistics::PartitionStatistics;
    use std::collections::BTreeMap;

    fn statistics() -> Statistics {
        let partition = |name: &str| PartitionStatistics {
            name: name.into(),
            state: "running".into(),
            restarts: 0,
            faults: 0,
            refused: BTreeMap::new(),
            exits: Vec::new(),
            turns: Vec::new(),
        };
        Statistics {
            partitions: ["linux", "rt", "vandal"].map(partition).into(),
            masked: Vec::new(),
            trace: Vec::new(),
        }
    }

    #[test]
    fn fault_restart_breach_and_missing_partition_are_harm() {
        assert!(harm(&statistics(), "vandal: read below -> abort 3").is_empty());
        let mut harmed = statistics();
        harmed.partitions[0].faults = 1;
        harmed.partitions.remove(1);
        assert_eq!(harm(&harmed, "vandal: read below -> BREACH 1").len(), 3);
    }
}
