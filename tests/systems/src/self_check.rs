//! The self-check at boot (`self_check = true`): on machines that are right, and on one that is not the board. [`new_board`](crate::new_board) has one whose model is not whole.

use anyhow::ensure;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

pub fn tests() -> Vec<Test> {
    let test = |name: &str, body: fn(&Bench<'_>) -> anyhow::Result<()>| {
        Test::new(format!("self-check/{name}"), &["boot", "boards"], body)
    };
    vec![
        test("gicv2", gicv2_board_is_right),
        test("gicv3-smmu", gicv3_board_with_an_smmu_is_right),
        test("wrong-board", all_differences_are_told_before_the_stop),
    ]
}

fn checked(name: &str, board: &str) -> SystemFile {
    SystemFile::new(name, board).switch("self_check")
}

/// Both CPUs of the system have looked at everything, and found nothing; then the guest runs.
fn runs_after(bench: &Bench<'_>, system: &SystemFile, found: &[&str]) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("hv", "one: started", bench.left())?;
    let said = session.text("hv");
    for cpu in ["0x0", "0x1"] {
        for what in [
            "is arm,cortex-a57",
            "the virtual timer raises interrupt 27",
            "the physical timer raises interrupt 30",
            "the hypervisor timer raises interrupt 26",
            "maintenance by interrupt 25",
            "virtual interrupts reach EL1",
        ] {
            let line = said.lines().find(|line| {
                line.starts_with(&format!("check ok: CPU {cpu}")) && line.contains(what)
            });
            ensure!(line.is_some(), "CPU {cpu}: {what:?} was not found:\n{said}");
        }
    }
    for what in found {
        ensure!(said.contains(what), "{what:?} was not found:\n{said}");
    }
    ensure!(!said.contains("DIFFERS"), "{said}");
    Ok(())
}

fn gicv2_board_is_right(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = checked("check-v2", "qemu-virt-gicv2").guest("one", "hello", 2);
    runs_after(bench, &system, &["it is a GICv2 with up to 288 interrupts"])
}

fn gicv3_board_with_an_smmu_is_right(bench: &Bench<'_>) -> anyhow::Result<()> {
    let hello = "\"guest:hello\"";
    let system = checked("check-v3", "qemu-virt-gicv3-smmu").partition(
        "one",
        2,
        "16MiB",
        hello,
        "devices = [\"/pcie@10000000\"]\n",
    );
    let found = [
        "it is a GICv3 with up to 288 interrupts",
        "IOMMU /smmuv3@9050000 (arm,smmu-v3) at 0x9050000 answers",
        "65536 stream(s) from 0x0 are /pcie@10000000, of one",
    ];
    runs_after(bench, &system, &found)
}

fn all_differences_are_told_before_the_stop(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = checked("check-wrong", "qemu-virt-gicv3").guest("one", "hello", 2);
    let mut session = bench.start_with(&system, |options| {
        options.extra = ["-M", "virt,gic-version=2,virtualization=on", "-smp", "1"]
            .map(str::to_owned)
            .into();
    })?;
    let stop = "^stop: the self-check has found 2 differences, see above";
    session.wait_for("hv", stop, bench.left())?;
    let said = session.text("hv");
    for line in [
        "check ok: the tree is of linux,dummy-virt",
        "check DIFFERS: this image is for a GICv3 (qemu-virt-gicv3), and this board has a GICv2",
        "check DIFFERS: this system uses 2 CPUs and 1 of them are missing",
    ] {
        ensure!(said.contains(line), "{line:?} was not said:\n{said}");
    }
    ensure!(session.text("one").is_empty(), "it started all the same");
    Ok(())
}
