//! Systems for a PC on Bochs: Intel VMX, which QEMU does not emulate.

use std::ops::Range;

use anyhow::{Context, ensure};
use qemu::statistics::Statistics;

use crate::bench::{Bench, Firmware};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;
use crate::turns::{RTDS, URGENT};
use crate::x86::{ATTACKS, BOARD, IMAGE, KERNEL};

/// An Intel CPU with extended page tables and unrestricted guests.
const INTEL: &str = "corei7_skylake_x";

pub fn tests() -> Vec<Test> {
    let vmx = Test::new("x86/vmx", &["x86", "bochs", "attack"], vmx);
    let linux = Test::new("x86/vmx-linux", &["x86", "bochs", "linux"], linux);
    let turns = Test::new("x86/vmx-turns", &["x86", "bochs", "rtds"], turns);
    let tests = [vmx, turns, linux.needs(Need::Kernel(KERNEL))].map(|test| {
        // Bochs executes some 30 million instructions a second where nothing else runs.
        test.limit(300)
            .needs(Need::Pc)
            .needs(Need::Grub(Firmware::Bios))
            .needs(Need::Bochs)
    });
    Vec::from(tests)
}

/// A guest that sleeps until its timer, each millisecond, wakes up in time beside one that spins on the same CPU, and that one gets half of each 10 ms: no
/// more than the other half passes between two of its instructions.
fn turns(bench: &Bench<'_>) -> anyhow::Result<()> {
    /// Microseconds without it, and what the other's 200 in each of 5 ms may add.
    const GAP: Range<u64> = 4_900..6_100;
    let system = SystemFile::new("vmx-turns", BOARD)
        .pool("shared", &[0], RTDS)
        .guest_in(
            "shared",
            "busy",
            "pc-busy",
            1,
            "period = \"10ms\"\nbudget = \"5ms\"\npriority = 1\n",
        )
        .guest_in("shared", "wake", "pc-wake", 1, URGENT);
    let mut session = bench.start_in_bochs(&system, INTEL, 1)?;
    let wake = "^wake: late .* missed 0, 20[0-5] sleeps$";
    session.wait_for("wake", wake, bench.left())?;
    session.wait_for("hv", "^wake: stopped$", bench.left())?;
    let supply = session.wait_for("busy", "^busy: supply .* gap=\\d+ ns$", bench.left())?;
    let gap = supply.rsplit_once("gap=").context("no gap")?.1;
    let gap: u64 = gap.trim_end_matches(" ns").parse()?;
    ensure!(GAP.contains(&(gap / 1000)), "{supply}");
    Ok(())
}

/// Debian's kernel, unmodified, reaches its user space. Nothing can be typed there.
fn linux(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = SystemFile::new("vmx-linux", BOARD).partition(
        "linux",
        1,
        "256MiB",
        IMAGE,
        "on_fault = \"stop\"\n",
    );
    let mut session = bench.start_in_bochs(&system, INTEL, 1)?;
    session.wait_for("linux", "shell ready on 1 CPUs$", bench.left())?;
    Ok(())
}

/// The same image as on AMD's CPUs: a clock whose timer needs no exit, one that attacks, and two virtual CPUs that call one another. What each does is
/// attributed and counted as there.
fn vmx(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = SystemFile::new("vmx", BOARD)
        .guest("clock", "pc-clock", 1)
        .guest("vandal", "pc-vandal", 1)
        .guest("smp", "pc-smp", 2);
    let mut session = bench.start_in_bochs(&system, INTEL, 4)?;
    session.wait_for("hv", "^VMX: revision 0x", bench.left())?;
    for line in [
        "instructions of VMX -> #UD x1",
        "VMXE in CR4 -> #GP x1",
        "NE in CR0 -> as written x2",
        "values that XCR0 has not -> #GP x3",
        "tried \\d+, contained \\d+, breaches 0",
        "done",
    ] {
        session.wait_for("vandal", &format!("^vandal: {line}$"), bench.left())?;
    }
    session.wait_for("smp", "^smp: done$", bench.left())?;
    session.wait_for("clock", "^clock: done", bench.left())?;
    session.wait_for("hv", "^report end$", bench.left())?;

    let said = session.text("hv");
    for access in ["read of", "write to"] {
        let line = format!("{access} foreign memory at 0x1000000, pc 0x");
        ensure!(said.contains(&line), "no {line:?}:\n{said}");
    }
    let report = Statistics::parse(&said).context("the report is malformed")?;
    ensure!(report.partitions.len() == 3, "{report:?}");
    for one in &report.partitions {
        let faults = if one.name == "vandal" { ATTACKS } else { 0 };
        ensure!(
            one.faults == faults && one.restarts == 0 && one.state == "stopped",
            "{one:?}"
        );
    }
    Ok(())
}
