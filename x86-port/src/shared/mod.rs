//! A pCPU that several virtual CPUs share, of several partitions or of one: whose turn it is, the core's [dispatcher](hv::pool::dispatcher) says; what is done then stands here.
//!
//! The pCPU's local APIC is the hypervisor's: its timer is the alarm, and each virtual CPU has a [virtual one](x86_port::local_apic). Interrupts of the
//! pCPU are masked in the hypervisor; guests exit for them.

mod alarm;
pub mod counters;
mod extended;
mod member;
mod policy;
#[cfg_attr(not(feature = "trace"), path = "recorder/absent.rs")]
mod recorder;

use core::array;
use core::sync::atomic::{AtomicBool, Ordering};

use hv::pool::dispatcher::Moment;
use hv::pool::policy::Policy;
use model::Vmid;
use static_cell::{ConstStaticCell, StaticCell};
use x86_port::exit::Exit;
use x86_port::local_apic::LocalApic;

use crate::console::pump;
use crate::run::{Next, Vcpu};
use crate::seat::{self, VCPUS};
use crate::world::SharedWorld;
use crate::{SYSTEM, apic, cpu, dma, early, exceptions, processors, trace};
use alarm::Pcpu;
use counters::Counters;
use extended::{Extended, Mover};
use member::Member;
use policy::Decider;
use recorder::Recorder;

/// The most virtual CPUs that share one pCPU of this system.
const MOST: usize = SYSTEM.most_on_one();

/// What each has while it is not loaded, and its local APIC: not on the stacks, which are small.
static EXTENDED: [ConstStaticCell<Extended>; VCPUS] =
    [const { ConstStaticCell::new(Extended::new()) }; VCPUS];
static LOCAL: [StaticCell<LocalApic>; VCPUS] = [const { StaticCell::new() }; VCPUS];

/// A report is told, whoever waits.
static REPORTS: AtomicBool = AtomicBool::new(false);

/// A report begins, or ends: text does not give way to who waits meanwhile.
pub fn report(begins: bool) {
    REPORTS.store(begins, Ordering::Relaxed);
}

/// True when somebody waits for this pCPU, if it is shared: its alarm has rung, and was not answered yet.
pub fn is_wanted() -> bool {
    if REPORTS.load(Ordering::Relaxed) {
        return false;
    }
    let own = apic::own();
    let pcpu = SYSTEM.pcpus.iter().position(|one| Some(one.apic) == own);
    pcpu.is_some_and(|pcpu| seat::on(pcpu, true).next().is_some()) && apic::has_alarm_rung()
}

/// Runs the virtual CPUs that share a pCPU for ever; returns at once when nobody does.
pub fn serve<G: SharedWorld>(index: usize, host: &mut G::Host) {
    if seat::on(index, true).next().is_none() {
        return;
    }
    let Some(mover) = Mover::new() else {
        early::stop(format_args!(
            "CPUs cannot be shared: pCPU {index} has no XSAVE, or more state than 4 KiB"
        ));
    };
    let Some(dispatcher) = policy::decider(index) else {
        inconsistent();
    };
    let mut members: [Option<Member<G>>; MOST] = array::from_fn(|_| None);
    // They lie on the stack; the compiler refuses more than 16 of them.
    const { assert!(size_of::<Option<Member<G>>>() <= 256) };
    // Tags of translations are each pCPU's own; 0 is the hypervisor's.
    for ((place, seat), tag) in members.iter_mut().zip(seat::on(index, true)).zip(1..) {
        let guest = G::sharing(seat.index);
        let vcpu = guest.and_then(|guest| Vcpu::sharing(seat, Vmid::new(tag), guest));
        let extended = EXTENDED.get(seat.index).map(ConstStaticCell::take);
        let local = LOCAL.get(seat.index);
        let local = local.map(|local| local.init_with(|| LocalApic::new(seat.config.apic)));
        let parts = vcpu.zip(seat.posted()).zip(local.zip(extended));
        *place = parts
            .filter(|_| dispatcher.policy.add(&seat.config.time))
            .map(|((vcpu, posted), (local, extended))| Member::new(vcpu, posted, local, extended));
        if place.is_none() {
            inconsistent();
        }
    }
    if !dispatcher.policy.begin() {
        inconsistent();
    }
    processors::arrive();
    apic::reset();
    apic::enable_alarm();
    if let Some(first) = members.first_mut().and_then(Option::as_mut) {
        first.take_up(mover);
    }
    Turns {
        dispatcher,
        members,
        mover,
        counters: Counters::of(index),
        recorder: Recorder::new(),
    }
    .run(host)
}

fn inconsistent() -> ! {
    early::stop(format_args!("the system table is inconsistent"))
}

/// The virtual CPUs of a pCPU, and what decides.
struct Turns<G: 'static> {
    dispatcher: &'static mut Decider,
    /// In the order in which the policy got them; `None` behind the last.
    members: [Option<Member<G>>; MOST],
    mover: Mover,
    counters: Counters,
    recorder: Recorder,
}

