//! What the command line promises: exit statuses, one clear error for each fault, and no partial output.

use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = vec![
        Test::new("command-line/until-matched-gives-0", &["cli"], |bench| {
            run_ends_with(bench, &["--until", "hello", "--timeout", "60"], 0)
        }),
        Test::new("command-line/timeout-gives-2", &["cli"], |bench| {
            run_ends_with(
                bench,
                &["--until", "never printed", "--timeout", "4", "--", "-S"],
                2,
            )
        }),
        Test::new("command-line/end-before-match-gives-1", &["cli"], |bench| {
            run_ends_with(bench, &["--until", "never printed", "--timeout", "60"], 1)
        }),
        Test::new("command-line/end-by-itself-gives-0", &["cli"], |bench| {
            run_ends_with(bench, &["--timeout", "60"], 0)
        }),
        Test::new(
            "command-line/second-setup-is-quick",
            &["cli", "setup"],
            second_setup_is_quick,
        ),
        Test::new(
            "command-line/missing-system-file",
            &["cli"],
            missing_system_file,
        ),
    ];
    for (name, change, place) in FAULTS {
        tests.push(Test::new(
            format!("command-line/{name}"),
            &["cli"],
            move |bench| fault_gives_one_error(bench, change, place),
        ));
    }
    tests
}

/// A fault: its name, what is replaced by what in a good system file, and what the error must show.
type Fault = (&'static str, (&'static str, &'static str), &'static str);

/// Name of every system with a fault: none of them is ever built.
const FAULTY: &str = "faulty";

const FAULTS: [Fault; 4] = [
    (
        "typo-in-the-system-file",
        ("memory =", "memroy ="),
        "memroy",
    ),
    (
        "image-file-missing",
        ("guest:hello", "no-such-image.elf"),
        "no-such-image.elf",
    ),
    (
        "unknown-board",
        ("qemu-virt-gicv3", "qemu-virt-gicv9"),
        "qemu-virt-gicv9",
    ),
    ("too-much-memory", ("16MiB", "64GiB"), "64GiB"),
];

fn hello() -> SystemFile {
    SystemFile::new("command-line", "qemu-virt-gicv3").guest("one", "hello", 1)
}

fn run_ends_with(bench: &Bench<'_>, arguments: &[&str], status: i32) -> anyhow::Result<()> {
    let system = bench.file("command-line.toml", &hello().text())?;
    let system = system.to_string_lossy();
    let logs = bench.logs().to_string_lossy();
    let mut all = vec!["--offline", "run", &system, "--logs", &logs];
    all.extend(arguments);
    let output = bench.xtask(&all)?;
    ensure!(
        output.status.code() == Some(status),
        "exit status {:?} instead of {status}: {}",
        output.status.code(),
        said(&output)
    );
    for log in ["one.log", "hv.log", "console.log"] {
        ensure!(bench.logs().join(log).is_file(), "there is no {log}");
    }
    Ok(())
}

fn fault_gives_one_error(
    bench: &Bench<'_>,
    (from, to): (&str, &str),
    place: &str,
) -> anyhow::Result<()> {
    // A system name that only faulty systems have, so that nothing else's output can be mistaken for partial output.
    let text = SystemFile::new(FAULTY, "qemu-virt-gicv3")
        .guest("one", "hello", 1)
        .text();
    let system = bench.file("faulty.toml", &text.replacen(from, to, 1))?;
    let output = bench.xtask(&["--offline", "build", &system.to_string_lossy()])?;
    let said = said(&output);
    ensure!(
        output.status.code() == Some(1),
        "exit status {:?}",
        output.status.code()
    );
    ensure!(
        said.matches("error[BH").count() == 1,
        "not exactly one error:\n{said}"
    );
    ensure!(
        said.contains(place) && said.contains("faulty.toml:"),
        "the error does not show its place:\n{said}"
    );
    for board in ["qemu-virt-gicv3", "qemu-virt-gicv9"] {
        let folder = bench.output().join(board).join(FAULTY);
        ensure!(!folder.exists(), "partial output in {}", folder.display());
    }
    Ok(())
}

fn missing_system_file(bench: &Bench<'_>) -> anyhow::Result<()> {
    let output = bench.xtask(&["--offline", "build", "no-such-system.toml"])?;
    let said = said(&output);
    ensure!(
        output.status.code() == Some(1),
        "exit status {:?}",
        output.status.code()
    );
    ensure!(
        said.contains("no-such-system.toml") && said.matches("error").count() == 1,
        "not one clear error:\n{said}"
    );
    Ok(())
}

fn second_setup_is_quick(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.xtask(&["setup"])?;
    let start = Instant::now();
    let output = bench.xtask(&["setup"])?;
    let took = start.elapsed();
    ensure!(output.status.success(), "{}", said(&output));
    ensure!(
        took < Duration::from_secs(10),
        "the second setup took {took:?}"
    );
    ensure!(
        !said(&output).contains("doing"),
        "the second setup did something:\n{}",
        said(&output)
    );
    Ok(())
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}
