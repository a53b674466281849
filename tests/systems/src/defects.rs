//! A defect of the hypervisor itself: the epitaph appears, and the system comes to the end that its file says.

use std::time::Duration;

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// What the guest types for, what the epitaph says of it, and the end that the system file asks for.
const DEFECTS: [(&str, &str, &str, &str); 3] = [
    (
        "panic",
        "p",
        "panic: a guest asked for it at .*defect.rs:",
        "power-off",
    ),
    (
        "exception",
        "x",
        "exception: esr=0x9600.* far=0x7fff00000000 ",
        "reset",
    ),
    ("overflow", "o", "exception: esr=0x9600.* far=0xff", "halt"),
];

/// How long a stopped neighbour is listened to. Too short, the test would not notice one that goes on; it never fails for being short.
const SILENCE: Duration = Duration::from_secs(2);

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        for (name, letter, cause, end) in DEFECTS {
            let system = SystemFile::new("defect", &format!("qemu-virt-{gic}"))
                .feature("defect")
                .end(end)
                .guest("defect", "defect", 1)
                .guest("busy", "busy", 1);
            tests.push(Test::new(
                format!("defect/{name}/{gic}"),
                &["guests", "panic", "epitaph"],
                move |bench| {
                    let mut session = bench.start(&system)?;
                    session.wait_for("defect", "^defect: ready$", bench.left())?;
                    session.wait_for("busy", "^busy: supply", bench.left())?;
                    session.send("defect", letter)?;
                    session.wait_for("hv", &format!("^\\*\\*\\* {cause}"), bench.left())?;
                    has_ended(&mut session, bench, end)
                },
            ));
        }
        let system =
            SystemFile::new("no-defect", &format!("qemu-virt-{gic}")).guest("defect", "defect", 1);
        tests.push(Test::new(
            format!("defect/refused/{gic}"),
            &["guests", "panic", "epitaph"],
            move |bench| {
                let mut session = bench.start(&system)?;
                session.wait_for("defect", "^defect: ready$", bench.left())?;
                session.send("defect", "p")?;
                session.wait_for("defect", "^defect: refused, -1$", bench.left())?;
                Ok(())
            },
        ));
    }
    tests
}

/// The machine is off, or has started anew, or stands still on all its CPUs.
fn has_ended(session: &mut Session, bench: &Bench<'_>, end: &str) -> anyhow::Result<()> {
    let state = match end {
        "power-off" => "PowerOff",
        "reset" => "Reset",
        _ => "Halt",
    };
    session.wait_for("hv", &format!("^\\*\\*\\* end: {state}$"), bench.left())?;
    match end {
        "power-off" => {
            let status = session.wait_for_exit(bench.left())?;
            ensure!(status.success(), "QEMU ended with {status}");
        }
        "reset" => {
            session.wait_for("hv", "^Bulkhead .* system", bench.left())?;
            session.wait_for("defect", "^defect: ready$", bench.left())?;
        }
        _ => {
            // What was on its way when the machine halted arrives first.
            std::thread::sleep(SILENCE / 4);
            let before = session.text("busy");
            std::thread::sleep(SILENCE);
            ensure!(
                session.text("busy") == before,
                "a partition goes on after the end"
            );
        }
    }
    Ok(())
}
