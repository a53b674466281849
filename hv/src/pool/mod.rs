//! Physical CPUs that several virtual CPUs share: one [`Scheduler`] for each of them.
//!
//! # Principles
//! - The compiler gives each virtual CPU one pCPU, so a scheduler decides for its own pCPU alone. Only that pCPU touches it: there is no
//!   lock, and other pCPUs reach its virtual CPUs as they reach any: by a request word and a call ([`Call`]). Pools whose virtual CPUs may
//!   move have one policy for all their pCPUs instead, in [`global`].
//! - *Whose turn it is* is decided by a [policy](policy), which knows nothing of registers. *Whose registers are loaded* is another
//!   question: they stay until another one needs the place, so that a virtual CPU that waits alone is woken at no cost.
//! - A virtual CPU that is not loaded has all of its state in memory, list registers included, and its timers are off. What comes for it is
//!   noted in the virtual interrupt controller, and the policy is told that it has something to do.
//! - The image of a partition that starts again is put into place by one of its own virtual CPUs, in its turns and at its expense. An
//!   access to the virtual interrupt controller that takes long is broken off for others in the same way.
//! - Time in the hypervisor is charged to the virtual CPU that runs. Others can call it only once for each thing that they ask,
//!   until the virtual CPU has had its turn.
//! - `dedicated` pCPUs have no scheduler, and a system without shared ones is built without this module.
//!
//! # Limits
//! - One that shares a pCPU has no performance counters and no hardware breakpoints: their registers read as zero.
//! - Its WFE is not trapped: it waits on its own time, since a store by another virtual CPU, which nobody tells us of, may end it.

#[cfg(feature = "rtds")]
pub mod budget;
pub mod choice;
pub mod clock;
pub mod counters;
pub mod dispatcher;
mod errand;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg_attr(not(feature = "global"), path = "global/absent.rs")]
pub mod global;
mod hardware;
pub mod policy;
mod scheduler;
mod switch;
#[cfg(feature = "trace")]
mod trace;
#[cfg(not(feature = "trace"))]
#[path = "trace/absent.rs"]
mod trace;
#[cfg(feature = "cyclic")]
pub mod windows;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use gic::{InterfaceState, PrivateState};
use model::IntId;

use crate::arch::aarch64::world::World;
use crate::exit::MmioAccess;
use crate::machine::{Cpu, Machine};
use crate::partition::is_news;
use crate::vcpu::KICK;
pub use counters::{Published, SUMMARY, report};
pub use errand::wanted;
pub use hardware::{SharedCpu, SharedGic, SharedMachine};
pub use scheduler::{Member, Scheduler, bring_up, schedule};
pub use trace::Kind;
#[cfg(feature = "trace")]
pub use trace::{Clerk, Ends, Tracer};

/// The SGI by which a shared pCPU is called. Not [`KICK`], which the exit vectors may answer by themselves on behalf of whoever runs.
const CALL: IntId = IntId::new(1);

/// A virtual CPU's part in a pool.
pub struct Turn<M: Machine> {
    /// The pCPU's scheduler, while the registers of this virtual CPU are loaded there.
    scheduler: Option<&'static mut Scheduler<M>>,
    /// The pCPU of a global pool, while the registers of this virtual CPU are loaded there.
    #[cfg(feature = "global")]
    post: Option<&'static mut global::Post<M>>,
    /// It waits for an interrupt.
    waits: bool,
    /// Its partition starts again, so far.
    restart: Option<errand::Restart>,
    /// Its guest's access that was broken off.
    access: Option<MmioAccess>,
    /// Its interrupts have not all been placed.
    unplaced: bool,
    /// Commands of its guest to the virtual ITS are left.
    commands: bool,
    /// The guest's registers, while they are not loaded.
    world: World,
    interface: InterfaceState,
    /// The physical state of its timers' interrupts.
    timers: PrivateState,
}

impl<M: Machine> Turn<M> {
    /// Of a virtual CPU with a physical CPU of its own, until a scheduler takes it.
    pub fn new() -> Self {
        Self {
            scheduler: None,
            #[cfg(feature = "global")]
            post: None,
            waits: false,
            restart: None,
            access: None,
            unplaced: false,
            commands: false,
            world: World::new(),
            interface: InterfaceState::default(),
            timers: PrivateState::default(),
        }
    }
}

impl<M: Machine> Default for Turn<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// What all pools have in common.
#[derive(Debug)]
pub struct Common {
    /// When the console must be looked after, in ticks, if the alarm of the pCPU that was told so was set for something earlier.
    console_due: AtomicU64,
    /// Calls for counters so far.
    called_for: AtomicU32,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            console_due: AtomicU64::new(u64::MAX),
            called_for: AtomicU32::new(0),
        }
    }
}

impl Common {
    /// The console must be looked after at `at`. The alarm of this pCPU may be set for something earlier, which is not forgotten.
    pub fn console_alarm<M: Machine>(&self, at: u64) {
        self.console_due.fetch_min(at, Ordering::Relaxed);
        if M::Cpu::alarm().is_none_or(|armed| armed > at) {
            M::Cpu::set_alarm(at);
        }
    }

    /// When the console must be looked after, in ticks; [`u64::MAX`]: no time is set.
    fn console_due(&self) -> u64 {
        self.console_due.load(Ordering::Relaxed)
    }

    /// True, once, when the console must be looked after.
    fn is_console_due(&self, now: u64) -> bool {
        let due = self.console_due.load(Ordering::Relaxed);
        due <= now
            && self
                .console_due
                .compare_exchange(due, u64::MAX, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// How the pCPU of a virtual CPU is called.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    sgi: IntId,
}

impl Call {
    /// Of a virtual CPU that shares its pCPU, or does not.
    pub const fn new(shared: bool) -> Self {
        Self {
            sgi: if shared { CALL } else { KICK },
        }
    }

    /// True when several virtual CPUs share the pCPU.
    pub const fn is_shared(self) -> bool {
        self.sgi.get() == CALL.get()
    }

    /// By which SGI.
    #[inline(always)]
    pub const fn sgi(self) -> IntId {
        self.sgi
    }

    /// Whether a call is needed when `what` is asked for and `before` was asked already: a shared pCPU is called for [news](is_news) alone.
    #[inline(always)]
    pub const fn is_needed(self, before: u32, what: u32) -> bool {
        self.sgi.get() == KICK.get() || is_news(before, what)
    }
}
