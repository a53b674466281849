//! Systems for a PC on Bochs: Intel VMX, which QEMU does not emulate, and AMD SVM, of which it does not say the same as QEMU everywhere.

use std::ops::Range;

use anyhow::{Context, ensure};
use qemu::bochs::{AMD, Cpu, INTEL};
use qemu::session::Session;
use qemu::statistics::Statistics;

use crate::bench::{Bench, Firmware};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;
use crate::turns::{RTDS, URGENT};
use crate::x86::{ATTACKS, BOARD, IMAGE, KERNEL, is_answered, three_ends, viewer_only_looks};

/// An extension as one CPU of Bochs' has it.
#[derive(Clone, Copy)]
struct Extension {
    name: &'static str,
    cpu: Cpu,
    /// A feature that the image needs to run there.
    feature: Option<&'static str>,
    /// What the hypervisor says of it.
    told: &'static str,
    /// What the vandal says of attacks on it alone.
    attacks: &'static [&'static str],
}

const VMX: Extension = Extension {
    name: "vmx",
    cpu: INTEL,
    feature: None,
    told: "^VMX: revision 0x",
    attacks: &[
        "instructions of VMX -> #UD x1",
        "VMXE in CR4 -> #GP x1",
        "NE in CR0 -> as written x2",
    ],
};
const SVM: Extension = Extension {
    name: "svm",
    cpu: AMD,
    feature: Some("bochs"),
    told: "^SVM: [1-9][0-9]* address spaces",
    attacks: &["instructions of SVM -> #UD x2"],
};

impl Extension {
    /// Starts a system on as many CPUs, with the image that the extension needs.
    fn start(self, bench: &Bench<'_>, system: SystemFile, cpus: u32) -> anyhow::Result<Session> {
        let system = match self.feature {
            Some(feature) => system.feature(feature),
            None => system,
        };
        let mut session = bench.start_in_bochs(&system, self.cpu, cpus)?;
        session.wait_for("hv", self.told, bench.left())?;
        Ok(session)
    }
}

pub fn tests() -> Vec<Test> {
    let both = |extension: Extension| {
        let name = format!("x86/{}", extension.name);
        let linux_name = format!("{name}-linux");
        [
            Test::new(name, &["x86", "bochs", "attack"], move |bench| {
                guests(bench, extension)
            }),
            Test::new(linux_name, &["x86", "bochs", "linux"], move |bench| {
                linux(bench, extension)
            })
            .needs(Need::Kernel(KERNEL)),
        ]
    };
    let turns = Test::new("x86/vmx-turns", &["x86", "bochs", "rtds"], turns);
    let channel = Test::new("x86/vmx-channel", &["x86", "bochs", "channel"], channel);
    let tests = [VMX, SVM].into_iter().flat_map(both);
    let smp = Test::new("x86/vmx-turns-smp", &["x86", "bochs", "rtds", "smp"], smp);
    let tests = tests.chain([turns, channel, smp]);
    let tests = tests.map(|test| {
        // Bochs executes some 30 million instructions a second where nothing else runs.
        test.limit(300)
            .needs(Need::Pc)
            .needs(Need::Grub(Firmware::Bios))
            .needs(Need::Bochs)
    });
    tests.collect()
}

/// Ends of a channel ring each other, and one that may only look does no more.
fn channel(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = VMX.start(bench, three_ends("vmx-channel"), 4)?;
    is_answered(&mut session, bench)?;
    viewer_only_looks(&mut session, bench)
}

/// Virtual CPUs of one partition take turns on one CPU, those of another on it and a second one, and are gathered at each of its starts.
fn smp(bench: &Bench<'_>) -> anyhow::Result<()> {
    let time =
        |budget: &str| format!("period = \"2ms\"\nbudget = \"{budget}\"\nextra_time = true\n");
    let together = time("200us") + "affinity = [0]\n";
    let system = SystemFile::new("vmx-turns-smp", BOARD)
        .pool("shared", &[0, 1], RTDS)
        .guest_in("shared", "again", "pc-again", 2, &time("1100us"))
        .guest_in("shared", "smp", "pc-smp", 2, &together);
    let mut session = VMX.start(bench, system, 2)?;
    session.wait_for("smp", "^smp: done$", bench.left())?;
    session.wait_for("again", "^again: done, 20 times$", bench.left())?;
    Ok(())
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
    let mut session = VMX.start(bench, system, 1)?;
    let wake = "^wake: late .* missed 0, 20[0-5] sleeps$";
    session.wait_for("wake", wake, bench.left())?;
    session.wait_for("hv", "^INFO  wake: stopped$", bench.left())?;
    let supply = session.wait_for("busy", "^busy: supply .* gap=\\d+ ns$", bench.left())?;
    let gap = supply.rsplit_once("gap=").context("no gap")?.1;
    let gap: u64 = gap.trim_end_matches(" ns").parse()?;
    ensure!(GAP.contains(&(gap / 1000)), "{supply}");
    Ok(())
}

/// Debian's kernel, unmodified, reaches its user space. Nothing can be typed there.
fn linux(bench: &Bench<'_>, extension: Extension) -> anyhow::Result<()> {
    let system = SystemFile::new("bochs-linux", BOARD).partition(
        "linux",
        1,
        "256MiB",
        IMAGE,
        "on_fault = \"stop\"\n",
    );
    let mut session = extension.start(bench, system, 1)?;
    session.wait_for("linux", "shell ready on 1 CPUs$", bench.left())?;
    Ok(())
}

/// The same image as on QEMU: a clock whose timer needs no exit, one that attacks, and two virtual CPUs that call one another. What each does is
/// attributed and counted as there.
fn guests(bench: &Bench<'_>, extension: Extension) -> anyhow::Result<()> {
    let system = SystemFile::new("bochs", BOARD)
        .guest("clock", "pc-clock", 1)
        .guest("vandal", "pc-vandal", 1)
        .guest("smp", "pc-smp", 2);
    let mut session = extension.start(bench, system, 4)?;
    let common = [
        "values that XCR0 has not -> #GP x3",
        "tried \\d+, contained \\d+, breaches 0",
        "done",
    ];
    for line in extension.attacks.iter().chain(&common) {
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
