//! A device raises only its own interrupts, whatever its guest has it write.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// Each partition has an `edu`. What the guest `forger` does when it is typed:
const OWN: (&str, &str) = ("m", "^forger: 10 messages arrived$");
const BY_DMA: (&str, &str) = ("w", "^forger: doorbells are written$");
const BY_MESSAGE: (&str, &str) = ("f", "^forger: messages of others are sent$");
const TO_PLACES: (&str, &str) = ("p", "^forger: messages to other places are sent$");
const BY_COMMAND: (&str, &str) = ("t", "^forger: told the ITS of others' devices$");
/// Where it writes: the doorbells of a v2m frame and of an ITS, and places without a doorbell.
const FRAME: &str = "0x8020040";
const ITS: &str = "0x8090040";
const PLACES: [&str; 4] = ["0x8000040", "0x8000204", "0x60800000", "0x9050098"];

const ATTACKER: &str = "/pcie@10000000/00:03.0";
const VICTIM: &str = "/pcie@10000000/00:05.0";

pub fn tests() -> Vec<Test> {
    let tags = &["dma", "attack", "guests", "msi", "pci"];
    vec![
        Test::new("dma/its/forged-messages", tags, |bench| {
            device_raises_no_event_of_another_at_an_its(bench)
        }),
        Test::new("dma/v2m/forged-messages", tags, |bench| {
            device_raises_no_interrupt_of_another_at_a_frame(bench)
        }),
    ]
}

/// Starts the system on a board: `fields` are those of the attacker's device.
fn start(bench: &Bench<'_>, board: &str, fields: &str) -> anyhow::Result<Session> {
    let device =
        |path: &str, fields: &str| format!("devices = [{{ device = \"{path}\"{fields} }}]\n");
    let forger = "\"guest:forger\"";
    let system = SystemFile::new("forged", board)
        .partition("attacker", 1, "16MiB", forger, &device(ATTACKER, fields))
        .partition("victim", 1, "16MiB", forger, &device(VICTIM, ""));
    let mut session = bench.start_with(&system, |options| {
        // By default the device cuts addresses to 28 bits, below all RAM.
        for slot in [3, 5] {
            let edu = format!("edu,addr={slot},dma_mask=0xffffffffffffffff");
            options.extra.extend(["-device".to_owned(), edu]);
        }
    })?;
    for name in ["attacker", "victim"] {
        session.wait_for(name, "^forger: edu is there$", bench.left())?;
    }
    Ok(session)
}

/// Has a guest do something.
fn make(
    session: &mut Session,
    bench: &Bench<'_>,
    name: &str,
    (letter, answer): (&str, &str),
) -> anyhow::Result<()> {
    session.send(name, letter)?;
    session.wait_for(name, answer, bench.left())?;
    Ok(())
}

/// Nothing has arrived at a guest but so many messages that are its own.
fn has_only(session: &mut Session, bench: &Bench<'_>, name: &str, own: u32) -> anyhow::Result<()> {
    make(
        session,
        bench,
        name,
        ("c", "^forger: .* strange interrupts$"),
    )?;
    let text = session.text(name);
    let last = text.lines().last().unwrap_or_default();
    ensure!(
        last == format!("forger: {own} own, 0 strange interrupts"),
        "{name}: {last}, not {own} own ones alone"
    );
    Ok(())
}

/// Each of these accesses of a device was refused and told.
fn were_refused(
    session: &mut Session,
    bench: &Bench<'_>,
    partition: &str,
    device: &str,
    places: &[&str],
) -> anyhow::Result<()> {
    for place in places {
        let told = format!(
            "{partition}: fault \\d+: DMA of {device}, stream 0x[0-9a-f]+: write at {place}:"
        );
        session.wait_for("hv", &told, bench.left())?;
    }
    Ok(())
}

/// Both have messages, and reach the doorbell. The ITS looks events up by DeviceID, and knows none of another.
fn device_raises_no_event_of_another_at_an_its(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = start(bench, "qemu-virt-gicv3-smmu", "")?;
    for name in ["attacker", "victim"] {
        make(&mut session, bench, name, OWN)?;
    }
    for attack in [BY_DMA, BY_MESSAGE, TO_PLACES, BY_COMMAND] {
        make(&mut session, bench, "attacker", attack)?;
    }
    were_refused(&mut session, bench, "attacker", ATTACKER, &[FRAME])?;
    were_refused(&mut session, bench, "attacker", ATTACKER, &PLACES)?;
    ensure!(
        !session.text("hv").contains(&format!("at {ITS}:")),
        "the doorbell of its messages was refused"
    );
    let refused = partition(&mut session, "attacker", bench)?.refused;
    for kind in ["mapd", "mapti", "int", "clear", "discard"] {
        let count = refused.get(kind).copied().unwrap_or_default();
        ensure!(count >= 7, "{count} refused {kind} among {refused:?}");
    }
    for name in ["victim", "attacker"] {
        has_only(&mut session, bench, name, 10)?;
        make(&mut session, bench, name, OWN)?;
        has_only(&mut session, bench, name, 20)?;
    }
    Ok(())
}

/// Whoever reaches a frame raises all its interrupts: only the partition whose they are does. Its device raises no other ones there.
fn device_raises_no_interrupt_of_another_at_a_frame(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = start(bench, "qemu-virt-gicv2-smmu", ", without = [\"msi\"]")?;
    make(&mut session, bench, "victim", OWN)?;
    make(&mut session, bench, "attacker", BY_DMA)?;
    were_refused(&mut session, bench, "attacker", ATTACKER, &[FRAME, ITS])?;
    has_only(&mut session, bench, "victim", 10)?;

    for attack in [BY_DMA, BY_MESSAGE, TO_PLACES] {
        make(&mut session, bench, "victim", attack)?;
    }
    were_refused(&mut session, bench, "victim", VICTIM, &[ITS])?;
    were_refused(&mut session, bench, "victim", VICTIM, &PLACES)?;
    has_only(&mut session, bench, "attacker", 0)?;
    has_only(&mut session, bench, "victim", 10)?;
    make(&mut session, bench, "victim", OWN)?;
    has_only(&mut session, bench, "victim", 20)
}
