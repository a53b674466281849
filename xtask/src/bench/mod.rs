//! `cargo xtask bench`: measurements, with bars.

pub mod chart;
mod costs;
mod decisions;
mod dma;
mod linux;
mod masked;
mod paths;
mod rtds;
mod scale;
mod turns;
mod x86;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use qemu::session::{Options, Session};

use crate::build::{Builder, Built};

/// Longest that a run may take; it takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// How exits, boot and image are measured.
#[derive(Args)]
pub struct CostArguments {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Name the rows that cost more or less than in an earlier run; the exit status is 1 when one costs more.
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
    /// Write docs/performance.md from this run.
    #[arg(long)]
    pub docs: bool,
}

/// What is measured.
#[derive(Subcommand)]
pub enum Subject {
    /// The scheduling policies, on the host: conformance, defects, curves, soundness, supply, bursts, costs; and in QEMU: instructions, turns.
    Rtds(RtdsArguments),
    /// Mapping, unmapping, invalidating and faults of a device behind an SMMUv3, in instructions.
    Dma(PathArguments),
    /// Exits on a PC under AMD SVM, in instructions.
    X86(PathArguments),
    /// What Debian's real-time kernel measures of itself, on the bare machine and in a partition: boot to a shell, cyclictest, hackbench.
    Linux(PathArguments),
    /// Exits, boot and image as partitions, virtual CPUs, channels and memory grow.
    Scale(PathArguments),
    /// For how long interrupts are masked at most while a guest attacks, on a CPU that it shares: some minutes.
    Masked(PathArguments),
    /// All of it, one after the other, as `bench` alone and each of the others have it: every figure of README and docs, in about half an hour.
    All,
}

/// How it is told.
#[derive(Args)]
pub struct PathArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How the scheduling policies are measured.
#[derive(Args)]
pub struct RtdsArguments {
    /// Only experiments whose name contains this.
    filter: Option<String>,
    /// A small part of everything, to see that it works.
    #[arg(long)]
    quick: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Measures. The status is 1 when a bar is not met. Without a subject: the costs of exits, boot and image.
///
/// # Errors
/// No experiment has such a name, a system does not run, or a file cannot be written.
pub fn run(
    builder: &Builder,
    subject: Option<Subject>,
    costs: &CostArguments,
) -> anyhow::Result<u8> {
    match subject {
        None => costs::run(builder, costs),
        Some(Subject::Rtds(arguments)) => rtds::run(builder, &arguments),
        Some(Subject::Dma(arguments)) => dma::run(builder, arguments.json),
        Some(Subject::X86(arguments)) => x86::run(builder, arguments.json),
        Some(Subject::Linux(arguments)) => linux::run(builder, arguments.json),
        Some(Subject::Scale(arguments)) => scale::run(builder, arguments.json),
        Some(Subject::Masked(arguments)) => masked::run(builder, arguments.json),
        Some(Subject::All) => all(builder, costs),
    }
}

/// Measures everything, whatever of it fails.
fn all(builder: &Builder, costs: &CostArguments) -> anyhow::Result<u8> {
    let experiments = RtdsArguments {
        filter: None,
        quick: false,
        json: costs.json,
    };
    let json = costs.json;
    let parts: [(&str, &dyn Fn() -> anyhow::Result<u8>); 7] = [
        ("costs", &|| costs::run(builder, costs)),
        ("rtds", &|| rtds::run(builder, &experiments)),
        ("dma", &|| dma::run(builder, json)),
        ("x86", &|| x86::run(builder, json)),
        ("linux", &|| linux::run(builder, json)),
        ("scale", &|| scale::run(builder, json)),
        ("masked", &|| masked::run(builder, json)),
    ];
    let mut failed = Vec::new();
    for (name, run) in parts {
        eprintln!("== {name}");
        match run() {
            Ok(0) => {}
            Ok(_) => failed.push(name),
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(name);
            }
        }
    }
    let met = parts.len() - failed.len();
    eprintln!("-- {met} of {} meet their bars", parts.len());
    if !failed.is_empty() {
        eprintln!("-- these do not: {}", failed.join(", "));
    }
    Ok(u8::from(!failed.is_empty()))
}

/// Starts a system with its instructions counted, and further arguments for QEMU.
fn start_counting(built: &Built, extra: &[&str]) -> anyhow::Result<Session> {
    let mut options = Options::quiet(&built.folder.join("bench-logs"));
    options.icount = true;
    options
        .extra
        .extend(extra.iter().map(|&one| one.to_owned()));
    Session::start(&built.bootable()?, &options)
}

/// What a partition of the system prints until `end` matches, with instructions counted.
fn counted_text(built: &Built, [partition, end]: [&str; 2]) -> anyhow::Result<String> {
    let mut session = start_counting(built, &[])?;
    session.wait_for(partition, end, PATIENCE)?;
    let text = session.text(partition);
    session.finish();
    Ok(text)
}
