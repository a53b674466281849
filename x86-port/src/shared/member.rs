//! A virtual CPU that takes turns: its exits, its interrupts, and what it does before its guest goes on.

use hv::pool::dispatcher::{Contender, Sleep};
use model::x86::exit::ExitKind;
use x86_port::bell::Posted;
use x86_port::exit::Exit;
use x86_port::guest::{Event, Instruction};
use x86_port::local_apic::{self, Effect, LocalApic};
use x86_port::policy::interrupt::Action;

use super::extended::{Extended, Mover};
use super::is_wanted;
use crate::life::Loading;
use crate::partition::Phase;
use crate::run::{Next, Vcpu};
use crate::seat::{self, Seat};
use crate::siblings::Activity;
use crate::world::SharedWorld;
use crate::{console, cpu, dma};

/// Bytes of an image between two looks at who else wants the pCPU.
const PIECE: u64 = 2048;

/// A virtual CPU that takes turns.
pub struct Member<G: 'static> {
    /// What every virtual CPU has.
    pub vcpu: Vcpu<G>,
    sleep: Sleep,
    local: &'static mut LocalApic,
    /// Interrupts from outside.
    posted: &'static Posted,
    /// It has left the guest, together with all others of its partition.
    outside: bool,
    /// Its guest waits for an interrupt.
    waits: bool,
    /// How far its partition's image has come into place.
    loading: Option<Loading>,
    /// It was told to exit when it takes an interrupt, and took none: it is not told so again before something has changed.
    in_vain: bool,
    /// Text that was there at its last exit that made some is not all out.
    speaks: bool,
    extended: &'static mut Extended,
}

impl<G: SharedWorld> Contender for Member<G> {
    fn sleep(&mut self) -> &mut Sleep {
        &mut self.sleep
    }

    fn has_requests(&self) -> bool {
        self.posted.is_fresh() || self.has_signals() || self.has_errand()
    }
}

impl<G: SharedWorld> Member<G> {
    /// One that has not begun.
    pub fn new(
        vcpu: Vcpu<G>,
        posted: &'static Posted,
        local: &'static mut LocalApic,
        extended: &'static mut Extended,
    ) -> Self {
        Self {
            sleep: Sleep::NEW,
            local,
            posted,
            outside: false,
            waits: false,
            loading: None,
            in_vain: false,
            speaks: false,
            vcpu,
            extended,
        }
    }

    /// Does with the others of its partition what they were asked to do. Called for each virtual CPU when the pCPU looks around, whoever's turn it is: it waits
    /// for nobody's budget, and takes some ten instructions where nothing was asked for.
    pub fn follow(&mut self) {
        let state = self.vcpu.state;
        match (state.phase(), self.outside) {
            (Phase::Running, true) => self.outside = !state.gathering.enter(self.vcpu.number),
            (Phase::Running, false) | (_, true) => {}
            (_, false) => self.leave(),
        }
    }

    /// Leaves the guest. The last one that does has the first do what is to be done.
    fn leave(&mut self) {
        self.outside = true;
        self.vcpu.activity = Activity::Waits;
        self.reset_local();
        let Vcpu {
            config,
            id,
            number,
            state,
            ..
        } = self.vcpu;
        if state.gathering.leave(number, config.vcpus.len())
            && number != 0
            && let Some(first) = seat::of(id, 0)
        {
            first.call();
        }
    }

    /// Its local APIC is in its first state, nothing is on its way there, and its guest does not wait for an interrupt.
    fn reset_local(&mut self) {
        self.posted.forget();
        *self.local = LocalApic::new(self.vcpu.apic);
        self.waits = false;
    }

    /// True when there is something to do before its guest goes on: by the first of the partition, when all have left.
    pub fn has_errand(&self) -> bool {
        let Vcpu {
            config,
            number,
            state,
            ..
        } = &self.vcpu;
        self.outside
            && *number == 0
            && matches!(state.phase(), Phase::Starting | Phase::Stopping)
            && state.gathering.have_left(config.vcpus.len())
    }

