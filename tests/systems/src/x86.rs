//! Systems for a PC, under AMD SVM as QEMU emulates it.

use anyhow::{Context, ensure};
use qemu::session::Session;
use qemu::statistics::Statistics;
use regex::Regex;

use crate::bench::{Bench, Firmware};
use crate::demo::ends_with_its_table;
use crate::linux::wait_for_shell;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

pub const BOARD: &str = "x86-qemu";

/// The kernel of the Linux guests.
pub const KERNEL: &str = "linux-image-cloud-amd64";

/// A Linux guest's image.
pub const IMAGE: &str = "{ kernel = \"debian:linux-image-cloud-amd64\", initrd = \"busybox\", cmdline = \"console=ttyS0,115200\" }";

/// CPU models that Linux is run on: the board's own, `max`, and another.
const MODELS: [(&str, Option<&str>); 2] = [("max", None), ("epyc", Some("EPYC,+svm,+npt,+x2apic"))];

/// The kinds of exits that a guest with a timer of its own may have: none is for the timer.
const BOOT_EXITS: [&str; 3] = ["cpuid", "msr", "io"];

/// Accesses outside its memory that `pc-vandal` makes: six places, read and written.
pub const ATTACKS: u64 = 12;

/// What the guest types for, what the epitaph says of it, and the end that the system file asks for.
const DEFECTS: [(&str, &str, &str, &str); 3] = [
    (
        "panic",
        "p",
        "panic: a guest asked for it at .*defect.rs:",
        "power-off",
    ),
    (
        "exception",
        "x",
        "exception: vector=14 .* cr2=0x7fff00000000$",
        "reset",
    ),
    ("overflow", "o", "exception: vector=(14|8) ", "power-off"),
];

pub fn tests() -> Vec<Test> {
    let demo = Test::new("x86/demo", &["x86", "demo", "attack"], demo).limit(420);
    let mut tests = Vec::from([demo]);
    for (name, model) in MODELS {
        let body = move |bench: &Bench<'_>| linux(bench, model);
        tests.push(Test::new(format!("x86/linux/{name}"), &["x86", "linux"], body).limit(240));
    }
    let mut tests: Vec<Test> = tests
        .into_iter()
        .map(|test| test.needs(Need::Pc).needs(Need::Kernel(KERNEL)))
        .collect();
    let shared = Test::new("x86/shared-lines", &["x86", "stats"], shared);
    tests.push(shared.needs(Need::Pc));
    let smp = Test::new("x86/smp", &["x86", "attack", "smp"], smp);
    tests.push(smp.needs(Need::Pc));
    tests.push(Test::new("x86/cpu-policy", &["x86"], policies_differ).needs(Need::Pc));
    tests.push(Test::new("x86/channel", &["x86", "channel", "fault"], channel).needs(Need::Pc));
    let policies = [
        ("stop", "^INFO  vandal: stopped$"),
        ("restart", "^INFO  vandal: started again, 3 restarts$"),
    ];
    for (policy, answer) in policies {
        let system = SystemFile::new(&format!("fault-{policy}"), BOARD)
            .partition(
                "vandal",
                1,
                "16MiB",
                "\"guest:pc-vandal\"",
                &format!("on_fault = \"{policy}\"\n"),
            )
            .guest("clock", "pc-clock", 1);
        let test = Test::new(
            format!("x86/on-fault-{policy}"),
            &["x86", "attack", "fault"],
            move |bench| {
                let mut session = bench.start(&system)?;
                session.wait_for("hv", answer, bench.left())?;
                session.wait_for("clock", "^clock: done", bench.left())?;
                Ok(())
            },
        );
        tests.push(test.needs(Need::Pc));
    }
    for (name, letter, cause, end) in DEFECTS {
        let system = SystemFile::new(&format!("end-{name}"), BOARD)
            .feature("defect")
            .end(end)
            .guest("defect", "pc-defect", 1);
        let test = Test::new(
            format!("x86/defect-{name}"),
            &["x86", "panic", "epitaph"],
            move |bench| {
                let mut session = bench.start(&system)?;
                session.wait_for("defect", "^defect: ready$", bench.left())?;
                session.send("defect", letter)?;
                session.wait_for("hv", &format!("^\\*\\*\\* {cause}"), bench.left())?;
                has_ended(&mut session, bench, end)
            },
        );
        tests.push(test.needs(Need::Pc));
    }
    for (name, firmware) in [("bios", Firmware::Bios), ("uefi", Firmware::Uefi)] {
        let test = Test::new(
            format!("x86/grub-{name}"),
            &["x86", "boot", "machines"],
            move |bench| grub(bench, firmware),
        );
        tests.push(test.needs(Need::Pc).needs(Need::Grub(firmware)));
    }
    let system = SystemFile::new("no-defect", BOARD).guest("defect", "pc-defect", 1);
    let test = Test::new("x86/defect-refused", &["x86", "epitaph"], move |bench| {
        let mut session = bench.start(&system)?;
        session.wait_for("defect", "^defect: ready$", bench.left())?;
        session.send("defect", "p")?;
        session.wait_for("defect", "^defect: refused, -1$", bench.left())?;
        let statistics = session.statistics(bench.left())?;
        ensure!(
            statistics.partitions.len() == 1,
            "the report has one partition: {statistics:?}"
        );
        Ok(())
    });
    tests.push(test.needs(Need::Pc));
    tests
}

