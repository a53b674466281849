//! What CPUs share: a fair lock with a checked order, and a cell that is set once at boot.
//!
//! # Lock order
//! A CPU that holds a lock takes only locks of a *higher* rank, never one of the same rank:
//!
//! 1. [`Rank::Report`]: a report of the statistics, which looks at every partition.
//! 2. [`Rank::Partition`]: life and death of a partition. Stopping one reaches into its virtual CPUs, so it comes first.
//! 3. [`Rank::Vcpu`]: one virtual CPU, its virtual interrupts, its partition's virtual UART. Their text goes to the console next.
//! 4. [`Rank::Its`]: the physical interrupt translation service, which partitions' virtual ones change.
//! 5. [`Rank::Iommu`]: an IOMMU. Nothing below it calls back into a partition.
//! 6. [`Rank::Pci`]: the configuration space of a PCI function. Nothing below it calls back into a partition.
//! 7. [`Rank::Pool`]: a global pool of shared pCPUs. No other lock is taken below it.
//! 8. [`Rank::Console`]: the multiplexer and the physical UART. Nothing below it calls back into a partition.
//! 9. [`Rank::Log`]: the log ring. Anything may log, while it holds anything; logging takes no lock itself.
//!
//! Tests assert the order, where a thread stands for a CPU (`order.rs`); an image does not look.
//!
//! Interrupts stay masked at EL2 while a lock is held, so a holder is never interrupted by code that wants the same lock.
//! All of it uses atomic read-modify-write operations, which need the MMU on and cacheable memory (Arm ARM B2.12.2).

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU8, Ordering};

#[cfg(test)]
mod order;
mod tickets;

use tickets::Tickets;

/// An image keeps the order that the tests have checked.
#[cfg(not(test))]
mod order {
    pub(super) const fn enter(_rank: super::Rank) {}
    pub(super) const fn leave(_rank: super::Rank) {}
}

/// Atomics that a model checker replaces: see `tests/loom`.
mod atomic {
    pub use core::sync::atomic::{AtomicU32, Ordering};
}

/// Place of a lock in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A report under way: it looks at every partition.
    Report,
    /// Life and death of a partition.
    Partition,
    /// A virtual CPU, its virtual interrupts, its partition's virtual devices.
    Vcpu,
    /// The physical interrupt translation service.
    #[cfg(feature = "its")]
    Its,
    /// An IOMMU.
    #[cfg(feature = "iommu")]
    Iommu,
    /// A PCI function.
    #[cfg(feature = "pci")]
    Pci,
    /// A global pool of shared pCPUs.
    #[cfg(feature = "global")]
    Pool,
    /// Registers of the physical interrupt controller that several partitions' interrupts share.
    Distributor,
    /// The console multiplexer and the physical UART.
    Console,
    /// The log ring.
    Log,
}

/// A fair lock: CPUs get it in the order in which they asked.
pub struct TicketLock<T> {
    rank: Rank,
    tickets: Tickets,
    data: UnsafeCell<T>,
}

// SAFETY: `lock` and `try_lock` give out one guard at a time, so a shared lock moves access to `T` between CPUs but never shares it.
unsafe impl<T: Send> Sync for TicketLock<T> {}

impl<T> TicketLock<T> {
    /// A free lock around `data`.
    pub fn new(rank: Rank, data: T) -> Self {
        Self {
            rank,
            tickets: Tickets::new(0),
            data: UnsafeCell::new(data),
        }
    }

    /// Waits for the lock and takes it. The wait is bounded by the time that the CPUs before this one hold it.
    pub fn lock(&self) -> Guard<'_, T> {
        order::enter(self.rank);
        self.tickets.wait(crate::arch::relax);
        Guard::of(self)
    }

    /// Takes the lock if it is free; never waits.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.tickets.try_take().then(|| {
            order::enter(self.rank);
            Guard::of(self)
        })
    }

    /// The data, without locking: the exclusive reference proves that no one else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

/// Access to the data of a [`TicketLock`]; dropping it frees the lock.
#[must_use = "the lock is free again as soon as the guard is dropped"]
pub struct Guard<'a, T> {
    lock: &'a TicketLock<T>,
    /// Stays on its CPU: shared with another it would share `T`, which need not allow that, and moved it would leave its rank behind.
    stays: PhantomData<*const T>,
}

