//! A virtual CPU that takes turns: its exits, its interrupts, and what it does before its guest goes on.

use hv::pool::dispatcher::{Contender, Sleep};
use model::x86::exit::ExitKind;
#[cfg(feature = "channels")]
use x86_port::bell::Posted;
use x86_port::exit::Exit;
use x86_port::guest::{Beginning, Event, Instruction};
use x86_port::local_apic::{self, Effect, LocalApic};
use x86_port::policy::interrupt::{self, Action};

use super::extended::{Extended, Mover};
use super::is_wanted;
#[cfg(feature = "channels")]
use crate::channel;
use crate::life::Loading;
use crate::partition::Phase;
use crate::run::{Next, Vcpu};
use crate::world::SharedWorld;
use crate::{cpu, dma, world};

/// Bytes of an image between two looks at who else wants the pCPU.
const PIECE: u64 = 2048;

/// A virtual CPU, the only one of its partition.
pub struct Member<G: 'static> {
    /// What every virtual CPU has.
    pub vcpu: Vcpu<G>,
    sleep: Sleep,
    local: LocalApic,
    /// Its guest waits for an interrupt.
    waits: bool,
    /// How far its partition's image has come into place.
    loading: Option<Loading>,
    /// It was told to exit when it takes an interrupt, and took none: it is not told so again before something has changed.
    in_vain: bool,
    extended: &'static mut Extended,
}

impl<G> Contender for Member<G> {
    fn sleep(&mut self) -> &mut Sleep {
        &mut self.sleep
    }

    /// Nobody else can want anything of it but its first start, and to ring it.
    fn has_requests(&self) -> bool {
        #[cfg(feature = "channels")]
        if channel::posted(self.vcpu.id).is_some_and(Posted::is_fresh) {
            return true;
        }
        self.vcpu.state.phase() == Phase::Starting
    }
}

impl<G: SharedWorld> Member<G> {
    /// One that has not begun.
    pub fn new(vcpu: Vcpu<G>, extended: &'static mut Extended) -> Self {
        Self {
            sleep: Sleep::NEW,
            local: LocalApic::new(vcpu.apic),
            waits: false,
            loading: None,
            in_vain: false,
            vcpu,
            extended,
        }
    }

    /// True when there is something to do before its guest goes on.
    pub fn has_errand(&self) -> bool {
        matches!(self.vcpu.state.phase(), Phase::Starting | Phase::Stopping)
    }

    /// True when its guest runs, and does not wait.
    pub fn runs(&self) -> bool {
        self.vcpu.state.phase() == Phase::Running && !self.waits
    }

    /// True when it has something to do at `now`. It is loaded.
    pub fn has_work(&mut self, now: u64) -> bool {
        self.local.pass(now);
        #[cfg(feature = "channels")]
        self.see_rings();
        let guest = &self.vcpu.guest;
        self.waits &= !(self.vcpu.is_non_maskable_due()
            || guest.is_interruptible() && self.local.deliverable().is_some());
        self.has_errand() || self.runs()
    }

    /// When time alone gives its guest something to do, in ticks; [`u64::MAX`]: never.
    pub fn next_change(&self) -> u64 {
        match self.vcpu.state.phase() {
            Phase::Running if !self.waits || self.vcpu.guest.is_interruptible() => {
                self.local.next_change()
            }
            _ => u64::MAX,
        }
    }

    /// Takes its registers out of the pCPU.
    pub fn put_down(&mut self, mover: Mover) {
        mover.save(self.extended);
        self.vcpu.guest.put_down();
        if !self.sleep.awake {
            self.sleep.timer = self.next_change();
        }
    }

    /// Puts its registers into the pCPU.
    pub fn take_up(&mut self, mover: Mover) {
        self.vcpu.guest.take_up();
        mover.load(self.extended);
    }

    /// Before its guest is entered: its next interrupt goes with it, or waits until the guest takes it.
    pub fn prepare(&mut self) {
        self.local.pass(cpu::now());
        #[cfg(feature = "channels")]
        self.see_rings();
        self.vcpu.deliver_non_maskable();
        let guest = &mut self.vcpu.guest;
        guest.set_task_class(self.local.task_class());
        let deliverable = self.local.deliverable();
        if let Some(vector) = deliverable.filter(|_| guest.takes_interrupt()) {
            guest.inject(Event::Interrupt(vector));
            self.local.take(vector);
            #[cfg(feature = "channels")]
            if let Some(posted) = channel::posted(self.vcpu.id) {
                posted.taken(vector);
            }
        }
        // The processor compares it with CR8, which the guest changes without an exit.
        let waiting = self.local.waiting().filter(|_| !self.in_vain);
        guest.watch_interrupts(waiting.map(|vector| vector >> 4));
    }

