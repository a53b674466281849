//! What happens to the virtual CPUs of shared pCPUs, event by event, for a timeline.
//!
//! Each virtual CPU has a ring, in which its pCPU writes down what the policy has decided of it. A decision takes some
//! 45 instructions more for each event; what an image without this feature pays is nothing. The first report ends the recording and prints what is there.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use embassy_time::Instant;

use super::Scheduler;
use super::policy::Policy;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::report::Line;

/// How many events a ring holds: the latest ones.
const ROOM: u32 = 512;
/// Events in a line of the report.
const IN_A_LINE: u32 = 8;
const LINES: usize = (ROOM / IN_A_LINE) as usize;

/// What happened. The discriminant stands in the lowest bits of an event, its time in nanoseconds above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// It has something to do.
    Wake,
    /// It has nothing to do.
    Block,
    /// It has its turn.
    Run,
    /// Its turn is over.
    Stop,
    /// Its budget is used up.
    BudgetEnd,
    /// A period has ended while it had something to do: its budget is full again.
    Replenish,
}

const KIND_BITS: u32 = 4;

/// It has something to do.
const AWAKE: u8 = 1 << 0;
/// It has its turn.
const RUNS: u8 = 1 << 1;

/// The word that reports use for an event.
const fn name(event: u64) -> &'static str {
    match event & ((1 << KIND_BITS) - 1) {
        0 => "wake",
        1 => "block",
        2 => "run",
        3 => "stop",
        4 => "budget-end",
        _ => "replenish",
    }
}

/// The events of one virtual CPU. Only its pCPU writes.
#[derive(Debug)]
pub struct Ring {
    events: [AtomicU64; ROOM as usize],
    /// How many there were.
    count: AtomicU32,
    /// No more are recorded.
    frozen: AtomicBool,
    /// [`AWAKE`] and [`RUNS`].
    flags: AtomicU8,
    depletions: AtomicU64,
    periods: AtomicU64,
}

impl Ring {
    /// Nothing has happened.
    pub const fn new() -> Self {
        Self {
            events: [const { AtomicU64::new(0) }; ROOM as usize],
            count: AtomicU32::new(0),
            frozen: AtomicBool::new(false),
            flags: AtomicU8::new(0),
            depletions: AtomicU64::new(0),
            periods: AtomicU64::new(0),
        }
    }

    /// A report begins: what is there stays as it is.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    fn record(&self, at: Instant, kind: Kind) {
        if self.frozen.load(Ordering::Relaxed) {
            return;
        }
        let count = self.count.load(Ordering::Relaxed);
        if let Some(place) = self.events.get((count % ROOM) as usize) {
            place.store(at.as_ticks() << KIND_BITS | kind as u64, Ordering::Relaxed);
        }
        self.count.store(count.wrapping_add(1), Ordering::Release);
    }

    /// Records which flags have changed.
    #[inline(always)]
    fn follow(&self, flags: u8, at: Instant) {
        let changed = self.flags.load(Ordering::Relaxed) ^ flags;
        if changed == 0 {
            return;
        }
        self.flags.store(flags, Ordering::Relaxed);
        let kind = |flag, off, on| if flags & flag != 0 { on } else { off };
        if changed & AWAKE != 0 {
            self.record(at, kind(AWAKE, Kind::Block, Kind::Wake));
        }
        if changed & RUNS != 0 {
            self.record(at, kind(RUNS, Kind::Stop, Kind::Run));
        }
    }

    /// Records `kind` when the count has grown.
    #[inline(always)]
    fn grow(&self, seen: &AtomicU64, count: u64, at: Instant, kind: Kind) {
        if seen.load(Ordering::Relaxed) != count {
            seen.store(count, Ordering::Relaxed);
            self.record(at, kind);
        }
    }

    /// The events of a line, the oldest in the first one.
    fn line(&self, line: usize) -> impl Iterator<Item = u64> {
        let count = self.count.load(Ordering::Acquire);
        let first = count.saturating_sub(ROOM) + line as u32 * IN_A_LINE;
        let last = count.min(first + IN_A_LINE);
        let places = (first..last).filter_map(|index| self.events.get((index % ROOM) as usize));
        places.map(|place| place.load(Ordering::Relaxed))
    }
}

impl<M: Machine> Scheduler<M> {
    /// Records what has changed for each virtual CPU with a decision at `at`: `run` has its turn.
    pub(super) fn trace(&self, at: Instant, run: Option<usize>) {
        for (index, (awake, ring)) in self.traced().enumerate() {
            let [depletions, periods] = self.policy().ends(index);
            ring.grow(&ring.depletions, depletions, at, Kind::BudgetEnd);
            ring.grow(&ring.periods, periods, at, Kind::Replenish);
            let runs = if run == Some(index) { RUNS } else { 0 };
            ring.follow(u8::from(awake) | runs, at);
        }
    }
}

/// A report's line on events: `index` counts the lines of all virtual CPUs of the partition. False behind the last.
pub fn report(partition: &Partition, index: usize, line: &mut Line) -> bool {
    let vcpu = index / LINES;
    let Some(shared) = partition.vcpus.get(vcpu) else {
        return false;
    };
    let mut events = shared.turns.ring().line(index % LINES).peekable();
    if events.peek().is_some() {
        line.put(format_args!(
            "report events partition={} vcpu={vcpu}",
            partition.config.name
        ));
        for event in events {
            line.put(format_args!(" {}@{}", name(event), event >> KIND_BITS));
        }
        line.put(format_args!("\n"));
    }
    true
}

#[cfg(test)]
mod tests;
