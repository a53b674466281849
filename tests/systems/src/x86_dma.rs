//! DMA on a PC behind VT-d: QEMU's `edu` as an attacker, beside a victim that checks its memory.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::dma::{
    Attack, faults_are_in_the_trace, has_started, is_confined, is_started_again, works_inside,
};
use crate::registry::{Need, Test};
use crate::system_file::{SystemFile, TRACE};

const BOARD: &str = "x86-qemu-vtd";

/// Where the board has the device, and what `pc-dma` tries with it. The unit tells pages, and not whether one is mapped for something else.
const ATTACK: Attack<'_> = Attack {
    device: "00:04.0",
    stream: "0x20",
    places: &["0x1000000", "0x3feff000", "0xfed90000", "0x8000000000"],
    count: 8,
    reason: "no right to it$",
};

/// The device interrupts its partition when that has bound it, and neither before nor when it has unbound it. It stays bound: a start anew unbinds it.
fn interrupts(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("attacker", "m")?;
    session.wait_for("attacker", "^dma: 3 interrupts$", bench.left())?;
    Ok(())
}

/// The device has no reset, and what it was told last it does when its partition has started anew: it is no master then.
fn earlier_life_moves_nothing(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("attacker", "r")?;
    session.wait_for("hv", "attacker: started again, 3 restarts", bench.left())?;
    session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
    works_inside(session, bench)?;
    ensure!(
        !session.text("hv").contains("fault 3"),
        "a transfer of the life before was done: {}",
        session.text("hv")
    );
    Ok(())
}

/// The card's messages interrupt its partition one by one, when that has bound them. Its partition does not reach the table, and a start anew unbinds them.
fn messages(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    for _ in 0..2 {
        session.wait_for("nic", "^dma: nic is there$", bench.left())?;
        session.send("nic", "m")?;
        session.wait_for("nic", "^nic: messages 1 and 2 came$", bench.left())?;
        let told = "nic: fault \\d+: .*read of foreign memory at 0xfeb80000";
        session.wait_for("hv", told, bench.left())?;
    }
    Ok(())
}

/// A report has turned the trace off; a key turns it on, and off again.
fn trace_goes_on_and_off(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    for state in ["on", "off"] {
        session.send_raw(b"\x1dt")?;
        session.wait_for("hv", &format!("^the trace is {state}$"), bench.left())?;
    }
    Ok(())
}

pub fn tests() -> Vec<Test> {
    let system = |name: &str, on_fault: &str| {
        let device = ATTACK.device;
        let more = format!("devices = [\"{device}\"]\non_fault = \"{on_fault}\"\n");
        SystemFile::new(name, BOARD)
            .partition("attacker", 1, "16MiB", "\"guest:pc-dma\"", &more)
            .guest("victim", "pc-dma", 1)
    };
    let (attack, restart) = (
        system("dma-attack", "inject").feature(TRACE),
        system("dma-restart", "restart"),
    );
    let nic = SystemFile::new("dma-msix", BOARD).partition(
        "nic",
        1,
        "16MiB",
        "\"guest:pc-dma\"",
        "devices = [\"00:06.0\"]\non_fault = \"restart\"\n",
    );
    let tests = [
        Test::new("x86/dma-msix", &["x86", "dma"], move |bench| {
            let mut session = bench.start(&nic)?;
            messages(&mut session, bench)
        }),
        Test::new(
            "x86/dma-attack",
            &["x86", "dma", "attack", "fault"],
            move |bench| {
                let mut session = bench.start(&attack)?;
                has_started(&mut session, bench)?;
                interrupts(&mut session, bench)?;
                let statistics = is_confined(&mut session, bench, &ATTACK)?;
                faults_are_in_the_trace(&statistics.trace, &ATTACK)?;
                trace_goes_on_and_off(&mut session, bench)
            },
        ),
        Test::new(
            "x86/dma-restart",
            &["x86", "dma", "restart"],
            move |bench| {
                let mut session = bench.start(&restart)?;
                has_started(&mut session, bench)?;
                interrupts(&mut session, bench)?;
                is_started_again(&mut session, bench)?;
                interrupts(&mut session, bench)?;
                earlier_life_moves_nothing(&mut session, bench)
            },
        ),
    ];
    tests.map(|test| test.needs(Need::Pc)).into()
}
