//! Channels: memory that two partitions share, with one end that may only read.

use anyhow::{Context, ensure};
use qemu::session::Session;
use regex::Regex;

use crate::bench::Bench;
use crate::costs::{Budget, Measured};
use crate::linux::{CLOUD, uio_image, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;
use crate::turns::{REST, RTDS, URGENT};

/// The `channel` guest writes the next message when this is typed,
const WRITE: &str = "w";
/// and resets its partition at this.
const RESET: &str = "r";

/// The ends of two partitions that ring each other.
const BOTH_RING: [&str; 2] = [
    "{ partition = \"first\", doorbell = true }",
    "{ partition = \"second\", doorbell = true }",
];

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let system = shared("inject", gic);
        tests.push(Test::new(
            format!("channels/{gic}"),
            &["guests", "channel", "fault"],
            move |bench| reader_sees_every_message_and_writes_none(bench, &system),
        ));
        let system = shared("restart", gic);
        tests.push(Test::new(
            format!("channels/restart/{gic}"),
            &["guests", "channel", "restart"],
            move |bench| content_outlives_the_restart_of_either_end(bench, &system),
        ));
        tests.push(Test::new(
            format!("channels/shared-cpu/{gic}"),
            &["guests", "channel", "rtds"],
            move |bench| doorbells_wake_those_that_share_a_cpu(bench, gic),
        ));
        tests.push(Test::new(
            format!("channels/messages/{gic}"),
            &["guests", "channel", "bench"],
            move |bench| data_costs_no_exit_and_a_doorbell_one(bench, gic),
        ));
        let system = with_linux(gic);
        let test = Test::new(
            format!("channels/linux/{gic}"),
            &["linux", "channel", "uio"],
            move |bench| linux_and_a_bare_guest_exchange_messages(bench, &system),
        );
        tests.push(
            test.needs(Need::Kernel(CLOUD))
                .needs(Need::Uio(CLOUD))
                .limit(240),
        );
    }
    tests
}

/// Debian's kernel at the first end of an uncached channel, a bare guest at the second.
fn with_linux(gic: &str) -> SystemFile {
    SystemFile::new("messages-linux", &format!("qemu-virt-{gic}"))
        .partition("first", 1, "256MiB", &uio_image(), "")
        .guest("second", "messages", 1)
        .uncached_channel("messages", "64KiB", &BOTH_RING)
}

/// A program maps the channel and waits for its doorbell by Linux' generic UIO driver. All three runs of messages arrive whole and in order. A
/// channel that the partition does not have is named.
fn linux_and_a_bare_guest_exchange_messages(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    wait_for_shell(&mut session, "first", 1, bench)?;
    session.send("first", "channel-messages messages\n")?;
    for line in [
        "^channel-messages: 200 there and back, \\d+ us each$",
        "^channel-messages: 5000 of 64 bytes, \\d+ ns each$",
        "^channel-messages: done$",
    ] {
        session.wait_for("first", line, bench.left())?;
    }
    session.wait_for("second", "^messages: done$", bench.left())?;
    session.send("first", "channel-messages other; echo status=$?\n")?;
    session.wait_for(
        "first",
        "Linux has no UIO device `channel-other`",
        bench.left(),
    )?;
    session.wait_for("first", "^status=1$", bench.left())?;
    for name in ["first", "second"] {
        expect_counts(&mut session, name, 0, 0, bench)?;
    }
    Ok(())
}

/// A writer, which sees the channel where the compiler wants it, and a reader with this fault policy, which sees it at an address of its own.
fn shared(on_fault: &str, gic: &str) -> SystemFile {
    let more = format!("on_fault = \"{on_fault}\"\n");
    SystemFile::new(&format!("channel-{on_fault}"), &format!("qemu-virt-{gic}"))
        .guest("writer", "channel", 1)
        .partition("reader", 1, "16MiB", "\"guest:channel\"", &more)
        .channel(
            "sensors",
            "64KiB",
            &[
                "{ partition = \"writer\" }",
                "{ partition = \"reader\", access = \"read-only\", at = \"0x50000000\" }",
            ],
        )
}

/// The channel is zero at first. Each message arrives whole; the reader's writes, to the first word and to the last, are external aborts of
/// its own and change nothing.
fn reader_sees_every_message_and_writes_none(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    both_start_with_zeros(&mut session, bench)?;
    for message in 1..=3 {
        exchange(&mut session, message, bench)?;
        for address in ["0x50000000", "0x5000fff8"] {
            let refused = format!("^channel: write at {address} refused: data abort, status 0x10$");
            session.wait_for("reader", &refused, bench.left())?;
        }
        let named = "reader: fault \\d+: write to its read-only end of channel sensors at 0x5000";
        session.wait_for("hv", named, bench.left())?;
        let whole = format!("^channel: message {message} is still whole$");
        session.wait_for("reader", &whole, bench.left())?;
    }
    expect_counts(&mut session, "writer", 0, 0, bench)?;
    expect_counts(&mut session, "reader", 0, 6, bench)
}

