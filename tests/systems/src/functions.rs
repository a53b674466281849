//! PCI functions of one bridge in two partitions: Debian's kernel with a network card and a disk beside an attacker with `edu`.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::linux::{CLOUD, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

const CARD: &str = "{ device = \"/pcie@10000000/00:04.0\", id = \"1af4:1041\", vectors = 4 }";
/// With the BAR of 64 bits above 4 GiB.
const HIGH_CARD: &str = "{ device = \"/pcie@10000000/00:04.0\", id = \"1af4:1041\", vectors = 4, high_window = \"64KiB\" }";
/// Behind a root port each.
const DISK: &str = "{ device = \"/pcie@10000000/00:05.0/01:00.0\", acs = true }";
const EDU: &str = "{ device = \"/pcie@10000000/00:06.0/02:00.0\", acs = true }";
/// Both by their pins.
const CARD_BY_PIN: &str =
    "{ device = \"/pcie@10000000/00:04.0\", id = \"1af4:1041\", without = [\"msi\"], pin = \"A\" }";
const DISK_BY_PIN: &str =
    "{ device = \"/pcie@10000000/00:05.0\", without = [\"msi\"], pin = \"A\" }";
const PORTS: [&str; 4] = [
    "-device",
    "pcie-root-port,id=to-disk,addr=5,chassis=1",
    "-device",
    "pcie-root-port,id=to-edu,addr=6,chassis=2",
];
/// Where the network card and the disk are, as QEMU wants it.
const BEHIND_IOMMU: &str =
    "virtio-net-pci,netdev=net,addr=4,disable-legacy=on,iommu_platform=on,romfile=";
const ALONE: &str = "virtio-net-pci,netdev=net,addr=4,disable-legacy=on,romfile=";

/// With doorbells in memory QEMU asserts the disk's line for ever, sooner or later: under Linux alone, too.
const NVME_WITHOUT_DOORBELLS_IN_MEMORY: &str = "nvme,drive=disk,serial=1,addr=5,dbcs=off";

pub fn tests() -> Vec<Test> {
    let image = format!(
        "{{ kernel = \"debian:{CLOUD}\", initrd = \"busybox:{CLOUD}\", cmdline = \"console=ttyAMA0\" }}"
    );
    let own = |devices: &str| format!("devices = [{devices}]\n");
    let confined = SystemFile::new("functions", "qemu-virt-gicv3-smmu")
        .partition(
            "linux",
            1,
            "256MiB",
            &image,
            &own(&format!("{HIGH_CARD}, {DISK}")),
        )
        .partition("attacker", 1, "16MiB", "\"guest:dma\"", &own(EDU));
    let frame = SystemFile::new("functions", "qemu-virt-gicv2").partition_by_identity(
        "linux",
        "256MiB",
        &image,
        &format!("dma = \"trusted\"\n{}", own(CARD)),
    );
    let pins = SystemFile::new("pins", "qemu-virt-gicv3-smmu").partition(
        "linux",
        1,
        "256MiB",
        &image,
        &own(&[CARD_BY_PIN, DISK_BY_PIN].join(", ")),
    );
    let tags = &[
        "dma",
        "functions",
        "pci",
        "linux",
        "attack",
        "restart",
        "msi",
    ];
    vec![
        Test::new("functions/smmuv3/linux", tags, move |bench| {
            neighbours_behind_one_smmu_work_through_attacks_and_restarts(bench, &confined)
        })
        .needs(Need::Kernel(CLOUD))
        .limit(300),
        Test::new("functions/smmuv3/pins", tags, move |bench| {
            card_and_disk_interrupt_by_their_pins(bench, &pins)
        })
        .needs(Need::Kernel(CLOUD))
        .limit(300),
        Test::new("functions/v2m/linux", tags, move |bench| {
            network_card_signals_through_a_frame(bench, &frame)
        })
        .needs(Need::Kernel(CLOUD))
        .limit(300),
    ]
}

/// Gives a command to Linux and waits for a line of its answer.
fn ask(
    session: &mut Session,
    bench: &Bench<'_>,
    command: &str,
    answer: &str,
) -> anyhow::Result<()> {
    session.send("linux", &format!("{command}\n"))?;
    session.wait_for("linux", answer, bench.left())?;
    Ok(())
}

/// The card reaches QEMU's user network.
fn pings_come_back(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    let up = "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0";
    let ping = format!("{up}; ping -c 3 10.0.2.2");
    let answer = "^3 packets transmitted, 3 packets received";
    ask(session, bench, &ping, answer)
}

/// The card reaches QEMU's user network, and both its queues have signalled by messages of this kind.
fn network_works(session: &mut Session, bench: &Bench<'_>, messages: &str) -> anyhow::Result<()> {
    pings_come_back(session, bench)?;
    let count = format!(
        "echo queues=$(awk '/{messages}.*virtio.-.*put/ && $2 > 0' /proc/interrupts | wc -l)"
    );
    ask(session, bench, &count, "^queues=2$")
}

