//! A discrete-event simulator that drives the state machine of the image, on the host.
//!
//! It plays the shell: it delivers timers and kicks, takes time to switch where it is told to, and lets virtual CPUs work and sleep as
//! their workloads say. What ran when is told to an [`Observer`], which sees it from outside: the state machine's own counters are not
//! trusted here.

mod meter;
mod reference;
mod workload;

use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use embassy_time::{Duration, Instant};

pub use meter::{Blackout, Nobody, PerWindow, Run, Runs, Together};
pub use reference::Reference;
pub use workload::{ENDLESS, Step, Wake, Workload, busy, periodic, sleeper};

use crate::rtds::Standing;
use crate::{Actions, AddError, Event, Parameters, PcpuIndex, Rtds, VcpuIndex};

/// A policy that a simulation can drive.
pub trait Policy {
    /// Adds a virtual CPU, which sleeps.
    ///
    /// # Errors
    /// [`AddError`] when there is no room for it.
    fn add(&mut self, parameters: Parameters) -> Result<VcpuIndex, AddError>;
    /// Something happened: see [`Rtds::on`].
    fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions;
    /// How a virtual CPU stands.
    fn standing(&self, vcpu: VcpuIndex) -> Option<Standing>;
    /// How many physical CPUs it has.
    fn pcpus(&self) -> usize;
}

impl<const VCPUS: usize, const PCPUS: usize, const AFFINITIES: usize> Policy
    for Rtds<VCPUS, PCPUS, AFFINITIES>
{
    fn add(&mut self, parameters: Parameters) -> Result<VcpuIndex, AddError> {
        self.add(parameters)
    }

    fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions {
        self.on(now, here, event)
    }

    fn standing(&self, vcpu: VcpuIndex) -> Option<Standing> {
        self.standing(vcpu)
    }

    fn pcpus(&self) -> usize {
        PCPUS
    }
}

impl<P: Policy> Policy for Box<P> {
    fn add(&mut self, parameters: Parameters) -> Result<VcpuIndex, AddError> {
        (**self).add(parameters)
    }

    fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions {
        (**self).on(now, here, event)
    }

    fn standing(&self, vcpu: VcpuIndex) -> Option<Standing> {
        (**self).standing(vcpu)
    }

    fn pcpus(&self) -> usize {
        (**self).pcpus()
    }
}

/// What is told about a simulation. Each part can be left out.
pub trait Observer {
    /// A virtual CPU's registers were on a physical CPU for this time.
    fn ran(&mut self, _pcpu: PcpuIndex, _vcpu: VcpuIndex, _from: Instant, _to: Instant) {}
    /// A virtual CPU woke, or began to sleep.
    fn awake(&mut self, _vcpu: VcpuIndex, _awake: bool, _at: Instant) {}
    /// How a virtual CPU stands has changed.
    fn stands(&mut self, _vcpu: VcpuIndex, _standing: Standing, _at: Instant) {}
    /// True when [`Observer::stands`] is wanted: it costs a look at each virtual CPU after each event.
    fn wants_standings(&self) -> bool {
        false
    }
}

/// What the shell's work costs. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// From a timer's instant, or a kick, to the look that it causes.
    pub latency: Duration,
    /// From a decision for another virtual CPU to [`Event::Saved`]. The one that goes does no work in this time, and is charged for it.
    pub switch: Duration,
}

/// A simulation under way.
pub struct Simulation<'a, P> {
    policy: P,
    costs: Costs,
    now: u64,
    vcpus: Vec<Vcpu<'a>>,
    pcpus: Vec<Pcpu>,
    /// When sleepers wake: earliest first, then in the order of their numbers.
    wakes: BinaryHeap<Reverse<(u64, u16)>>,
}

struct Vcpu<'a> {
    workload: Workload<'a>,
    /// What it works on before it sleeps; endless when there is no end.
    work: u64,
    asleep: bool,
    standing: Option<Standing>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pcpu {
    loaded: Option<VcpuIndex>,
    since: u64,
    timer: Option<u64>,
    kicked: Option<u64>,
    /// When the switch that is under way ends.
    switching: Option<u64>,
}

