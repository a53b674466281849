//! The `rtds` policy: deferrable servers, the earliest deadline first, on one or several physical CPUs.
//!
//! # How a shell drives it
//! One lock per pool is held around each call, and the time is read after the lock is taken. Whatever happens on a physical CPU is told
//! by [`Rtds::on`]. The answer says what that CPU runs and when its timer fires, and which others must look too: they are sent an
//! interrupt and call with [`Event::Look`].
//!
//! ```text
//! Actions { run, timer, kick } = on(now, here, event)
//! kick the others; arm the timer
//! if run is not what is loaded here:
//!     save what is loaded, if anything is
//!     Actions { run, timer, kick } = on(now, here, Event::Saved)
//!     kick the others; arm the timer; load `run`, or wait for an interrupt
//! ```
//! A virtual CPU that moves is not given to its new CPU before the old one has said [`Event::Saved`]: nobody runs twice.
//!
//! # Who pays
//! The time of a switch is charged to the one that causes it. Who preempts pays from the decision on, for which the shell passes the time
//! at which the guest was left. Who sleeps, has used up its budget, or falls behind another one because its period has ended, pays until
//! [`Event::Saved`]. So one that wakes and sleeps all the time spends its own budget, and one that is always awake pays once a period.
//!
//! # The one rule
//! After each event, preemption is decided anew wherever the choice may have changed. So no eligible virtual CPU ever waits behind one
//! that it outranks. Xen's `rt.c` does this only for some events, with the effects that the tests in `defects` show.
//!
//! # Cost
//! O(log n) in the virtual CPUs for each event and each replenishment that is due, and O(m · a) in the pool's physical CPUs and distinct
//! affinities, both of which are small and known when the system is built.

#[cfg(test)]
mod invariants;

use embassy_time::{Duration, Instant};

use crate::account::{Account, Parameters, Reservation};
use crate::counters::Counters;
use crate::ids::{PcpuIndex, PcpuSet, VcpuIndex};
use crate::key::{Arrival, Level, ReplenishKey, RunKey};
use crate::queue::Queue;
use crate::slots::{slot, slot_mut};

/// The latest time. Later ones are taken as this one, so that no sum with a period overflows.
const END_OF_TIME: u64 = u64::MAX - 2 * Reservation::LONGEST.as_ticks();

/// After all times.
const NEVER: u64 = u64::MAX;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A virtual CPU has something to do.
    Wake(VcpuIndex),
    /// A virtual CPU has nothing to do: it waits for an interrupt, or is off.
    Block(VcpuIndex),
    /// This CPU's timer has fired, or another one has kicked it.
    Look,
    /// This CPU has saved what was loaded, if anything was, and takes what the answer says.
    Saved,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// What the CPU that asks shall run; `None`: it waits.
    pub run: Option<VcpuIndex>,
    /// When its timer shall fire; `None`: never. It may lie in the past, for at once.
    pub timer: Option<Instant>,
    /// The other CPUs that must look.
    pub kick: PcpuSet,
}

/// How a virtual CPU stands in its current period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many budgets it has used up.
    pub level: Level,
    /// When the period ends. It may have ended already while the virtual CPU slept.
    pub deadline: Instant,
    /// What is left of the budget.
    pub left: Duration,
}

/// Why a virtual CPU cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The pool is full.
    #[error("the pool holds no more virtual CPUs")]
    TooMany,
    /// None of the pool's CPUs is in its affinity.
    #[error("the virtual CPU may run on none of the pool's CPUs")]
    NoPcpu,
    /// More distinct affinities than the pool was built for.
    #[error("the pool holds no more distinct affinities")]
    TooManyAffinities,
}

/// Where an awake virtual CPU is. One that sleeps is `Nowhere`, and so is one that waits for its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    Waiting,
    Chosen(PcpuIndex),
}

#[derive(Clone, Debug)]
struct Vcpu {
    account: Account,
    place: Place,
    /// Where it was chosen last.
    last: PcpuIndex,
    /// Which of the pool's run queues is that of its affinity.
    lane: usize,
}

