//! The trace: what each physical CPU did last, event by event, with the time of the system counter.
//!
//! # Principles
//! - Each pCPU has a [`Ring`] in which it alone writes, without lock, loop or wait: an event takes at most 40 instructions. When the ring is full the oldest
//!   event goes.
//! - Whoever writes an event writes it where it runs: what a pCPU does for others stands in its own ring. Rings together, by time, are the trace of the system.
//! - What comes seldom, as faults do, is kept a second time by itself: what comes often must not push it out.
//! - The events around the dearest exit since the start are kept apart from the ring, where they would be overwritten: see [`dearest`].
//! - A ring records while it is on. A report that somebody at the console asks for turns all rings off, so that what it prints stays as it is; Ctrl-] `t` turns
//!   them on or off.
//! - An image without the feature `trace` has none of this.
//!
//! # Limits
//! - A CPU that is stopped in the middle of an event leaves half of it; it is never the newest one that is shown.

mod dearest;
mod event;
mod exits;
mod report;
mod store;

#[cfg(feature = "channels")]
pub(crate) use exits::who;
pub(crate) use exits::{entering, left, short, waited};
pub use report::report;

use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::IntId;
pub use model::trace::{Access, Event, Kind, Reason, Who};

use self::dearest::Dearest;
use self::store::Store;
use crate::event as told;
use crate::machine::{Cpu, Machine};

/// How many of the latest events a ring holds.
pub const ROOM: usize = if cfg!(test) { 64 } else { 4096 };
/// How many of those that come seldom it holds beside them.
const SELDOM: usize = if cfg!(test) { 8 } else { 128 };

/// The latest events of a pCPU. It alone writes; others read what it wrote. The events come last: the exit vectors reach the rest by short offsets.
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    /// Nothing is recorded while this is set.
    off: AtomicBool,
    /// When the last exit began, or its pCPU last waited in it, in ticks: see [`exits`].
    since: AtomicU64,
    dearest: Dearest,
    /// The latest of those that come seldom.
    seldom: Store<SELDOM>,
    /// All of them.
    all: Store<ROOM>,
}

impl Ring {
    /// Nothing has happened.
    pub const fn new() -> Self {
        Self {
            off: AtomicBool::new(false),
            since: AtomicU64::new(0),
            dearest: Dearest::new(),
            seldom: Store::new(),
            all: Store::new(),
        }
    }

    /// The ring of the calling pCPU.
    #[inline(always)]
    pub(crate) fn own<M: Machine>(machine: &M) -> Option<&'static Self> {
        machine.rings().get(machine.pcpu())
    }

    /// Records an event. Called by the ring's own pCPU alone.
    #[inline(always)]
    pub fn put(&self, event: Event) {
        if !self.is_off() {
            self.keep(event);
        }
    }

    /// The same while it is on.
    #[inline(always)]
    fn keep(&self, event: Event) {
        self.all.put(event);
        self.keep_event();
    }

    /// The same for one that comes seldom: it stays when the others have gone.
    pub fn put_seldom(&self, event: Event) {
        if !self.is_off() {
            self.seldom.put(event);
        }
        self.put(event);
    }

    /// Records at `at` what the log is told, too.
    pub fn note(&self, at: u64, event: &told::Event) {
        for (kind, who, value) in event::of(event).into_iter().flatten() {
            self.put_seldom(Event {
                at,
                kind,
                who,
                value,
            });
        }
    }

    /// An event was recorded: if those around the dearest exit are not all kept yet, one more is.
    #[inline]
    pub(crate) fn keep_event(&self) {
        if self.dearest.is_incomplete() {
            self.dearest.keep_one(&self.all);
        }
    }

    /// From here on nothing is recorded, or something.
    fn turn(&self, on: bool) {
        self.off.store(!on, Ordering::Relaxed);
    }

    fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// The event that comes seldom with this number, unless it is among [all](Self::all) still.
    fn lost(&self, number: u64) -> Option<Event> {
        let Range { start, .. } = self.all.numbers();
        let oldest = self.all.get(start).filter(|_| start > 0)?;
        let event = self.seldom.get(number)?;
        (event.at < oldest.at).then_some(event)
    }
}

/// Where assembly, as that of the exit vectors, finds what it needs of a [`Ring`], in bytes.
pub mod layout {
    use core::mem::offset_of;

    use super::{Dearest, ROOM, Ring, Store};

    pub use super::dearest::WINDOW;
    /// Whether nothing is recorded: a byte.
    pub const OFF: usize = offset_of!(Ring, off);
    /// How many events there were: eight bytes.
    pub const COUNT: usize = offset_of!(Ring, all) + offset_of!(Store<ROOM>, count);
    /// The events.
    pub const SLOTS: usize = offset_of!(Ring, all) + offset_of!(Store<ROOM>, slots);
    /// Events of the dearest exit's window that were taken: eight bytes.
    pub const TAKEN: usize = offset_of!(Ring, dearest) + offset_of!(Dearest, taken);
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

/// Records what happens now on the calling pCPU.
#[inline(always)]
pub(crate) fn now<M: Machine>(machine: &M, kind: Kind, who: Who, value: u64) {
    if let Some(ring) = Ring::own(machine) {
        ring.put(Event {
            at: M::Cpu::now(),
            kind,
            who,
            value,
        });
    }
}

/// The calling pCPU has taken a physical interrupt while no guest ran on it.
pub(crate) fn interrupt<M: Machine>(machine: &M, intid: IntId) {
    now(machine, Kind::INTERRUPT, Who::NOBODY, intid.get().into());
}

/// Records what the [log](Machine::record) is told, too: a machine with rings calls this for each event.
pub fn note<M: Machine>(machine: &M, event: &told::Event) {
    if let Some(ring) = Ring::own(machine) {
        ring.note(M::Cpu::now(), event);
    }
}

/// Turns the rings of all pCPUs on or off.
pub fn turn(rings: &[Ring], on: bool) {
    for ring in rings {
        ring.turn(on);
    }
}

/// Turns them on when they are off, else off. Returns a line that says so.
pub fn toggle(rings: &[Ring]) -> &'static [u8] {
    let on = rings.iter().any(Ring::is_off);
    turn(rings, on);
    if on {
        b"the trace is on\n"
    } else {
        b"the trace is off\n"
    }
}

/// The last events of the calling pCPU, the oldest of them first: at most `most`.
pub fn last<M: Machine>(machine: &M, most: usize) -> impl Iterator<Item = Event> {
    let ring = Ring::own(machine);
    ring.into_iter().flat_map(move |ring| ring.all.last(most))
}

#[cfg(test)]
pub(crate) mod tests;