impl Pcpu {
    fn works_on(&self) -> Option<VcpuIndex> {
        self.loaded.filter(|_| self.switching.is_none())
    }
}

/// What comes next, in this order among events of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Saved(PcpuIndex),
    Done(PcpuIndex, VcpuIndex),
    Look(PcpuIndex),
    Wake(u16),
}

impl<'a, P: Policy> Simulation<'a, P> {
    /// A simulation that begins at `start` with nobody in it.
    pub fn new(policy: P, start: Instant, costs: Costs) -> Self {
        let pcpus = policy.pcpus();
        Self {
            policy,
            costs,
            now: start.as_ticks(),
            vcpus: Vec::new(),
            pcpus: alloc::vec![Pcpu::default(); pcpus],
            wakes: BinaryHeap::new(),
        }
    }

    /// Adds a virtual CPU with what it does.
    ///
    /// # Errors
    /// [`AddError`] of the policy.
    pub fn add(
        &mut self,
        parameters: Parameters,
        workload: impl Iterator<Item = Step> + 'a,
    ) -> Result<VcpuIndex, AddError> {
        let index = self.policy.add(parameters)?;
        self.vcpus.push(Vcpu {
            workload: Box::new(workload),
            work: 0,
            asleep: true,
            standing: None,
        });
        self.next_step(index);
        Ok(index)
    }