/// Beside a guest that sees all features, one with the policy `baseline` neither sees AVX nor can turn it on, and reaches no TSC_AUX; one with a policy of
/// the file's own has that, but none of what is there with the features it hides.
fn policies_differ(bench: &Bench<'_>) -> anyhow::Result<()> {
    struct Seen {
        policy: &'static str,
        /// XSAVE, AVX, RDRAND, AVX2.
        shown: [&'static str; 4],
        components: &'static str,
        /// SYSENTER's, PAT, TSC_AUX.
        msrs: [bool; 3],
    }
    const OWN: &str = "\n[cpu_policies.own]\nhide = [\"avx\", \"sep\", \"pat\", \"rdtscp\"]\n";
    let all = [
        Seen {
            policy: "full",
            shown: ["yes"; 4],
            components: "0x7",
            msrs: [true; 3],
        },
        Seen {
            policy: "baseline",
            shown: ["no"; 4],
            components: "0x0",
            msrs: [true, true, false],
        },
        Seen {
            policy: "own",
            shown: ["yes", "no", "yes", "no"],
            components: "0x3",
            msrs: [false, false, true],
        },
    ];
    let mut system = SystemFile::new("cpu-policy", BOARD);
    for Seen { policy, .. } in &all {
        let table = if *policy == "own" { OWN } else { "" };
        let lines = format!("cpu_policy = \"{policy}\"\n{table}");
        system = system.partition(policy, 1, "16MiB", "\"guest:pc-features\"", &lines);
    }
    let mut session = bench.start(&system)?;
    for seen in &all {
        let ([xsave, avx, rdrand, avx2], components) = (seen.shown, seen.components);
        let [sysenter, pat, tsc_aux] = seen.msrs;
        for line in [
            format!("sse4.2 yes, xsave {xsave}, avx {avx}, rdrand {rdrand}, avx2 {avx2}"),
            format!("OSXSAVE taken: true, shown {xsave}, components {components}"),
            "XCR0 0x3 taken: true".to_owned(),
            format!("XCR0 0x7 taken: {}", avx == "yes"),
            "XCR0 0x5 taken: false".to_owned(),
            "XCR0 0x1 taken: true".to_owned(),
            format!("SYSENTER_EIP read: {sysenter}, written: {sysenter}"),
            format!("PAT read: {pat}, written: {pat}"),
            format!("TSC_AUX read: {tsc_aux}, written: {tsc_aux}"),
            "done".to_owned(),
        ] {
            let line = format!("^features: {}$", regex::escape(&line));
            session.wait_for(seen.policy, &line, bench.left())?;
        }
    }
    ends_well(&mut session, bench)
}

/// A channel with two ends that ring each other, and one that may only look.
pub fn talk(system: SystemFile) -> SystemFile {
    let ends = [
        "{ partition = \"first\", doorbell = true }",
        "{ partition = \"second\", doorbell = true }",
        "{ partition = \"viewer\", access = \"read-only\" }",
    ];
    system
        .guest("viewer", "pc-channel", 1)
        .channel("talk", "64KiB", &ends)
}

/// The three ends, each on a CPU of its own.
pub fn three_ends(name: &str) -> SystemFile {
    talk(
        SystemFile::new(name, BOARD)
            .guest("first", "pc-channel", 1)
            .guest("second", "pc-channel", 1),
    )
}

/// Every message of the first end was answered, and for most of them one of the two slept until it was rung: which one is chance.
pub fn is_answered(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    let answered = r"^channel: 1000 answered, (\d+) rings, rung (\d+) times$";
    let line = session.wait_for("first", answered, bench.left())?;
    let said = Regex::new(answered)?;
    let said = said
        .captures(&line)
        .context("it does not say how often it rang")?;
    let (rings, rung): (u32, u32) = (said[1].parse()?, said[2].parse()?);
    ensure!(rings + rung > 500, "{rings} rings, rung {rung} times");
    Ok(())
}

/// The end that may only look can neither write nor listen, is told of by its channel's name, and rings.
pub fn viewer_only_looks(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.wait_for("viewer", "^channel: read-only, ", bench.left())?;
    for (number, at) in [(1, "0x1000000"), (2, "0x100fff8")] {
        let told = format!(
            "^WARN  viewer: fault {number}: write to its read-only end of channel talk at {at}, pc 0x"
        );
        session.wait_for("hv", &told, bench.left())?;
        let refused = format!("^channel: write at {at} refused$");
        session.wait_for("viewer", &refused, bench.left())?;
    }
    for line in ["ring 0", "listen -2"] {
        session.wait_for("viewer", &format!("^channel: {line}$"), bench.left())?;
    }
    Ok(())
}

/// The first end starts anew, finds what was there, and is rung as before.
pub fn first_starts_anew(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("first", "r")?;
    session.wait_for(
        "hv",
        "^INFO  first: started again, 1 restarts$",
        bench.left(),
    )?;
    let found = "^channel: 64 KiB at 0x1000000, not empty$";
    session.wait_for("first", found, bench.left())?;
    is_answered(session, bench)
}

/// Two ends talk by messages and doorbells, also after one has started anew; a third one may only look.
fn channel(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = bench.start(&three_ends("channel"))?;
    is_answered(&mut session, bench)?;
    viewer_only_looks(&mut session, bench)?;
    first_starts_anew(&mut session, bench)
}

/// Firmware starts GRUB, GRUB the image by the Multiboot2 protocol, and a guest on a CPU that firmware has left parked runs to its end.
fn grub(bench: &Bench<'_>, firmware: Firmware) -> anyhow::Result<()> {
    let system = SystemFile::new("grub", BOARD)
        .guest("hello", "pc-hello", 1)
        .guest("clock", "pc-clock", 1);
    let mut session = bench.start_by_grub(&system, firmware)?;
    session.wait_for("hv", "^started by a Multiboot2 loader$", bench.left())?;
    session.wait_for("hello", "^hello: from 64-bit mode", bench.left())?;
    session.wait_for("clock", "^clock: done", bench.left())?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    let said = std::fs::read(bench.logs().join("console.log"))?;
    let said = String::from_utf8_lossy(&said);
    let firmware = match firmware {
        Firmware::Bios => "GRUB loads the image",
        Firmware::Uefi => "UEFI QEMU DVD-ROM",
    };
    ensure!(said.contains(firmware), "{firmware:?} is missing:\n{said}");
    Ok(())
}

/// Two virtual CPUs interrupt one another, and cannot reach the CPU of a partition that would tell: every vector but its timer's is unexpected there,
/// and so is an NMI.
fn smp(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = SystemFile::new("smp", BOARD)
        .guest("clock", "pc-clock", 1)
        .guest("smp", "pc-smp", 2)
        .guest("hello", "pc-hello", 1);
    let mut session = bench.start(&system)?;
    session.wait_for("smp", "^smp: two CPUs$", bench.left())?;
    session.wait_for("smp", "^smp: done$", bench.left())?;
    session.wait_for("clock", "^clock: done", bench.left())?;
    ends_well(&mut session, bench)
}

/// The machine ends when all partitions have stopped, none of which has failed or begun anew.
pub fn ends_well(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    let report = Statistics::parse(&session.text("hv")).context("the report is malformed")?;
    for one in &report.partitions {
        ensure!(
            one.faults == 0 && one.restarts == 0 && one.state == "stopped",
            "{one:?}"
        );
    }
    Ok(())
}

/// Debian's kernel with one virtual CPU beside itself with two: each takes a command and switches itself off. Where the board has another CPU model,
/// one starts again before.
fn linux(bench: &Bench<'_>, model: Option<&str>) -> anyhow::Result<()> {
    let guests = [("one", 1), ("two", 2)];
    let system = SystemFile::new("linux", BOARD).guest("hello", "pc-hello", 1);
    let system = guests.iter().fold(system, |system, &(name, vcpus)| {
        system.partition(name, vcpus, "256MiB", IMAGE, "on_fault = \"stop\"\n")
    });
    let mut session = bench.start_with(&system, |options| {
        options.cpu = model.map(str::to_owned);
    })?;
    session.wait_for(
        "hello",
        "^hello: from 64-bit mode under BulkheadHype$",
        bench.left(),
    )?;
    session.wait_for("hv", "^INFO  hello: stopped$", bench.left())?;
    for (name, vcpus) in guests {
        wait_for_shell(&mut session, name, vcpus, bench)?;
        session.send(
            name,
            "uname -m; taskset $(nproc) echo on $(nproc) CPUs; cat /proc/cmdline; echo I am $((6 * 7))\n",
        )?;
        session.wait_for(name, "^x86_64$", bench.left())?;
        session.wait_for(name, &format!("^on {vcpus} CPUs$"), bench.left())?;
        session.wait_for(name, "^console=ttyS0,115200$", bench.left())?;
        session.wait_for(name, "^I am 42$", bench.left())?;
    }
    if model.is_some() {
        // Both virtual CPUs come back.
        session.send("two", "reboot -f\n")?;
        session.wait_for("hv", "^INFO  two: started again, 1 restarts$", bench.left())?;
    }
    session.send("one", "poweroff -f\n")?;
    session.wait_for("hv", "^INFO  one: stopped$", bench.left())?;
    if model.is_some() {
        wait_for_shell(&mut session, "two", 2, bench)?;
    }
    session.send("two", "poweroff -f\n")?;
    session.wait_for("hv", "^INFO  two: stopped$", bench.left())?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    let report = Statistics::parse(&session.text("hv")).context("the report is malformed")?;
    ensure!(
        report.partitions.iter().all(|one| one.faults == 0),
        "Linux has had faults: {report:?}"
    );
    Ok(())
}

/// What the PC's image has of the core is what the arm64 image has of it, but for little; and the port itself is in the PC's alone.
fn shared(bench: &Bench<'_>) -> anyhow::Result<()> {
    let output = bench.xtask(&["--offline", "stats", "--json", "configs/x86-qemu/demo.toml"])?;
    let figures: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("no figures in JSON")?;
    let figure = |folder: &str, name: &str| figures["crates"][folder][name].as_u64();
    let of = |folder| figure(folder, "common").zip(figure(folder, "lines"));
    let (common, all) = of("hv").context("no figures of the core")?;
    ensure!(
        common * 100 >= all * 70,
        "{common} of the core's {all} lines are common"
    );
    let (common, all) = of("x86-port").context("no figures of the port")?;
    ensure!(common == 0 && all > 0, "{common} of {all}");
    Ok(())
}

/// The demo, as a user runs it: the attacker's faults are counted, and nobody else has any. The real-time guest's timer needs no exit.
fn demo(bench: &Bench<'_>) -> anyhow::Result<()> {
    let said = ends_with_its_table(bench, BOARD)?;
    let said: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("[hv] "))
        .collect();
    let report = Statistics::parse(&said.join("\n")).context("the report is malformed")?;
    let of = |name: &str| {
        let found = report.partition(name);
        found.with_context(|| format!("the report lacks {name}"))
    };
    let (rt, vandal) = (of("rt")?, of("vandal")?);
    ensure!(
        vandal.faults == ATTACKS,
        "{} faults of the vandal, {ATTACKS} expected",
        vandal.faults
    );
    for other in [rt, of("linux")?] {
        ensure!(
            other.faults == 0 && other.restarts == 0 && other.state == "running",
            "a neighbour of the vandal: {other:?}"
        );
    }
    let kinds = rt.exits.iter().map(|exits| exits.kind.as_str());
    let others: Vec<&str> = kinds.filter(|kind| !BOOT_EXITS.contains(kind)).collect();
    ensure!(others.is_empty(), "rt had exits for {others:?}");
    let msr = rt.exits.iter().find(|exits| exits.kind == "msr");
    let msr = msr.map_or(0, |exits| exits.count);
    ensure!(msr <= 10, "{msr} exits for MSRs: its timer has some");
    Ok(())
}

/// The machine is off, or has started anew.
fn has_ended(session: &mut Session, bench: &Bench<'_>, end: &str) -> anyhow::Result<()> {
    let state = match end {
        "power-off" => "PowerOff",
        _ => "Reset",
    };
    session.wait_for("hv", &format!("^\\*\\*\\* end: {state}$"), bench.left())?;
    if end == "power-off" {
        let status = session.wait_for_exit(bench.left())?;
        ensure!(status.success(), "QEMU ended with {status}");
    } else {
        session.wait_for("hv", "^Bulkhead .* system", bench.left())?;
        session.wait_for("defect", "^defect: ready$", bench.left())?;
    }
    Ok(())
}
