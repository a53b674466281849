//! Runs tests side by side and counts.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use qemu::session::interrupted;

use crate::attribution;
use crate::bench::{Bench, Built, Workshop};
use crate::registry::{Need, Test};

/// How many tests, and so QEMU processes, run at the same time: more would starve one another on a small machine.
pub const AT_ONCE: usize = 2;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that could not say anything.
    pub skipped: usize,
}

impl Tally {
    /// The closing line.
    pub fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What became of one test.
enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs the tests, printing a line for each as it ends.
pub fn run(tests: &[Test], workshop: &dyn Workshop) -> Tally {
    let missing = provide(tests, workshop);
    let built = Built::default();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(tests.len()) {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let verdict = judge_again(test, || judge(test, workshop, &built, &missing));
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    let count = match &verdict {
                        Verdict::Passed => &mut tally.passed,
                        Verdict::Failed(_) => &mut tally.failed,
                        Verdict::Skipped(_) => &mut tally.skipped,
                    };
                    *count += 1;
                    let number = tally.passed + tally.failed + tally.skipped;
                    announce(
                        &verdict,
                        &test.name,
                        start.elapsed().as_secs_f32(),
                        number,
                        tests.len(),
                    );
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Sets up what the tests need, each need once. Returns what cannot be had and why.
fn provide(tests: &[Test], workshop: &dyn Workshop) -> HashMap<Need, String> {
    let mut seen: Vec<&Need> = Vec::new();
    let mut missing = HashMap::new();
    for need in tests.iter().flat_map(|test| &test.needs) {
        if seen.contains(&need) {
            continue;
        }
        seen.push(need);
        if let Err(error) = workshop.provide(need) {
            missing.insert(need.clone(), format!("{error:#}"));
        }
    }
    missing
}

/// The verdict of the first run, or of a second one where the first may have been disturbed.
fn judge_again(test: &Test, run: impl Fn() -> Verdict) -> Verdict {
    let first = run();
    match (&first, test.disturbed) {
        (Verdict::Failed(why), Some(disturbance)) if !interrupted() => {
            let why = indent(why);
            println!("[again] {}: {disturbance}\n{why}", test.name);
            run()
        }
        _ => first,
    }
}

fn judge(
    test: &Test,
    workshop: &dyn Workshop,
    built: &Built,
    missing: &HashMap<Need, String>,
) -> Verdict {
    if let Some(reason) = test.needs.iter().find_map(|need| missing.get(need)) {
        return Verdict::Skipped(reason.clone());
    }
    if interrupted() {
        return Verdict::Skipped("interrupted".to_owned());
    }
    let bench = match Bench::new(workshop, built, &test.name, test.limit) {
        Ok(bench) => bench,
        Err(error) => return Verdict::Failed(format!("{error:#}")),
    };
    let body = || (test.body)(&bench).and_then(|()| attribution::check(bench.logs()));
    let result = catch_unwind(AssertUnwindSafe(body));
    let message = match result {
        Ok(Ok(())) => {
            // The logs of a test that passed interest nobody; a folder that stays behind is emptied by the next run.
            let _ = std::fs::remove_dir_all(bench.logs());
            return Verdict::Passed;
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("panicked").to_owned()
        }
    };
    Verdict::Failed(format!("{message}\nlogs: {}", bench.logs().display()))
}

fn announce(verdict: &Verdict, name: &str, seconds: f32, number: usize, total: usize) {
    match verdict {
        Verdict::Passed => println!("[{number}/{total}] ok      {name} ({seconds:.1} s)"),
        Verdict::Failed(why) => println!(
            "[{number}/{total}] FAILED  {name} ({seconds:.1} s)\n{}",
            indent(why)
        ),
        Verdict::Skipped(why) => println!("[{number}/{total}] SKIPPED {name}: {why}"),
    }
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("        {line}\n"))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Cdrom, Firmware};
    use anyhow::bail;
    use qemu::session::Bootable;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    struct Fake {
        output: tempfile::TempDir,
    }

    impl Workshop for Fake {
        fn build(&self, system: &Path, _: &[&'static str]) -> anyhow::Result<Bootable> {
            bail!("{} is not built here", system.display())
        }
        fn command_line(&self) -> Command {
            Command::new("true")
        }
        fn root(&self) -> &Path {
            self.output.path()
        }
        fn output(&self) -> &Path {
            self.output.path()
        }
        fn board_tree(&self, board: &str) -> anyhow::Result<Vec<u8>> {
            bail!("no tree of {board}")
        }
        fn u_boot(&self) -> anyhow::Result<PathBuf> {
            bail!("no U-Boot")
        }
        fn uefi(&self) -> anyhow::Result<PathBuf> {
            bail!("no UEFI")
        }
        fn cdrom(&self, image: &Path, _: Firmware, _: &Path) -> anyhow::Result<Cdrom> {
            bail!("no CD-ROM of {}", image.display())
        }
        fn provide(&self, need: &Need) -> anyhow::Result<()> {
            match need {
                Need::Systems
                | Need::UBoot
                | Need::Uefi
                | Need::Latency
                | Need::Pc
                | Need::Bochs => Ok(()),
                Need::Kernel(name) | Need::Uio(name) | Need::Board(name) => bail!("no {name}"),
                Need::Grub(firmware) => bail!("no GRUB for {firmware:?}"),
            }
        }
    }

    fn run_on_fake(tests: &[Test]) -> (Tally, Fake) {
        let fake = Fake {
            output: tempfile::tempdir().expect("folder"),
        };
        let tally = run(tests, &fake);
        (tally, fake)
    }

    /// A test that fails so often, then passes.
    fn failing(times: usize) -> Test {
        let runs = AtomicUsize::new(0);
        Test::new("late", &[], move |_| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            anyhow::ensure!(run >= times, "run {run} failed");
            Ok(())
        })
    }

    #[test]
    fn run_that_may_be_disturbed_is_repeated_once_and_others_are_not() {
        let tests = [
            failing(1).disturbed_by("the emulator"),
            failing(2).disturbed_by("the emulator"),
            failing(1),
        ];
        let (tally, _) = run_on_fake(&tests);
        assert_eq!(tally.line(), "1 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn results_are_counted_by_kind() {
        let tests = [
            Test::new("good", &[], |_| Ok(())),
            Test::new("bad", &[], |_| bail!("no")),
            Test::new("loud", &[], |_| panic!("at the disco")),
            Test::new("poor", &[], |_| Ok(())).needs(Need::Kernel("x")),
        ];
        let (tally, _) = run_on_fake(&tests);
        assert_eq!(tally.line(), "1 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn logs_of_a_failed_test_are_kept_and_those_of_a_passed_one_removed() {
        let body = |outcome: bool| {
            move |bench: &Bench<'_>| {
                std::fs::write(bench.logs().join("hv.log"), "text")?;
                if outcome { Ok(()) } else { bail!("no") }
            }
        };
        let tests = [
            Test::new("a/good", &[], body(true)),
            Test::new("a/bad", &[], body(false)),
        ];
        let (_, fake) = run_on_fake(&tests);
        assert!(fake.output().join("test-logs/a-bad/hv.log").is_file());
        assert!(!fake.output().join("test-logs/a-good").exists());
    }

    #[test]
    fn no_test_gives_an_empty_tally() {
        assert_eq!(run_on_fake(&[]).0, Tally::default());
    }
}
