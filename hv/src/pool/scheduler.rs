//! The scheduler of one pCPU: what the [dispatcher](Dispatcher) decides is done.

mod counters;

use gic::{Acknowledged, InterruptController, SharedInterface};
use model::VcpuId;

use super::dispatcher::{Contender, Dispatcher, Moment, Sleep};
use super::global;
use super::hardware::SharedCpu;
use super::policy::Policy;
use super::switch::Timers;
use super::trace::{Clerk, Tracer};
use crate::machine::{Cpu, Machine};
use crate::partition::{Partition, VcpuShared, request};
use crate::vcpu::{Hypervisor, Vcpu};

/// A virtual CPU of the pCPU, as its scheduler sees it.
pub struct Member<M: Machine> {
    /// All of it; `None` while it is loaded.
    vcpu: Option<&'static mut Vcpu<M>>,
    shared: &'static VcpuShared,
    partition: &'static Partition,
    id: VcpuId,
    sleep: Sleep,
    /// Another virtual CPU of its partition is here.
    has_sibling: bool,
    /// Of its partition's virtual CPUs here, it was loaded last: what the pCPU has cached of their translations is its own.
    newest: bool,
}

impl<M: Machine> Contender for Member<M> {
    #[inline(always)]
    fn sleep(&mut self) -> &mut Sleep {
        &mut self.sleep
    }

    #[inline(always)]
    fn has_requests(&self) -> bool {
        self.shared.has_requests()
    }
}

/// The scheduler.
pub struct Scheduler<M: Machine> {
    dispatcher: Dispatcher<M::Policy>,
    hypervisor: &'static Hypervisor<M>,
    /// In the order in which they came; `None` behind the last.
    members: &'static mut [Option<Member<M>>],
    /// Whose floating-point registers are.
    floating_point: Option<usize>,
    /// The interrupts of the guests' timers.
    timers: Timers,
    /// The last call for counters that was answered.
    answered: u32,
    tracer: Tracer,
}

impl<M: Machine> Scheduler<M> {
    /// A scheduler with room for as many virtual CPUs as `members` has places, for a pCPU whose system counter runs at `frequency` Hz.
    pub fn new(
        hypervisor: &'static Hypervisor<M>,
        policy: M::Policy,
        members: &'static mut [Option<Member<M>>],
        frequency: u64,
    ) -> Self {
        Self {
            dispatcher: Dispatcher::new(policy, frequency),
            hypervisor,
            members,
            floating_point: None,
            timers: Timers::new(hypervisor.system),
            answered: 0,
            tracer: Tracer::new(),
        }
    }

    /// Gives it a virtual CPU of its pCPU. False when there is no room, or the policy cannot promise what was promised.
    pub fn add(&mut self, vcpu: &'static mut Vcpu<M>) -> bool {
        let config = vcpu.partition.config;
        let time = config.vcpus.get(usize::from(vcpu.id.get()));
        let Some(time) = time else { return false };
        let id = vcpu.partition.id;
        let mut has_sibling = false;
        for sibling in self.members.iter_mut().flatten() {
            if sibling.partition.id == id {
                (sibling.has_sibling, has_sibling) = (true, true);
            }
        }
        let place = self.members.iter_mut().find(|place| place.is_none());
        let Some(place) = place else { return false };
        if !self.dispatcher.policy.add(&time.time) {
            return false;
        }
        *place = Some(Member {
            shared: vcpu.shared,
            partition: vcpu.partition,
            id: vcpu.id,
            vcpu: Some(vcpu),
            sleep: Sleep::NEW,
            has_sibling,
            newest: false,
        });
        true
    }

    /// All virtual CPUs of the pCPU have come. False when what they were promised does not fit together.
    pub fn begin(&mut self) -> bool {
        self.dispatcher.policy.begin()
    }

    fn member(&mut self, index: usize) -> Option<&mut Member<M>> {
        self.members.get_mut(index)?.as_mut()
    }

    /// Tells the policy who has come to have something to do by `now`, and whether the one that is loaded `has_work`. Whose turn it is.
    #[inline(always)]
    fn decide(&mut self, now: Moment, has_work: bool) -> Option<usize> {
        let clerk = Clerk::new(self.hypervisor, now.decided);
        let members = self.members.iter_mut().map_while(Option::as_mut);
        let note = |kind, member: &Member<M>| clerk.note(kind, member.partition, member.id);
        let decided = self.dispatcher.decide(now, has_work, members, note);
        self.trace(&clerk, decided.at, decided.run);
        decided.run
    }

    /// What was decided has been done. The alarm is set for what comes next, the console among it; should another one have its turn by now, it is looked
    /// at again.
    #[inline(always)]
    fn done(&mut self, run: Option<usize>) {
        let members = self.members.iter_mut().map_while(Option::as_mut);
        let console = self.hypervisor.common.console_due();
        let next = self.dispatcher.done::<M::Cpu, _>(run, members, console);
        self.tracer.expect(next);
    }

