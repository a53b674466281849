//! Bulkhead's one command line: `cargo xtask <verb>`.
//!
//! Each verb is a file. They share the [`toolchain`] that builds for the boards, the [`resources`] that the configuration compiler
//! asks for, and the [`build`] pipeline from a TOML file to one bootable image.

mod bench;
mod build;
mod check;
mod command;
mod demo;
mod dependencies;
mod device_tree;
mod grub;
mod image;
mod import;
mod linked;
mod new_board;
mod packages;
mod pc_image;
mod picture;
mod resources;
mod run;
mod setup;
mod source_lines;
mod stats;
mod steps;
mod summary;
mod test;
mod toolchain;
mod trace;
mod u_boot;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use steps::{Detail, Steps};
use workspace::Workspace;

/// Builds, runs and checks Bulkhead systems.
#[derive(Parser)]
#[command(name = "cargo xtask", version, arg_required_else_help = true)]
struct Arguments {
    /// Fetch and install nothing; use what is there.
    #[arg(long, global = true)]
    offline: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install and fetch what is missing: Rust for the boards, QEMU, guest kernels, device trees of boards.
    Setup,
    /// Check a system file and print diagnostics, or a summary when it is right.
    Check {
        /// The system file.
        system: PathBuf,
        /// Print JSON: the report with exit status 0, or the diagnostics with exit status 1.
        #[arg(long)]
        json: bool,
    },
    /// Build a system: image, ELF, guest device trees, report.
    Build {
        /// The system file.
        system: PathBuf,
        /// Write a FIT with hashes (bulkhead.itb) and a boot script for U-Boot (boot.scr), too.
        #[arg(long)]
        u_boot: bool,
    },
    /// Build a system and start it in QEMU.
    Run(RunArguments),
    /// Boot Linux beside a real-time guest and a hostile one, and end with a summary.
    Demo {
        /// Which board to take.
        #[arg(long, default_value = "qemu-virt-gicv3")]
        board: String,
        /// Seconds after which the demo gives up.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
        /// Folder for the logs.
        #[arg(long)]
        logs: Option<PathBuf>,
    },
    /// Run host tests and QEMU system tests.
    Test {
        /// Only tests whose name or tag contains this.
        filter: Option<String>,
        /// List the system tests instead of running them.
        #[arg(long)]
        list: bool,
    },
    /// Measure, and compare with what is asked for.
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        /// Without it: what exits, boot and image cost, beside what is asked for and what other hypervisors take.
        #[command(subcommand)]
        subject: Option<bench::Subject>,
        #[command(flatten)]
        costs: bench::CostArguments,
    },
    /// Explain a diagnostic code (BH0104) or a field of the system file (budget); without either, list all codes.
    Explain {
        /// The code or field.
        code: Option<String>,
    },
    /// Turn another project's configuration into a system file; docs/import.md says how.
    Import {
        /// A device tree (.dtb) with a Xen dom0less configuration in /chosen.
        #[arg(long, value_name = "TREE.dtb")]
        xen: PathBuf,
        /// The board that the system is for; recognised for QEMU's boards.
        #[arg(long)]
        board: Option<String>,
        /// A file that the boot loader puts into memory. Repeat it for each.
        #[arg(long = "module", value_name = "ADDRESS=FILE")]
        modules: Vec<String>,
        /// The system file to write; standard output by default.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Draft a board and its first systems from a device tree, and list what no tree says.
    NewBoard(new_board::Request),
    /// Write a system's report and its guests' device trees, and say where they are. No image is built.
    Report {
        /// The system file.
        system: PathBuf,
        /// Print the report as JSON instead.
        #[arg(long)]
        json: bool,
    },
    /// Run a system in QEMU, with one instruction a nanosecond, and show what each physical CPU did: SVG, JSON for Perfetto or Chrome, and a summary. The latest 4,095 events of each physical CPU are kept.
    #[command(alias = "timeline")]
    Trace {
        /// The system file.
        system: PathBuf,
        /// Record until this regular expression matches what any source prints.
        #[arg(long, value_name = "REGEX")]
        until: Option<String>,
        /// Record for so many seconds at most.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Print the image's size, its lines of code and its unsafe blocks, what can panic, how deep the stack gets, and the packages of others in it. The status is 1 when a function panics that is not listed, or the stack may be too small.
    Stats(stats::StatsArguments),
}

#[derive(Args)]
struct RunArguments {
    /// The system file.
    system: PathBuf,
    /// End with status 0 as soon as this regular expression matches what any source prints.
    #[arg(long, value_name = "REGEX")]
    until: Option<String>,
    /// End with status 2 after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Folder for one log per partition, `hv.log` and the raw `console.log`.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Count instructions: one instruction is one nanosecond of virtual time.
    #[arg(long)]
    icount: bool,
    /// Another CPU model than the board's.
    #[arg(long, value_name = "MODEL")]
    cpu: Option<String>,
    /// More arguments for QEMU; they come last, so they win.
    #[arg(last = true)]
    extra: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Every wait ends at Ctrl-C, SIGTERM and SIGHUP, and takes its QEMU with it. Where no handler can be set the default applies.
    let _ = ctrlc::set_handler(qemu::session::interrupt);
    match dispatch(arguments) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // Diagnostics say themselves what is an error and what a warning.
            match error.downcast_ref::<build::Diagnosed>() {
                Some(diagnosed) => eprintln!("{diagnosed}"),
                None => eprintln!("error: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<u8> {
    let workspace = Workspace::find()?;
    let offline = arguments.offline;
    let steps = Steps::new(Detail::Changes);
    let builder = build::Builder::new(workspace.clone(), steps, offline)?;
    match arguments.verb {
        Verb::Setup => setup::run(Steps::new(Detail::Everything), offline).map(|()| 0),
        Verb::Check { system, json } => check::check(&builder, &system, json),
        Verb::Build { system, u_boot } => check::build(&builder, &system, u_boot),
        Verb::Run(run) => run::run(
            &builder,
            &run::Request {
                system: run.system,
                until: run.until,
                timeout: run.timeout.map(Duration::from_secs),
                logs: run.logs,
                icount: run.icount,
                cpu: run.cpu,
                extra: run.extra,
            },
        ),
        Verb::Demo {
            board,
            timeout,
            logs,
        } => demo::run(&builder, &board, Duration::from_secs(timeout), logs),
        Verb::Test { list: true, filter } => test::list(filter.as_deref()),
        Verb::Test { filter, .. } => test::run(&builder, filter.as_deref()),
        Verb::Bench { subject, costs } => bench::run(&builder, subject, &costs),
        Verb::Explain { code } => check::explain(code.as_deref()),
        Verb::Import {
            xen,
            board,
            modules,
            output,
        } => import::run(&import::Request {
            tree: xen,
            board,
            modules,
            output,
        }),
        Verb::NewBoard(request) => new_board::run(&builder, &request),
        Verb::Report { system, json } => check::report(&builder, &system, json),
        Verb::Trace {
            system,
            until,
            seconds,
        } => trace::run(
            &builder,
            &trace::Request {
                system,
                until,
                seconds,
            },
        ),
        Verb::Stats(arguments) => stats::run(&builder, &arguments),
    }
}
