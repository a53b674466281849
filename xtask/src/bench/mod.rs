//! `cargo xtask bench`: measurements, with bars.

mod chart;
mod rtds;

use clap::{Args, Subcommand};

use crate::workspace::Workspace;

/// What is measured.
#[derive(Subcommand)]
pub enum Subject {
    /// The scheduling policies, on the host: conformance, defects, curves, soundness, supply, bursts, costs.
    Rtds(RtdsArguments),
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

/// Measures. The status is 1 when a bar is not met.
///
/// # Errors
/// No experiment has such a name, or a file cannot be written.
pub fn run(workspace: &Workspace, subject: Subject) -> anyhow::Result<u8> {
    match subject {
        Subject::Rtds(arguments) => rtds::run(workspace, &arguments),
    }
}