    /// Whoever used the floating-point registers last gets them into its memory: the one that is loaded wants them.
    fn release_floating_point(&mut self) {
        if let Some(owner) = self.floating_point.replace(self.dispatcher.loaded)
            && let Some(member) = self.member(owner)
            && let Some(vcpu) = &mut member.vcpu
        {
            M::Cpu::save_floating_point(&mut vcpu.turn.world);
        }
    }
}

/// What is to be done next.
enum Next {
    /// Time has passed: decide again.
    Again,
    /// The guest goes on.
    Enter,
    /// The one that is loaded has something to do before its guest goes on.
    Errand,
    /// Nobody has anything to do.
    Idle,
    /// Another one has its turn.
    Switch(usize),
}

/// The end of an exit of a virtual CPU: another one may have its turn. Returns the one that the pCPU enters.
#[inline]
pub fn schedule<M: Machine>(vcpu: &'static mut Vcpu<M>) -> &'static mut Vcpu<M> {
    let Some(scheduler) = &vcpu.turn.scheduler else {
        return global::schedule(vcpu);
    };
    if vcpu.is_on() && !vcpu.turn.waits && !scheduler.dispatcher.look {
        return vcpu;
    }
    let left = vcpu.context.entered;
    let vcpu = take_turns(vcpu, Some(left));
    vcpu.interface.signal::<M::Cpu>();
    vcpu
}

/// `left` says when the guest was left, in ticks, if it ran.
#[inline(never)]
fn take_turns<M: Machine>(
    mut vcpu: &'static mut Vcpu<M>,
    mut left: Option<u64>,
) -> &'static mut Vcpu<M> {
    vcpu.shared.turns.count_entry();
    loop {
        match vcpu.next(left.take()) {
            Next::Again => {}
            Next::Enter => return vcpu,
            Next::Errand => vcpu.go_on(),
            Next::Idle => {
                let gic = vcpu.machine().gic();
                gic.look_again();
                M::Cpu::wait_for_interrupt();
                #[cfg(feature = "trace")]
                crate::trace::waited(vcpu.machine());
                vcpu.take_interrupts();
            }
            Next::Switch(to) => {
                vcpu = switch(vcpu, to);
                if vcpu.may_enter() {
                    return vcpu;
                }
            }
        }
    }
}

