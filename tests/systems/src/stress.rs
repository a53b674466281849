//! Debian's kernel under interrupts of every kind: messages through an ITS and through a v2m frame, level-sensitive lines, timers, and interrupts
//! between CPUs, while CPUs go and come and interrupts move from CPU to CPU. Linux counts: none is lost, none is invented, the kernel complains
//! about nothing.

use std::fs::File;

use anyhow::{Context, ensure};
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

/// Bytes of the disk.
const DISK: u64 = 16 << 20;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    let cells = [
        ("gicv3", 1, Disk::Messages),
        ("gicv3", 2, Disk::Line),
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
        // An interrupt of the disk that is lost is complained about after this many seconds.
        let image = format!(
            "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0 nvme_core.io_timeout=10 nvme_core.admin_timeout=10{option}\" }}"
        );
        let system = SystemFile::new(
            &format!("stress-{way}-{vcpus}"),
            &format!("qemu-virt-{gic}"),
        )
        .partition_with_bridge("linux", vcpus, "256MiB", None, &image);
        tests.push(
            Test::new(
                format!("stress/{way}/{gic}/{vcpus}-vcpus"),
                &["linux", "stress", "msi", "its", "gic"],
                move |bench| no_interrupt_of_the_disk_is_lost(bench, &system, vcpus, disk),
            )
            .needs(Need::Kernel(CLOUD))
            .limit(240),
        );
    }
    for gic in ["gicv2", "gicv3"] {
        let system = SystemFile::new("stress-beside", &format!("qemu-virt-{gic}"))
            .linux("linux", CLOUD, 2)
            .guest("rt", "rt", 1);
        tests.push(
            Test::new(
                format!("stress/beside-rt/{gic}"),
                &["linux", "stress", "gic"],
                move |bench| neighbour_misses_no_period(bench, &system),
            )
            .needs(Need::Kernel(CLOUD))
            .limit(240),
        );
    }
    tests
}

fn no_interrupt_of_the_disk_is_lost(
    bench: &Bench<'_>,
    system: &SystemFile,
    vcpus: u32,
    disk: Disk,
) -> anyhow::Result<()> {
    let path = bench.file("disk.img", "")?;
    File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(DISK))
        .with_context(|| format!("cannot make {}", path.display()))?;
    let mut session = bench.start_with(system, |options| {
        let drive = format!("if=none,id=disk,format=raw,file={}", path.display());
        let device = "nvme,drive=disk,serial=1";
        options.extra = ["-drive", &drive, "-device", device]
            .map(str::to_owned)
            .to_vec();
    })?;
    let requests = 400 / vcpus;
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
    let linux = partition(&mut session, "linux", bench)?;
    ensure!(
        (linux.state.as_str(), linux.faults) == ("running", 0),
        "linux is {} after {} faults",
        linux.state,
        linux.faults
    );
    Ok(())
}

/// Without a disk, since the time of the host's files is not that of counted instructions.
fn neighbour_misses_no_period(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    session.wait_for("rt", "^rt: done$", bench.left())?;
    run(&mut session, 2, 100, bench)?;
    let text = session.text("rt");
    ensure!(
        text.contains("rt: missed 0 periods") && !text.contains("late"),
        "rt missed periods"
    );
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
