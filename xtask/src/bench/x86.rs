//! `cargo xtask bench x86`: what exits cost on a PC under AMD SVM.

use qemu::machine::Architecture;
use systems::costs::{Budget, Measured};

use super::{counted_text, paths};
use crate::build::Builder;
use crate::setup;

const SYSTEM: &str = "configs/x86-qemu/bench.toml";
/// The guest, and its last line.
const GUEST: [&str; 2] = ["bench", "^bench: done$"];

/// Measures and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// The system does not build, its guest does not run, or two runs give different numbers.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu_for(builder.steps(), Architecture::Pc, builder.offline())?;
    let system = builder.workspace().root().join(SYSTEM);
    let built = builder.build(&system)?;
    let rows = Budget::read()?.x86;
    paths::run("instructions, AMD SVM", rows, json, || {
        Measured::read(&counted_text(&built, GUEST)?)
    })
}
