//! `rtds` pools: budgets in periods, the earliest end of a period first.

use embassy_time::Instant;
use model::time::{Budget, TimeShare};
use rtds::{Actions, Parameters, PcpuIndex, PcpuSet, Reservation, Rtds, VcpuIndex};

use super::counters::Counter;
use super::policy::{Decision, Event, Policy};

/// The only physical CPU of each policy: virtual CPUs do not move.
const HERE: PcpuIndex = PcpuIndex::new(0);

/// What the crate wants to know of a virtual CPU with this time that may run on these pCPUs; `None` when no such promise is made.
pub(super) fn parameters(time: &Budget, affinity: PcpuSet) -> Option<Parameters> {
    let reservation = Reservation::new(time.period, time.budget).ok()?;
    Some(Parameters {
        reservation,
        priority: time.priority,
        extra_time: time.extra_time,
        affinity,
    })
}

/// The policy for up to `VCPUS` virtual CPUs on one physical CPU.
pub struct Budgets<const VCPUS: usize> {
    policy: Rtds<VCPUS, 1>,
    decided: Decision,
    held: Option<usize>,
}

impl<const VCPUS: usize> Budgets<VCPUS> {
    /// For nobody yet. Periods count from the start of the system counter.
    pub const fn new() -> Self {
        Self {
            policy: Rtds::new(Instant::MIN),
            decided: Decision {
                run: None,
                next: None,
            },
            held: None,
        }
    }
}

impl<const VCPUS: usize> Default for Budgets<VCPUS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const VCPUS: usize> Policy for Budgets<VCPUS> {
    fn add(&mut self, time: &TimeShare) -> bool {
        let TimeShare::Budget(time) = time else {
            return false;
        };
        let parameters = parameters(time, PcpuSet::first(1));
        parameters.is_some_and(|parameters| self.policy.add(parameters).is_ok())
    }

    fn begin(&mut self) -> bool {
        true
    }

    #[inline(always)]
    fn on(&mut self, now: Instant, event: Event) -> Decision {
        let event = match event {
            Event::Wake(vcpu) => rtds::Event::Wake(index(vcpu)),
            Event::Block(vcpu) => rtds::Event::Block(index(vcpu)),
            Event::Look => rtds::Event::Look,
        };
        self.decided = decision(self.policy.on(now, HERE, event));
        self.decided
    }

    #[inline(always)]
    fn taken(&mut self, now: Instant) -> Decision {
        if self.decided.run != self.held {
            self.decided = decision(self.policy.on(now, HERE, rtds::Event::Saved));
            self.held = self.decided.run;
        }
        self.decided
    }

    fn counter(&self, vcpu: usize, counter: Counter) -> Option<u64> {
        value(self.policy.counters(index(vcpu))?, counter)
    }

    #[cfg(feature = "trace")]
    #[inline(always)]
    fn ends(&self, vcpu: usize) -> [u64; 2] {
        let counters = self.policy.counters(index(vcpu));
        counters.map_or([0; 2], |counters| [counters.depletions, counters.periods])
    }
}

/// One of the counters of a virtual CPU with a budget, on one physical CPU.
pub(super) fn value(counters: &rtds::Counters, counter: Counter) -> Option<u64> {
    match counter {
        Counter::Periods => Some(counters.periods),
        Counter::Supply => (counters.periods > 0).then_some(counters.last_supply),
        Counter::LeastSupply => counters.least_supply().map(|supply| supply.as_ticks()),
        Counter::Depletions => Some(counters.depletions),
        Counter::Preemptions => Some(counters.preemptions),
        Counter::Blackout => Some(counters.longest_blackout),
        Counter::Overrun => Some(counters.longest_overrun),
        Counter::LateReplenishments => Some(counters.late_replenishments),
        _ => None,
    }
}

fn decision(actions: Actions) -> Decision {
    Decision {
        run: actions.run.map(VcpuIndex::get),
        next: actions.timer,
    }
}

/// The place of a virtual CPU as the crate names it.
fn index(vcpu: usize) -> VcpuIndex {
    VcpuIndex::new(u16::try_from(vcpu).unwrap_or(u16::MAX))
}
