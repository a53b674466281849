//! Storms of interrupts and missed budgets. Nothing is done for them where interrupts come and budgets end: what is counted there is looked at
//! once in each window of time.

use core::sync::atomic::{AtomicU64, Ordering};

use model::monitor::Class;

use super::{Failure, NEVER};
use crate::machine::Machine;
use crate::partition::Partition;
use crate::vcpu::Hypervisor;

/// The time over which is counted, in nanoseconds.
const WINDOW: u64 = 100_000_000;

/// What is asked of a virtual CPU beside [`request`](crate::partition::request)'s: it is to look whether it got its budget.
#[cfg(feature = "shared")]
pub(crate) const BUDGET: u32 = 1 << 2;

/// The window of a partition that is under way.
#[derive(Debug)]
pub(super) struct Rates {
    /// When it began and when it ends, in ticks; [`NEVER`]: nothing is looked for.
    since: AtomicU64,
    until: AtomicU64,
    /// [`Partition::interrupts`] at its begin.
    interrupts: AtomicU64,
}

impl Rates {
    pub(super) const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
            until: AtomicU64::new(NEVER),
            interrupts: AtomicU64::new(0),
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// A window of the partition begins at `now`. Returns when it ends, in ticks.
    pub(super) fn begin_window(&self, partition: &Partition, now: u64) -> u64 {
        let monitor = &partition.config.monitor;
        let looks = monitor.interrupt_limit.is_some() || watches_budget(partition);
        let until = match looks {
            true => now.saturating_add(self.watch.ticks(WINDOW)),
            false => NEVER,
        };
        let rates = &partition.health.rates;
        rates.since.store(now, Ordering::Relaxed);
        rates.until.store(until, Ordering::Relaxed);
        let interrupts = partition.interrupts();
        rates.interrupts.store(interrupts, Ordering::Relaxed);
        until
    }

    /// Looks at what came within the window, if it is over. Returns when to look again, in ticks.
    pub(super) fn look_at_rates(&self, partition: &Partition, now: u64) -> u64 {
        let rates = &partition.health.rates;
        let until = rates.until.load(Ordering::Relaxed);
        if until > now {
            return until;
        }
        let elapsed = now.saturating_sub(rates.since.load(Ordering::Relaxed));
        let before = rates.interrupts.load(Ordering::Relaxed);
        let came = partition.interrupts().wrapping_sub(before);
        let next = self.begin_window(partition, now);
        #[cfg(feature = "shared")]
        if watches_budget(partition) {
            // Its counters are its pCPU's, which is to look.
            self.kick(partition, partition.everyone(), BUDGET);
        }
        let rate = u128::from(came) * u128::from(self.watch.frequency) / u128::from(elapsed.max(1));
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let limit = partition.config.monitor.interrupt_limit;
        if limit.is_some_and(|limit| rate > u64::from(limit)) {
            let failure = Failure {
                class: Class::InterruptStorm,
                vcpu: None,
                pc: 0,
                value: rate,
            };
            let answer = self.judge(partition, &failure, || None);
            self.carry_out(partition, answer);
        }
        next
    }
}

/// True when the system file has an answer to missed budgets.
fn watches_budget(partition: &Partition) -> bool {
    let answers = &partition.config.monitor.answers;
    matches!(answers.get(Class::MissedBudget as usize), Some(Some(_)))
}

#[cfg(feature = "shared")]
impl<M: Machine> crate::vcpu::Vcpu<M> {
    /// Looks whether it has missed budgets since it looked last. True when its guest goes on.
    #[cold]
    pub(crate) fn check_budget(&mut self) -> bool {
        use crate::pool::counters::Counter;
        /// Its budget was used up; its budget, its window came too late.
        const MISSES: [Counter; 3] = [
            Counter::Depletions,
            Counter::LateReplenishments,
            Counter::MissedWindows,
        ];
        let counts = MISSES.into_iter().filter_map(|one| self.counter(one));
        let missed = counts.fold(0, u64::wrapping_add);
        let before = core::mem::replace(&mut self.missed, missed);
        let new = missed.wrapping_sub(before);
        new == 0 || self.failed(Class::MissedBudget, new)
    }
}

#[cfg(test)]
mod tests;
