//! QEMU's models of real boards.

use qemu::session::Session;

use crate::bench::Bench;
use crate::linux::{CLOUD, wait_for_shell};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// Where Rust guests are linked to.
const GUEST_RAM: &str = "0x40000000";

/// Raspberry Pi 4: no PSCI, its CPUs wait at a spin table; its GIC-400 lies on a bus that translates addresses.
const RASPBERRY_PI: &str = "raspi4b";

/// Versal: GICv3 without an ITS.
const VERSAL: &str = "xlnx-versal-virt";

pub fn tests() -> Vec<Test> {
    let both = |name: &str, board: &'static str, vcpus| {
        Test::new(
            format!("machines/{name}"),
            &["boards", "linux"],
            move |bench| linux_runs_beside_a_real_time_guest(bench, board, vcpus),
        )
        .needs(Need::Kernel(CLOUD))
    };
    vec![
        both("raspberry-pi-4", RASPBERRY_PI, 3).needs(Need::Board(RASPBERRY_PI)),
        both("versal", VERSAL, 1),
        Test::new(
            "machines/sbsa-ref",
            &["boards", "linux"],
            linux_and_a_guest_share_the_only_cpu,
        )
        .needs(Need::Kernel(CLOUD)),
    ]
}

/// The SBSA machine, whose RAM begins at 1 TiB, and which has no firmware here: no PSCI, and one CPU.
fn linux_and_a_guest_share_the_only_cpu(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = bench.start_file(&bench.root().join("configs/sbsa-ref/demo.toml"))?;
    both_run(&mut session, bench, 1)
}

/// How late the guest is says nothing here: QEMU shares the host's CPUs among those of the machine.
fn linux_runs_beside_a_real_time_guest(
    bench: &Bench<'_>,
    board: &str,
    vcpus: u32,
) -> anyhow::Result<()> {
    let system = SystemFile::new("machine", board)
        .ram_at(GUEST_RAM)
        .linux("linux", CLOUD, vcpus)
        .guest("rt", "rt", 1);
    let mut session = bench.start(&system)?;
    both_run(&mut session, bench, vcpus)
}

fn both_run(session: &mut Session, bench: &Bench<'_>, vcpus: u32) -> anyhow::Result<()> {
    wait_for_shell(session, "linux", vcpus, bench)?;
    session.send("linux", "echo online=$(nproc)\n")?;
    session.wait_for("linux", &format!("^online={vcpus}$"), bench.left())?;
    session.wait_for("rt", "over 2000 periods", bench.left())?;
    Ok(())
}
