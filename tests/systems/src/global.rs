//! Pools whose virtual CPUs move between physical ones.
//!
//! QEMU counts the instructions of all CPUs on one clock under `-icount`, so what a guest gets is judged by what the hypervisor has charged it.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;
use crate::turns::{counted, figure};

const GLOBAL: &str = "\"rtds\"\nplacement = \"global\"";

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let mut add = |name: &str, body: fn(&Bench<'_>, &str) -> anyhow::Result<()>| {
            let body = move |bench: &Bench<'_>| body(bench, &format!("qemu-virt-{gic}"));
            let name = format!("global/{name}/{gic}");
            tests.push(Test::new(name, &["guests", "rtds"], body).limit(180));
        };
        add("supply", busy_guests_get_their_budgets_and_move);
        add("smp", virtual_cpus_of_one_partition_move);
    }
    tests
}

/// `pinned` is more urgent than the others, so whoever runs on its CPU then goes on elsewhere.
fn three(name: &str, board: &str, guest: &str) -> SystemFile {
    let any = "period = \"10ms\"\nbudget = \"4ms\"\npriority = 1\n";
    let pinned = "period = \"5ms\"\nbudget = \"2ms\"\naffinity = [1]\n";
    SystemFile::new(name, board)
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "one", guest, 1, any)
        .guest_in("shared", "two", guest, 1, any)
        .guest_in("shared", "pinned", guest, 1, pinned)
}

/// Each is charged at least its budget in each period, no period begins late, and those that may move do.
fn busy_guests_get_their_budgets_and_move(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let mut session = counted(bench, &three("global-supply", board, "busy"))?;
    let of_each = [
        ("one", 4_000_000, true),
        ("two", 4_000_000, true),
        ("pinned", 2_000_000, false),
    ];
    for (name, budget, moves) in of_each {
        session.wait_for(name, "^busy: counted .* migrations=[0-9]+$", bench.left())?;
        let found = |field| figure(&session, name, field);
        let (least, late, migrations) = (found("least")?, found("late")?, found("migrations")?);
        ensure!(
            least >= budget && late == 0,
            "{name} got {least} ns of its {budget} ns in a period, and {late} periods began late"
        );
        ensure!((migrations > 0) == moves, "{name} moved {migrations} times");
    }
    Ok(())
}

/// Three virtual CPUs on two physical ones: CPU_ON, CPU_OFF, SGIs and timers as on CPUs of their own.
fn virtual_cpus_of_one_partition_move(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let time = "period = \"3ms\"\nbudget = \"900us\"\n";
    let system = SystemFile::new("global-smp", board)
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "smp", "smp", 3, time);
    let mut session = bench.start(&system)?;
    session.wait_for("smp", "^smp: done 3 cpus$", bench.left())?;
    finds_nothing_wrong(&session, "smp")
}

fn finds_nothing_wrong(session: &Session, name: &str) -> anyhow::Result<()> {
    let text = session.text(name);
    ensure!(
        !text.contains("FAILED"),
        "{name} found something wrong: {text}"
    );
    Ok(())
}