/// The reader's write restarts it, and it finds the message where it was; so does the writer after a reset of its own, and goes on from there.
fn content_outlives_the_restart_of_either_end(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    both_start_with_zeros(&mut session, bench)?;
    for message in 1..=2 {
        exchange(&mut session, message, bench)?;
        let kept = format!("^channel: starts with message {message}$");
        session.wait_for("reader", &kept, bench.left())?;
        session.send("writer", RESET)?;
        session.wait_for("writer", &kept, bench.left())?;
    }
    expect_counts(&mut session, "writer", 2, 0, bench)?;
    expect_counts(&mut session, "reader", 2, 2, bench)
}

/// Two guests with a queue between them. One message at a time needs a ring each way; a stream of 5,000 needs one for each time that the queue runs full or
/// empty, and all exits together are fewer than its messages.
fn data_costs_no_exit_and_a_doorbell_one(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let system = SystemFile::new("messages", &format!("qemu-virt-{gic}"))
        .guest("first", "messages", 1)
        .guest("second", "messages", 1)
        .channel("messages", "64KiB", &BOTH_RING);
    let mut session = bench.start_with(&system, |options| options.icount = true)?;
    for (partition, line) in [
        ("first", "^messages: 200 there and back, .* 200 rings$"),
        ("second", "^messages: 200 answered, 200 rings$"),
        ("first", "^messages: done$"),
    ] {
        session.wait_for(partition, line, bench.left())?;
    }
    let text = session.text("first");
    let stream = Regex::new(r"5000 of 64 bytes, (\d+) rings, rung (\d+) times")?;
    let found = stream.captures(&text).context("no stream")?;
    for side in [1, 2] {
        let rings: u32 = found[side].parse()?;
        ensure!(rings <= 5_000 / 32, "{rings} rings for 5,000 messages");
    }
    for name in ["first", "second"] {
        let exits = partition(&mut session, name, bench)?.exits;
        let exits: u64 = exits.iter().map(|kind| kind.count).sum();
        ensure!(exits < 5_000, "{name} made {exits} exits");
    }
    let mut measured = Measured::default();
    measured.add_rows(&text)?;
    let rows = Budget::read()?.channels;
    rows.iter().try_for_each(|row| row.check(gic, &measured))
}

/// Both ends on one CPU: each sleeps until the other rings, and gets a turn for it. 5,000 messages arrive in order.
fn doorbells_wake_those_that_share_a_cpu(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let system = SystemFile::new("messages-shared", &format!("qemu-virt-{gic}"))
        .pool("one", &[0], RTDS)
        .guest_in("one", "first", "messages", 1, REST)
        .guest_in("one", "second", "messages", 1, URGENT)
        .channel("messages", "64KiB", &BOTH_RING);
    let mut session = bench.start_with(&system, |options| options.icount = true)?;
    for (partition, line) in [
        ("first", "^bench: doorbell min="),
        ("first", "^messages: done$"),
        ("second", "^messages: done$"),
    ] {
        session.wait_for(partition, line, bench.left())?;
    }
    Ok(())
}

fn both_start_with_zeros(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    let writer = "^channel: sensors is read-write, 64 KiB at 0x[0-9a-f]+$";
    let reader = "^channel: sensors is read-only, 64 KiB at 0x50000000$";
    for (partition, end) in [("writer", writer), ("reader", reader)] {
        session.wait_for(partition, end, bench.left())?;
        session.wait_for(partition, "^channel: starts with zeros only$", bench.left())?;
    }
    Ok(())
}

/// Has the writer write the next message, which is number `message`, and waits until the reader has it.
fn exchange(session: &mut Session, message: u32, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("writer", WRITE)?;
    let wrote = format!("^channel: wrote message {message}$");
    session.wait_for("writer", &wrote, bench.left())?;
    let whole = format!("^channel: message {message} is whole$");
    session.wait_for("reader", &whole, bench.left())?;
    Ok(())
}

fn expect_counts(
    session: &mut Session,
    name: &str,
    restarts: u64,
    faults: u64,
    bench: &Bench<'_>,
) -> anyhow::Result<()> {
    let found = partition(session, name, bench)?;
    ensure!(
        (found.state.as_str(), found.restarts, found.faults) == ("running", restarts, faults),
        "{name} is {} after {} restarts and {} faults, not running after {restarts} and {faults}",
        found.state,
        found.restarts,
        found.faults
    );
    Ok(())
}
