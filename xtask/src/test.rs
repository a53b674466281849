//! `cargo xtask test`: every kind of test, one closing line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use compiler::Resources;
use qemu::debian::part::{Part, U_BOOT, UEFI};
use qemu::machine::Architecture;
use qemu::session::{Bootable, interrupted};
use systems::bench::{Cdrom, Firmware, Workshop};
use systems::harness::{self, Tally};
use systems::registry::{self, Need};

use crate::build::Builder;
use crate::grub;
use crate::setup;
use crate::toolchain;

/// The filter that picks all host tests and nothing else.
const HOST: &str = "host";

/// A kind of test: runs what the filter picks and counts.
type Kind = fn(&Builder, Option<&str>) -> anyhow::Result<Tally>;

/// All kinds, in the order in which they run.
const KINDS: [(&str, Kind); 2] = [("host tests", host), ("system tests", systems)];

/// Runs the tests that the filter picks. The exit status is 1 when one failed or none was found.
///
/// # Errors
/// The set-up that every test needs does not work.
pub fn run(builder: &Builder, filter: Option<&str>) -> anyhow::Result<u8> {
    let mut tally = Tally::default();
    for (name, kind) in KINDS {
        println!("== {name}");
        match kind(builder, filter) {
            Ok(part) => {
                println!("-- {name}: {}", part.line());
                tally += part;
            }
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                tally.failed += 1;
            }
        }
    }
    if tally == Tally::default() {
        println!("no test matches {:?}", filter.unwrap_or_default());
        tally.failed = 1;
    }
    println!("{}", tally.line());
    Ok(u8::from(tally.failed > 0 || interrupted()))
}

/// Prints the names and tags of the system tests that the filter picks.
///
/// # Errors
/// Never; the signature is that of every verb.
pub fn list(filter: Option<&str>) -> anyhow::Result<u8> {
    for test in registry::all().iter().filter(|test| test.matches(filter)) {
        println!("{}  [{}]", test.name, test.tags.join(", "));
    }
    Ok(0)
}

/// `cargo test` of everything that runs on the host, the harness included.
fn host(builder: &Builder, filter: Option<&str>) -> anyhow::Result<Tally> {
    let mut cargo = Command::new(toolchain::cargo());
    // One broken test must not hide the others.
    cargo.args(["test", "--no-fail-fast", "--workspace"]);
    if builder.offline() {
        cargo.arg("--offline");
    }
    if let Some(filter) = filter.filter(|&filter| filter != HOST) {
        cargo.args(["--", filter]);
    }
    cargo
        .current_dir(builder.workspace().root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .stdout(Stdio::piped());
    let output = cargo.output().context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{}", interesting(&text));
    let mut tally = count(&text);
    if !output.status.success() && tally.failed == 0 {
        // It did not compile, or a test process died.
        tally.failed = 1;
    }
    Ok(tally)
}

/// Sums the `test result:` lines of `cargo test`.
fn count(text: &str) -> Tally {
    let mut tally = Tally::default();
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let number = |what: &str| -> usize {
            let before = line.split(&format!(" {what}")).next().unwrap_or_default();
            before
                .rsplit(|c: char| !c.is_ascii_digit())
                .next()
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0)
        };
        tally += Tally {
            passed: number("passed"),
            failed: number("failed"),
            skipped: number("ignored"),
        };
    }
    tally
}

/// Everything but the lines of tests that passed.
fn interesting(text: &str) -> String {
    let boring = |line: &str| {
        line.is_empty()
            || (line.starts_with("test ") && line.ends_with("... ok"))
            || line.starts_with("running ")
            || line.starts_with("test result: ok")
    };
    text.lines()
        .filter(|line| !boring(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The QEMU system tests.
fn systems(builder: &Builder, filter: Option<&str>) -> anyhow::Result<Tally> {
    let tests: Vec<_> = registry::all()
        .into_iter()
        .filter(|test| test.matches(filter))
        .collect();
    Ok(harness::run(&tests, &Shop { builder }))
}

/// Lends the build pipeline to the system tests.
struct Shop<'a> {
    builder: &'a Builder,
}

impl Workshop for Shop<'_> {
    fn build(&self, system: &Path, features: &[&'static str]) -> anyhow::Result<Bootable> {
        self.builder.build_with(system, features)?.bootable()
    }

    fn command_line(&self) -> Command {
        // The program that runs now, not one that somebody builds meanwhile.
        Command::new(std::env::current_exe().unwrap_or_else(|_| "xtask".into()))
    }

    fn root(&self) -> &Path {
        self.builder.workspace().root()
    }

    fn output(&self) -> &Path {
        self.builder.output()
    }

    fn board_tree(&self, board: &str) -> anyhow::Result<Vec<u8>> {
        Ok(self.builder.host().board(board)?.tree)
    }

    fn u_boot(&self) -> anyhow::Result<PathBuf> {
        let (steps, cache) = (self.builder.steps(), self.builder.cache());
        setup::part(steps, cache, U_BOOT, Part::UBoot)
    }

    fn uefi(&self) -> anyhow::Result<PathBuf> {
        let (steps, cache) = (self.builder.steps(), self.builder.cache());
        setup::part(steps, cache, UEFI, Part::Uefi)
    }

    fn cdrom(&self, image: &Path, firmware: Firmware, folder: &Path) -> anyhow::Result<Cdrom> {
        grub::cdrom(self.builder, image, firmware, folder)
    }

    fn provide(&self, need: &Need) -> anyhow::Result<()> {
        let (steps, offline) = (self.builder.steps(), self.builder.offline());
        match need {
            Need::Systems => setup::rust(steps, offline).and_then(|_| setup::qemu(steps, offline)),
            Need::Pc => setup::qemu_for(steps, Architecture::Pc, offline),
            Need::Kernel(package) => setup::guests(steps, self.builder.cache(), &[package]),
            Need::Uio(package) => setup::linux_rust(steps, offline)
                .and_then(|()| setup::uio(steps, self.builder.cache(), package, offline))
                .map(drop),
            Need::UBoot => self.u_boot().map(drop),
            Need::Uefi => self.uefi().map(drop),
            Need::Grub(firmware) => grub::provide(self.builder, *firmware),
            Need::Bochs => setup::bochs(steps, offline),
            Need::Latency => setup::latency(steps, self.builder.cache()),
            Need::Board(board) => setup::device_trees(steps, offline)
                .and_then(|()| self.board_tree(board))
                .map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n    b\n\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
        test result: ok. 40 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 1.10s\n";

    #[test]
    fn results_of_several_test_programs_are_summed() {
        assert_eq!(
            count(OUTPUT),
            Tally {
                passed: 41,
                failed: 1,
                skipped: 3
            }
        );
    }

    #[test]
    fn text_that_only_mentions_results_is_not_counted() {
        assert_eq!(
            count("note: test result: ok. 9 passed; 0 failed; 0 ignored"),
            Tally::default()
        );
    }

    #[test]
    fn only_what_failed_is_shown() {
        let shown = interesting(OUTPUT);
        assert!(
            shown.contains("test b ... FAILED") && !shown.contains("test a"),
            "{shown}"
        );
    }
}
