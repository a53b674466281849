//! Watches and controls other partitions from a Linux partition, as far as the system file grants it. docs/containment.md has a session.

mod arguments;
mod console;
mod counters;
mod events;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use bulkhead_linux::{Answer, Control};
use model::call::{Call, STATES, Status};
use model::trace::Event;

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
        Command::Counters(partition) => counters::print(&control, number(&control, partition)?),
        Command::Trace(partition) => trace(&control, number(&control, partition)?),
        Command::Console { partition, follow } => {
            console::print(&control, number(&control, partition)?, follow)
        }
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
    println!("number name            right           state     restarts faults");
    for one in control.covers() {
        print!("{:<6} {:<15} {:<15} ", one.number, one.name, one.right);
        if !one.may_watch() {
            println!("-         -        -");
            continue;
        }
        let answer = succeeded(control.call(Call::State, one.number.into())?);
        let [state, restarts, faults, ..] = answer.with_context(|| one.name.clone())?.values;
        let state = usize::try_from(state)
            .ok()
            .and_then(|state| STATES.get(state));
        let state = state.copied().unwrap_or("unknown");
        println!("{state:<9} {restarts:<8} {faults}");
    }
    Ok(())
}

/// What led to the newest failure of a partition.
fn trace(control: &Control, partition: u64) -> anyhow::Result<()> {
    let mut events = Vec::new();
    let mut record = None;
    loop {
        let number = numbered(partition, events.len() as u64)?;
        let answer = control.call(Call::Trace, number)?;
        if answer.status == Status::NotPresent && !events.is_empty() {
            break;
        }
        let [first, second, from, ..] = succeeded(answer)?.values;
        let first_from = *record.get_or_insert(from);
        ensure!(from == first_from, "it has failed again meanwhile");
        events.push(Event::from_words([first, second]));
    }
    for event in events {
        println!("{event}");
    }
    Ok(())
}

/// The argument of a call about one of the things of a partition: their number stands above its place.
fn numbered(partition: u64, number: u64) -> anyhow::Result<u64> {
    ensure!(partition <= 0xff, "there is no partition {partition}");
    Ok(partition | number << 8)
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
