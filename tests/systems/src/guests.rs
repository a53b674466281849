//! The Rust guests: what PSCI, the virtual interrupt controller, and the fault policies owe them.

use anyhow::ensure;
use qemu::session::Session;
use regex::Regex;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// List registers of QEMU's interrupt controllers.
const LIST_REGISTERS: u32 = 4;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let board = format!("qemu-virt-{gic}");
        let system = SystemFile::new("hello", &board).guest("hello", "hello", 1);
        tests.push(Test::new(
            format!("guests/hello/{gic}"),
            &["guests"],
            move |bench| says_something_and_ends(bench, &system),
        ));
        for cpus in [1, 4, 8] {
            let system = SystemFile::new(&format!("smp-{cpus}"), &board).guest("smp", "smp", cpus);
            tests.push(Test::new(
                format!("guests/smp/{gic}/{cpus}-cpus"),
                &["guests", "smp", "psci"],
                move |bench| all_cpus_come_and_go(bench.start(&system)?, bench, cpus),
            ));
        }
        let system = SystemFile::new("nest", &board).guest("nest", "nest", 1);
        tests.push(Test::new(
            format!("guests/nest/{gic}"),
            &["guests", "gic"],
            move |bench| more_are_active_than_list_registers(bench, &system),
        ));
        for (policy, restarts) in [("stop", 0), ("restart", 100)] {
            let system = SystemFile::new(&format!("fault-{policy}"), &board)
                .guest("rt", "rt", 1)
                .partition(
                    "vandal",
                    1,
                    "16MiB",
                    "\"guest:vandal\"",
                    &format!("on_fault = \"{policy}\"\n"),
                );
            tests.push(Test::new(
                format!("guests/on-fault-{policy}/{gic}"),
                &["guests", "attack", "fault"],
                move |bench| fault_is_answered_by_the_policy(bench, &system, restarts),
            ));
        }
    }
    let system = SystemFile::new("smp-8", "qemu-virt-gicv3").guest("smp", "smp", 8);
    tests.push(Test::new(
        "guests/smp/gicv4/8-cpus",
        &["guests", "smp", "psci"],
        move |bench| all_cpus_come_and_go(start_on_gicv4(bench, &system)?, bench, 8),
    ));
    tests
}

/// An image for a GICv3 on a machine with a GICv4: the redistributors have frames for virtual LPIs and are twice as far apart.
fn start_on_gicv4(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<Session> {
    bench.start_with(system, |options| {
        options.extra = ["-M", "virt,gic-version=4,virtualization=on"]
            .map(str::to_owned)
            .to_vec();
    })
}

/// The guest leaves through PSCI SYSTEM_OFF; as the only partition it takes the machine with it.
fn says_something_and_ends(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("hello", "hello", bench.left())?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}

/// CPU_ON, CPU_OFF, AFFINITY_INFO, SGIs in a ring and both timers on every CPU; the guest checks itself and says `FAILED` otherwise.
pub fn all_cpus_come_and_go(
    mut session: Session,
    bench: &Bench<'_>,
    cpus: u32,
) -> anyhow::Result<()> {
    session.wait_for("smp", &format!("^smp: done {cpus} cpus$"), bench.left())?;
    ensure!(
        !session.text("smp").contains("FAILED"),
        "the guest found something wrong"
    );
    Ok(())
}

/// Interrupts end in any order, with both modes of `EOImode`, while many more are active than there are list registers; the guest looks at the active
/// state, and says `FAILED` when it is not as it must be.
pub fn more_are_active_than_list_registers(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("nest", "^nest: done$", bench.left())?;
    let text = session.text("nest");
    ensure!(!text.contains("FAILED"), "{text}");
    let most = Regex::new("EOImode [01]: .* ([0-9]+) of [0-9]+ active")?;
    let most: Vec<u32> = most
        .captures_iter(&text)
        .map(|found| found[1].parse())
        .collect::<Result<_, _>>()?;
    ensure!(
        most.len() == 2 && most.iter().all(|most| *most > LIST_REGISTERS),
        "only {most:?} interrupts were active at once"
    );
    Ok(())
}

/// The first foreign access of the vandal stops it for good, or starts it again, over and over, at least `restarts` times. Its neighbour
/// does not notice.
fn fault_is_answered_by_the_policy(
    bench: &Bench<'_>,
    system: &SystemFile,
    restarts: u64,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("hv", "vandal: fault 1: .* foreign memory", bench.left())?;
    session.wait_for("rt", "^rt: done$", bench.left())?;
    let vandal = loop {
        let vandal = partition(&mut session, "vandal", bench)?;
        if vandal.restarts >= restarts {
            break vandal;
        }
        ensure!(
            !bench.left().is_zero(),
            "only {} restarts, not {restarts}",
            vandal.restarts
        );
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    if restarts == 0 {
        ensure!(
            (vandal.state.as_str(), vandal.restarts, vandal.faults) == ("stopped", 0, 1),
            "vandal is {} after {} restarts and {} faults",
            vandal.state,
            vandal.restarts,
            vandal.faults
        );
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
