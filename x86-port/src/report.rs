//! The end of the system, and what it says of its partitions.

use core::sync::atomic::{AtomicBool, Ordering};

use hv::report::Line;
use hv::terminal::Console;
use model::PartitionId;
use model::x86::exit::ExitKind;

use crate::partition::Costs;
use crate::seat::{self, Seat};
use crate::{SYSTEM, cpu, log, machine, storage, trace};

/// Nothing is left to run: the report, and the end state.
pub fn end() -> ! {
    /// How long what waits may take to go out, in milliseconds. Lines that were not finished go once the others have had patience.
    const LONGEST: u64 = 500;
    #[cfg(feature = "shared")]
    crate::shared::counters::call_others();
    report();
    #[cfg(feature = "shared")]
    crate::shared::report(true);
    if let Some(console) = storage::TERMINAL.get() {
        let deadline = cpu::now() + u64::from(cpu::tsc_khz()) * LONGEST;
        while storage::RINGS.iter().any(|ring| !ring.is_empty()) && cpu::now() < deadline {
            console.pump(cpu::now());
        }
    }
    machine::reach(SYSTEM.end)
}

/// Who has done what, in the lines that every architecture prints.
pub fn report() {
    #[cfg(feature = "shared")]
    crate::shared::report(true);
    trace::freeze();
    let partitions = SYSTEM.partitions.iter().zip(&storage::PARTITION_STATE);
    for (index, (config, state)) in partitions.enumerate() {
        let name = config.name;
        told(format_args!(
            "report partition name={name} state={} restarts={} faults={}",
            state.lifecycle().name(),
            state.restarts(),
            state.faults()
        ));
        for kind in ExitKind::ALL {
            let all = seat::all_of(PartitionId::new(index as u8));
            let cost = Costs::sum(all.filter_map(Seat::costs), kind);
            if cost.count() > 0 {
                told(format_args!(
                    "report exits partition={name} kind={} count={} short={} total={} p50={} p999={} max={}",
                    kind.name(),
                    cost.count(),
                    cost.short,
                    cost.total,
                    cost.p50,
                    cost.p999,
                    cost.max
                ));
            }
        }
        #[cfg(feature = "shared")]
        crate::shared::counters::report(index, |line| {
            told(format_args!("{}", log::text(line.bytes())));
        });
    }
    trace::report(|line| told(format_args!("{line}")));
    told(format_args!("report end"));
    #[cfg(feature = "shared")]
    crate::shared::report(false);
}

/// A line that is sure to be told while the console takes text, however slowly: whoever waits meanwhile waits. One that takes none is waited for once.
fn told(arguments: core::fmt::Arguments<'_>) {
    /// How long the console may take nothing of the hypervisor's, in milliseconds: others have their turns.
    const PATIENCE: u64 = 500;
    static IS_STUCK: AtomicBool = AtomicBool::new(false);
    let Some(console) = storage::TERMINAL.get() else {
        return;
    };
    let patience = u64::from(cpu::tsc_khz()) * PATIENCE;
    let (mut room, mut since) = (console.room(), cpu::now());
    while room < Line::LONGEST {
        console.pump(cpu::now());
        let before = core::mem::replace(&mut room, console.room());
        let now = cpu::now();
        if room != before {
            since = now;
            IS_STUCK.store(false, Ordering::Relaxed);
        } else if IS_STUCK.load(Ordering::Relaxed) || now.wrapping_sub(since) > patience {
            IS_STUCK.store(true, Ordering::Relaxed);
            break;
        }
    }
    log::line(arguments);
}
