//! The pool: its policy and its virtual CPUs, behind the lock.

use embassy_time::Instant;
use model::time::TimeShare;
use model::{IntId, Mpidr, PcpuId, VcpuId};
use rtds::{Actions, Event, PcpuIndex, PcpuSet, VcpuIndex};

use super::policy::GlobalPolicy;
use crate::machine::{Cpu, Machine};
use crate::partition::{Partition, VcpuShared};
use crate::pool::CALL;
use crate::pool::budget::value;
use crate::pool::clock::Clock;
use crate::pool::counters::Counter;
use crate::pool::trace::{Clerk, Kind};
use crate::sync::{Rank, TicketLock};
use crate::vcpu::{Hypervisor, Vcpu};
use gic::InterruptController;

/// Several pCPUs and the virtual CPUs that they share.
pub struct Pool<M: Machine> {
    pub(super) hypervisor: &'static Hypervisor<M>,
    pcpus: &'static [PcpuId],
    clock: Clock,
    pub(super) floor: TicketLock<Floor<M>>,
}

/// What the lock protects.
pub(super) struct Floor<M: Machine> {
    pub(super) policy: M::GlobalPolicy,
    /// In the order in which they came; `None` behind the last.
    pub(super) members: &'static mut [Option<Member<M>>],
    /// The last call for counters that was answered.
    answered: u32,
}

/// A virtual CPU of the pool.
pub struct Member<M: Machine> {
    /// All of it; `None` while a pCPU has it.
    pub(super) vcpu: Option<&'static mut Vcpu<M>>,
    pub(super) shared: &'static VcpuShared,
    pub(super) partition: &'static Partition,
    pub(super) id: VcpuId,
    /// What the policy was told.
    pub(super) awake: bool,
    /// When a timer of one that is put down fires, in ticks.
    pub(super) timer: Option<u64>,
    /// Where it was loaded last.
    pub(super) last: PcpuIndex,
    /// The pCPUs on which no other one of its partition was loaded since it was.
    newest: PcpuSet,
}

/// What a pCPU is to do next, with what it needs for that.
pub(super) struct Plan<T> {
    /// Whom it runs.
    pub run: T,
    /// When its alarm must ring, in ticks.
    pub alarm: Option<u64>,
}

/// One that is given to a pCPU.
pub(super) struct Given<M: Machine> {
    pub vcpu: &'static mut Vcpu<M>,
    /// Its place among the members.
    pub place: usize,
    /// What the pCPU has learnt of its partition's translations is another virtual CPU's.
    pub stale: bool,
}

/// One that a pCPU puts down.
pub(super) struct Left<M: Machine> {
    pub vcpu: &'static mut Vcpu<M>,
    /// Its place among the members.
    pub place: usize,
    /// When one of its timers fires, in ticks.
    pub timer: Option<u64>,
}

impl<M: Machine> Pool<M> {
    /// A pool of these pCPUs, whose system counter runs at `frequency` Hz, with room for as many virtual CPUs as `members` has places.
    pub fn new(
        hypervisor: &'static Hypervisor<M>,
        pcpus: &'static [PcpuId],
        policy: M::GlobalPolicy,
        members: &'static mut [Option<Member<M>>],
        frequency: u64,
    ) -> Self {
        Self {
            hypervisor,
            pcpus,
            clock: Clock::new(frequency),
            floor: TicketLock::new(
                Rank::Pool,
                Floor {
                    policy,
                    members,
                    answered: 0,
                },
            ),
        }
    }

    /// Gives it a virtual CPU. False when there is no room, or the policy cannot promise what was promised.
    pub fn add(&mut self, vcpu: &'static mut Vcpu<M>) -> bool {
        let config = vcpu.partition.config;
        let time = config.vcpus.get(usize::from(vcpu.id.get()));
        let Some(TimeShare::Global { budget, pcpus }) = time.map(|config| &config.time) else {
            return false;
        };
        let places = pcpus.iter().filter_map(|pcpu| self.place_of(*pcpu));
        let affinity = places.fold(PcpuSet::EMPTY, PcpuSet::with);
        let home = time.and_then(|config| self.place_of(config.pcpu));
        let floor = self.floor.get_mut();
        let place = floor.members.iter_mut().find(|place| place.is_none());
        let (Some(home), Some(place)) = (home, place) else {
            return false;
        };
        if !floor.policy.add(budget, affinity) {
            return false;
        }
        *place = Some(Member {
            shared: vcpu.shared,
            partition: vcpu.partition,
            id: vcpu.id,
            vcpu: Some(vcpu),
            awake: false,
            timer: None,
            last: home,
            newest: PcpuSet::EMPTY,
        });
        true
    }

    fn place_of(&self, pcpu: PcpuId) -> Option<PcpuIndex> {
        let place = self.pcpus.iter().position(|one| *one == pcpu)?;
        u8::try_from(place).ok().map(PcpuIndex::new)
    }

