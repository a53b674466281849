//! QEMU's ZCU102 with the device tree of Debian's kernel: a Zynq UltraScale+ as far as the model goes. Its interrupt controller is a GIC-400 and
//! its serial ports are Cadence's.

use anyhow::ensure;
use qemu::statistics::PartitionStatistics;
use regex::Regex;

use crate::bench::Bench;
use crate::costs::{BOOT, Budget, IMAGE_BYTES, Measured, run};
use crate::linux::{CLOUD, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

const BOARD: &str = "xlnx-zcu102";

/// Where Rust guests are linked to.
const GUEST_RAM: &str = "0x40000000";

pub fn tests() -> Vec<Test> {
    let test = |name: &str, tags: &'static [&'static str], body: fn(&Bench<'_>) -> _| {
        Test::new(format!("zynqmp/{name}"), tags, body).needs(Need::Board(BOARD))
    };
    vec![
        test(
            "costs",
            &["guests", "bench"],
            exits_cost_what_they_cost_on_virt,
        ),
        test(
            "ttc",
            &["guests", "device", "restart"],
            timer_of_the_board_interrupts_its_guest_through_a_restart,
        ),
        test(
            "linux",
            &["linux", "device", "restart"],
            linux_uses_a_serial_port_of_the_board_and_reboots_alone,
        )
        .needs(Need::Kernel(CLOUD)),
    ]
}

fn system(name: &str) -> SystemFile {
    SystemFile::new(name, BOARD).ram_at(GUEST_RAM)
}

/// The instructions are the same as on `virt` with the same interrupt controller; only the way to the first one differs, with the longer
/// device tree.
fn exits_cost_what_they_cost_on_virt(bench: &Bench<'_>) -> anyhow::Result<()> {
    let text = run(bench, &system("zynqmp-costs").guest("bench", "bench", 2))?;
    let measured = Measured::read(&text)?;
    let rows = Budget::read()?.rows;
    for row in rows
        .iter()
        .filter(|row| row.name != BOOT && row.name != IMAGE_BYTES)
    {
        row.check("gicv2", &measured)?;
    }
    Ok(())
}

/// Linux has the second port with its interrupt, and says something there; then it reboots beside a real-time guest that goes on.
fn linux_uses_a_serial_port_of_the_board_and_reboots_alone(
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    let port = "devices = [{ device = \"serial1\", clocks = [\"100MHz\", \"100MHz\"], without = [\"assigned-clocks\", \"power-domains\", \"resets\", \"pinctrl-0\"] }]\n";
    let image = format!(
        "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}"
    );
    let system = system("zynqmp-linux")
        .partition("linux", 2, "256MiB", &image, port)
        .guest("rt", "rt", 1);
    let wire = bench.logs().join("serial1.txt");
    let mut session = bench.start_with(&system, |options| {
        options.extra = vec!["-serial".into(), format!("file:{}", wire.display())];
    })?;
    wait_for_shell(&mut session, "linux", 2, bench)?;
    session.send(
        "linux",
        "for tty in /dev/ttyPS*; do echo I have $tty > $tty; done; echo sent\n",
    )?;
    session.wait_for("linux", "^sent$", bench.left())?;
    let interrupts = "awk '/xuartps/ { print \"taken\", $2 + $3 }' /proc/interrupts\n";
    session.send("linux", interrupts)?;
    session.wait_for("linux", "^taken [1-9]", bench.left())?;
    let said = std::fs::read_to_string(&wire)?;
    ensure!(said.contains("I have /dev/ttyPS"), "the port sent {said:?}");

    let before = exits(&partition(&mut session, "rt", bench)?);
    session.send("linux", "reboot -f\n")?;
    wait_for_shell(&mut session, "linux", 2, bench)?;
    let (linux, rt) = (
        partition(&mut session, "linux", bench)?,
        partition(&mut session, "rt", bench)?,
    );
    ensure!(
        (linux.restarts, rt.restarts, rt.faults) == (1, 0, 0),
        "restarts: linux {}, rt {}; faults of rt: {}",
        linux.restarts,
        rt.restarts,
        rt.faults
    );
    ensure!(exits(&rt) > before, "the real-time guest stands still");
    Ok(())
}

/// A guest owns a triple timer counter of the board, which the shipped tree leaves disabled: every interval's interrupt reaches it, through a restart, too. Another
/// guest beside it sees none.
fn timer_of_the_board_interrupts_its_guest_through_a_restart(
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    bench.file(
        "ttc.dtso",
        "/dts-v1/;\n/plugin/;\n\n&{/axi/timer@ff110000} {\n\tstatus = \"okay\";\n};\n",
    )?;
    let timer = "devices = [{ device = \"/axi/timer@ff110000\", clocks = [\"100MHz\"], without = [\"power-domains\"] }]\n";
    let system = system("zynqmp-ttc")
        .overlay("ttc.dtso")
        .partition("ttc", 1, "16MiB", "\"guest:ttc\"", timer)
        .guest("rt", "rt", 1);
    // Without `icount`: under it QEMU's model of the timer rounds its next event to now, again and again.
    let mut session = bench.start(&system)?;
    session.wait_for("ttc", "^ttc: (done|FAILED.*)$", bench.left())?;
    let text = session.text("ttc");
    ensure!(
        !text.contains("FAILED") && text.contains("ttc: second start"),
        "{text}"
    );
    let lines = Regex::new("ttc: 500 of 500 interrupts, ([0-9]+) us each")?;
    let mut starts = 0;
    for found in lines.captures_iter(&text) {
        let each: u64 = found[1].parse()?;
        // 65,000 counts of half of QEMU's 133 MHz are 977 us. A machine that is busy is late; an interrupt that comes twice is early.
        ensure!(each >= 970, "{}", &found[0]);
        starts += 1;
    }
    ensure!(starts == 2, "{starts} starts, not 2");
    let rt = partition(&mut session, "rt", bench)?;
    ensure!(
        (rt.faults, rt.restarts) == (0, 0),
        "rt has {} faults",
        rt.faults
    );
    Ok(())
}

fn exits(partition: &PartitionStatistics) -> u64 {
    partition.exits.iter().map(|one| one.count).sum()
}
