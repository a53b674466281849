//! `cargo xtask bench x86`: what exits and interrupts cost on a PC under AMD SVM.

use qemu::machine::Architecture;
use systems::costs::{Budget, Measured};

use super::{counted_text, paths};
use crate::build::Builder;
use crate::setup;

/// The guest with CPUs of its own, and beside one that never sleeps; each with what is put before the names of its rows.
const SYSTEMS: [(&str, &str); 2] = [
    ("", "configs/x86-qemu/bench.toml"),
    ("shared-", "configs/x86-qemu/bench-shared.toml"),
];
/// The guest, and its last line.
const GUEST: [&str; 2] = ["bench", "^bench: done$"];

/// Measures and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// The system does not build, its guest does not run, or two runs give different numbers.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu_for(builder.steps(), Architecture::Pc, builder.offline())?;
    let root = builder.workspace().root();
    let built = SYSTEMS.map(|(prefix, file)| Ok((prefix, builder.build(&root.join(file))?)));
    let built: Vec<_> = built.into_iter().collect::<anyhow::Result<_>>()?;
    let rows = Budget::read()?.x86;
    paths::run("instructions, AMD SVM", rows, json, || {
        let mut measured = Measured::default();
        for (prefix, system) in &built {
            measured.add_rows_as(prefix, &counted_text(system, GUEST)?)?;
        }
        Ok(measured)
    })
}
