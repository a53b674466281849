//! Counters of a partition's turns on shared pCPUs, for one that may watch it.
//!
//! Each shared pCPU has the counters of its virtual CPUs for itself, and lays them open when it is called. That interrupts whoever runs there, so it is done
//! seldom, however often partitions ask: what they get is as old as the last call at most.

use core::sync::atomic::Ordering;

use super::control::Refused;
use crate::machine::{Cpu, Machine};
use crate::partition::Partition;
use crate::pool::counters::Counter;
use crate::vcpu::Hypervisor;

/// The shortest time from one call to the next, in nanoseconds.
const PERIOD: u64 = 100_000_000;

impl<M: Machine> Hypervisor<M> {
    /// A counter of one of a partition's virtual CPUs; `None` when there is no such virtual CPU or counter, or its pool does not have it, or not yet.
    ///
    /// # Errors
    /// Its pCPU was called and has not answered yet.
    pub(super) fn turns_of(
        &self,
        partition: &Partition,
        vcpu: usize,
        counter: usize,
    ) -> Result<Option<u64>, Refused> {
        let counter = Counter::ALL.get(counter);
        let (Some(vcpu), Some(counter)) = (partition.vcpus.get(vcpu), counter) else {
            return Ok(None);
        };
        if *counter == Counter::Entries {
            return Ok(Some(vcpu.turns.entries()));
        }
        if !vcpu.call.is_shared() {
            return Ok(None);
        }
        self.ask_for_counters();
        if !self.common.has_counters_of(vcpu) {
            return Err(Refused::NotYet);
        }
        Ok(vcpu.turns.value(*counter))
    }

    /// Calls the shared pCPUs for their counters, unless that was done a short while ago.
    fn ask_for_counters(&self) {
        let (now, asks) = (M::Cpu::now(), &self.watch.asks);
        let due = asks.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        let next = now.saturating_add(self.watch.ticks(PERIOD));
        let turn = asks.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if turn.is_ok() {
            self.call_for_counters();
        }
    }
}

#[cfg(test)]
mod tests {
    use model::PartitionId;
    use model::call::{Call, Status};

    use super::*;
    use crate::fake::{Done, Guest, LINUX, RT, World, advance, take_done};
    use crate::pool::fixture::{decide, first_turn_with};

    /// Virtual CPUs of `LINUX` share a pCPU; it may watch itself.
    fn world() -> (World, Guest) {
        first_turn_with(|linux| {
            linux.monitor.may_watch = Vec::leak(vec![PartitionId::new(LINUX as u8)]);
        })
    }

    /// Status and value of the count with this number.
    fn ask(guest: &mut Guest, number: u64) -> (Option<Status>, u64) {
        guest.hvc([Call::Count as u64, LINUX as u64 | number << 8, 0, 0]);
        (Status::of(guest.x0()), guest.vcpu.context.x[1])
    }

    /// The number of a counter of the first virtual CPU.
    fn of_first(counter: Counter) -> u64 {
        counter as u64 | 1 << 8
    }

    fn kicks() -> usize {
        let done = take_done().into_iter();
        done.filter(|done| matches!(done, Done::Kick(_))).count()
    }

    #[test]
    fn counters_come_once_the_pcpu_has_laid_them_open() {
        let (_, mut guest) = world();
        advance(25_000);
        decide(&mut guest);
        let (status, _) = ask(&mut guest, of_first(Counter::Periods));
        assert_eq!(status, Some(Status::NotPresent));
        guest.pending_interrupt();
        for (counter, expected) in [
            (Counter::Entries, 2),
            (Counter::Periods, 2),
            (Counter::Supply, 10_000),
        ] {
            let told = ask(&mut guest, of_first(counter));
            assert_eq!(told, (Some(Status::Success), expected), "{counter:?}");
        }
    }

    #[test]
    fn pcpus_are_called_seldom_however_often_somebody_asks() {
        let (world, mut guest) = world();
        let shared = world.partition(LINUX).vcpus.len();
        take_done();
        for _ in 0..2 {
            for _ in 0..1_000 {
                ask(&mut guest, of_first(Counter::Supply));
            }
            assert_eq!(kicks(), shared);
            let (status, _) = ask(&mut guest, of_first(Counter::Periods));
            assert_eq!(status, Some(Status::NotPresent));
            guest.pending_interrupt();
            advance(PERIOD / 1_000);
        }
    }

    #[test]
    fn what_is_not_counted_is_refused() {
        let (_, mut guest) = world();
        ask(&mut guest, of_first(Counter::Supply));
        guest.pending_interrupt();
        for number in [
            of_first(Counter::Windows),
            Counter::ALL.len() as u64 | 1 << 8,
            0xff | 1 << 8,
            3 << 8,
            u64::MAX >> 8,
        ] {
            let (status, _) = ask(&mut guest, number);
            assert_eq!(status, Some(Status::InvalidParameters), "{number:#x}");
        }
    }

    #[test]
    fn virtual_cpu_with_a_pcpu_of_its_own_has_a_scheduler_that_was_never_entered() {
        let world = World::with_both(|_, rt| {
            rt.monitor.may_watch = Vec::leak(vec![PartitionId::new(RT as u8)]);
        });
        let mut guest = world.started(RT);
        take_done();
        for counter in Counter::ALL {
            let argument = RT as u64 | of_first(counter) << 8;
            guest.hvc([Call::Count as u64, argument, 0, 0]);
            let expected = match counter {
                Counter::Entries => Status::Success,
                _ => Status::InvalidParameters,
            };
            assert_eq!(Status::of(guest.x0()), Some(expected), "{counter:?}");
        }
        assert_eq!(kicks(), 0);
    }
}
