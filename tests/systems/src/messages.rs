//! Interrupts by message: PCI functions that write them, through a v2m frame and through an ITS.

use anyhow::{Context, ensure};
use regex::Regex;

use crate::bench::Bench;
use crate::global::GLOBAL;
use crate::linux::{CLOUD, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// Most instructions from the device's write to the first of the guest's handler: what was measured, and a little more.
const CEILING: u64 = 105;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let board = format!("qemu-virt-{gic}");
        let system = SystemFile::new("messages", &board).partition_with_bridge(
            "msi",
            1,
            "16MiB",
            Some("0x50000000"),
            "\"guest:msi\"",
        );
        tests.push(Test::new(
            format!("messages/edu/{gic}"),
            &["messages", "msi", "its", "guests"],
            move |bench| all_messages_arrive_also_after_a_restart(bench, &system),
        ));
    }
    let image = format!(
        "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}"
    );
    let system = SystemFile::new("messages-linux", "qemu-virt-gicv3")
        .partition_with_bridge("linux", 1, "256MiB", None, &image);
    tests.push(
        Test::new(
            "messages/global-pool/gicv3",
            &["messages", "msi", "its", "guests", "rtds"],
            messages_find_a_virtual_cpu_that_moves,
        )
        .limit(120),
    );
    tests.push(
        Test::new(
            "messages/linux/gicv3",
            &["messages", "msi", "its", "linux"],
            move |bench| linux_finds_the_its_and_the_bridge(bench, &system),
        )
        .needs(Need::Kernel(CLOUD)),
    );
    tests
}

/// The guest counts a hundred messages, resets itself while its device is still told to send them, and counts a hundred more.
fn all_messages_arrive_also_after_a_restart(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| {
        options.icount = true;
        options.cpu = Some("cortex-a57,cntfrq=1000000000".to_owned());
        options.extra = ["-device", "edu"].map(str::to_owned).to_vec();
    })?;
    session.wait_for("msi", "^msi: (done|FAILED.*)$", bench.left())?;
    let text = session.text("msi");
    ensure!(!text.contains("FAILED"), "the guest found something wrong");
    ensure!(text.contains("msi: second start"), "there was no restart");
    let lines = Regex::new("msi: 100 of 100 messages, ([0-9]+) ticks each")?;
    let mut starts = 0;
    for found in lines.captures_iter(&text) {
        let instructions: u64 = found[1].parse().context("not a number")?;
        ensure!(
            instructions <= CEILING,
            "a message takes {instructions} instructions, more than {CEILING}"
        );
        starts += 1;
    }
    ensure!(starts == 2, "{starts} starts, not 2");
    Ok(())
}

/// A more urgent guest takes one CPU after the other from it while its messages come, by the ITS.
fn messages_find_a_virtual_cpu_that_moves(bench: &Bench<'_>) -> anyhow::Result<()> {
    let pinned =
        |period, cpu| format!("period = \"{period}\"\nbudget = \"400us\"\naffinity = [{cpu}]\n");
    let system = SystemFile::new("messages-moving", "qemu-virt-gicv3")
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "left", "spin", 1, &pinned("1ms", 0))
        .guest_in("shared", "right", "spin", 1, &pinned("1300us", 1))
        .partition_with_bridge_in(
            "shared",
            "msi",
            1,
            "{ size = \"16MiB\", identity = true, address = \"0x50000000\" }",
            "\"guest:msi\"",
            "period = \"10ms\"\nbudget = \"2ms\"\nextra_time = true\npriority = 1\n",
        );
    let mut session = bench.start_with(&system, |options| {
        options.icount = true;
        options.extra = ["-device", "edu"].map(str::to_owned).to_vec();
    })?;
    session.wait_for("msi", "^msi: (done|FAILED.*)$", bench.left())?;
    let text = session.text("msi");
    let counted = text.matches("msi: 100 of 100 messages").count();
    ensure!(
        counted == 2 && !text.contains("FAILED"),
        "{counted} times 100 of 100 messages, not twice: {text}"
    );
    let moves = partition(&mut session, "msi", bench)?.counter(0, "migrations");
    ensure!(moves.is_some_and(|moves| moves > 0), "moves: {moves:?}");
    Ok(())
}

/// Debian's kernel drives the virtual ITS and finds the function behind the bridge.
fn linux_finds_the_its_and_the_bridge(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| {
        options.extra = ["-device", "edu"].map(str::to_owned).to_vec();
    })?;
    wait_for_shell(&mut session, "linux", 1, bench)?;
    let text = session.text("linux");
    for expected in [
        "ITS: Using hypervisor restricted LPI range \\[256\\]",
        "PCI host bridge to bus 0000:00",
        "\\[1234:11e8\\]",
    ] {
        ensure!(
            Regex::new(expected)?.is_match(&text),
            "Linux does not say {expected}"
        );
    }
    let linux = partition(&mut session, "linux", bench)?;
    ensure!(linux.faults == 0, "{} faults", linux.faults);
    Ok(())
}
