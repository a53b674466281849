//! The Rust guests, each alone on its board.

use anyhow::ensure;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let board = format!("qemu-virt-{gic}");
        let system = SystemFile::new("hello", &board).guest("hello", "hello", 1);
        tests.push(Test::new(
            format!("guests/hello/{gic}"),
            &["guests"],
            move |bench| says_something_and_ends(bench, &system),
        ));
    }
    tests
}

/// The guest leaves through PSCI SYSTEM_OFF; as the only partition it takes the machine with it.
fn says_something_and_ends(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("hello", "hello", bench.left())?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}