    fn affinity_of(&self, pcpu: PcpuIndex) -> Option<Mpidr> {
        let pcpu = usize::from(self.pcpus.get(pcpu.get())?.get());
        Some(self.hypervisor.system.pcpus.get(pcpu)?.mpidr)
    }

    /// A counter of the virtual CPU at `place`, as of the pool's last event.
    pub(super) fn counter(&self, place: usize, counter: Counter) -> Option<u64> {
        self.floor.lock().counter(place, counter)
    }

    /// Answers a call for counters for all virtual CPUs, if it was not answered yet.
    pub(super) fn publish(&self) -> bool {
        let mut floor = self.floor.lock();
        let call = self.hypervisor.common.called_for();
        if call == floor.answered {
            return false;
        }
        floor.answered = call;
        for (place, member) in floor.members.iter().flatten().enumerate() {
            let value = |counter| floor.counter(place, counter);
            member.shared.turns.answer(call, value);
        }
        true
    }

    /// The partition that owns a physical interrupt, with one of its virtual CPUs and the number by which it knows the interrupt.
    pub(super) fn owner(&self, intid: IntId) -> Option<(&'static Partition, VcpuId, IntId)> {
        let floor = self.floor.lock();
        let mut members = floor.members.iter().flatten();
        members.find_map(|member| {
            let seen = member.partition.owned(intid)?;
            Some((member.partition, member.id, seen))
        })
    }

    /// Takes a virtual CPU that was never loaded out of the pool, and gives it back after `f` was done to it.
    pub(super) fn with_each(&self, f: impl Fn(&mut Vcpu<M>)) {
        let count = self.floor.lock().members.iter().flatten().count();
        for place in 0..count {
            let vcpu = self.floor.lock().take(place);
            if let Some(vcpu) = vcpu {
                f(vcpu);
                self.floor.lock().put(place, vcpu);
            }
        }
    }

    /// The one that is loaded `here`, at `place`, was left at `left`, in ticks, if its guest ran, and `has_work` or not. True when it goes on.
    pub(super) fn keep(
        &self,
        here: PcpuIndex,
        place: usize,
        left: Option<u64>,
        has_work: bool,
    ) -> Plan<bool> {
        let mut floor = self.floor.lock();
        let ticks = M::Cpu::now();
        // An exit that came before the last event of the pool counts as that one: the policy's time never goes back.
        let decided = left.unwrap_or(ticks);
        let now = self.clock.instant(decided);
        let clerk = Clerk::new(self.hypervisor, decided);
        let mut kick = floor.wake_those_put_down(now, ticks, here, &clerk);
        kick = kick.or(floor.tell(now, here, place, has_work, &clerk));
        let actions = floor.policy.on(now, here, Event::Look);
        #[cfg(feature = "trace")]
        floor.trace_ends(&clerk);
        let plan = Plan {
            run: actions.run == Some(index(place)),
            alarm: self.alarm(&floor, here, &actions, ticks),
        };
        drop(floor);
        self.call(kick.or(actions.kick));
        plan
    }

    /// `left` was put down `here`, and whoever shall run there is taken up.
    pub(super) fn exchange(
        &self,
        here: PcpuIndex,
        left: Option<Left<M>>,
    ) -> Plan<Option<Given<M>>> {
        let mut floor = self.floor.lock();
        let ticks = M::Cpu::now();
        let now = self.clock.instant(ticks);
        let clerk = Clerk::new(self.hypervisor, ticks);
        if let Some(left) = left {
            #[cfg(feature = "trace")]
            clerk.note(Kind::STOP, left.vcpu.partition, left.vcpu.id);
            floor.set_timer(left.place, left.timer);
            floor.put(left.place, left.vcpu);
        }
        let kick = floor.wake_those_put_down(now, ticks, here, &clerk);
        let actions = floor.policy.on(now, here, Event::Saved);
        let run = actions.run.map(VcpuIndex::get);
        let run = run.and_then(|place| floor.give(place, here));
        if let (Some(given), Some(pcpu)) = (&run, self.affinity_of(here)) {
            given.vcpu.shared.arrive(pcpu);
        }
        #[cfg(feature = "trace")]
        if let Some(given) = &run {
            floor.trace_ends(&clerk);
            clerk.note(Kind::RUN, given.vcpu.partition, given.vcpu.id);
        }
        let plan = Plan {
            alarm: self.alarm(&floor, here, &actions, ticks),
            run,
        };
        drop(floor);
        self.call(kick.or(actions.kick));
        plan
    }

