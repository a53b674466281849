//! What happens to the virtual CPUs of shared pCPUs, event by event, for a timeline.
//!
//! Each virtual CPU has a ring, in which whoever decides of it writes down what has changed: its pCPU, or the one that holds the lock of its pool. A
//! decision takes less than 40 instructions more for each event; what an image without this feature pays is nothing. The first report ends the recording and prints what is there.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use embassy_time::Instant;
#[cfg(feature = "global")]
use model::PcpuId;

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

/// What happened. The discriminant stands in the lowest bits of an event, the pCPU above, and the time in nanoseconds above that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
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

const KIND_BITS: u32 = 3;
/// The pCPU that one runs on which moves, counted from 1; 0: its own.
const PCPU_BITS: u32 = 8;
const TIME: u32 = KIND_BITS + PCPU_BITS;

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

/// The events of one virtual CPU. One at a time writes.
#[derive(Debug)]
pub struct Ring {
    events: [AtomicU64; ROOM as usize],
    /// How many there were.
    count: AtomicU32,
    /// No more are recorded.
    frozen: AtomicBool,
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
            depletions: AtomicU64::new(0),
            periods: AtomicU64::new(0),
        }
    }

    /// A report begins: what is there stays as it is.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Something happened to the virtual CPU.
    #[inline(always)]
    pub fn record(&self, at: Instant, kind: Kind) {
        self.put(at, kind as u64);
    }

    /// One that moves has its turn on this pCPU.
    #[cfg(feature = "global")]
    pub fn record_run_on(&self, at: Instant, pcpu: PcpuId) {
        self.put(
            at,
            Kind::Run as u64 | (u64::from(pcpu.get()) + 1) << KIND_BITS,
        );
    }

    #[inline(always)]
    fn put(&self, at: Instant, what: u64) {
        if self.frozen.load(Ordering::Relaxed) {
            return;
        }
        let count = self.count.load(Ordering::Relaxed);
        if let Some(place) = self.events.get((count % ROOM) as usize) {
            place.store(at.as_ticks() << TIME | what, Ordering::Relaxed);
        }
        self.count.store(count.wrapping_add(1), Ordering::Release);
    }

    /// So often its budget was used up, and so many of its periods have ended: records what is new.
    pub fn follow(&self, at: Instant, [depletions, periods]: [u64; 2]) {
        if self.depletions.swap(depletions, Ordering::Relaxed) != depletions {
            self.record(at, Kind::BudgetEnd);
        }
        if self.periods.swap(periods, Ordering::Relaxed) != periods {
            self.record(at, Kind::Replenish);
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

/// What a scheduler remembers from one decision to the next.
#[derive(Debug)]
pub struct Tracer {
    /// Whose turn it was.
    run: Option<usize>,
    /// Before this no budget is used up, and no period ends of one that has something to do.
    next: Option<Instant>,
}

impl Tracer {
    /// Nobody has had a turn.
    pub const fn new() -> Self {
        Self {
            run: None,
            next: None,
        }
    }

    /// The policy wants to look again at `next`.
    #[inline(always)]
    pub fn expect(&mut self, next: Option<Instant>) {
        self.next = next;
    }
}

impl<M: Machine> Scheduler<M> {
    /// Records what a decision at `at` has changed: `run` has its turn.
    #[inline(always)]
    pub(super) fn trace(&mut self, at: Instant, run: Option<usize>) {
        let tracer = self.tracer();
        let before = core::mem::replace(&mut tracer.run, run);
        if tracer.next.is_some_and(|next| next <= at) {
            self.trace_ends(at);
        }
        if before != run {
            let ring = |index: Option<usize>| self.ring(index?);
            if let Some(ring) = ring(before) {
                ring.record(at, Kind::Stop);
            }
            if let Some(ring) = ring(run) {
                ring.record(at, Kind::Run);
            }
        }
    }

    /// Records whose budget or period has ended.
    fn trace_ends(&self, at: Instant) {
        let mut index = 0;
        while let Some(ring) = self.ring(index) {
            ring.follow(at, self.policy().ends(index));
            index += 1;
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
            line.put(format_args!(" {}", name(event)));
            match event >> KIND_BITS & ((1 << PCPU_BITS) - 1) {
                0 => {}
                pcpu => line.put(format_args!(".{}", pcpu - 1)),
            }
            line.put(format_args!("@{}", event >> TIME));
        }
        line.put(format_args!("\n"));
    }
    true
}

#[cfg(test)]
mod tests;
