//! What turns need of the hardware, beside what every virtual CPU needs.

use gic::{InterruptController, SharedInterface};

use super::dispatcher::AlarmClock;
use super::policy::Policy;
use crate::arch::aarch64::context::Context;
use crate::arch::aarch64::world::World;
use crate::machine::Cpu;

impl<C: Cpu> AlarmClock for C {
    #[inline(always)]
    fn now() -> u64 {
        <C as Cpu>::now()
    }

    #[inline(always)]
    fn set_alarm(at: u64) {
        <C as Cpu>::set_alarm(at);
    }

    #[inline(always)]
    fn clear_alarm() {
        <C as Cpu>::clear_alarm();
    }
}

/// A CPU whose registers are moved from one virtual CPU to the next.
pub trait SharedCpu {
    /// Takes what the guest left in this CPU, and turns its timers off. Its floating-point registers stay.
    fn save(world: &mut World);

    /// Puts the registers of another guest in their place; its timers stay off.
    fn load(world: &World);

    /// Lets the timers of the guest that is loaded go on.
    fn start_timers(world: &World);

    /// Whether the timers of the guest that is loaded, the virtual one first, ask for an interrupt now.
    fn timers_ask() -> [bool; 2];

    /// Forgets on this CPU what it has learnt of the translations of the partition that is loaded: another of its virtual CPUs, with other
    /// tables, was here.
    fn forget_translations();

    /// Waits until the maintenance of caches and translations that this CPU has begun is complete on all of them.
    #[cfg(feature = "global")]
    fn complete_maintenance();

    /// Has the next use of floating point trapped, or not.
    fn trap_floating_point(trap: bool);

    /// Takes the floating-point registers.
    fn save_floating_point(world: &mut World);

    /// Puts floating-point registers in place.
    fn load_floating_point(world: &World);

    /// The guest that this CPU enters next.
    fn enter_next(context: &mut Context);

    /// A number that this CPU has alone.
    #[cfg(feature = "masked")]
    fn number() -> usize;

    /// True when an interrupt waits to be acknowledged.
    fn is_interrupt_pending() -> bool;

    /// When the alarm rings, if it is set.
    fn alarm() -> Option<u64>;
}

/// An interrupt controller whose virtual CPU interface is shared.
pub trait SharedGic: SharedInterface {}
impl<T: SharedInterface + InterruptController> SharedGic for T {}

/// A machine with shared pCPUs.
pub trait SharedMachine {
    /// What decides on each of them.
    type Policy: Policy + 'static;

    /// What decides on all pCPUs of a global pool.
    #[cfg(feature = "global")]
    type GlobalPolicy: super::global::GlobalPolicy + 'static;
}