impl<'a, T> Guard<'a, T> {
    /// For the CPU whose ticket has come.
    const fn of(lock: &'a TicketLock<T>) -> Self {
        Self {
            lock,
            stays: PhantomData,
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while its ticket is served, and each ticket is drawn once (`lock`, `try_lock`).
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the exclusive borrow of the only guard makes this the only reference.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        order::leave(self.lock.rank);
        self.lock.tickets.end();
    }
}

/// A cell that is set once, at boot, and only read afterwards.
pub struct BootCell<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

const EMPTY: u8 = 0;
const WRITING: u8 = 1;
const SET: u8 = 2;

// SAFETY: the value is written by the one CPU that moves the state from EMPTY to WRITING, and only shared references to it are given
// out once it is SET. `Send` because the value may have been made on another CPU, `Sync` because all of them read it.
unsafe impl<T: Send + Sync> Sync for BootCell<T> {}

impl<T> BootCell<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    /// Gives `value` back when the cell is set already.
    pub fn set(&self, value: T) -> Result<(), T> {
        if self
            .state
            .compare_exchange(EMPTY, WRITING, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return Err(value);
        }
        // SAFETY: the exchange above succeeds once in the life of the cell, and nobody reads before the state is SET.
        unsafe { (*self.value.get()).write(value) };
        self.state.store(SET, Ordering::Release);
        Ok(())
    }

    /// The value, or `None` before it is set.
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: SET is stored after the value was written, and it is never written again; the load above acquires that write.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn counter_under_lock_loses_no_increment_of_four_threads() {
        let counter = TicketLock::new(Rank::Vcpu, 0_u32);

        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2_000).for_each(|_| *counter.lock() += 1));
            }
        });

        assert_eq!(*counter.lock(), 8_000);
    }

    #[test]
    fn held_lock_is_not_given_to_try_lock_but_is_after_the_drop() {
        let lock = TicketLock::new(Rank::Console, ());

        let guard = lock.lock();
        let while_held = lock.try_lock().is_some();
        drop(guard);

        assert!(!while_held);
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn try_lock_of_four_threads_never_lets_two_in() {
        let lock = TicketLock::new(Rank::Console, ());
        let inside = AtomicUsize::new(0);

        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if let Some(_guard) = lock.try_lock() {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn tickets_that_wrap_around_still_lock() {
        let lock = TicketLock {
            rank: Rank::Log,
            tickets: Tickets::new(u32::MAX),
            data: UnsafeCell::new(7),
        };

        drop(lock.lock());

        assert_eq!(lock.try_lock().map(|guard| *guard), Some(7));
    }

    #[test]
    fn ranks_taken_upwards_are_allowed_and_released_in_any_order() {
        let partition = TicketLock::new(Rank::Partition, ());
        let console = TicketLock::new(Rank::Console, ());

        let outer = partition.lock();
        let inner = console.lock();
        drop(outer);
        drop(inner);

        drop(console.lock());
        drop(partition.lock());
    }

    #[test]
    fn rank_taken_downwards_is_caught() {
        let caught = std::thread::spawn(|| {
            let console = TicketLock::new(Rank::Console, ());
            let vcpu = TicketLock::new(Rank::Vcpu, ());
            let _outer = console.lock();
            drop(vcpu.lock());
        })
        .join();
        assert!(caught.is_err());
    }

    #[test]
    fn held_ranks_forbid_their_own_and_lower_ones() {
        let held = order::Held::default().with(Rank::Vcpu);
        assert!(!held.allows(Rank::Partition) && !held.allows(Rank::Vcpu));
        assert!(held.allows(Rank::Console));
        assert!(held.without(Rank::Vcpu).allows(Rank::Partition));
    }

    #[test]
    fn boot_cell_keeps_its_first_value_and_returns_the_second() {
        let cell = BootCell::new();
        assert_eq!(cell.get(), None);
        assert_eq!(cell.set(5), Ok(()));
        assert_eq!(cell.set(6), Err(6));
        assert_eq!(cell.get(), Some(&5));
    }
}
