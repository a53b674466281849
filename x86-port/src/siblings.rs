//! The virtual CPUs of one partition: how they start and stop together, and what they do to one another.
//!
//! A CPU that wants something of another leaves word and sends an NMI, which ends whatever the other does. Word reaches CPUs of the sender's
//! partition only.

use hv::event::Event;
use x86_port::policy::interrupt::{self, Action};
use x86_port::svm::control::{self, event};

use crate::partition::{Partition, Phase};
use crate::run::{Vcpu, end, pump};
use crate::{SYSTEM, apic, cpu, dma, exceptions, log, storage};

/// What a virtual CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It executes.
    Runs,
    /// It waits for its startup, as all but the first do at first.
    Waits,
}

/// Where a virtual CPU begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Where the partition's image does.
    Entry,
    /// At this page, in real mode.
    Page(u8),
}

/// A non-maskable interrupt of a virtual CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NonMaskable {
    /// One waits.
    pending: bool,
    /// One is being handled: the next waits for its IRET.
    blocked: bool,
}

impl Vcpu {
    /// Asks for a phase, and has the others see it.
    pub fn ask(&self, phase: Phase) {
        self.state.ask(phase);
        self.call_others();
    }

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

    /// Has the next entry deliver a non-maskable interrupt that waits. One that meets another event there waits for the next call, or IRET.
    pub fn deliver_non_maskable(&mut self) {
        let NonMaskable { pending, blocked } = self.non_maskable;
        let control = &mut self.blocks.guest.control;
        if !pending || blocked || control.event_injection != 0 {
            return;
        }
        control.event_injection = event::NON_MASKABLE;
        control.intercept_first |= control::first::IRET;
        self.non_maskable = NonMaskable {
            pending: false,
            blocked: true,
        };
    }

    /// IRET: the handler of a non-maskable interrupt is through.
    pub fn interrupt_return(&mut self) {
        self.blocks.guest.control.intercept_first &= !control::first::IRET;
        self.non_maskable.blocked = false;
        self.deliver_non_maskable();
    }

    /// Leaves the guest with all others of the partition. Returns when it runs again; at its end it does not.
    pub fn gather(&mut self) {
        apic::reset();
        self.activity = Activity::Waits;
        self.state.gather();
        if self.number != 0 {
            return self.wait_for_first();
        }
        // Each was called, and comes as soon as its exit is done.
        while self.state.gathered() < self.config.pcpus.len() {
            core::hint::spin_loop();
        }
        if self.state.phase() != Phase::Starting {
            self.stop();
        }
        dma::deny(self.id);
        // What its functions did is the run's that has ended.
        self.state.is_accused();
        self.load();
        dma::admit(self.id, self.config.asid);
        for pcpu in self.config.pcpus {
            if let Some(mailbox) = storage::MAILBOXES.get(usize::from(pcpu.get())) {
                mailbox.take();
            }
        }
        let restarts = self.state.start();
        log::event(Event::Started {
            partition: self.id,
            restarts,
        });
        self.begin(Beginning::Entry);
        self.state.run();
        self.call_others();
        pump();
    }

    /// The others wait for what the first does.
    fn wait_for_first(&self) {
        loop {
            let calls = exceptions::calls();
            match self.state.phase() {
                Phase::Running => return,
                Phase::Stopped => cpu::halt(),
                Phase::Starting | Phase::Stopping => exceptions::wait(calls),
            }
        }
    }

    /// The partition's life ends here, and the system with its last partition.
    fn stop(&mut self) -> ! {
        dma::deny(self.id);
        self.state.ask(Phase::Stopped);
        self.call_others();
        log::event(Event::Stopped { partition: self.id });
        pump();
        let is_stopped = |one: &Partition| one.phase() == Phase::Stopped;
        if storage::PARTITION_STATE.iter().all(is_stopped) {
            end();
        }
        cpu::halt();
    }

    fn call_others(&self) {
        for (index, pcpu) in self.config.pcpus.iter().enumerate() {
            let other = SYSTEM.pcpus.get(usize::from(pcpu.get()));
            if let Some(other) = other.filter(|_| index != self.number) {
                apic::send_nmi(other.apic);
            }
        }
    }
}