/// Puts one virtual CPU down and takes another one up.
#[inline]
fn switch<M: Machine>(vcpu: &'static mut Vcpu<M>, to: usize) -> &'static mut Vcpu<M> {
    let Some(scheduler) = vcpu.turn.scheduler.take() else {
        return vcpu;
    };
    let Some(next) = scheduler.member(to).and_then(|member| member.vcpu.take()) else {
        vcpu.turn.scheduler = Some(scheduler);
        return vcpu;
    };
    let timers = scheduler.timers;
    let from = core::mem::replace(&mut scheduler.dispatcher.loaded, to);
    vcpu.put_down(&timers);
    let left = vcpu.turn.timers;
    if let Some(member) = scheduler.member(from) {
        if !member.sleep.awake {
            member.sleep.timer = vcpu.next_timer(&timers);
        }
        member.vcpu = Some(vcpu);
    }
    scheduler.done(Some(to));
    M::Cpu::trap_floating_point(scheduler.floating_point != Some(to));
    let stale = scheduler.supersede(to);
    next.turn.scheduler = Some(scheduler);
    next.take_up(&timers, left);
    if stale {
        M::Cpu::forget_translations();
    }
    M::Cpu::enter_next(&mut next.context);
    next
}

impl<M: Machine> Scheduler<M> {
    /// Notes that `to` is loaded now. True when another virtual CPU of its partition was loaded since it was last: what the pCPU has cached of their
    /// translations, under the one VMID that they share, is the other one's.
    fn supersede(&mut self, to: usize) -> bool {
        let partition = match self.member(to) {
            Some(member) if member.has_sibling => member.partition.id,
            _ => return false,
        };
        let mut stale = false;
        for (index, member) in self.members.iter_mut().flatten().enumerate() {
            if member.partition.id == partition {
                stale |= index != to && member.newest;
                member.newest = index == to;
            }
        }
        stale
    }
}

impl<M: Machine> Vcpu<M> {
    /// True when it takes turns with others on its pCPU.
    #[inline(always)]
    pub fn takes_turns(&self) -> bool {
        self.turn.scheduler.is_some() || self.moves()
    }

    /// Its guest waits for an interrupt: others have their turns meanwhile.
    pub fn wait_its_turn(&mut self) {
        self.turn.waits = true;
    }

    /// What to do, when its guest was left at `left`, in ticks, and did not run since.
    fn next(&mut self, left: Option<u64>) -> Next {
        self.settle_power();
        let has_work = self.has_errand()
            || self.is_on()
                && self.may_run()
                && (!self.turn.waits || self.shared.has_requests() || self.has_interrupt());
        if has_work {
            self.turn.waits = false;
        }
        let Some(scheduler) = &mut self.turn.scheduler else {
            return Next::Enter;
        };
        let ticks = M::Cpu::now();
        let now = Moment {
            decided: left.unwrap_or(ticks),
            ticks,
        };
        let run = scheduler.decide(now, has_work);
        match run {
            Some(run) if run != scheduler.dispatcher.loaded => return Next::Switch(run),
            _ => scheduler.done(run),
        }
        match run {
            _ if scheduler.dispatcher.look => Next::Again,
            Some(_) if self.has_errand() => Next::Errand,
            Some(_) => Next::Enter,
            None => Next::Idle,
        }
    }

    /// True when nothing has come up since its turn began.
    fn may_enter(&self) -> bool {
        let look = self
            .turn
            .scheduler
            .as_ref()
            .is_some_and(|own| own.dispatcher.look);
        self.is_on() && !look && !self.shared.has_requests() && !self.has_errand()
    }

    /// Answers the interrupts that wait for the pCPU, without the way through the guest.
    pub(super) fn take_interrupts(&mut self) {
        while M::Cpu::is_interrupt_pending() {
            self.interrupt();
        }
    }

    /// Another virtual CPU of this pCPU may own an interrupt that this one does not: then it is noted for that one. False when nobody does.
    pub fn hand_to_neighbour(&mut self, acknowledged: Acknowledged) -> bool {
        let intid = acknowledged.intid;
        let Some(scheduler) = &mut self.turn.scheduler else {
            return self.hand_on(acknowledged);
        };
        let owner = scheduler.members.iter().flatten().find_map(|member| {
            let seen = member.partition.owned(intid)?;
            Some((member.partition, member.id, seen))
        });
        let Some((partition, id, seen)) = owner else {
            return false;
        };
        scheduler.dispatcher.look = true;
        // It stays active until its guest has ended it.
        let kicks = partition.devices.lock().gic.raise(seen, id);
        self.hypervisor.kick(partition, kicks, request::INTERRUPTS);
        true
    }

    /// Answers the alarm of a shared pCPU, before anything else is asked of the interrupt: others wait for what follows. False when it is another interrupt.
    #[inline(always)]
    pub fn take_alarm(&mut self, acknowledged: Acknowledged) -> bool {
        let alarm = self.hypervisor.system.board.hypervisor_timer;
        if !self.takes_turns() || acknowledged.intid != alarm {
            return false;
        }
        let gic = self.machine().gic();
        gic.drop_priority(acknowledged);
        M::Cpu::clear_alarm();
        self.alarm_rang();
        gic.deactivate(acknowledged);
        true
    }

    /// The alarm rang. True when it was this pCPU's scheduler that had set it.
    #[inline]
    pub fn alarm_rang(&mut self) -> bool {
        let Some(scheduler) = &mut self.turn.scheduler else {
            return self.pools_alarm_rang();
        };
        scheduler.dispatcher.rang();
        if self.hypervisor.common.is_console_due(M::Cpu::now()) {
            self.hypervisor.look_after_console();
        }
        true
    }

    /// Somebody called the pCPU for one of its virtual CPUs.
    pub fn was_called(&mut self) {
        let Some(scheduler) = &mut self.turn.scheduler else {
            return self.pool_was_called();
        };
        scheduler.dispatcher.look = true;
        if scheduler.publish() {
            self.hypervisor.look_after_console();
        }
    }

    /// The guest uses floating point, whose registers another one has still. False when they are its own.
    pub fn claim_floating_point(&mut self) -> bool {
        let Some(scheduler) = &mut self.turn.scheduler else {
            return self.borrow_floating_point();
        };
        M::Cpu::trap_floating_point(false);
        scheduler.release_floating_point();
        M::Cpu::load_floating_point(&self.turn.world);
        true
    }
}

/// The pCPU begins: loads the partitions whose first virtual CPU is here, and gives the first turn. Returns the virtual CPU that the
/// pCPU enters; `None` when there is none.
pub fn bring_up<M: Machine>(scheduler: &'static mut Scheduler<M>) -> Option<&'static mut Vcpu<M>> {
    let hypervisor = scheduler.hypervisor;
    let gic = hypervisor.machine.gic();
    gic.enable(hypervisor.system.board.hypervisor_timer);
    for member in scheduler.members.iter_mut().flatten() {
        if let Some(vcpu) = &mut member.vcpu
            && vcpu.id == VcpuId::new(0)
        {
            vcpu.first_start();
            vcpu.shared.request(request::POWER);
        }
    }
    scheduler.timers.bank = gic.private_bank();
    let first = scheduler.member(0)?.vcpu.take()?;
    scheduler.publish();
    first.turn.scheduler = Some(scheduler);
    M::Cpu::trap_floating_point(true);
    M::Cpu::enter_next(&mut first.context);
    // No guest has run: what passed since the machine's reset is nobody's.
    let first = take_turns(first, None);
    first.interface.signal::<M::Cpu>();
    Some(first)
}

#[cfg(test)]
mod tests;
