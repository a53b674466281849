//! What each pCPU did last, event by event: [`hv::trace`] on a PC. In an image without the feature `trace` [nothing](absent.rs) stands in its place.

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use hv::event::Event as Told;
use hv::report::Line;
use hv::trace::{Access, Event, Kind, Reason, Ring, Who};
use model::x86::exit::ExitKind;
use model::{PartitionId, VcpuId};
#[cfg(feature = "channels")]
use x86_port::bell::Listener;
use x86_port::guest::{Cause, Guest};

use crate::cpu;
use crate::log::text;
use crate::storage::{PCPUS, STACK_SIZE, STACKS};

static RINGS: [Ring; PCPUS] = [const { Ring::new() }; PCPUS];

/// Which pCPU has booted: it stays on a stack of its own.
static BOOTED: AtomicUsize = AtomicUsize::new(PCPUS);

/// Which stack this code runs on.
#[inline(always)]
fn stack() -> usize {
    let stack: u64;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    stack.wrapping_sub((&raw const STACKS) as u64) as usize / STACK_SIZE
}

/// The CPU that runs this code is this pCPU: from here on it records.
pub fn begin(pcpu: usize) {
    if stack() == PCPUS {
        BOOTED.store(pcpu, Ordering::Relaxed);
    }
}

/// The ring of the CPU that runs this code, told by its stack. `None` before it has [begun](begin).
#[inline(always)]
pub fn own() -> Option<&'static Ring> {
    let place = match stack() {
        PCPUS => BOOTED.load(Ordering::Relaxed),
        place => place,
    };
    RINGS.get(place)
}

/// Now, as events have it.
#[cfg(feature = "shared")]
#[inline(always)]
pub fn moment() -> u64 {
    cpu::now()
}

fn event(kind: Kind, who: Who, value: u64) -> Event {
    Event {
        at: cpu::now(),
        kind,
        who,
        value,
    }
}

/// Records what the log is told.
pub fn note(event: &Told) {
    if let Some(ring) = own() {
        ring.note(cpu::now(), event);
    }
}

/// This CPU has waited, and was interrupted: by a call or, if it is shared, by its alarm.
#[cold]
pub fn waited() {
    if let Some(ring) = own() {
        let interrupt = event(Kind::INTERRUPT, Who::NOBODY, 0);
        ring.waited(interrupt.at);
        ring.put(interrupt);
    }
}

/// From here on nothing is recorded, until somebody at the console wants it.
pub fn freeze() {
    hv::trace::turn(&RINGS, false);
}

/// Turns the recording on or off. Returns the line that says so.
pub fn toggle() -> &'static str {
    text(hv::trace::toggle(&RINGS))
}

/// The lines of a report, each without what ends it.
pub fn report(mut tell: impl FnMut(&str)) {
    let frequency = u64::from(cpu::tsc_khz()) * 1000;
    for index in 0.. {
        let mut line = Line::default();
        if !hv::trace::report(&RINGS, frequency, index, &mut line) {
            return;
        }
        let line = text(line.bytes());
        if !line.is_empty() {
            tell(line);
        }
    }
}

/// What records a virtual CPU.
#[derive(Clone, Copy)]
pub struct Recorder {
    /// That of its pCPU.
    ring: Option<&'static Ring>,
    /// It, as events name it.
    pub who: Who,
}

impl Recorder {
    /// That of a virtual CPU of a partition, on a pCPU.
    pub fn new(partition: PartitionId, number: usize, pcpu: usize) -> Self {
        Self {
            ring: RINGS.get(pcpu),
            who: Who::vcpu(partition, VcpuId::new(number as u8)),
        }
    }

    /// The guest was left at `at`. Nobody has asked it yet why.
    #[inline(always)]
    pub fn left(self, at: u64, guest: &impl Guest) {
        if let Some(ring) = self.ring {
            let Cause { number, interrupt } = guest.cause();
            let reason = match interrupt {
                true => Reason::Interrupt,
                false => Reason::Synchronous,
            };
            ring.left(at, self.who, reason, number.into());
        }
    }

    /// The guest is entered after an exit of this kind, its own or another one's.
    #[inline(always)]
    pub fn entering(self, kind: ExitKind) {
        if let Some(ring) = self.ring {
            ring.entering(cpu::now(), self.who, Kind::entry_on_pc(kind));
        }
    }

    /// It rings somebody.
    #[cfg(feature = "channels")]
    pub fn rings(self, to: &Listener) {
        if let Some(ring) = self.ring {
            let value = u64::from(to.partition.get()) << 32 | u64::from(to.vector);
            ring.put(event(Kind::DOORBELL, self.who, value));
        }
    }

    /// It cannot go on from the instruction at `pc`.
    #[cold]
    pub fn cannot_go_on(self, pc: u64) {
        if let Some(ring) = self.ring {
            ring.put_seldom(event(Kind::fault(Access::Unknown), self.who, pc));
        }
    }
}
