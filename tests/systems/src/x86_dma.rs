//! DMA on a PC behind VT-d: QEMU's `edu` as an attacker, beside a victim that checks its memory.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::dma::{Attack, has_started, is_confined, is_started_again, works_inside};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

const BOARD: &str = "x86-qemu-vtd";

/// Where the board has the device, and what `pc-dma` tries with it. The unit tells pages.
const ATTACK: Attack<'_> = Attack {
    device: "00:04.0",
    stream: "0x20",
    places: &["0x1000000", "0x3feff000", "0xfed90000", "0x8000000000"],
    count: 8,
    reason: "nothing is mapped there for this$",
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

pub fn tests() -> Vec<Test> {
    let system = |name: &str, on_fault: &str| {
        let device = ATTACK.device;
        let more = format!("devices = [\"{device}\"]\non_fault = \"{on_fault}\"\n");
        SystemFile::new(name, BOARD)
            .partition("attacker", 1, "16MiB", "\"guest:pc-dma\"", &more)
            .guest("victim", "pc-dma", 1)
    };
    let (attack, restart) = (
        system("dma-attack", "inject"),
        system("dma-restart", "restart"),
    );
    let tests = [
        Test::new(
            "x86/dma-attack",
            &["x86", "dma", "attack", "fault"],
            move |bench| {
                let mut session = bench.start(&attack)?;
                has_started(&mut session, bench)?;
                interrupts(&mut session, bench)?;
                is_confined(&mut session, bench, &ATTACK).map(drop)
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
