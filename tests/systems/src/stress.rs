//! Debian's kernel under interrupts of every kind: messages through an ITS and through a v2m frame, level-sensitive lines, timers, and interrupts
//! between CPUs, while CPUs go and come and interrupts move from CPU to CPU. Linux counts: none is lost, none is invented, the kernel complains
//! about nothing.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::linux::{CLOUD, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// How the disk interrupts.
#[derive(Clone, Copy)]
enum Disk {
    /// By messages, one vector for each CPU.
    Messages,
    /// By its line, level-sensitive.
    Line,
}

/// The disk: zeros. It answers in no time: with counted instructions the host's files would take any.
const DISK: &str = "if=none,id=disk,driver=null-co,size=16777216,read-zeroes=on";

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    let cells = [
        ("gicv3", 1, Disk::Messages),
        ("gicv3", 1, Disk::Line),
        ("gicv3", 4, Disk::Messages),
        ("gicv3", 8, Disk::Messages),
        ("gicv2", 1, Disk::Line),
        ("gicv2", 4, Disk::Messages),
    ];
    for (gic, vcpus, disk) in cells {
        let (way, option) = match disk {
            Disk::Messages => ("messages", ""),
            Disk::Line => ("line", " pci=nomsi"),
        };
        let image = format!(
            "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0{option}\" }}"
        );
        let system = SystemFile::new(&format!("{way}-{vcpus}"), &format!("qemu-virt-{gic}"))
            .partition_with_bridge("linux", vcpus, "256MiB", None, &image);
        // Unless Linux has all eight CPUs of the board. Its periods are not looked at: QEMU's main thread, which has the disk, makes its timers late.
        let system = match vcpus {
            8 => system,
            _ => system.guest("rt", "rt", 1),
        };
        tests.push(
            Test::new(
                format!("stress/{way}/{gic}/{vcpus}-vcpus"),
                &["linux", "stress", "msi", "its", "gic"],
                move |bench| no_interrupt_is_lost(bench, &system, vcpus, disk),
            )
            .needs(Need::Kernel(CLOUD))
            .limit(300),
        );
    }
    tests
}

fn no_interrupt_is_lost(
    bench: &Bench<'_>,
    system: &SystemFile,
    vcpus: u32,
    disk: Disk,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| {
        options.icount = true;
        options.extra = ["-drive", DISK, "-device", "nvme,drive=disk,serial=1"]
            .map(str::to_owned)
            .to_vec();
    })?;
    let requests = 200 / vcpus;
    run(&mut session, vcpus, requests, bench)?;
    let text = session.text("linux");
    let each = format!("{requests} interrupts for {requests} requests of CPU");
    ensure!(
        text.matches(&each).count() == 2 * vcpus as usize,
        "not every request was counted as an interrupt"
    );
    if let Disk::Messages = disk {
        let there = text.matches(&format!(", {requests} there")).count();
        ensure!(
            there == 2 * vcpus as usize,
            "not every message came to the CPU that asked"
        );
    }
    let neighbour = (vcpus < 8).then_some("rt");
    for name in ["linux"].into_iter().chain(neighbour) {
        let found = partition(&mut session, name, bench)?;
        ensure!(
            (found.state.as_str(), found.faults, found.restarts) == ("running", 0, 0),
            "{name} is {} after {} faults and {} restarts",
            found.state,
            found.faults,
            found.restarts
        );
    }
    Ok(())
}

/// Boots to the shell and runs `interrupt-stress` in it.
fn run(session: &mut Session, vcpus: u32, requests: u32, bench: &Bench<'_>) -> anyhow::Result<()> {
    wait_for_shell(session, "linux", vcpus, bench)?;
    session.send("linux", &format!("interrupt-stress {requests}\n"))?;
    let end = "^interrupt-stress: (done, |FAILED)";
    session.wait_for("linux", end, bench.left())?;
    ensure!(
        !session.text("linux").contains("FAILED"),
        "Linux found something wrong"
    );
    ensure!(
        !session.text("hv").contains("***"),
        "the hypervisor has failed"
    );
    Ok(())
}
