//! What a partition may do to the life of another one: what the system file grants it, and nothing else.

use core::sync::atomic::Ordering;

use model::PartitionId;
use model::monitor::Class;

use crate::event::Event;
use crate::exit::ExitKind;
use crate::machine::Machine;
use crate::partition::{Partition, request};
use crate::power::{Lifecycle, Power, Then};
use crate::vcpu::Hypervisor;

/// What can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A partition that stands still starts.
    Start,
    /// It stops; one that waits to start does not.
    Stop,
    /// It starts again, whatever it does now.
    Restart,
    /// Its virtual CPUs rest.
    Suspend,
    /// They go on.
    Resume,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Suspend,
        Self::Resume,
    ];

    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }
}

/// Why an order is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The system file does not grant it, or there is no such partition: who has no right does not learn which.
    Denied,
    /// The partition is not in a state in which that can be done, or is on its way to another one.
    NotNow,
    /// What it asks for is on its way: it is to ask again.
    #[cfg(feature = "shared")]
    NotYet,
}

/// What is told about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it is in its life: 0 stopped, 1 waiting to start, 2 running, 3 suspended, 4 stopping or being loaded.
    pub code: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// Its faults.
    pub faults: u64,
}

impl<M: Machine> Hypervisor<M> {
    /// The partition, if one of these rights is about it.
    pub(super) fn granted(
        &self,
        rights: &[&[PartitionId]],
        target: PartitionId,
    ) -> Result<&'static Partition, Refused> {
        let granted = rights.iter().any(|right| right.contains(&target));
        let partition = self.partitions.get(usize::from(target.get()));
        partition.filter(|_| granted).ok_or(Refused::Denied)
    }

    /// The partition, if its caller may know how it does.
    fn watched(
        &self,
        caller: &Partition,
        target: PartitionId,
    ) -> Result<&'static Partition, Refused> {
        let rights = &caller.config.monitor;
        self.granted(&[rights.may_control, rights.may_watch], target)
    }

    /// How a partition does.
    ///
    /// # Errors
    /// The caller has no right over it.
    pub fn state_of(&self, caller: &Partition, target: PartitionId) -> Result<State, Refused> {
        let partition = self.watched(caller, target)?;
        let power = partition.power.lock();
        Ok(State {
            code: match power.lifecycle() {
                Lifecycle::Stopped => 0,
                Lifecycle::Waiting(_) | Lifecycle::Ordered => 1,
                Lifecycle::Running => 2,
                Lifecycle::Suspended => 3,
                Lifecycle::Loading | Lifecycle::Stopping(_) => 4,
            },
            restarts: power.restarts(),
            faults: partition.faults(),
        })
    }

    /// One of the counts of a partition, as [`Call::Count`](model::call::Call::Count) numbers them; `None` when there is none of that number.
    ///
    /// # Errors
    /// The caller has no right over it; or the count is on its way.
    pub fn count_of(
        &self,
        caller: &Partition,
        target: PartitionId,
        number: usize,
    ) -> Result<Option<u64>, Refused> {
        let partition = self.watched(caller, target)?;
        #[cfg(feature = "shared")]
        if let Some(vcpu) = (number >> 8).checked_sub(1) {
            return self.turns_of(partition, vcpu, number & 0xff);
        }
        let exits = ExitKind::ALL.map(|kind| partition.cost(kind).count());
        let failures = Class::ALL.map(|class| partition.health.count(class));
        let mut counts = exits.into_iter().chain(failures);
        Ok(counts.nth(number))
    }

    /// One of the events that led to the newest failure of a partition of which there is a record, and the number of that record; `None` when there are no
    /// more. What the CPU did for others is left out.
    ///
    /// # Errors
    /// The caller has no right over it.
    #[cfg(feature = "trace")]
    pub fn trace_of(
        &self,
        caller: &Partition,
        target: PartitionId,
        number: usize,
    ) -> Result<Option<(crate::trace::Event, u64)>, Refused> {
        let id = self.watched(caller, target)?.id;
        let newest = self.watch.records.as_ref().and_then(|records| {
            let is_about = |number: &u64| records.partition(*number) == Some(id.get());
            let newest = records.numbers().rev().find(is_about)?;
            Some((records.get(newest)?, newest))
        });
        Ok(newest.and_then(|(record, newest)| {
            let events = record.trace.events();
            let mut own = events.filter(|event| event.who.of_partition() == Some(id));
            Some((own.nth(number)?, newest))
        }))
    }

    /// Follows an order about a partition. It is done when the virtual CPUs that it is about have heard of it.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn control(
        &self,
        caller: &Partition,
        order: Order,
        target: PartitionId,
    ) -> Result<(), Refused> {
        let partition = self.granted(&[caller.config.monitor.may_control], target)?;
        let done = {
            let mut power = partition.power.lock();
            let done = follow(&mut power, order);
            let suspended = power.lifecycle() == Lifecycle::Suspended;
            partition
                .health
                .suspended
                .store(suspended, Ordering::Relaxed);
            done
        };
        if !done {
            return Err(Refused::NotNow);
        }
        self.machine.record(Event::Controlled {
            by: caller.id,
            partition: target,
            order,
        });
        self.kick(partition, partition.everyone(), request::POWER);
        match order {
            Order::Stop => self.end_if_all_stopped(),
            Order::Resume => self.begin_watch(partition),
            Order::Start | Order::Restart | Order::Suspend => {}
        }
        Ok(())
    }
}

/// Changes the state. True when that could be done.
fn follow(power: &mut Power, order: Order) -> bool {
    match order {
        Order::Start => power.order_start().is_ok(),
        Order::Stop => power.begin_stop(Then::Stop) || power.cancel_start().is_ok(),
        Order::Restart => power.begin_stop(Then::Restart) || power.order_start().is_ok(),
        Order::Suspend => power.suspend().is_ok(),
        Order::Resume => power.resume().is_ok(),
    }
}