impl<G: SharedWorld> Turns<G> {
    fn run(mut self, host: &mut G::Host) -> ! {
        let mut calls = self.turn(None);
        let mut answered = None;
        loop {
            let loaded = self.dispatcher.loaded;
            let Some(member) = self.members.get_mut(loaded).and_then(Option::as_mut) else {
                cpu::halt();
            };
            member.prepare();
            self.dispatcher.ring_by::<Pcpu>(member.next_change());
            let left = self.dispatcher.armed().saturating_sub(cpu::now());
            member.vcpu.guest.limit(left);
            if let Some(kind) = answered {
                member.vcpu.recorder.entering(kind);
            }
            member.vcpu.guest.enter(host, calls);
            member
                .vcpu
                .recorder
                .left(trace::moment(), member.vcpu.guest);
            let exit = member.vcpu.guest.exited();
            if exit == Exit::Interrupt {
                self.take_alarm();
            }
            let left = cpu::now();
            let Some(member) = self.members.get_mut(loaded).and_then(Option::as_mut) else {
                cpu::halt();
            };
            let (kind, next) = member.handle(exit);
            answered = Some(kind);
            match next {
                Next::GoOn => {}
                Next::LookAround => self.dispatcher.look = true,
                other => {
                    self.counters.publish(&self.dispatcher.policy);
                    member.vcpu.go_on(other);
                }
            }
            member.vcpu.costs.count(kind, cpu::now().wrapping_sub(left));
            if member.runs() && !self.dispatcher.look {
                member.move_text(kind);
            } else {
                calls = self.turn(Some(left));
            }
        }
    }

    /// Answers the alarm. The APIC's timer may count a little faster than was measured: it is not asked a second time for the last microsecond.
    fn take_alarm(&mut self) {
        apic::take_interrupts();
        let microsecond = u64::from(cpu::tsc_khz()) / 1000;
        let at = self.dispatcher.armed();
        while (1..=microsecond).contains(&at.saturating_sub(cpu::now())) {
            core::hint::spin_loop();
        }
        self.dispatcher.rang();
    }

    /// Gives the pCPU to whose turn it is, and waits while it is nobody's; returns when there is a guest to enter, with the calls that were looked at.
    /// `left` says when a guest was left, if one ran.
    fn turn(&mut self, mut left: Option<u64>) -> u32 {
        loop {
            let calls = exceptions::calls();
            dma::serve();
            let members = self.members.iter_mut().map_while(Option::as_mut);
            members.for_each(Member::follow);
            if apic::has_alarm_rung() {
                self.take_alarm();
            }
            let now = cpu::now();
            let loaded = self.dispatcher.loaded;
            let Some(own) = self.members.get_mut(loaded).and_then(Option::as_mut) else {
                cpu::halt();
            };
            self.counters.decide(loaded, &self.dispatcher.policy);
            let has_work = own.has_work(now);
            let moment = Moment {
                decided: left.take().unwrap_or(now),
                ticks: now,
            };
            let members = self.members.iter_mut().map_while(Option::as_mut);
            let clerk = recorder::clerk(moment.decided);
            let note = |kind, member: &Member<G>| recorder::note(&clerk, kind, &member.vcpu);
            let decided = self.dispatcher.decide(moment, has_work, members, note);
            self.recorder
                .decided(&clerk, decided, &self.dispatcher.policy, &self.members);
            match decided.run {
                Some(to) if to != loaded => self.switch(to),
                run => self.done(run),
            }
            let loaded = self.dispatcher.loaded;
            match self.members.get_mut(loaded).and_then(Option::as_mut) {
                _ if self.dispatcher.look => {}
                _ if decided.run.is_none() => {
                    pump();
                    exceptions::wait_for_interrupt(calls);
                    trace::waited();
                    self.take_alarm();
                }
                Some(member) if member.has_errand() => member.go_on(),
                // One that its timer has woken, and that takes nothing from it, still waits.
                Some(member) => {
                    if member.has_work(cpu::now()) {
                        return calls;
                    }
                }
                None => cpu::halt(),
            }
        }
    }

    /// What was decided has been done.
    fn done(&mut self, run: Option<usize>) {
        let loaded = self.members.get(self.dispatcher.loaded);
        let other = loaded.and_then(Option::as_ref).map(Member::next_change);
        let members = self.members.iter_mut().map_while(Option::as_mut);
        let other = other.unwrap_or(u64::MAX);
        let next = self.dispatcher.done::<Pcpu, _>(run, members, other);
        self.recorder.expect(next);
    }

    /// Puts the virtual CPU that is loaded down, and takes another one up.
    fn switch(&mut self, to: usize) {
        let from = core::mem::replace(&mut self.dispatcher.loaded, to);
        if let Some(member) = self.members.get_mut(from).and_then(Option::as_mut) {
            member.put_down(self.mover);
        }
        if let Some(member) = self.members.get_mut(to).and_then(Option::as_mut) {
            member.take_up(self.mover);
        }
        self.done(Some(to));
    }
}
