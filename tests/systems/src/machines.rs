//! QEMU's models of real boards, and a board that nobody has prepared (`cargo xtask new-board` makes it).

use std::path::PathBuf;

use anyhow::ensure;

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

/// The board that is made and removed again.
const NEW: &str = "made-by-a-test";

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
            "machines/new-board",
            &["boards", "cli"],
            board_that_nobody_prepared_comes_up,
        ),
    ]
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
    wait_for_shell(&mut session, "linux", vcpus, bench)?;
    session.send("linux", "echo online=$(nproc)\n")?;
    session.wait_for("linux", &format!("^online={vcpus}$"), bench.left())?;
    session.wait_for("rt", "over 2000 periods", bench.left())?;
    Ok(())
}

/// The folders of the board, removed at the end whatever happens.
struct Folders([PathBuf; 2]);

impl Folders {
    fn remove(&self) {
        for folder in &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A machine that no folder of this repository describes: what is drafted from its tree runs as it is.
fn board_that_nobody_prepared_comes_up(bench: &Bench<'_>) -> anyhow::Result<()> {
    let folders = ["platforms/boards", "configs"].map(|folder| bench.root().join(folder).join(NEW));
    let system = folders[1].join("hello.toml");
    let folders = Folders(folders);
    // What a run that was killed has left.
    folders.remove();
    let machine = "virt,gic-version=2,virtualization=on,highmem=off";
    let made = bench.xtask(&[
        "--offline",
        "new-board",
        "--name",
        NEW,
        "--machine",
        machine,
        "--cpu",
        "cortex-a53",
        "--cpus",
        "3",
        "--ram",
        "768",
    ])?;
    let said = String::from_utf8_lossy(&made.stdout);
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    for found in [
        "3 × arm,cortex-a53",
        "768MiB at 0x40000000",
        "GICv2 at 0x8000000",
        "PL011",
    ] {
        ensure!(said.contains(found), "{found} was not found:\n{said}");
    }
    let system = system.to_string_lossy();
    let run = bench.xtask(&[
        "--offline",
        "run",
        &system,
        "--timeout",
        "60",
        "--until",
        "hello: 16 MiB RAM, 1 CPUs, GICv2",
    ])?;
    ensure!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    Ok(())
}