/// What is written to the disk is read back, past the page cache.
fn disk_works(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    let work = "head -c 262144 /dev/urandom > sample; dd if=sample of=/dev/nvme0n1 bs=4096 conv=fsync 2>/dev/null; \
                echo 3 > /proc/sys/vm/drop_caches; head -c 262144 /dev/nvme0n1 | cmp - sample && echo disk=$((1+1))";
    ask(session, bench, work, "^disk=2$")
}

/// The device of the attacker reaches its own memory and nothing else; what it tries is told with its function and its partition.
fn attack_is_confined(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("attacker", "i")?;
    session.wait_for("attacker", "^dma: 4096 bytes arrived inside$", bench.left())?;
    session.send("attacker", "a")?;
    session.wait_for(
        "attacker",
        "^dma: attack is over, 0 secrets read$",
        bench.left(),
    )?;
    session.wait_for(
        "hv",
        "attacker: fault \\d+: DMA of /pcie@10000000/00:06.0/02:00.0, stream 0x200",
        bench.left(),
    )?;
    Ok(())
}

fn neighbours_behind_one_smmu_work_through_attacks_and_restarts(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let disk = bench.file("disk", &"\0".repeat(1 << 20))?;
    let mut session = bench.start_with(system, |options| {
        let drive = format!("if=none,id=disk,format=raw,file={}", disk.display());
        let devices = [
            "-device",
            "edu,bus=to-edu,dma_mask=0xffffffffffffffff",
            "-netdev",
            "user,id=net",
            "-device",
            BEHIND_IOMMU,
            "-drive",
            &drive,
            "-device",
            "nvme,drive=disk,serial=1,bus=to-disk",
        ];
        options.extra.extend(PORTS.map(str::to_owned));
        options.extra.extend(devices.map(str::to_owned));
    })?;
    session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
    wait_for_shell(&mut session, "linux", 1, bench)?;
    network_works(&mut session, bench, "ITS")?;
    disk_works(&mut session, bench)?;
    attack_is_confined(&mut session, bench)?;
    network_works(&mut session, bench, "ITS")?;

    // The attacker starts again: Linux does not notice, and the device is as harmless as before.
    session.send("attacker", "r")?;
    session.wait_for("hv", "attacker: started again, 1 restarts", bench.left())?;
    session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
    attack_is_confined(&mut session, bench)?;
    disk_works(&mut session, bench)?;

    // Linux starts again with its devices still at work.
    session.send("linux", "ping 10.0.2.2 > /dev/null & reboot -f\n")?;
    session.wait_for("hv", "linux: started again, 1 restarts", bench.left())?;
    wait_for_shell(&mut session, "linux", 1, bench)?;
    network_works(&mut session, bench, "ITS")?;
    disk_works(&mut session, bench)?;
    let linux = partition(&mut session, "linux", bench)?;
    ensure!(linux.faults == 0, "{} faults of Linux", linux.faults);
    Ok(())
}

/// Also after a restart. Neither has signalled by a message.
fn card_and_disk_interrupt_by_their_pins(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let disk = bench.file("disk", &"\0".repeat(1 << 20))?;
    let mut session = bench.start_with(system, |options| {
        let drive = format!("if=none,id=disk,format=raw,file={}", disk.display());
        let devices = [
            "-netdev",
            "user,id=net",
            "-device",
            BEHIND_IOMMU,
            "-drive",
            &drive,
            "-device",
            NVME_WITHOUT_DOORBELLS_IN_MEMORY,
        ];
        options.extra.extend(devices.map(str::to_owned));
    })?;
    for restarts in 0..=1 {
        wait_for_shell(&mut session, "linux", 1, bench)?;
        pings_come_back(&mut session, bench)?;
        disk_works(&mut session, bench)?;
        let count = "echo lines=$(awk '/Level.*(virtio|nvme)/ && $2 > 5' /proc/interrupts | wc -l)";
        ask(&mut session, bench, count, "^lines=2$")?;
        if restarts == 0 {
            session.send("linux", "reboot -f\n")?;
            session.wait_for("hv", "linux: started again, 1 restarts", bench.left())?;
        }
    }
    let linux = partition(&mut session, "linux", bench)?;
    ensure!(linux.faults == 0, "{} faults of Linux", linux.faults);
    Ok(())
}

fn network_card_signals_through_a_frame(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| {
        let devices = ["-netdev", "user,id=net", "-device", ALONE];
        options.extra.extend(devices.map(str::to_owned));
    })?;
    wait_for_shell(&mut session, "linux", 1, bench)?;
    network_works(&mut session, bench, "MSI")?;
    session.send("linux", "reboot -f\n")?;
    session.wait_for("hv", "linux: started again, 1 restarts", bench.left())?;
    wait_for_shell(&mut session, "linux", 1, bench)?;
    network_works(&mut session, bench, "MSI")?;
    let linux = partition(&mut session, "linux", bench)?;
    ensure!(linux.faults == 0, "{} faults of Linux", linux.faults);
    Ok(())
}
