//! Boot loaders before the image: U-Boot with the plain image and with a FIT, and UEFI firmware. And guests that they load, as files of their own.

use std::path::Path;

use anyhow::{Context, ensure};
use qemu::session::{Bootable, Options, Origin, Session, line_regex};

use crate::bench::Bench;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// What the hello guest says when it is up.
const UP: &str = "hello: 16 MiB RAM";

/// First bytes of the payload, which is behind the hypervisor in the image.
const PAYLOAD: &[u8] = b"BHPAYLD1";

pub fn tests() -> Vec<Test> {
    let test = |name: &str, need, body: fn(&Bench<'_>) -> anyhow::Result<()>| {
        Test::new(format!("boot/{name}"), &["boards", "boot"], body).needs(need)
    };
    vec![
        test("u-boot", Need::UBoot, u_boot_starts_the_image),
        test("u-boot-fit", Need::UBoot, u_boot_checks_a_fit_and_starts_it),
        test("uefi", Need::Uefi, uefi_firmware_starts_the_image),
        test(
            "separate-file",
            Need::Systems,
            guest_in_a_file_of_its_own_starts,
        ),
        test(
            "separate-file-damaged",
            Need::Systems,
            guest_whose_file_is_not_the_one_that_was_built_does_not_start,
        ),
    ]
}

/// The guest runs to its end, and boot loaders have said all of `steps` before.
fn expect_run(bench: &Bench<'_>, mut session: Session, steps: &[&str]) -> anyhow::Result<()> {
    session.wait_for("one", UP, bench.left())?;
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    let said = std::fs::read(bench.logs().join("console.log"))?;
    let said = String::from_utf8_lossy(&said);
    for step in steps {
        ensure!(said.contains(step), "nobody said {step:?}:\n{said}");
    }
    Ok(())
}

/// U-Boot takes the very file that `cargo xtask build` writes from QEMU, and starts it by `booti` with its own device tree, at another place
/// than QEMU would.
fn u_boot_starts_the_image(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = SystemFile::new("u-boot", "qemu-virt-gicv3").guest("one", "hello", 1);
    let u_boot = bench.u_boot()?.display().to_string();
    let session = bench.start_with(&system, |options| {
        options.extra = vec!["-bios".into(), u_boot];
    })?;
    let steps = ["U-Boot 20", "loading kernel to address", "Starting kernel"];
    expect_run(bench, session, &steps)
}

/// UEFI firmware loads the very file as an EFI application, and it begins where its system wants it, with firmware's device tree.
fn uefi_firmware_starts_the_image(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = SystemFile::new("uefi", "qemu-virt-gicv3")
        .switch("efi")
        .guest("one", "hello", 1);
    let firmware = bench.uefi()?.display().to_string();
    let session = bench.start_with(&system, |options| {
        // With ACPI this firmware hides the device tree.
        options.extra = ["-bios", &firmware, "-machine", "acpi=off"]
            .map(str::to_owned)
            .into();
    })?;
    expect_run(bench, session, &["UEFI firmware"])
}

/// U-Boot finds the boot script on a disk, loads the FIT and a guest's own file by it, checks the FIT's hashes and starts it. A byte of the guest is enough for it to refuse.
fn u_boot_checks_a_fit_and_starts_it(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = with_a_file("fit");
    let file = bench.file("fit.toml", &system.text())?;
    let made = bench.xtask(&["--offline", "build", "--u-boot", &file.to_string_lossy()])?;
    let (files, said) = (
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr),
    );
    ensure!(made.status.success(), "{said}");
    let disk = file.with_file_name("disk");
    std::fs::create_dir_all(&disk)?;
    for name in ["bulkhead.itb", "boot.scr", "two.bin"] {
        let path = files.lines().find(|path| path.ends_with(name));
        let path = path.with_context(|| format!("no {name} in:\n{files}"))?;
        std::fs::copy(path, disk.join(name)).with_context(|| format!("cannot copy {path}"))?;
    }

    let session = start_from(bench, &system, &disk)?;
    expect_run(
        bench,
        session,
        &["Found U-Boot script /boot.scr", "sha256+ OK", "[two] hello"],
    )?;

    let fit = disk.join("bulkhead.itb");
    let mut bytes = std::fs::read(&fit)?;
    let payload = bytes
        .windows(PAYLOAD.len())
        .position(|eight| eight == PAYLOAD);
    // Well inside the guest, which lies behind the first page.
    bytes[payload.context("the FIT has no payload")? + 0x1800] ^= 1;
    std::fs::write(&fit, bytes)?;
    let mut session = start_from(bench, &system, &disk)?;
    let refused = line_regex("Bulkhead was not started")?;
    session.wait_until(Some(&refused), Some(bench.left()))?;
    let said = std::fs::read(bench.logs().join("console.log"))?;
    let said = String::from_utf8_lossy(&said);
    ensure!(
        said.contains("Bad hash value for 'hash-1' hash node in 'bulkhead' image node")
            || said.contains("Bad Data Hash"),
        "the damage was not found:\n{said}"
    );
    ensure!(
        !said.contains("[hv]"),
        "it was started all the same:\n{said}"
    );
    Ok(())
}

/// A guest in a file of its own, and one that lies in the image.
fn with_a_file(name: &str) -> SystemFile {
    let image = "{ file = \"guest:hello\", address = \"0x60000000\" }";
    SystemFile::new(name, "qemu-virt-gicv3")
        .guest("one", "hello", 1)
        .partition("two", 1, "16MiB", image, "")
}

fn guest_in_a_file_of_its_own_starts(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = bench.start(&with_a_file("separate"))?;
    session.wait_for("two", UP, bench.left())?;
    expect_run(bench, session, &[])
}

/// One bit of the file is wrong, or the boot loader forgot it: it does not start, and the other one does.
fn guest_whose_file_is_not_the_one_that_was_built_does_not_start(
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    let built = bench.build(&with_a_file("separate"))?;
    let (address, file) = built.files.first().context("there is no file")?;
    let mut bytes = std::fs::read(file)?;
    *bytes.last_mut().context("the file is empty")? ^= 1;
    let damaged = bench.file("damaged", "")?;
    std::fs::write(&damaged, bytes)?;
    for files in [vec![(*address, damaged)], Vec::new()] {
        let bootable = Bootable {
            files,
            ..built.clone()
        };
        let mut session = Session::start(&bootable, &Options::quiet(bench.logs()))?;
        let told = "two: not started: its file at 0x60000000 is not the one that was built$";
        session.wait_for("hv", told, bench.left())?;
        expect_run(bench, session, &[])?;
        let said = std::fs::read(bench.logs().join("console.log"))?;
        let said = String::from_utf8_lossy(&said);
        ensure!(!said.contains("[two]"), "it was started:\n{said}");
    }
    Ok(())
}

/// Starts U-Boot with a disk that has the files of a folder; the system's image is not handed over.
fn start_from(bench: &Bench<'_>, system: &SystemFile, disk: &Path) -> anyhow::Result<Session> {
    let u_boot = bench.u_boot()?;
    let drive = format!(
        "if=virtio,format=raw,read-only=on,file=fat:{}",
        disk.display()
    );
    bench.start_with(system, |options| {
        options.origin = Origin::Firmware(u_boot);
        options.extra = vec!["-drive".into(), drive];
    })
}
