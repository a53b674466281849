//! Watches and controls other partitions from a Linux partition, as far as the system file grants it. docs/containment.md has a session.

mod arguments;
mod events;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use bulkhead_linux::{Answer, Control};
use model::call::{Call, EXITS, STATES, Status};
use model::monitor::Class;

use arguments::Command;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(command) = arguments::read(&arguments) else {
        eprintln!("{}", arguments::USAGE);
        return ExitCode::from(2);
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkheadctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command<'_>) -> anyhow::Result<()> {
    let mut control = Control::open()?;
    match command {
        Command::List => list(&control),
        Command::Counters(partition) => counters(&control, number(&control, partition)?),
        Command::Order(call, partition) => {
            let number = number(&control, partition)?;
            succeeded(control.call(call, number)?)?;
            Ok(())
        }
        Command::Events { follow } => events::print(&mut control, follow),
        Command::Alive => succeeded(control.call(Call::Alive, 0)?).map(drop),
        Command::Panic(code) => succeeded(control.call(Call::Panic, code)?).map(drop),
    }
}

/// The partitions over which this one has a right, and how they do.
fn list(control: &Control) -> anyhow::Result<()> {
    println!("number name            right   state     restarts faults");
    for one in control.covers() {
        let answer = succeeded(control.call(Call::State, one.number.into())?);
        let [state, restarts, faults, ..] = answer.with_context(|| one.name.clone())?.values;
        let state = usize::try_from(state)
            .ok()
            .and_then(|state| STATES.get(state));
        println!(
            "{:<6} {:<15} {:<7} {:<9} {restarts:<8} {faults}",
            one.number,
            one.name,
            one.right,
            state.copied().unwrap_or("unknown")
        );
    }
    Ok(())
}

/// What was counted of a partition since boot.
fn counters(control: &Control, partition: u64) -> anyhow::Result<()> {
    // Above its place stands the number of the count.
    ensure!(partition <= 0xff, "there is no partition {partition}");
    let failures = Class::ALL.map(Class::name);
    let mut number = 0;
    for (what, names) in [("exits", EXITS), ("failures", failures)] {
        let mut line = what.to_owned();
        for name in names {
            let answer = succeeded(control.call(Call::Count, partition | number << 8)?)?;
            line += &format!(" {name}={}", answer.values[0]);
            number += 1;
        }
        println!("{line}");
    }
    Ok(())
}

/// A partition by its name, or by its place in the system file, which the hypervisor judges.
fn number(control: &Control, partition: &str) -> anyhow::Result<u64> {
    let mut covers = control.covers().iter();
    if let Some(found) = covers.find(|one| one.name == partition) {
        return Ok(found.number.into());
    }
    partition.parse().with_context(|| {
        format!("the system file grants no right over a partition `{partition}`; `list` shows them")
    })
}

/// The answer to a call that has done what it says.
fn succeeded(answer: Answer) -> anyhow::Result<Answer> {
    match answer.status {
        Status::Success => Ok(answer),
        Status::Denied => bail!("denied: the system file does not grant it"),
        Status::InvalidParameters => bail!("not now: it does not fit what the partition does"),
        Status::NotSupported => bail!("this hypervisor does not have that call"),
        Status::NotPresent => bail!("there is nothing to tell"),
    }
}
