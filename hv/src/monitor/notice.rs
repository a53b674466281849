//! Telling a partition of others' failures: an interrupt, and a call that gives them one by one.
//!
//! The records are the queue: whoever is told has a place in the ring, and nothing is kept twice. One that asks too late has lost the oldest; it
//! sees that by the counts.

use core::sync::atomic::Ordering;

use model::monitor::Notice;

use super::control::Refused;
use super::record::Record;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::vcpu::Hypervisor;

impl<M: Machine> Hypervisor<M> {
    /// Interrupts those that are told of a partition's failures: there is a new one.
    pub(super) fn notify(&self, partition: &Partition) {
        for notice in partition.config.monitor.notify {
            if let Some(told) = self.partitions.get(usize::from(notice.partition.get())) {
                self.raise(told, notice.intid);
            }
        }
    }

    /// The oldest failure of which `caller` was not told yet, which it is now. `None` when there is none.
    ///
    /// # Errors
    /// It is told of nobody's.
    pub fn next_failure(&self, caller: &Partition) -> Result<Option<Record>, Refused> {
        let is_told = |of: &Partition| {
            let mut notices = of.config.monitor.notify.iter();
            notices.any(|notice: &Notice| notice.partition == caller.id)
        };
        if !self.partitions.iter().any(is_told) {
            return Err(Refused::Denied);
        }
        let Some(records) = &self.watch.records else {
            return Ok(None);
        };
        // Two of its virtual CPUs take turns.
        let _turn = caller.power.lock();
        let place = &caller.health.told;
        let numbers = records.numbers();
        for number in place.load(Ordering::Relaxed).max(numbers.start)..numbers.end {
            // Another pCPU writes it now, and interrupts afterwards; or it was overwritten, and the next call begins behind it.
            let Some(whose) = records.partition(number) else {
                break;
            };
            let of = self.partitions.get(usize::from(whose));
            if of.is_some_and(is_told) {
                let Some(record) = records.get(number) else {
                    break;
                };
                place.store(number + 1, Ordering::Relaxed);
                return Ok(Some(record));
            }
            place.store(number + 1, Ordering::Relaxed);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