    /// Rings become interrupts of its local APIC; one that is switched off takes none.
    #[cfg(feature = "channels")]
    fn see_rings(&mut self) {
        let Some(posted) = channel::posted(self.vcpu.id) else {
            return;
        };
        let local = &mut self.local;
        posted.see(|vector| {
            local.request(vector);
            if !local.is_on() {
                posted.taken(vector);
            }
        });
    }

    /// Does what an exit asks for.
    pub fn handle(&mut self, exit: Exit) -> (ExitKind, Next) {
        self.local.set_task_class(self.vcpu.guest.task_class());
        self.in_vain = false;
        match exit {
            Exit::Interrupt => (ExitKind::Interrupt, Next::LookAround),
            // QEMU says so, too, when the class is that of CR8.
            Exit::Window => {
                self.in_vain = self.local.deliverable().is_none();
                (ExitKind::Interrupt, Next::GoOn)
            }
            // Should it have come from the delivery of another event, that comes again first.
            Exit::Exception(event) => {
                if self.vcpu.guest.takes_event() {
                    self.vcpu.guest.inject(event);
                }
                (ExitKind::Undefined, Next::LookAround)
            }
            Exit::Halt => {
                self.vcpu.guest.skip(Instruction::Halt);
                self.waits = true;
                (ExitKind::Halt, Next::GoOn)
            }
            Exit::ReadMsr | Exit::WriteMsr if self.is_local() => {
                (ExitKind::Msr, self.local_register(exit == Exit::WriteMsr))
            }
            other => self.vcpu.handle(other),
        }
    }

    /// The MSR is a register of its local APIC.
    fn is_local(&mut self) -> bool {
        let index = self.vcpu.guest.registers().rcx as u32;
        (local_apic::FIRST..=local_apic::LAST).contains(&index)
    }

    fn local_register(&mut self, write: bool) -> Next {
        let guest = &mut self.vcpu.guest;
        let index = guest.registers().rcx as u32;
        let done = if write {
            let value = guest.edx_eax();
            self.local.write(index, value, cpu::now()).map(Some)
        } else {
            let read = self.local.read(index, cpu::now());
            read.map(|value| {
                guest.set_edx_eax(value);
                None
            })
        };
        match done {
            Err(local_apic::Refused) => guest.inject(Event::Protection),
            Ok(effect) => {
                guest.skip(Instruction::Msr);
                if let Some(Effect::Command(value)) = effect {
                    self.command(value);
                }
            }
        }
        Next::GoOn
    }

    /// An interrupt command. Nobody is there but itself, and INIT and startup of the first virtual CPU have no effect.
    fn command(&mut self, value: u64) {
        let own = self.vcpu.apic;
        match interrupt::command(value) {
            Some((action, destination)) if destination.names(own, own) => match action {
                Action::Interrupt(vector) => self.local.request(vector),
                Action::NonMaskable => self.vcpu.own_non_maskable(),
                Action::Init | Action::Startup(_) => {}
            },
            _ => {}
        }
    }

    /// Goes on with what is to be done before its guest goes on, until somebody else wants the pCPU.
    pub fn go_on(&mut self) {
        if self.vcpu.state.phase() == Phase::Stopping {
            self.loading = None;
            #[cfg(feature = "channels")]
            self.vcpu.silence();
            return self.vcpu.stopped();
        }
        let mut at = self.loading.take().or_else(|| {
            dma::deny(self.vcpu.id);
            #[cfg(feature = "channels")]
            self.vcpu.silence();
            self.vcpu.begin_load()
        });
        while let Some(loading) = at {
            at = self.vcpu.load_piece(loading, PIECE);
            if at.is_some() && is_wanted() {
                self.loading = at;
                return;
            }
        }
        self.started();
    }

    /// The image is in place: the guest begins.
    fn started(&mut self) {
        self.vcpu.starts();
        self.local = LocalApic::new(self.vcpu.apic);
        self.waits = false;
        world::reset_extended_state();
        self.vcpu.enter_first_state(Beginning::of(self.vcpu.config));
        self.vcpu.state.run();
    }
}
