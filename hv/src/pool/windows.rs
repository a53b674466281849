//! `cyclic` pools: windows of a frame that comes again and again.

use embassy_time::{Duration, Instant};
use model::time::TimeShare;
use rtds::VcpuIndex;
pub use rtds::cyclic::Window;
use rtds::cyclic::{Frame, Turn};

use super::counters::Counter;
use super::policy::{Decision, Event, Policy};

/// A place for a window that there is none in yet.
pub const NO_WINDOW: Window = Window {
    start: Duration::from_ticks(0),
    length: Duration::from_ticks(0),
    vcpu: VcpuIndex::new(0),
};

/// All frames begin with the system counter.
const START: Instant = Instant::MIN;

/// The policy for up to `VCPUS` virtual CPUs on one physical CPU.
pub struct Windows<const VCPUS: usize> {
    length: Duration,
    /// Room for the windows of all of them, until they have come.
    room: &'static mut [Window],
    /// How many windows there are.
    count: usize,
    frame: Option<Frame<'static>>,
    members: usize,
    awake: [bool; VCPUS],
    /// The window or gap that was looked at last.
    last: Option<Turn>,
    counters: [Counters; VCPUS],
}

/// What is counted of a virtual CPU's windows.
#[derive(Clone, Copy)]
struct Counters {
    begun: u64,
    missed: u64,
    /// In nanoseconds.
    lateness: u64,
}

impl Counters {
    const NONE: Self = Self {
        begun: 0,
        missed: 0,
        lateness: 0,
    };
}

impl<const VCPUS: usize> Windows<VCPUS> {
    /// For nobody yet, in frames of `length` with as many windows as `room` has places.
    pub const fn new(length: Duration, room: &'static mut [Window]) -> Self {
        Self {
            length,
            room,
            count: 0,
            frame: None,
            members: 0,
            awake: [false; VCPUS],
            last: None,
            counters: [Counters::NONE; VCPUS],
        }
    }

    /// The window or gap in which `now` lies. One that nobody looked at before is counted.
    fn turn(&mut self, now: Instant) -> Option<Turn> {
        let turn = self.frame.as_ref()?.at(START, now);
        if let Some(last) = self.last.replace(turn)
            && last.since != turn.since
        {
            self.count_missed(last.until, turn.since);
            if let Some(counters) = self.of_awake(turn) {
                counters.begun += 1;
                let late = now.as_ticks().saturating_sub(turn.since.as_ticks());
                counters.lateness = counters.lateness.max(late);
            }
        }
        Some(turn)
    }

    /// Counts the windows between two times: of those, as many as two frames have.
    fn count_missed(&mut self, mut from: Instant, to: Instant) {
        for _ in 0..4 * self.count {
            let Some(frame) = self.frame.as_ref().filter(|_| from < to) else {
                return;
            };
            let turn = frame.at(START, from);
            if let Some(counters) = self.of_awake(turn) {
                counters.missed += 1;
            }
            from = turn.until;
        }
    }

    /// The counters of a window's owner, if it has something to do.
    fn of_awake(&mut self, turn: Turn) -> Option<&mut Counters> {
        let owner = turn.run?.get();
        let awake = self.awake.get(owner) == Some(&true);
        self.counters.get_mut(owner).filter(|_| awake)
    }
}

impl<const VCPUS: usize> Policy for Windows<VCPUS> {
    fn add(&mut self, time: &TimeShare) -> bool {
        let TimeShare::Windows(windows) = time else {
            return false;
        };
        let Ok(number) = u16::try_from(self.members) else {
            return false;
        };
        for window in *windows {
            let Some(place) = self.room.get_mut(self.count) else {
                return false;
            };
            *place = Window {
                start: window.start,
                length: window.length,
                vcpu: VcpuIndex::new(number),
            };
            self.count += 1;
        }
        self.members += 1;
        self.members <= VCPUS
    }

    fn begin(&mut self) -> bool {
        let room = core::mem::take(&mut self.room);
        let Some((windows, _)) = room.split_at_mut_checked(self.count) else {
            return false;
        };
        windows.sort_unstable_by_key(|window| window.start);
        self.frame = Frame::new(self.length, windows).ok();
        self.frame.is_some()
    }

    fn on(&mut self, now: Instant, event: Event) -> Decision {
        let (vcpu, awake) = match event {
            Event::Wake(vcpu) => (Some(vcpu), true),
            Event::Block(vcpu) => (Some(vcpu), false),
            Event::Look => (None, false),
        };
        // Before the event: one that wakes in its window was not there when that began.
        self.turn(now);
        if let Some(vcpu) = vcpu.and_then(|vcpu| self.awake.get_mut(vcpu)) {
            *vcpu = awake;
        }
        self.taken(now)
    }

    fn taken(&mut self, now: Instant) -> Decision {
        let Some(turn) = self.turn(now) else {
            return Decision {
                run: None,
                next: None,
            };
        };
        let owner = turn.run.map(VcpuIndex::get);
        Decision {
            run: owner.filter(|owner| self.awake.get(*owner) == Some(&true)),
            next: Some(turn.until),
        }
    }

