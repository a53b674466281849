//! The `cyclic` policy: a major frame that repeats for ever, and in it the windows of one physical CPU.
//!
//! Which virtual CPU runs follows from the time alone, so a window begins at its instant however long somebody took to look, and the
//! frames keep their phase. A virtual CPU with nothing to do leaves the rest of its window unused.

use embassy_time::{Duration, Instant};

use crate::ids::VcpuIndex;

/// A window of one virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From the frame's start.
    pub start: Duration,
    /// Not zero.
    pub length: Duration,
    /// Whose it is.
    pub vcpu: VcpuIndex,
}

impl Window {
    const fn end(&self) -> u64 {
        self.start.as_ticks().saturating_add(self.length.as_ticks())
    }
}

/// Why windows make no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame of nothing.
    #[error("the frame has no length")]
    NoFrame,
    /// A window without length, or one that does not end within the frame. The number is its own.
    #[error("window {0} has no length or leaves the frame")]
    BadWindow(usize),
    /// A window that begins before the one in front of it ends. The number is its own.
    #[error("window {0} begins before the one in front of it ends")]
    Overlap(usize),
}

/// The windows of one physical CPU.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    length: u64,
    windows: &'a [Window],
}

/// What a physical CPU does from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose window it is; `None` between windows.
    pub run: Option<VcpuIndex>,
    /// When this window, or this gap, began: later than the last look at it if the CPU looked in time.
    pub since: Instant,
    /// When its timer shall fire: the end of this window or gap.
    pub until: Instant,
}

impl<'a> Frame<'a> {
    /// A frame with its windows in the order of time.
    ///
    /// # Errors
    /// [`FrameError`] for the first window that is wrong.
    pub fn new(length: Duration, windows: &'a [Window]) -> Result<Self, FrameError> {
        let length = length.as_ticks();
        if length == 0 {
            return Err(FrameError::NoFrame);
        }
        let mut end = 0;
        for (index, window) in windows.iter().enumerate() {
            if window.length.as_ticks() == 0 || window.end() > length {
                return Err(FrameError::BadWindow(index));
            }
            if window.start.as_ticks() < end {
                return Err(FrameError::Overlap(index));
            }
            end = window.end();
        }
        Ok(Self { length, windows })
    }

    /// What is to be done at `now`, when the first frame began at `start`. Before `start` nobody runs.
    pub fn at(&self, start: Instant, now: Instant) -> Turn {
        let (start, now) = (start.as_ticks(), now.as_ticks());
        let Some(passed) = now.checked_sub(start) else {
            return turn(None, now, start);
        };
        let into = passed.checked_rem(self.length).unwrap_or(0);
        let frame = now - into;
        let next = self.windows.partition_point(|window| window.end() <= into);
        let previous = next
            .checked_sub(1)
            .and_then(|index| self.windows.get(index));
        let gap = frame + previous.map_or(0, Window::end);
        match self.windows.get(next) {
            Some(window) if window.start.as_ticks() <= into => turn(
                Some(window.vcpu),
                frame + window.start.as_ticks(),
                frame.saturating_add(window.end()),
            ),
            Some(window) => turn(None, gap, frame.saturating_add(window.start.as_ticks())),
            None => turn(None, gap, frame.saturating_add(self.length)),
        }
    }
}

const fn turn(run: Option<VcpuIndex>, since: u64, until: u64) -> Turn {
    Turn {
        run,
        since: Instant::from_ticks(since),
        until: Instant::from_ticks(until),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: u64, length: u64, vcpu: u16) -> Window {
        Window {
            start: Duration::from_millis(start),
            length: Duration::from_millis(length),
            vcpu: VcpuIndex::new(vcpu),
        }
    }

    fn ms(time: u64) -> Instant {
        Instant::from_millis(time)
    }

    /// Two windows of 0 around one of 1 in 10 ms: 0 to 2, 3 to 4, 5 to 7.
    const WINDOWS: [(u64, u64, u16); 3] = [(0, 2, 0), (3, 1, 1), (5, 2, 0)];

    #[test]
    fn window_runs_its_vcpu_until_its_end() {
        let windows = WINDOWS.map(|(start, length, vcpu)| window(start, length, vcpu));
        let frame = Frame::new(Duration::from_millis(10), &windows).unwrap();

        let at = |now| {
            let turn = frame.at(ms(100), ms(now));
            let run = turn.run.map(VcpuIndex::get);
            (run, turn.since.as_millis(), turn.until.as_millis())
        };

        assert_eq!(at(100), (Some(0), 100, 102));
        assert_eq!(at(101), (Some(0), 100, 102));
        assert_eq!(at(102), (None, 102, 103));
        assert_eq!(at(103), (Some(1), 103, 104));
        assert_eq!(at(106), (Some(0), 105, 107));
        assert_eq!(at(108), (None, 107, 110));
    }

    #[test]
    fn window_after_a_long_delay_begins_at_its_instant() {
        let windows = [window(0, 2, 0)];
        let frame = Frame::new(Duration::from_millis(10), &windows).unwrap();
        let turn = frame.at(ms(3), ms(1_000_004));
        assert_eq!(turn.since, ms(1_000_003));
        assert_eq!(turn.until, ms(1_000_005));
    }

    #[test]
    fn nobody_runs_before_the_start_or_without_windows() {
        let frame = Frame::new(Duration::from_millis(10), &[]).unwrap();
        assert_eq!(frame.at(ms(5), ms(1)), turn(None, 1_000_000, 5_000_000));
        assert_eq!(frame.at(ms(0), ms(12)), turn(None, 10_000_000, 20_000_000));
    }

    #[test]
    fn wrong_windows_are_refused_by_their_number() {
        let ten = Duration::from_millis(10);
        let refused = |windows: &[Window]| Frame::new(ten, windows).err();
        assert_eq!(
            Frame::new(Duration::from_ticks(0), &[]).err(),
            Some(FrameError::NoFrame)
        );
        assert_eq!(
            refused(&[window(0, 1, 0), window(9, 2, 0)]),
            Some(FrameError::BadWindow(1))
        );
        assert_eq!(refused(&[window(0, 0, 0)]), Some(FrameError::BadWindow(0)));
        assert_eq!(
            refused(&[window(0, 3, 0), window(2, 2, 0)]),
            Some(FrameError::Overlap(1))
        );
    }

    proptest! {
        #[test]
        fn turn_contains_now_and_is_followed_by_another_one(
            steps in prop::collection::vec((0u64..4, 1u64..4), 0..8), tail in 0u64..3, start in 0u64..50, passed in 0u64..500,
        ) {
            let mut at = 0;
            let mut windows = Vec::new();
            for (index, (gap, length)) in steps.into_iter().enumerate() {
                let start = Duration::from_ticks(at + gap);
                windows.push(Window { start, length: Duration::from_ticks(length), vcpu: VcpuIndex::new(index as u16) });
                at += gap + length;
            }
            let length = (at + tail).max(1);
            let frame = Frame::new(Duration::from_ticks(length), &windows).unwrap();
            let (start, now) = (Instant::from_ticks(start), Instant::from_ticks(start + passed));

            let turn = frame.at(start, now);

            prop_assert!(turn.since <= now && now < turn.until);
            let into = passed % length;
            let owner = windows.iter().find(|window| window.start.as_ticks() <= into && into < window.end());
            prop_assert_eq!(turn.run, owner.map(|window| window.vcpu));
            let next = frame.at(start, turn.until);
            prop_assert_eq!(next.since, turn.until);
        }
    }
}
