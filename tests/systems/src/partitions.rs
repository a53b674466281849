//! Several partitions at once: each lives and dies alone.

use anyhow::{Context, ensure};
use qemu::outcome::End;
use qemu::session::{Session, line_regex};
use qemu::statistics::PartitionStatistics;

use crate::bench::Bench;
use crate::linux::{CLOUD, wait_for_shell};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// Partitions of the test with many: what the boot puts together for them is larger than the stack of a CPU.
const MANY: u32 = 16;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let board = format!("qemu-virt-{gic}");
        tests.push(Test::new(
            format!("partitions/many/{gic}"),
            &["guests", "rtds"],
            move |bench| many_partitions_share_a_cpu(bench, gic),
        ));
        let system = SystemFile::new("two-linux", &board)
            .linux("left", CLOUD, 2)
            .linux("right", CLOUD, 1);
        let pair = system.clone();
        let body = move |bench: &Bench<'_>| two_linux_side_by_side(bench, &pair);
        tests.push(
            Test::new(format!("partitions/two-linux/{gic}"), &["linux"], body)
                .needs(Need::Kernel(CLOUD)),
        );
        let body = move |bench: &Bench<'_>| reboot_restarts_only_its_own_partition(bench, &system);
        tests.push(
            Test::new(
                format!("partitions/reboot/{gic}"),
                &["linux", "restart"],
                body,
            )
            .needs(Need::Kernel(CLOUD)),
        );
        let system = SystemFile::new("uart-passed", &board).partition_with_console(
            "linux",
            &format!("{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}"),
            "{ device = \"/pl011@9000000\" }",
        );
        let body = move |bench: &Bench<'_>| passed_uart_works_both_ways(bench, &system);
        tests.push(
            Test::new(
                format!("partitions/uart-passed/{gic}"),
                &["linux", "device"],
                body,
            )
            .needs(Need::Kernel(CLOUD)),
        );
    }
    tests
}

/// The board's UART belongs to the partition, registers and interrupt: what is typed comes by the physical interrupt through a linked list
/// register, and text has no prefix.
fn passed_uart_works_both_ways(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    let banner = format!("{} 1 CPUs$", qemu::initramfs::BANNER);
    let question = "echo I am $((6 * 7))\n";
    for (pattern, answer) in [(banner.as_str(), ""), ("# $", question), ("^I am 42$", "")] {
        let pattern = line_regex(pattern)?;
        let end = session.wait_until(Some(&pattern), Some(bench.left()))?;
        ensure!(end == End::Matched, "{pattern} did not appear: {end:?}");
        session.send_raw(answer.as_bytes())?;
    }
    session.send_raw(b"poweroff -f\n")?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}

/// Both answer on their own console; when one powers off, the other goes on.
fn many_partitions_share_a_cpu(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let system = SystemFile::new("many", &format!("qemu-virt-{gic}"));
    let system = (0..MANY).fold(system.pool("all", &[0], "\"rtds\""), |system, number| {
        let turns = "period = \"10ms\"\nbudget = \"500us\"\n";
        system.guest_in("all", &format!("hello-{number}"), "hello", 1, turns)
    });
    let mut session = bench.start(&system)?;
    for number in 0..MANY {
        session.wait_for(
            &format!("hello-{number}"),
            "^hello: switching off$",
            bench.left(),
        )?;
    }
    Ok(())
}

fn two_linux_side_by_side(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    wait_for_shell(&mut session, "left", 2, bench)?;
    wait_for_shell(&mut session, "right", 1, bench)?;
    session.send("right", "echo I am $((6 * 7))\n")?;
    session.wait_for("right", "^I am 42$", bench.left())?;
    ensure!(
        !session.text("left").contains("I am"),
        "what was typed into one partition reached the other"
    );
    // More than any FIFO holds, less than waits for a partition that does not read.
    for length in 181..=185 {
        let paste = format!("echo {} | wc -c\n", "x".repeat(length - 1));
        session.paste("right", &paste)?;
        session.wait_for("right", &format!("^{length}$"), bench.left())?;
    }

    session.send("left", "poweroff -f\n")?;
    wait_for_state(&mut session, "left", "stopped", bench)?;
    session.send("right", "echo still $((6 * 7))\n")?;
    session.wait_for("right", "^still 42$", bench.left())?;
    ensure!(partition(&mut session, "right", bench)?.state == "running");
    Ok(())
}

/// `reboot -f` in one partition brings its shell back and leaves the other one alone.
fn reboot_restarts_only_its_own_partition(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    wait_for_shell(&mut session, "left", 2, bench)?;
    wait_for_shell(&mut session, "right", 1, bench)?;
    session.send("right", "memory=kept\n")?;
    session.send("left", "reboot -f\n")?;
    wait_for_shell(&mut session, "left", 2, bench)?;
    session.send("right", "echo memory is $memory\n")?;
    session.wait_for("right", "^memory is kept$", bench.left())?;

    let left = partition(&mut session, "left", bench)?;
    let right = partition(&mut session, "right", bench)?;
    ensure!(
        (left.restarts, right.restarts) == (1, 0),
        "restarts: left {}, right {}",
        left.restarts,
        right.restarts
    );
    Ok(())
}

pub(crate) fn partition(
    session: &mut Session,
    name: &str,
    bench: &Bench<'_>,
) -> anyhow::Result<PartitionStatistics> {
    let statistics = session.statistics(bench.left())?;
    statistics
        .partition(name)
        .cloned()
        .with_context(|| format!("the report has no partition {name}"))
}

fn wait_for_state(
    session: &mut Session,
    name: &str,
    state: &str,
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    loop {
        let found = partition(session, name, bench)?.state;
        if found == state {
            return Ok(());
        }
        ensure!(
            !bench.left().is_zero(),
            "partition {name} is {found}, not {state}"
        );
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
