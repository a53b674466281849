//! `cargo xtask bench dma`: what it takes to map, unmap and invalidate for a device, and to tell a fault of one.
//!
//! The image is built with the feature `measure`, so that it times its own paths: most at boot, faults when QEMU's device `edu` makes them.

use systems::costs::{Budget, Measured};

use super::{PATIENCE, paths, start_counting};
use crate::build::{Builder, Built};
use crate::setup;

/// The image's feature.
const MEASURE: &str = "measure";
const SYSTEM: &str = "configs/qemu-virt-gicv3-smmu/bench.toml";
/// The device, with addresses of 64 bits.
const EDU: [&str; 2] = ["-device", "edu,addr=3,dma_mask=0xffffffffffffffff"];
/// Has the guest try what is not its own, a word at a time.
const FAULT: &str = "f";
/// How often it does.
const FAULTS: usize = 12;

/// Measures and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// The system does not build, its guest does not run, or two runs give different numbers.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu(builder.steps(), builder.offline())?;
    let system = builder.workspace().root().join(SYSTEM);
    let built = builder.build_with(&system, &[MEASURE])?;
    let rows = Budget::read()?.dma;
    paths::run("instructions, SMMUv3", rows, json, || measure(&built))
}

/// What the image and its guest say, with instructions counted.
fn measure(built: &Built) -> anyhow::Result<Measured> {
    let mut session = start_counting(built, &EDU)?;
    session.wait_for("attacker", "^dma: edu is there$", PATIENCE)?;
    session.send("attacker", FAULT)?;
    for _ in 0..FAULTS {
        session.wait_for("hv", r"bench: dma-fault \d+ ticks$", PATIENCE)?;
    }
    let text = session.text("hv");
    session.finish();
    let mut measured = Measured::default();
    measured.add_samples(&text)?;
    Ok(measured)
}