/// Those with one affinity who wait.
#[derive(Clone, Debug)]
struct Lane<const VCPUS: usize> {
    affinity: PcpuSet,
    waiting: Queue<RunKey, VCPUS>,
}

impl<const VCPUS: usize> Lane<VCPUS> {
    /// A lane that no affinity has yet.
    const NEW: Self = Self {
        affinity: PcpuSet::EMPTY,
        waiting: Queue::new(),
    };
}

#[derive(Clone, Copy, Debug)]
struct Pcpu {
    /// Who shall run here.
    chosen: Option<VcpuIndex>,
    /// Whose registers are here.
    held: Option<VcpuIndex>,
    /// Who pays for its time.
    payer: Option<VcpuIndex>,
    /// What it was told last.
    told: Told,
}

impl Pcpu {
    const NEW: Self = Self {
        chosen: None,
        held: None,
        payer: None,
        told: Told {
            run: None,
            timer: None,
        },
    };
}

/// What a physical CPU runs, and the tick at which its timer fires.
#[derive(Clone, Copy, Debug)]
struct Told {
    run: Option<VcpuIndex>,
    timer: Option<u64>,
}

impl Told {
    /// True when the other's timer fires after this one should.
    fn sooner_than(&self, other: &Self) -> bool {
        let tick = |timer: Option<u64>| timer.unwrap_or(u64::MAX);
        tick(self.timer) < tick(other.timer)
    }
}

impl Vcpu {
    const VACANT: Self = Self {
        account: Account::new(Parameters::NONE, 0),
        place: Place::Nowhere,
        last: PcpuIndex::new(0),
        lane: 0,
    };
}

/// A pool of `PCPUS` physical CPUs for up to `VCPUS` virtual ones, which have up to `AFFINITIES` distinct affinities.
#[derive(Clone, Debug)]
pub struct Rtds<const VCPUS: usize, const PCPUS: usize, const AFFINITIES: usize = 1> {
    /// The first `count` ones are there.
    vcpus: [Vcpu; VCPUS],
    count: usize,
    pcpus: [Pcpu; PCPUS],
    lanes: [Lane<VCPUS>; AFFINITIES],
    replenishments: Queue<ReplenishKey, VCPUS>,
    /// When the first of them is due, or [`NEVER`]: nearly every event asks for it.
    next_replenishment: u64,
    /// Before then no account has to be brought up to date.
    due: u64,
    arrival: Arrival,
    start: u64,
    now: u64,
}

