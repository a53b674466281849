//! A pool of virtual CPUs that all want to run, and what it costs to tell its policy something.

use board::timer::Timer;
use embassy_time::{Duration, Instant};
use rtds::{Event, Parameters, PcpuIndex, PcpuSet, Reservation, Rtds, VcpuIndex};

/// The most virtual CPUs.
pub const ROOM: usize = 256;
/// Decisions of each kind that are measured.
const ROUNDS: u64 = 1024;

/// Mean ticks of one event with all that follows from it on every physical CPU.
pub struct Cost {
    pub wake: u64,
    pub sleep: u64,
    pub replenishment: u64,
    /// A look that finds nothing to do.
    pub look: u64,
}

/// The policy with what its physical CPUs have loaded.
pub struct Pool<const PCPUS: usize> {
    policy: &'static mut Rtds<ROOM, PCPUS>,
    loaded: [Option<VcpuIndex>; PCPUS],
    count: u16,
    timer: Option<u64>,
    now: u64,
}

impl<const PCPUS: usize> Pool<PCPUS> {
    /// With so many virtual CPUs, all awake, that share nine tenths of the physical ones. `None` when there is no room for them.
    pub fn new(policy: &'static mut Rtds<ROOM, PCPUS>, count: u16) -> Option<Self> {
        for index in 0..u64::from(count) {
            // Periods that differ, so that replenishments come one by one.
            let period = 10_000_000 + index * 7_919;
            let share = (900 * PCPUS as u64 / u64::from(count)).min(900);
            let duration = Duration::from_ticks;
            let reservation = Reservation::new(duration(period), duration(period * share / 1000));
            let parameters = Parameters {
                reservation: reservation.ok()?,
                priority: 0,
                extra_time: false,
                affinity: PcpuSet::first(PCPUS),
            };
            policy.add(parameters).ok()?;
        }
        let mut pool = Self {
            policy,
            loaded: [None; PCPUS],
            count,
            timer: None,
            now: 0,
        };
        for index in 0..count {
            pool.tell(Event::Wake(VcpuIndex::new(index)));
        }
        Some(pool)
    }

    /// Measures each kind of event.
    pub fn measure(&mut self) -> Cost {
        let (mut wake, mut sleep, mut replenishment, mut look) = (0, 0, 0, 0);
        let half = u64::from(self.count / 2);
        let rounds = (ROUNDS / half).max(1);
        for _ in 0..rounds {
            // Half of them sleep and wake, so that the others keep the queues filled.
            sleep += self.time(|index| Event::Block(VcpuIndex::new(2 * index)));
            wake += self.time(|index| Event::Wake(VcpuIndex::new(2 * index)));
            look += self.time(|_| Event::Look);
            let begin = Timer::Virtual.now();
            for _ in 0..half {
                self.now = self.timer.map_or(self.now + 1_000, |at| at.max(self.now));
                self.tell(Event::Look);
            }
            replenishment += Timer::Virtual.now() - begin;
        }
        let events = rounds * half;
        Cost {
            wake: wake / events,
            sleep: sleep / events,
            replenishment: replenishment / events,
            look: look / events,
        }
    }

    /// Ticks for half as many events as there are virtual CPUs.
    fn time(&mut self, event: impl Fn(u16) -> Event) -> u64 {
        let begin = Timer::Virtual.now();
        for index in 0..self.count / 2 {
            self.tell(event(index));
        }
        Timer::Virtual.now() - begin
    }

    /// Tells the first CPU, and then every CPU that is to look, until nothing is left to do.
    fn tell(&mut self, event: Event) {
        let mut pending = self.tell_one(PcpuIndex::default(), event);
        while let Some(other) = pending.iter().next() {
            let kicks = self.tell_one(other, Event::Look);
            let rest = pending.iter().skip(1).chain(kicks.iter());
            pending = rest.fold(PcpuSet::EMPTY, PcpuSet::with);
        }
    }

    fn tell_one(&mut self, here: PcpuIndex, event: Event) -> PcpuSet {
        let now = Instant::from_ticks(self.now);
        let mut actions = self.policy.on(now, here, event);
        let mut kicks = actions.kick;
        if let Some(loaded) = self.loaded.get_mut(here.get())
            && *loaded != actions.run
        {
            actions = self.policy.on(now, here, Event::Saved);
            kicks = actions.kick.iter().fold(kicks, PcpuSet::with);
            *loaded = actions.run;
        }
        if here == PcpuIndex::default() {
            self.timer = actions.timer.map(|timer| timer.as_ticks());
        }
        kicks
    }
}