    /// Others of its partition have left word for it, and the partition runs.
    fn has_signals(&self) -> bool {
        !self.outside && self.vcpu.mailbox.is_used()
    }

    /// True when its guest runs, and does not wait.
    pub fn runs(&self) -> bool {
        // Who is outside waits for a startup.
        self.vcpu.activity == Activity::Runs
            && !self.waits
            && self.vcpu.state.phase() == Phase::Running
    }

    /// True when it has something to do at `now`. It is loaded.
    pub fn has_work(&mut self, now: u64) -> bool {
        if self.has_signals() && self.vcpu.serve() {
            self.reset_local();
        }
        self.local.pass(now);
        self.see_posted();
        let guest = &self.vcpu.guest;
        self.waits &= !(self.vcpu.is_non_maskable_due()
            || guest.is_interruptible() && self.local.deliverable().is_some());
        self.has_errand() || self.runs()
    }

    /// After an exit of this kind: moves text while what this one has written, or has had told, is not out. Others do not pay for that with their time.
    pub fn move_text(&mut self, kind: ExitKind) {
        self.speaks |= matches!(kind, ExitKind::Io | ExitKind::Fault);
        if self.speaks {
            self.speaks = !console::pump();
        }
    }

    /// When time alone gives its guest something to do, in ticks; [`u64::MAX`]: never.
    pub fn next_change(&self) -> u64 {
        if self.outside || self.waits && !self.vcpu.guest.is_interruptible() {
            return u64::MAX;
        }
        self.local.next_change()
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
        self.see_posted();
        self.vcpu.deliver_non_maskable();
        let guest = &mut self.vcpu.guest;
        guest.set_task_class(self.local.task_class());
        let deliverable = self.local.deliverable();
        if let Some(vector) = deliverable.filter(|_| guest.takes_interrupt()) {
            guest.inject(Event::Interrupt(vector));
            self.local.take(vector);
            self.posted.taken(vector);
        }
        // The processor compares it with CR8, which the guest changes without an exit.
        let waiting = self.local.waiting().filter(|_| !self.in_vain);
        guest.watch_interrupts(waiting.map(|vector| vector >> 4));
    }

    /// What comes from outside becomes interrupts of its local APIC; one that is switched off takes none.
    fn see_posted(&mut self) {
        let Self { local, posted, .. } = self;
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

    /// An interrupt command. What it does to itself needs no other's help.
    fn command(&mut self, value: u64) {
        let (local, own) = (&mut self.local, self.vcpu.number);
        let mut non_maskable = false;
        self.vcpu.each_named(value, |seat, action| match action {
            _ if seat.number != own => seat.signal(action),
            Action::Interrupt(vector) => local.request(vector),
            Action::NonMaskable => non_maskable = true,
            Action::Init | Action::Startup(_) => {}
        });
        if non_maskable {
            self.vcpu.own_non_maskable();
        }
    }

    /// Goes on with what is to be done before its guest goes on, until somebody else wants the pCPU.
    pub fn go_on(&mut self) {
        if self.vcpu.state.phase() == Phase::Stopping {
            self.loading = None;
            self.silence();
            return self.vcpu.stopped();
        }
        let mut at = self.loading.take().or_else(|| {
            dma::deny(self.vcpu.id);
            self.silence();
            self.vcpu.begin_load()
        });
        while let Some(loading) = at {
            at = self.vcpu.load_piece(loading, PIECE);
            if at.is_some() && is_wanted() {
                self.loading = at;
                return;
            }
        }
        self.vcpu.starts();
        self.outside = false;
    }

    /// Nothing comes from outside for the partition, which does not run, and what came is forgotten.
    fn silence(&self) {
        #[cfg(feature = "channels")]
        self.vcpu.silence();
        let all = seat::all_of(self.vcpu.id).filter_map(Seat::posted);
        all.for_each(Posted::forget);
    }
}