    /// When the alarm of `here` must ring: for the policy, for a sleeper that was there last, or for the console.
    fn alarm(
        &self,
        floor: &Floor<M>,
        here: PcpuIndex,
        actions: &Actions,
        ticks: u64,
    ) -> Option<u64> {
        let now = self.clock.instant(ticks);
        let policy = actions
            .timer
            .map(|timer| self.clock.tick_of(timer, now, ticks));
        let sleepers = floor.members.iter().flatten();
        let sleepers = sleepers.filter(|one| one.vcpu.is_some() && !one.awake && one.last == here);
        let timers = sleepers.filter_map(|member| member.timer);
        let console = self.hypervisor.common.console_due();
        let alarm = timers.chain(policy).fold(console, u64::min);
        (alarm != u64::MAX).then_some(alarm)
    }

    /// Calls other pCPUs of the pool: they must look.
    fn call(&self, pcpus: PcpuSet) {
        let gic = self.hypervisor.machine.gic();
        for pcpu in pcpus.iter().filter_map(|pcpu| self.affinity_of(pcpu)) {
            gic.kick(pcpu, CALL);
        }
    }
}

impl<M: Machine> Floor<M> {
    fn member(&mut self, place: usize) -> Option<&mut Member<M>> {
        self.members.get_mut(place)?.as_mut()
    }

    fn counter(&self, place: usize, counter: Counter) -> Option<u64> {
        let counters = self.policy.counters(index(place))?;
        match counter {
            Counter::Migrations => Some(counters.migrations),
            other => value(counters, other),
        }
    }

    fn take(&mut self, place: usize) -> Option<&'static mut Vcpu<M>> {
        self.member(place)?.vcpu.take()
    }

    fn put(&mut self, place: usize, vcpu: &'static mut Vcpu<M>) {
        if let Some(member) = self.member(place) {
            member.vcpu = Some(vcpu);
        }
    }

    fn set_timer(&mut self, place: usize, timer: Option<u64>) {
        if let Some(member) = self.member(place) {
            member.timer = timer;
        }
    }

    /// Tells the policy of those who sleep and have come to have something to do. Returns whom to call.
    fn wake_those_put_down(
        &mut self,
        now: Instant,
        ticks: u64,
        here: PcpuIndex,
        clerk: &Clerk,
    ) -> PcpuSet {
        let mut kick = PcpuSet::EMPTY;
        for (place, member) in self.members.iter_mut().flatten().enumerate() {
            let sleeps = member.vcpu.is_some() && !member.awake;
            let timer = member.timer.is_some_and(|timer| timer <= ticks);
            if sleeps && (timer || member.shared.has_requests()) {
                member.awake = true;
                clerk.note(Kind::WAKE, member.partition, member.id);
                let woken = self.policy.on(now, here, Event::Wake(index(place)));
                kick = kick.or(woken.kick);
            }
        }
        kick
    }

    /// Tells the policy whether one has something to do. Returns whom to call.
    fn tell(
        &mut self,
        now: Instant,
        here: PcpuIndex,
        place: usize,
        has_work: bool,
        clerk: &Clerk,
    ) -> PcpuSet {
        let Some(member) = self.member(place) else {
            return PcpuSet::EMPTY;
        };
        let was_awake = core::mem::replace(&mut member.awake, has_work);
        let (event, kind) = match (was_awake, has_work) {
            (false, true) => (Event::Wake(index(place)), Kind::WAKE),
            (true, false) => (Event::Block(index(place)), Kind::BLOCK),
            _ => return PcpuSet::EMPTY,
        };
        clerk.note(kind, member.partition, member.id);
        self.policy.on(now, here, event).kick
    }

    /// Records whose budget or period has ended.
    #[cfg(feature = "trace")]
    fn trace_ends(&self, clerk: &Clerk) {
        for (place, member) in self.members.iter().flatten().enumerate() {
            let counters = self.policy.counters(index(place));
            let ends = counters.map_or([0; 2], |counters| [counters.depletions, counters.periods]);
            clerk.follow(member.partition, member.id, ends);
        }
    }

    /// Gives the one at `place` to a pCPU.
    fn give(&mut self, place: usize, here: PcpuIndex) -> Option<Given<M>> {
        let member = self.member(place)?;
        let vcpu = member.vcpu.take()?;
        member.last = here;
        let stale = self.supersede(place, here);
        Some(Given { vcpu, place, stale })
    }

    /// Notes that the one at `place` is loaded on a pCPU. True when another virtual CPU of its partition was loaded there since it was last:
    /// what the pCPU has cached of their translations, under the one VMID that they share, is the other one's.
    fn supersede(&mut self, place: usize, here: PcpuIndex) -> bool {
        let Some(partition) = self.member(place).map(|member| member.partition.id) else {
            return false;
        };
        let mut stale = false;
        for (other, member) in self.members.iter_mut().flatten().enumerate() {
            if other == place {
                member.newest = member.newest.with(here);
            } else if member.partition.id == partition && member.newest.contains(here) {
                stale = true;
                member.newest = member.newest.without(here);
            }
        }
        stale
    }
}

/// The place of a virtual CPU as the crate names it.
fn index(place: usize) -> VcpuIndex {
    VcpuIndex::new(u16::try_from(place).unwrap_or(u16::MAX))
}
