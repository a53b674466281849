//! The registers of guests on request (`registers = true`), while they run.

use anyhow::{Context, ensure};
use qemu::terminal::ESCAPE;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

pub fn tests() -> Vec<Test> {
    vec![Test::new(
        "registers/stuck-guest",
        &["console"],
        stuck_guest_shows_its_registers_and_its_neighbour_goes_on,
    )]
}

/// One guest runs in a circle with its interrupts masked, on a CPU of its own; another has turns.
fn stuck_guest_shows_its_registers_and_its_neighbour_goes_on(
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    let turns = "period = \"10ms\"\nbudget = \"5ms\"\n";
    let system = SystemFile::new("registers", "qemu-virt-gicv3")
        .switch("registers")
        .guest("stuck", "spin", 1)
        .pool("shared", &[1], "\"rtds\"")
        .guest_in("shared", "rt", "rt", 1, turns);
    let mut session = bench.start(&system)?;
    session.wait_for("stuck", "spinning", bench.left())?;
    session.wait_for("rt", "over 2000 periods", bench.left())?;

    session.send_raw(&[ESCAPE, b'R'])?;
    session.wait_for("hv", "^registers end", bench.left())?;
    let said = session.text("hv");
    for partition in ["stuck", "rt"] {
        let start = format!("registers partition={partition} vcpu=0 ");
        let lines: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix(&start))
            .collect();
        let value = |name: &str| {
            let words = lines.iter().flat_map(|line| line.split(' '));
            let mut values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix("=0x"));
            let value = values
                .next()
                .with_context(|| format!("no {name} of {partition}:\n{said}"))?;
            Ok::<_, anyhow::Error>(u64::from_str_radix(value, 16)?)
        };
        // Guests are linked to here, and have 16 MiB.
        for address in ["pc", "sp_el1", "vbar_el1"] {
            let at = value(address)?;
            ensure!(
                (0x4020_0000..0x4100_0000).contains(&at),
                "{address} of {partition} is {at:#x}"
            );
        }
        for index in 0..=30 {
            value(&format!("x{index}"))?;
        }
        // PSTATE.I: the stuck one has its interrupts masked.
        if partition == "stuck" {
            ensure!(value("pstate")? & 1 << 7 != 0, "{said}");
        }
    }
    session.wait_for("rt", "status", bench.left())?;
    let report = session.statistics(bench.left())?;
    ensure!(
        report
            .partitions
            .iter()
            .all(|one| one.state == "running" && one.faults == 0),
        "{report:?}"
    );
    Ok(())
}
