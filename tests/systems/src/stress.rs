//! Debian's kernel under interrupts of every kind: messages through an ITS and through a v2m frame, level-sensitive lines, timers, and interrupts
//! between CPUs, while CPUs go and come and interrupts move from CPU to CPU. Linux counts: none is lost, none is invented, the kernel complains
//! about nothing. A guest on the same CPU wakes in time meanwhile.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::costs::Measured;
use crate::linux::{CLOUD, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;
use crate::turns::{REST, RTDS, URGENT};

/// How the disk interrupts.
#[derive(Clone, Copy)]
enum Disk {
    /// By messages, one vector for each CPU.
    Messages,
    /// By its line, level-sensitive.
    Line,
}

impl Disk {
    /// The word for it in a test's name, and what Linux is told.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Messages => ("messages", ""),
            Self::Line => ("line", " pci=nomsi"),
        }
    }

    /// QEMU's device. Without doorbells in memory (`dbcs`): with them it asserts its line for ever, sooner or later, with Linux alone on the
    /// machine, too, once two CPUs read the disk. Linux then turns the interrupt off: `nobody cared`.
    fn device(self) -> &'static str {
        match self {
            Self::Messages => "nvme,drive=disk,serial=1",
            Self::Line => "nvme,drive=disk,serial=1,dbcs=off",
        }
    }
}

/// Where Linux runs, and beside whom.
#[derive(Clone, Copy)]
enum Place {
    /// On CPUs of its own. A real-time guest has another; QEMU's turns, not ours, make it late, so it has to run without fault only.
    Own,
    /// On CPUs that it shares: `wake` has a fifth of the first, before Linux.
    Shared,
}

/// The disk: zeros. It answers in no time: with counted instructions the host's files would take any.
const DISK: &str = "if=none,id=disk,driver=null-co,size=16777216,read-zeroes=on";

/// How late `wake` may be in nanoseconds, 99 of 100 times and the longest of all, where Linux has one CPU: no other CPU runs, and an exit of Linux that
/// has just begun goes on to its end.
const BESIDE_ONE: &[(&str, u64)] = &[("wake-p99", 5_000), ("wake-max", 20_000)];

/// The same of 99 of 100 where Linux has a second CPU: QEMU runs one CPU at a time under `-icount`, each for an eighth of the time to the next timer, of a
/// millisecond here, and counts the other's time as ours. Now and then that is several times in a row: the longest, and a single missed period, say nothing of us there.
const BESIDE_TWO: &[(&str, u64)] = &[("wake-p99", 200_000)];

pub fn tests() -> Vec<Test> {
    let cells = [
        ("gicv3", 1, Disk::Line, Place::Shared),
        ("gicv3", 2, Disk::Line, Place::Own),
        ("gicv3", 2, Disk::Messages, Place::Shared),
        ("gicv3", 4, Disk::Messages, Place::Own),
        ("gicv3", 8, Disk::Messages, Place::Own),
        ("gicv2", 1, Disk::Line, Place::Shared),
        ("gicv2", 2, Disk::Line, Place::Own),
        ("gicv2", 2, Disk::Messages, Place::Shared),
        ("gicv2", 4, Disk::Messages, Place::Own),
    ];
    let test = |(gic, vcpus, disk, place): (&str, u32, Disk, Place)| {
        let (way, _) = disk.words();
        let system = system(gic, vcpus, disk, place);
        Test::new(
            format!("stress/{way}/{gic}/{vcpus}-vcpus"),
            &["linux", "stress", "msi", "its", "gic"],
            move |bench| no_interrupt_is_lost(bench, &system, vcpus, disk, place),
        )
        .needs(Need::Kernel(CLOUD))
        .limit(300)
    };
    cells.map(test).into()
}

fn system(gic: &str, vcpus: u32, disk: Disk, place: Place) -> SystemFile {
    let (way, option) = disk.words();
    let image = format!(
        "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0{option}\" }}"
    );
    let system = SystemFile::new(&format!("{way}-{vcpus}"), &format!("qemu-virt-{gic}"));
    match place {
        Place::Shared => {
            let cpus: Vec<u32> = (0..vcpus).collect();
            system
                .pool("shared", &cpus, RTDS)
                .partition_with_bridge_in(
                    "shared",
                    "linux",
                    vcpus,
                    "{ size = \"256MiB\", identity = true }",
                    &image,
                    REST,
                )
                .guest_in("shared", "wake", "wake", 1, URGENT)
        }
        Place::Own => {
            let system = system.partition_with_bridge("linux", vcpus, "256MiB", None, &image);
            // Unless Linux has all eight CPUs of the board.
            match vcpus {
                8 => system,
                _ => system.guest("rt", "rt", 1),
            }
        }
    }
}

fn no_interrupt_is_lost(
    bench: &Bench<'_>,
    system: &SystemFile,
    vcpus: u32,
    disk: Disk,
    place: Place,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| {
        options.icount = true;
        options.extra = ["-drive", DISK, "-device", disk.device()]
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
    let neighbour = match place {
        Place::Shared => Some("wake"),
        Place::Own => (vcpus < 8).then_some("rt"),
    };
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
    match place {
        Place::Shared => neighbour_was_in_time(&session, vcpus),
        Place::Own => Ok(()),
    }
}

/// `wake` prints a line each half a second; the last one or two are about the stress.
fn neighbour_was_in_time(session: &Session, vcpus: u32) -> anyhow::Result<()> {
    let text = session.text("wake");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("late")).collect();
    ensure!(
        lines.len() >= 3,
        "wake has measured {} times only",
        lines.len()
    );
    for line in lines {
        let in_time = vcpus > 1 || line.contains("missed 0,");
        ensure!(in_time, "wake missed periods: {line}");
        let mut measured = Measured::default();
        measured.add_late_wake(line)?;
        for &(row, most) in if vcpus == 1 { BESIDE_ONE } else { BESIDE_TWO } {
            let late = measured.cost(row);
            ensure!(
                late.is_some_and(|late| late <= most),
                "{row} is {late:?} ns, at most {most} is allowed: {line}"
            );
        }
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
