//! `cyclic` pools: windows of a frame that comes again and again.

use embassy_time::{Duration, Instant};
use model::time::TimeShare;
use rtds::VcpuIndex;
use rtds::cyclic::Frame;
pub use rtds::cyclic::Window;

use super::policy::{Decision, Event, Policy};

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
        }
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
        if let Some(vcpu) = vcpu.and_then(|vcpu| self.awake.get_mut(vcpu)) {
            *vcpu = awake;
        }
        self.taken(now)
    }

    fn taken(&mut self, now: Instant) -> Decision {
        let Some(frame) = &self.frame else {
            return Decision {
                run: None,
                next: None,
            };
        };
        let turn = frame.at(START, now);
        let owner = turn.run.map(VcpuIndex::get);
        Decision {
            run: owner.filter(|owner| self.awake.get(*owner) == Some(&true)),
            next: Some(turn.until),
        }
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
        let room = Box::leak(Box::new(
            [Window {
                start: Duration::from_ticks(0),
                length: Duration::from_ticks(0),
                vcpu: VcpuIndex::new(0),
            }; 3],
        ));
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
        let room = Box::leak(Box::new(
            [Window {
                start: Duration::from_ticks(0),
                length: Duration::from_ticks(0),
                vcpu: VcpuIndex::new(0),
            }; 2],
        ));
        let mut windows = Windows::<1>::new(Duration::from_millis(10), room);
        let both = Box::leak(Box::new([window(0, 2), window(1, 2)]));
        assert!(windows.add(&TimeShare::Windows(both)));
        assert!(!windows.begin());
    }
}
