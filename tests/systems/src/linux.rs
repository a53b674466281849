//! Debian's kernels, unmodified: every kernel, number of CPUs, interrupt controller and CPU model that the issue of the first run names.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// The cloud kernel's package.
pub const CLOUD: &str = "linux-image-cloud-arm64";
/// The real-time kernel's package.
pub const RT: &str = "linux-image-rt-arm64";

/// Debian's cloud kernel with generic UIO and this checkout's programs for Linux, as a partition's `image`.
pub fn uio_image() -> String {
    format!(
        "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox-uio:{CLOUD}\", cmdline = \"console=ttyAMA0\" }}"
    )
}

/// Waits until a Linux partition's shell reads its console.
///
/// # Errors
/// It does not come up in time.
pub fn wait_for_shell(
    session: &mut Session,
    partition: &str,
    vcpus: u32,
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    let banner = format!("{} {vcpus} CPUs$", qemu::initramfs::BANNER);
    session.wait_for(partition, &banner, bench.left())?;
    session.wait_for(partition, "# $", bench.left())?;
    Ok(())
}

/// The matrix.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (kernel, package) in [("cloud", CLOUD), ("rt", RT)] {
        for vcpus in [1, 2, 4] {
            for gic in ["gicv2", "gicv3"] {
                for cpu in ["cortex-a53", "cortex-a57", "max"] {
                    let name = format!("linux/{kernel}/{vcpus}-vcpus/{gic}/{cpu}");
                    let system = SystemFile::new(
                        &format!("linux-{kernel}-{vcpus}"),
                        &format!("qemu-virt-{gic}"),
                    )
                    .linux("linux", package, vcpus);
                    let body =
                        move |bench: &Bench<'_>| boot_and_power_off(bench, &system, vcpus, cpu);
                    tests.push(
                        Test::new(name, &["linux", "matrix"], body)
                            .needs(Need::Kernel(package))
                            .limit(240),
                    );
                }
            }
        }
    }
    tests
}

/// Boots to the shell, counts the CPUs, powers off: the partition stops, and with it the only one of the system, so the machine does.
pub fn boot_and_power_off(
    bench: &Bench<'_>,
    system: &SystemFile,
    vcpus: u32,
    cpu: &str,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| options.cpu = Some(cpu.to_owned()))?;
    wait_for_shell(&mut session, "linux", vcpus, bench)?;
    session.send("linux", "echo online=$(nproc)\n")?;
    session.wait_for("linux", &format!("^online={vcpus}$"), bench.left())?;
    session.send("linux", "poweroff -f\n")?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    session.wait_for("hv", "(?i)linux.*(stopped|off)", bench.left())?;
    Ok(())
}
