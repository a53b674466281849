//! Whose turn it is on one pCPU, whatever its architecture: what has happened is told to the policy, and the alarm is set for what comes next. Who
//! takes turns, and what a switch moves, is the architecture's.

use embassy_time::Instant;

use super::clock::Clock;
use super::policy::{Event, Policy};
use super::trace::Kind;

/// The counter and the alarm of the CPU that runs this code: all that deciding needs of it, on every architecture.
pub trait AlarmClock {
    /// The counter, in ticks.
    fn now() -> u64;

    /// Has the alarm ring at `at`, in ticks; at once when that is past. Replaces one that was set before.
    fn set_alarm(at: u64);

    /// Turns the alarm off.
    fn clear_alarm();
}

/// A virtual CPU that takes turns, as far as deciding needs it.
pub trait Contender {
    /// What is remembered of it.
    fn sleep(&mut self) -> &mut Sleep;

    /// True when others want something of it: asked while it is not loaded.
    fn has_requests(&self) -> bool;
}

/// Whether a virtual CPU has something to do, and when it will have.
#[derive(Clone, Copy, Debug)]
pub struct Sleep {
    /// What the policy was told.
    pub awake: bool,
    /// When a timer of one that sleeps and is not loaded fires, in ticks; [`u64::MAX`]: never.
    pub timer: u64,
}

impl Sleep {
    /// It sleeps, until others want something of it.
    pub const NEW: Self = Self {
        awake: false,
        timer: u64::MAX,
    };
}

/// When something is decided.
#[derive(Clone, Copy)]
pub struct Moment {
    /// From when on it counts: the time at which the guest was left, so that what came then pays for the rest of the exit.
    pub decided: u64,
    /// Now.
    pub ticks: u64,
}

/// What was decided.
#[derive(Clone, Copy)]
pub struct Decided {
    /// At which time.
    pub at: Instant,
    /// Whose turn it is; `None`: nobody's.
    pub run: Option<usize>,
}

/// What decides on a pCPU. Contenders are always given in the order in which the policy got them.
pub struct Dispatcher<P> {
    /// Its policy.
    pub policy: P,
    clock: Clock,
    /// Whose registers are loaded.
    pub loaded: usize,
    /// Something happened that the policy may have to know.
    pub look: bool,
    /// The alarm as it was set last; [`u64::MAX`]: it is off.
    armed: u64,
}

impl<P: Policy> Dispatcher<P> {
    /// For a pCPU whose counter runs at `frequency` Hz.
    pub const fn new(policy: P, frequency: u64) -> Self {
        Self {
            policy,
            clock: Clock::new(frequency),
            loaded: 0,
            look: false,
            armed: u64::MAX,
        }
    }

    /// Tells the policy who has come to have something to do by `now`, and whether the one that is loaded `has_work`. Whose turn it is. `note` hears who
    /// wakes and who blocks.
    #[inline(always)]
    pub fn decide<'a, T: Contender + 'a>(
        &mut self,
        now: Moment,
        has_work: bool,
        contenders: impl Iterator<Item = &'a mut T>,
        note: impl Fn(Kind, &T),
    ) -> Decided {
        let at = self.clock.instant(now.decided);
        let mut decision = None;
        for (index, one) in contenders.enumerate() {
            let wakes = if index == self.loaded {
                has_work
            } else {
                one.sleep().timer <= now.ticks || one.has_requests()
            };
            let awake = one.sleep().awake;
            if wakes && !awake {
                *one.sleep() = Sleep {
                    awake: true,
                    timer: u64::MAX,
                };
                note(Kind::WAKE, one);
                decision = Some(self.policy.on(at, Event::Wake(index)));
            } else if !wakes && awake && index == self.loaded {
                one.sleep().awake = false;
                note(Kind::BLOCK, one);
                decision = Some(self.policy.on(at, Event::Block(index)));
            }
        }
        let decision = decision.unwrap_or_else(|| self.policy.on(at, Event::Look));
        Decided {
            at,
            run: decision.run,
        }
    }

    /// What was decided has been done. The alarm is set for the earliest of what the policy wants to see, what the timers of those who sleep wait for,
    /// and `other`, in ticks; should another one have its turn by now, it is looked at again. Returns what the policy wants to see.
    #[inline(always)]
    pub fn done<'a, C: AlarmClock, T: Contender + 'a>(
        &mut self,
        run: Option<usize>,
        contenders: impl Iterator<Item = &'a mut T>,
        other: u64,
    ) -> Option<Instant> {
        let ticks = C::now();
        let now = self.clock.instant(ticks);
        let decision = self.policy.taken(now);
        self.look = decision.run != run;
        let policy = decision.next;
        let policy = policy.map_or(u64::MAX, |next| self.clock.tick_of(next, now, ticks));
        let mut alarm = policy.min(other);
        for one in contenders {
            alarm = alarm.min(one.sleep().timer);
        }
        self.arm::<C>(alarm);
        decision.next
    }

    #[inline]
    fn arm<C: AlarmClock>(&mut self, alarm: u64) {
        if alarm != self.armed {
            self.armed = alarm;
            if alarm == u64::MAX {
                C::clear_alarm();
            } else {
                C::set_alarm(alarm);
            }
        }
    }

    /// The alarm is to ring at `at`, in ticks, at the latest.
    pub fn ring_by<C: AlarmClock>(&mut self, at: u64) {
        self.arm::<C>(self.armed.min(at));
    }

    /// When the alarm rings, in ticks; [`u64::MAX`]: it is off.
    pub const fn armed(&self) -> u64 {
        self.armed
    }

    /// The alarm rang: it is off.
    #[inline]
    pub const fn rang(&mut self) {
        self.look = true;
        self.armed = u64::MAX;
    }
}

#[cfg(test)]
mod tests;