    fn counter(&self, vcpu: usize, counter: Counter) -> Option<u64> {
        let counters = self.counters.get(vcpu)?;
        match counter {
            Counter::Windows => Some(counters.begun),
            Counter::MissedWindows => Some(counters.missed),
            Counter::Lateness => Some(counters.lateness),
            _ => None,
        }
    }

    /// Windows have no budgets.
    #[cfg(feature = "trace")]
    fn ends(&self, _vcpu: usize) -> [u64; 2] {
        [0; 2]
    }
}

#[cfg(test)]
mod tests {
    use model::time;

    use super::*;

    const MS: u64 = 1_000_000;

    fn window(start: u64, length: u64) -> time::Window {
        time::Window {
            start: Duration::from_millis(start),
            length: Duration::from_millis(length),
        }
    }

    /// Frames of 10 ms: the first has 0 to 2 and 5 to 7, the second 3 to 4.
    fn windows() -> Windows<2> {
        let room = Box::leak(Box::new([NO_WINDOW; 3]));
        let mut windows = Windows::new(Duration::from_millis(10), room);
        let first = Box::leak(Box::new([window(5, 2), window(0, 2)]));
        let second = Box::leak(Box::new([window(3, 1)]));
        assert!(windows.add(&TimeShare::Windows(first)));
        assert!(windows.add(&TimeShare::Windows(second)));
        windows
    }

    fn decision(run: Option<usize>, next: u64) -> Decision {
        Decision {
            run,
            next: Some(Instant::from_ticks(next * MS)),
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_ticks(ms * MS)
    }

    #[test]
    fn owner_of_the_window_runs_while_it_is_awake() {
        let mut windows = windows();
        assert!(windows.begin());
        assert_eq!(windows.on(at(20), Event::Look), decision(None, 22));
        assert_eq!(windows.on(at(21), Event::Wake(0)), decision(Some(0), 22));
        assert_eq!(windows.on(at(25), Event::Wake(1)), decision(Some(0), 27));
        assert_eq!(windows.on(at(26), Event::Block(0)), decision(None, 27));
        assert_eq!(windows.on(at(33), Event::Look), decision(Some(1), 34));
    }

    /// Windows begun, windows missed, nanoseconds of lateness.
    fn counters(windows: &Windows<2>, vcpu: usize) -> [Option<u64>; 3] {
        [Counter::Windows, Counter::MissedWindows, Counter::Lateness]
            .map(|counter| windows.counter(vcpu, counter))
    }

    #[test]
    fn window_that_begins_late_is_counted_with_its_lateness() {
        let mut windows = windows();
        assert!(windows.begin());
        windows.on(at(14), Event::Wake(0));
        windows.on(at(15), Event::Look);
        let late = Instant::from_ticks(20 * MS + 7);
        windows.on(late, Event::Look);
        assert_eq!(counters(&windows, 0), [Some(2), Some(0), Some(7)]);
        assert_eq!(counters(&windows, 1), [Some(0); 3]);
    }

    #[test]
    fn windows_that_nobody_looked_at_are_missed_by_those_who_had_something_to_do() {
        let mut windows = windows();
        assert!(windows.begin());
        windows.on(at(8), Event::Wake(0));
        windows.on(at(18), Event::Look);
        assert_eq!(counters(&windows, 0), [Some(0), Some(2), Some(0)]);
        assert_eq!(counters(&windows, 1), [Some(0); 3]);
    }

    #[test]
    fn one_that_wakes_in_its_window_does_not_begin_it_late() {
        let mut windows = windows();
        assert!(windows.begin());
        windows.on(at(14), Event::Look);
        windows.on(at(16), Event::Wake(0));
        assert_eq!(counters(&windows, 0), [Some(0); 3]);
    }

    #[test]
    fn count_of_missed_windows_stops_after_two_frames() {
        let mut windows = windows();
        assert!(windows.begin());
        windows.on(at(8), Event::Wake(0));
        windows.on(at(1_000_008), Event::Look);
        let [_, missed, _] = counters(&windows, 0);
        assert!(missed.is_some_and(|missed| (2..=12).contains(&missed)));
    }

    #[test]
    fn more_windows_than_there_is_room_for_are_refused() {
        let more = Box::leak(Box::new([window(8, 1)]));
        assert!(!windows().add(&TimeShare::Windows(more)));
    }

    #[test]
    fn promise_of_another_policy_is_refused() {
        assert!(!windows().add(&TimeShare::Always));
    }

    #[test]
    fn windows_that_overlap_do_not_begin() {
        let room = Box::leak(Box::new([NO_WINDOW; 2]));
        let mut windows = Windows::<1>::new(Duration::from_millis(10), room);
        let both = Box::leak(Box::new([window(0, 2), window(1, 2)]));
        assert!(windows.add(&TimeShare::Windows(both)));
        assert!(!windows.begin());
    }
}
