//! What the virtual CPUs of one partition do to one another.
//!
//! A CPU that wants something of another leaves word and sends an NMI, which ends whatever the other does. Word reaches CPUs of the sender's
//! partition only.

use x86_port::guest::{Beginning, Event};
use x86_port::policy::interrupt::{self, Action};

use crate::run::Vcpu;
use crate::seat::{self, Seat};
use crate::world::World;

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
    /// Whom a write to the interrupt command register reaches, and what is done to each: nobody but virtual CPUs of the partition.
    #[inline]
    pub fn each_named(&self, value: u64, mut reached: impl FnMut(Seat, Action)) {
        let Some((action, destination)) = interrupt::command(value) else {
            return;
        };
        for (number, config) in self.config.vcpus.iter().enumerate() {
            // The first has no firmware to begin in, and none waits that runs.
            let is_mode = matches!(action, Action::Init | Action::Startup(_));
            if !destination.names(config.apic, self.apic)
                || is_mode && (number == 0 || number == self.seat.number)
            {
                continue;
            }
            let seat = Seat {
                index: self.seat.index - self.seat.number + number,
                number,
                config,
                ..self.seat
            };
            reached(seat, action);
        }
    }

    /// A write to the interrupt command register.
    pub fn command(&self, value: u64) {
        self.each_named(value, Seat::signal);
    }

    /// Does what others have left word of. True when its local APIC is to be put into its first state: it waits for its startup, or begins.
    pub fn serve(&mut self) -> bool {
        let signals = self.mailbox.take();
        if signals.init {
            self.activity = Activity::Waits;
        }
        let begins = signals.startup.filter(|_| self.activity == Activity::Waits);
        if let Some(page) = begins {
            self.begin(Beginning::Page(page));
        }
        self.non_maskable.pending |= signals.non_maskable && self.activity == Activity::Runs;
        signals.init || begins.is_some()
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

    /// Has the others of the partition look around; those on its own CPU do when it is done.
    pub fn call_others(&self) {
        let own = self.seat.config.pcpu;
        let others = seat::all_of(self.id).filter(|seat| seat.config.pcpu != own);
        others.for_each(Seat::call);
    }
}

impl Seat {
    /// What an interrupt command does to it.
    pub fn signal(self, action: Action) {
        if let Action::Interrupt(vector) = action {
            return self.interrupt(vector);
        }
        let Some(mailbox) = self.mailbox() else {
            return;
        };
        let is_called = match action {
            Action::Interrupt(_) => false,
            Action::NonMaskable => mailbox.non_maskable(),
            Action::Init => mailbox.init(),
            Action::Startup(page) => mailbox.startup(page),
        };
        if is_called {
            self.call();
        }
    }
}