    /// The policy, for its counters.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        Instant::from_ticks(self.now)
    }

    /// Runs until `end`, and tells `observer` about it.
    pub fn run_until(&mut self, end: Instant, observer: &mut impl Observer) {
        let end = end.as_ticks();
        while let Some((at, next)) = self.next().filter(|(at, _)| *at < end) {
            self.advance(at);
            self.handle(next, observer);
        }
        self.advance(end);
        for index in 0..self.pcpus.len() {
            self.tell_run(PcpuIndex::new(index as u8), observer);
        }
    }

    /// The earliest thing that happens.
    fn next(&self) -> Option<(u64, Next)> {
        let latency = self.costs.latency.as_ticks();
        let mut next: Option<(u64, Next)> = None;
        let mut consider = |at: Option<u64>, what: Next| {
            let one = at.map(|at| (at.max(self.now), what));
            next = next.into_iter().chain(one).min();
        };
        for (index, pcpu) in self.pcpus.iter().enumerate() {
            let here = PcpuIndex::new(index as u8);
            if pcpu.switching.is_some() {
                consider(pcpu.switching, Next::Saved(here));
                continue;
            }
            let timer = pcpu.timer.map(|timer| timer.saturating_add(latency));
            consider(timer, Next::Look(here));
            consider(pcpu.kicked, Next::Look(here));
            if let Some(vcpu) = pcpu.loaded {
                let work = self.vcpus.get(vcpu.get()).map_or(u64::MAX, |one| one.work);
                let done = self.now.saturating_add(work);
                consider((done < u64::MAX).then_some(done), Next::Done(here, vcpu));
            }
        }
        if let Some(Reverse((at, vcpu))) = self.wakes.peek() {
            consider(Some(*at), Next::Wake(*vcpu));
        }
        next
    }

    /// Time passes, and those who run work.
    fn advance(&mut self, to: u64) {
        let passed = to - self.now;
        for pcpu in &self.pcpus {
            let works = pcpu.works_on();
            if let Some(vcpu) = works.and_then(|vcpu| self.vcpus.get_mut(vcpu.get()))
                && vcpu.work != u64::MAX
            {
                vcpu.work = vcpu.work.saturating_sub(passed);
            }
        }
        self.now = to;
    }

    fn handle(&mut self, next: Next, observer: &mut impl Observer) {
        match next {
            Next::Look(here) => {
                if let Some(pcpu) = self.pcpus.get_mut(here.get()) {
                    pcpu.kicked = None;
                }
                self.tell(here, Event::Look, observer);
            }
            Next::Saved(here) => self.saved(here, observer),
            Next::Done(here, vcpu) => {
                if self.next_step(vcpu) {
                    self.tell_run(here, observer);
                    observer.awake(vcpu, false, self.now());
                    self.tell(here, Event::Block(vcpu), observer);
                }
            }
            Next::Wake(vcpu) => {
                self.wakes.pop();
                let index = VcpuIndex::new(vcpu);
                if let Some(vcpu) = self.vcpus.get_mut(index.get()) {
                    vcpu.asleep = false;
                }
                observer.awake(index, true, self.now());
                // Its interrupt arrives at some CPU, not always at the same one.
                let here = PcpuIndex::new((usize::from(vcpu) % self.pcpus.len()) as u8);
                self.tell(here, Event::Wake(index), observer);
            }
        }
    }

    /// Takes the next step of a workload. Returns true when it sleeps first.
    fn next_step(&mut self, index: VcpuIndex) -> bool {
        let Some(vcpu) = self.vcpus.get_mut(index.get()) else {
            return false;
        };
        let Some(step) = vcpu.workload.next() else {
            (vcpu.work, vcpu.asleep) = (u64::MAX, true);
            return true;
        };
        let wake = match step.wake {
            Wake::At(at) => at.as_ticks(),
            Wake::After(time) => self.now.saturating_add(time.as_ticks()),
        };
        vcpu.work = step.work.as_ticks().max(1);
        vcpu.asleep |= wake > self.now;
        if vcpu.asleep {
            self.wakes.push(Reverse((wake, index.get() as u16)));
        }
        vcpu.asleep
    }

    fn tell(&mut self, here: PcpuIndex, event: Event, observer: &mut impl Observer) {
        let actions = self.policy.on(self.now(), here, event);
        self.obey(here, actions, observer);
        let Some(pcpu) = self.pcpus.get_mut(here.get()) else {
            return;
        };
        if actions.run == pcpu.loaded || pcpu.switching.is_some() {
            return;
        }
        pcpu.switching = Some(self.now + self.costs.switch.as_ticks());
        if self.costs.switch.as_ticks() == 0 {
            self.saved(here, observer);
        }
    }

    fn saved(&mut self, here: PcpuIndex, observer: &mut impl Observer) {
        self.tell_run(here, observer);
        let actions = self.policy.on(self.now(), here, Event::Saved);
        self.obey(here, actions, observer);
        if let Some(pcpu) = self.pcpus.get_mut(here.get()) {
            (pcpu.switching, pcpu.loaded, pcpu.since) = (None, actions.run, self.now);
        }
    }

    /// Tells what a CPU has run up to now.
    fn tell_run(&mut self, here: PcpuIndex, observer: &mut impl Observer) {
        let now = self.now();
        if let Some(pcpu) = self.pcpus.get_mut(here.get())
            && let Some(loaded) = pcpu.loaded
            && pcpu.since < now.as_ticks()
        {
            observer.ran(here, loaded, Instant::from_ticks(pcpu.since), now);
            pcpu.since = now.as_ticks();
        }
    }

    fn obey(&mut self, here: PcpuIndex, actions: Actions, observer: &mut impl Observer) {
        let kicked = self.now.saturating_add(self.costs.latency.as_ticks());
        for other in actions.kick.iter() {
            if let Some(other) = self.pcpus.get_mut(other.get()) {
                other.kicked.get_or_insert(kicked);
            }
        }
        if let Some(pcpu) = self.pcpus.get_mut(here.get()) {
            pcpu.timer = actions.timer.map(|timer| timer.as_ticks());
        }
        if observer.wants_standings() {
            let now = self.now();
            for (index, vcpu) in self.vcpus.iter_mut().enumerate() {
                let index = VcpuIndex::new(index as u16);
                let standing = self.policy.standing(index);
                if let Some(standing) = standing.filter(|one| vcpu.standing != Some(*one)) {
                    vcpu.standing = Some(standing);
                    observer.stands(index, standing, now);
                }
            }
        }
    }
}
