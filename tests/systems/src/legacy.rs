//! Guests that know only GICv2 on a board with a GICv3: their CPU interface is in software.

use anyhow::ensure;

use crate::bench::Bench;
use crate::global::GLOBAL;
use crate::guests::{all_cpus_come_and_go, more_are_active_than_list_registers};
use crate::linux::{CLOUD, boot_and_power_off};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

const BOARD: &str = "qemu-virt-gicv3";
const GICV2: &str = "gic = \"v2\"\n";

pub fn tests() -> Vec<Test> {
    let smp = guest(SystemFile::new("smp-legacy", BOARD), "smp", 4);
    let mixed = guest(SystemFile::new("mixed", BOARD), "rt", 1).guest("smp", "smp", 2);
    let measured = guest(SystemFile::new("bench-legacy", BOARD), "bench", 2);
    let linux = SystemFile::new("linux-legacy", BOARD).partition(
        "linux",
        2,
        "256MiB",
        &format!(
            "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}"
        ),
        GICV2,
    );
    let nest = guest(SystemFile::new("nest-legacy", BOARD), "nest", 1);
    let share = format!("period = \"10ms\"\nbudget = \"3ms\"\n{GICV2}");
    let shared = SystemFile::new("shared-legacy", BOARD)
        .pool("shared", &[0], "\"rtds\"")
        .guest_in("shared", "nest", "nest", 1, &share)
        .guest_in("shared", "smp", "smp", 1, &share)
        .guest_in("shared", "spin", "spin", 1, &share);
    let third = format!("period = \"3ms\"\nbudget = \"900us\"\n{GICV2}");
    let moving = SystemFile::new("moving-legacy", BOARD)
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "smp", "smp", 3, &third)
        .guest_in(
            "shared",
            "spin",
            "spin",
            1,
            "period = \"10ms\"\nbudget = \"1ms\"\npriority = 1\n",
        );
    vec![
        Test::new("legacy/nest", &["guests", "gic"], move |bench| {
            more_are_active_than_list_registers(bench, &nest)
        }),
        Test::new("legacy/shared-cpu", &["guests", "rtds"], move |bench| {
            three_guests_take_turns(bench, &shared)
        }),
        Test::new("legacy/global-pool", &["guests", "rtds"], move |bench| {
            virtual_cpus_move(bench, &moving)
        }),
        Test::new("legacy/smp/4-cpus", &["guests", "smp"], move |bench| {
            all_cpus_come_and_go(bench.start(&smp)?, bench, 4)
        }),
        Test::new("legacy/beside-a-gicv3-guest", &["guests"], move |bench| {
            both_versions_run_side_by_side(bench, &mixed)
        }),
        Test::new("legacy/bench", &["guests", "bench"], move |bench| {
            every_row_is_measured(bench, &measured)
        }),
        Test::new("legacy/linux/2-vcpus", &["linux"], move |bench| {
            boot_and_power_off(bench, &linux, 2, "cortex-a57")
        })
        .needs(Need::Kernel(CLOUD))
        .limit(240),
    ]
}

/// Adds a partition with a Rust guest that sees a GICv2.
fn guest(system: SystemFile, guest: &str, vcpus: u32) -> SystemFile {
    system.partition(guest, vcpus, "16MiB", &format!("\"guest:{guest}\""), GICV2)
}

/// A guest of each version: timers of the one, SGIs and CPUs of the other, no fault of either.
fn both_versions_run_side_by_side(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("smp", "^smp: done 2 cpus$", bench.left())?;
    session.wait_for("rt", "^rt: done$", bench.left())?;
    for name in ["smp", "rt"] {
        ensure!(!session.text(name).contains("FAILED"), "{name} failed");
    }
    let rt = partition(&mut session, "rt", bench)?;
    ensure!(
        (rt.state.as_str(), rt.restarts, rt.faults) == ("running", 0, 0),
        "rt is {} after {} restarts and {} faults",
        rt.state,
        rt.restarts,
        rt.faults
    );
    Ok(())
}

/// On one physical CPU, beside one that never gives it up by itself: active interrupts and timers of each stay its own.
fn three_guests_take_turns(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    for (name, end) in [("nest", "^nest: done$"), ("smp", "^smp: done 1 cpus$")] {
        session.wait_for(name, end, bench.left())?;
        let text = session.text(name);
        ensure!(!text.contains("FAILED"), "{text}");
    }
    Ok(())
}

/// Three virtual CPUs on two physical ones: CPUs come and go, SGIs and timers find each wherever it is.
fn virtual_cpus_move(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("smp", "^smp: done 3 cpus$", bench.left())?;
    ensure!(!session.text("smp").contains("FAILED"), "smp failed");
    let smp = partition(&mut session, "smp", bench)?;
    let moves = |vcpu| smp.counter(vcpu, "migrations").unwrap_or_default();
    ensure!((0..3).any(|vcpu| moves(vcpu) > 0), "nobody moved");
    Ok(())
}

/// Timers, in a loop and in WFI, and SGIs to itself and to the other CPU, 1,000 of each, all arrive.
fn every_row_is_measured(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    session.wait_for("bench", "^bench: done$", bench.left())?;
    Ok(())
}
