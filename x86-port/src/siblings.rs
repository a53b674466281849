//! What the virtual CPUs of one partition do to one another.
//!
//! A CPU that wants something of another leaves word and sends an NMI, which ends whatever the other does. Word reaches CPUs of the sender's
//! partition only.

use x86_port::guest::{Beginning, Event};
use x86_port::policy::interrupt::{self, Action};

use crate::run::Vcpu;
use crate::world::World;
use crate::{SYSTEM, apic, storage};

/// What a virtual CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It executes.
    Runs,
    /// It waits for its startup, as all but the first do at first.
    Waits,
}

/// A non-maskable interrupt of a virtual CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NonMaskable {
    /// One waits.
    pending: bool,
    /// One is being handled: the next waits for its IRET.
    blocked: bool,
}

impl<G: World> Vcpu<G> {
    /// A write to the interrupt command register. Whom it does not name within the partition it does not reach.
    pub fn command(&self, value: u64) {
        let Some((action, destination)) = interrupt::command(value) else {
            return;
        };
        for (index, pcpu) in self.config.pcpus.iter().enumerate() {
            let pcpu = usize::from(pcpu.get());
            let (Some(other), Some(mailbox)) =
                (SYSTEM.pcpus.get(pcpu), storage::MAILBOXES.get(pcpu))
            else {
                continue;
            };
            if !destination.names(other.apic, self.apic) {
                continue;
            }
            match action {
                Action::Interrupt(vector) => {
                    apic::send_interrupt(other.apic, vector);
                    continue;
                }
                Action::NonMaskable => mailbox.non_maskable(),
                // The first has no firmware to begin in again, and none waits that runs.
                Action::Init | Action::Startup(_) if index == 0 || index == self.number => continue,
                Action::Init => mailbox.init(),
                Action::Startup(page) => mailbox.startup(page),
            }
            apic::send_nmi(other.apic);
        }
    }

    /// Does what others have left word of.
    pub fn serve(&mut self) {
        let signals = self.mailbox.take();
        if signals.init {
            apic::reset();
            self.activity = Activity::Waits;
        }
        if let Some(page) = signals.startup
            && self.activity == Activity::Waits
        {
            self.begin(Beginning::Page(page));
        }
        self.non_maskable.pending |= signals.non_maskable && self.activity == Activity::Runs;
    }

    /// It has sent itself a non-maskable interrupt.
    #[cfg(feature = "shared")]
    pub const fn own_non_maskable(&mut self) {
        self.non_maskable.pending = true;
    }

    /// A non-maskable interrupt waits, and is not held back.
    #[cfg(feature = "shared")]
    pub const fn is_non_maskable_due(&self) -> bool {
        self.non_maskable.pending && !self.non_maskable.blocked
    }

    /// Has the next entry deliver a non-maskable interrupt that waits. One that meets another event there waits for the next call, or IRET.
    pub fn deliver_non_maskable(&mut self) {
        let NonMaskable { pending, blocked } = self.non_maskable;
        if !pending || blocked || !self.guest.takes_event() {
            return;
        }
        self.guest.inject(Event::NonMaskable);
        self.guest.watch_non_maskable(true);
        self.non_maskable = NonMaskable {
            pending: false,
            blocked: true,
        };
    }

    /// The handler of a non-maskable interrupt is through.
    pub fn non_maskable_done(&mut self) {
        self.guest.watch_non_maskable(false);
        self.non_maskable.blocked = false;
        self.deliver_non_maskable();
    }

    /// Has the others of the partition look around.
    pub fn call_others(&self) {
        for (index, pcpu) in self.config.pcpus.iter().enumerate() {
            let other = SYSTEM.pcpus.get(usize::from(pcpu.get()));
            if let Some(other) = other.filter(|_| index != self.number) {
                apic::send_nmi(other.apic);
            }
        }
    }
}
