//! An image on a machine that it was not built for stops with one clear line and starts no partition.

use anyhow::ensure;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// A name, QEMU arguments that change the machine, and what the line must speak of.
type Case = (&'static str, &'static [&'static str], &'static str);

/// The machines that an image for GICv3 with three CPUs must refuse.
const CASES: [Case; 5] = [
    (
        "no-el2",
        &["-M", "virt,gic-version=3,virtualization=off"],
        "EL2",
    ),
    (
        "other-gic",
        &["-M", "virt,gic-version=2,virtualization=on"],
        "(?i)GIC",
    ),
    (
        NO_ITS,
        &["-M", "virt,gic-version=3,virtualization=on,its=off"],
        "expects an ITS at 0x8080000",
    ),
    ("too-few-cpus", &["-smp", "2"], "(?i)CPU"),
    ("too-little-memory", &["-m", "80M"], "(?i)memory|RAM"),
];

/// The case whose image uses the ITS.
const NO_ITS: &str = "no-its";

pub fn tests() -> Vec<Test> {
    CASES
        .into_iter()
        .map(|(name, arguments, pattern)| {
            Test::new(format!("wrong-board/{name}"), &["boot"], move |bench| {
                let system = |name| SystemFile::new(name, "qemu-virt-gicv3");
                let guest = "\"guest:hello\"";
                let system = match name {
                    NO_ITS => system(name).partition_with_bridge(
                        "one",
                        1,
                        "16MiB",
                        Some("0x50000000"),
                        "\"guest:msi\"",
                    ),
                    _ => system("wrong-board").partition("one", 3, "128MiB", guest, ""),
                };
                refused(bench, &system, arguments, pattern)
            })
            .limit(120)
        })
        .collect()
}

fn refused(
    bench: &Bench<'_>,
    system: &SystemFile,
    arguments: &[&str],
    pattern: &str,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| {
        options.extra = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect()
    })?;
    session.wait_for(
        "hv",
        pattern,
        bench.left().min(std::time::Duration::from_secs(30)),
    )?;
    // Long enough for a partition to start if it were going to.
    std::thread::sleep(std::time::Duration::from_secs(2));
    ensure!(
        session.text("one").is_empty(),
        "the partition started all the same"
    );
    Ok(())
}