impl<const VCPUS: usize, const PCPUS: usize, const AFFINITIES: usize>
    Rtds<VCPUS, PCPUS, AFFINITIES>
{
    /// An empty pool. All periods count from `start`.
    pub const fn new(start: Instant) -> Self {
        const { assert!(PCPUS <= PcpuSet::MOST) };
        let start = start.as_ticks();
        Self {
            vcpus: [const { Vcpu::VACANT }; VCPUS],
            count: 0,
            pcpus: [const { Pcpu::NEW }; PCPUS],
            lanes: [const { Lane::NEW }; AFFINITIES],
            replenishments: Queue::new(),
            next_replenishment: NEVER,
            due: NEVER,
            arrival: Arrival::FIRST,
            start,
            now: start,
        }
    }

    /// Adds a virtual CPU, which sleeps.
    ///
    /// # Errors
    /// [`AddError`]; nothing is added then.
    pub fn add(&mut self, parameters: Parameters) -> Result<VcpuIndex, AddError> {
        let affinity = parameters.affinity.and(PcpuSet::first(PCPUS));
        let last = affinity.iter().next().ok_or(AddError::NoPcpu)?;
        let index = self.count;
        let vcpu = self.vcpus.get_mut(index).ok_or(AddError::TooMany)?;
        let same = |lane: &Lane<VCPUS>| lane.affinity == affinity || lane.affinity.is_empty();
        let lane = self.lanes.iter().position(same);
        let lane = lane.ok_or(AddError::TooManyAffinities)?;
        slot_mut(&mut self.lanes, lane).affinity = affinity;
        *vcpu = Vcpu {
            account: Account::new(parameters, self.start),
            last,
            lane,
            ..Vcpu::VACANT
        };
        self.count += 1;
        // A queue of more than 2^16 does not compile.
        Ok(VcpuIndex::new(index as u16))
    }

    /// Something happened at `now` on the physical CPU `here`. A time before that of the call before counts as that one. A virtual or
    /// physical CPU that the pool does not have is ignored, and so is a wake of one that is awake and a block of one that sleeps.
    #[inline(always)]
    pub fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions {
        self.now = self.now.max(now.as_ticks().min(END_OF_TIME));
        if self.now >= self.due {
            self.advance();
        }
        match event {
            Event::Wake(vcpu) if self.knows(vcpu) => self.wake(vcpu),
            Event::Block(vcpu) if self.knows(vcpu) => self.block(vcpu),
            Event::Saved if here.get() < PCPUS => self.saved(here),
            _ => {}
        }
        self.actions(here)
    }

    /// The counters of a virtual CPU; `None` when there is no such one. They are as old as the last event.
    pub fn counters(&self, vcpu: VcpuIndex) -> Option<&Counters> {
        self.knows(vcpu).then(|| &self.vcpu(vcpu).account.counters)
    }

    /// How a virtual CPU stands since the last event; `None` when there is no such one.
    pub fn standing(&self, vcpu: VcpuIndex) -> Option<Standing> {
        let account = self.knows(vcpu).then(|| &self.vcpu(vcpu).account)?;
        Some(Standing {
            level: account.level,
            deadline: Instant::from_ticks(account.deadline),
            left: Duration::from_ticks(account.left_at(self.now)),
        })
    }

    fn knows(&self, vcpu: VcpuIndex) -> bool {
        vcpu.get() < self.count
    }

    fn vcpu(&self, vcpu: VcpuIndex) -> &Vcpu {
        slot(&self.vcpus, vcpu.get())
    }

    fn vcpu_mut(&mut self, vcpu: VcpuIndex) -> &mut Vcpu {
        slot_mut(&mut self.vcpus, vcpu.get())
    }

    fn pcpu(&self, pcpu: PcpuIndex) -> &Pcpu {
        slot(&self.pcpus, pcpu.get())
    }

    fn pcpu_mut(&mut self, pcpu: PcpuIndex) -> &mut Pcpu {
        slot_mut(&mut self.pcpus, pcpu.get())
    }

    /// Brings the accounts up to now whose budget or period has ended: first of those who pay, as every decision may change who does, then
    /// of the others.
    fn advance(&mut self) {
        let mut changed = [None; PCPUS];
        for (pcpu, changed) in Self::pcpus().zip(&mut changed) {
            let payer = self.pcpu(pcpu).payer;
            *changed = payer.filter(|payer| {
                let due = self.vcpu(*payer).account.due();
                due <= self.now && self.settle(*payer)
            });
        }
        // Nobody moves before each CPU has the first of those who wait for it.
        for vcpu in changed.into_iter().flatten() {
            self.unseat(vcpu);
        }
        for vcpu in changed.into_iter().flatten() {
            self.spread(vcpu);
        }
        while self.next_replenishment <= self.now
            && let Some((_, vcpu)) = self.replenishments.first()
        {
            self.settle(vcpu);
            self.unseat(vcpu);
            self.spread(vcpu);
        }
    }

    /// All physical CPUs.
    fn pcpus() -> impl Iterator<Item = PcpuIndex> {
        // No more than a set holds, which is far below 256.
        (0..PCPUS).map(|index| PcpuIndex::new(index as u8))
    }

    /// Brings one account up to now. Returns true when the choice must be made anew; if it waited, it is taken out for that.
    fn settle(&mut self, vcpu: VcpuIndex) -> bool {
        let now = self.now;
        let account = &mut self.vcpu_mut(vcpu).account;
        let decide = account.settle(now) && account.awake;
        if decide {
            self.await_replenishment(vcpu);
            if self.vcpu(vcpu).place == Place::Waiting {
                self.withdraw(vcpu);
            }
        }
        decide
    }

    /// From now on `payer` pays for a CPU, and nobody else does; nor does it pay for another one.
    #[inline]
    fn charge(&mut self, pcpu: PcpuIndex, payer: Option<VcpuIndex>) {
        let now = self.now;
        let old = self.pcpu(pcpu).payer;
        if old == payer {
            return;
        }
        if let Some(old) = old {
            self.vcpu_mut(old).account.stop_paying(now);
        }
        self.pcpu_mut(pcpu).payer = payer;
        if let Some(payer) = payer {
            if PCPUS > 1
                && let Some(other) = self.vcpu(payer).account.pays
            {
                self.pcpu_mut(other).payer = None;
                self.vcpu_mut(payer).account.stop_paying(now);
            }
            self.vcpu_mut(payer).account.pay(pcpu, now);
        }
    }

    #[inline]
    fn await_replenishment(&mut self, vcpu: VcpuIndex) {
        let key = ReplenishKey {
            at: Instant::from_ticks(self.vcpu(vcpu).account.deadline),
        };
        self.replenishments.insert(vcpu, key);
        self.look_ahead();
    }

    #[inline]
    fn look_ahead(&mut self) {
        let first = self.replenishments.first();
        self.next_replenishment = first.map_or(NEVER, |(key, _)| key.at.as_ticks());
    }

    fn next_arrival(&mut self) -> Arrival {
        self.arrival = self.arrival.next();
        self.arrival
    }

    #[inline]
    fn wake(&mut self, vcpu: VcpuIndex) {
        let now = self.now;
        let account = &mut self.vcpu_mut(vcpu).account;
        if !account.awake {
            account.wake(now);
            self.await_replenishment(vcpu);
            if PCPUS == 1 {
                self.contend(vcpu);
            } else {
                self.spread(vcpu);
            }
        }
    }

    #[inline]
    fn block(&mut self, vcpu: VcpuIndex) {
        let now = self.now;
        let account = &mut self.vcpu_mut(vcpu).account;
        if account.awake {
            account.block(now);
            self.replenishments.remove(vcpu);
            self.look_ahead();
            self.withdraw(vcpu);
        }
    }

    /// What was loaded on a CPU is saved, and what was chosen for it is loaded there.
    #[inline]
    fn saved(&mut self, pcpu: PcpuIndex) {
        let now = self.now;
        if let Some(old) = self.pcpu_mut(pcpu).held.take() {
            self.vcpu_mut(old).account.put_down(now);
        }
        if let Some(new) = self.ready(pcpu) {
            self.pcpu_mut(pcpu).held = Some(new);
            let account = &mut self.vcpu_mut(new).account;
            account.take_up(pcpu, now);
            if PCPUS > 1 {
                account.arrive(pcpu);
            }
        }
        self.charge(pcpu, self.pcpu(pcpu).chosen);
    }

    /// Who is chosen for a CPU and is not on another one any more.
    fn ready(&self, pcpu: PcpuIndex) -> Option<VcpuIndex> {
        let chosen = self.pcpu(pcpu).chosen?;
        if PCPUS == 1 {
            return Some(chosen);
        }
        let held = self.vcpu(chosen).account.held;
        held.is_none_or(|held| held == pcpu).then_some(chosen)
    }

    /// The rank or the budget of one that is awake has changed: its CPU goes to one that outranks it now.
    fn unseat(&mut self, vcpu: VcpuIndex) {
        let Vcpu { account, place, .. } = self.vcpu(vcpu);
        if account.left == 0 {
            return self.withdraw(vcpu);
        }
        if let Place::Chosen(pcpu) = *place
            && let Some((key, waiter)) = self.first_waiter(pcpu)
            && key.outranks(&self.key(vcpu))
        {
            self.choose(waiter, pcpu);
            self.follow(vcpu, pcpu);
            self.enqueue(vcpu);
        }
    }

    /// Takes one away from where it runs or waits. The first of those who wait gets its CPU.
    fn withdraw(&mut self, vcpu: VcpuIndex) {
        let Vcpu { place, lane, .. } = *self.vcpu(vcpu);
        self.vcpu_mut(vcpu).place = Place::Nowhere;
        match place {
            Place::Nowhere => {}
            Place::Waiting => slot_mut(&mut self.lanes, lane).waiting.remove(vcpu),
            Place::Chosen(pcpu) => {
                self.pcpu_mut(pcpu).chosen = None;
                if let Some((_, waiter)) = self.first_waiter(pcpu) {
                    self.choose(waiter, pcpu);
                }
                self.follow(vcpu, pcpu);
            }
        }
    }

    /// One was replaced on a CPU, and not because another one came. It pays until its registers are saved; if they are not there, it has
    /// nothing to pay for.
    #[inline]
    fn follow(&mut self, old: VcpuIndex, pcpu: PcpuIndex) {
        if self.vcpu(old).account.held != Some(pcpu) {
            self.charge(pcpu, self.pcpu(pcpu).chosen);
        }
    }

    /// Puts one among those who wait, behind its equals.
    #[inline(always)]
    fn enqueue(&mut self, vcpu: VcpuIndex) {
        let arrival = self.next_arrival();
        let key = RunKey {
            arrival,
            ..self.key(vcpu)
        };
        self.vcpu_mut(vcpu).place = Place::Waiting;
        let lane = self.vcpu(vcpu).lane;
        slot_mut(&mut self.lanes, lane).waiting.insert(vcpu, key);
    }

    /// Gives the only CPU to one that has just come, if it outranks who has it; else it waits.
    #[inline(always)]
    fn contend(&mut self, vcpu: VcpuIndex) {
        if self.vcpu(vcpu).account.left == 0 {
            return;
        }
        let here = PcpuIndex::default();
        let chosen = self.pcpu(here).chosen;
        let outranks = chosen.is_none_or(|chosen| self.key(vcpu).outranks(&self.key(chosen)));
        if outranks {
            self.seat(vcpu, here);
            self.charge(here, Some(vcpu));
        }
        if let Some(waiter) = if outranks { chosen } else { Some(vcpu) } {
            self.enqueue(waiter);
        }
    }

    /// Finds a CPU for one that is awake and has none, then for the one that it displaces there, and so on; who finds none waits. Each
    /// outranks the next, so no CPU comes twice.
    fn spread(&mut self, vcpu: VcpuIndex) {
        let Vcpu {
            account,
            place,
            lane,
            ..
        } = self.vcpu(vcpu);
        match *place {
            Place::Chosen(_) => return,
            Place::Nowhere if account.left == 0 => return,
            Place::Nowhere => {}
            Place::Waiting => {
                let lane = *lane;
                slot_mut(&mut self.lanes, lane).waiting.remove(vcpu);
            }
        }
        let mut homeless = vcpu;
        while let Some(pcpu) = self.place_for(homeless) {
            let displaced = self.pcpu(pcpu).chosen;
            self.seat(homeless, pcpu);
            self.charge(pcpu, Some(homeless));
            let Some(displaced) = displaced else { return };
            homeless = displaced;
            if PCPUS == 1 {
                break;
            }
        }
        self.enqueue(homeless);
    }

    /// The CPU that one without a CPU shall have: an idle one, or that of the least urgent one that it outranks. Where it was last is
    /// preferred among equals.
    #[inline]
    fn place_for(&self, vcpu: VcpuIndex) -> Option<PcpuIndex> {
        let Vcpu { last, lane, .. } = *self.vcpu(vcpu);
        let key = self.key(vcpu);
        // `None`, an idle CPU, is before all others.
        let urgency =
            |pcpu: PcpuIndex| self.pcpu(pcpu).chosen.map(|chosen| self.key(chosen).rank());
        if PCPUS == 1 {
            return urgency(last)
                .is_none_or(|rank| key.rank() < rank)
                .then_some(last);
        }
        let affinity = slot(&self.lanes, lane).affinity;
        let open = affinity.iter().map(|pcpu| (pcpu, urgency(pcpu)));
        let open = open.filter(|(_, rank)| rank.is_none_or(|rank| key.rank() < rank));
        open.min_by_key(|(pcpu, rank)| (rank.map(core::cmp::Reverse), *pcpu != last))
            .map(|(pcpu, _)| pcpu)
    }

    /// Makes one that waits the one that runs on a CPU.
    fn choose(&mut self, vcpu: VcpuIndex, pcpu: PcpuIndex) {
        let lane = self.vcpu(vcpu).lane;
        slot_mut(&mut self.lanes, lane).waiting.remove(vcpu);
        self.seat(vcpu, pcpu);
    }

    /// Makes one that does not wait the one that runs on a CPU.
    #[inline]
    fn seat(&mut self, vcpu: VcpuIndex, pcpu: PcpuIndex) {
        let seated = self.vcpu_mut(vcpu);
        (seated.place, seated.last) = (Place::Chosen(pcpu), pcpu);
        self.pcpu_mut(pcpu).chosen = Some(vcpu);
    }

    /// The first of those who wait and may run on a CPU.
    fn first_waiter(&self, pcpu: PcpuIndex) -> Option<(RunKey, VcpuIndex)> {
        let mut lanes = self.lanes.iter();
        if PCPUS == 1 {
            return lanes.next().and_then(|lane| lane.waiting.first());
        }
        lanes
            .filter(|lane| lane.affinity.contains(pcpu))
            .filter_map(|lane| lane.waiting.first())
            .min()
    }

    /// Its rank. The arrival counts only among those who wait.
    #[inline]
    fn key(&self, vcpu: VcpuIndex) -> RunKey {
        let account = &self.vcpu(vcpu).account;
        RunKey {
            level: account.level,
            priority: account.parameters.priority,
            deadline: Instant::from_ticks(account.deadline),
            arrival: Arrival::FIRST,
        }
    }

    /// The answer for one CPU, and who else must look: those that run another one than they were told, or whose timer would be late.
    #[inline]
    fn actions(&mut self, here: PcpuIndex) -> Actions {
        let mut actions = Actions::default();
        self.due = self.next_replenishment;
        for pcpu in Self::pcpus() {
            if let Some(payer) = self.pcpu(pcpu).payer {
                self.due = self.due.min(self.vcpu(payer).account.due());
            }
            let plan = Told {
                run: self.ready(pcpu),
                timer: self.timer(pcpu),
            };
            let told = &mut self.pcpu_mut(pcpu).told;
            if pcpu == here {
                if PCPUS > 1 {
                    *told = plan;
                }
                actions.run = plan.run;
                actions.timer = plan.timer.map(Instant::from_ticks);
            } else if PCPUS > 1 && (plan.run != told.run || plan.sooner_than(told)) {
                *told = plan;
                actions.kick = actions.kick.with(pcpu);
            }
        }
        actions
    }

    /// When a CPU must look by itself: at the end of its virtual CPU's budget, and the first one at the next replenishment too.
    #[inline]
    fn timer(&self, pcpu: PcpuIndex) -> Option<u64> {
        let Pcpu { chosen, payer, .. } = *self.pcpu(pcpu);
        let pays = payer.filter(|payer| chosen == Some(*payer));
        let mut timer = pays.map_or(NEVER, |vcpu| self.vcpu(vcpu).account.budget_end());
        if pcpu == PcpuIndex::default() {
            timer = timer.min(self.next_replenishment);
        }
        (timer != NEVER).then_some(timer)
    }
}
