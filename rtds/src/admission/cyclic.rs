//! Windows of a frame that repeats for ever.

use embassy_time::Duration;

/// A part of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From the frame's start.
    pub start: Duration,
    /// Not zero.
    pub length: Duration,
}

impl Window {
    /// Where it ends; `None` beyond 64 bits of nanoseconds.
    pub fn end(&self) -> Option<Duration> {
        self.start.checked_add(self.length)
    }

    /// True when it has a length and ends within the frame. A window never wraps around.
    pub fn lies_in(&self, frame: Duration) -> bool {
        self.length.as_ticks() > 0 && self.end().is_some_and(|end| end <= frame)
    }

    /// True when both contain a common moment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let before = |one: &Self, other: &Self| one.end().is_some_and(|end| end <= other.start);
        !before(self, other) && !before(other, self)
    }
}

/// A pair of windows, one of each set, that overlap. Each set is sorted by start, and its windows do not overlap one another.
pub fn clash(one: &[Window], other: &[Window]) -> Option<(Window, Window)> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        if a.overlaps(b) {
            return Some((**a, **b));
        }
        // The earlier one ends before the other begins, and before all that follow it.
        if a.start < b.start {
            one.next();
        } else {
            other.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: u64, length: u64) -> Window {
        Window {
            start: Duration::from_millis(start),
            length: Duration::from_millis(length),
        }
    }

    #[test]
    fn window_that_ends_with_the_frame_lies_in_it_and_a_longer_one_does_not() {
        let frame = Duration::from_millis(10);
        assert!(window(8, 2).lies_in(frame));
        assert!(!window(8, 3).lies_in(frame));
        assert!(!window(8, 0).lies_in(frame));
    }

    #[test]
    fn window_that_ends_beyond_64_bits_is_refused() {
        let endless = Window {
            start: Duration::from_ticks(2),
            length: Duration::from_ticks(u64::MAX),
        };
        assert!(!endless.lies_in(Duration::from_ticks(u64::MAX)));
    }

    #[test]
    fn windows_that_touch_do_not_overlap() {
        assert!(!window(0, 2).overlaps(&window(2, 2)));
        assert!(window(0, 3).overlaps(&window(2, 2)));
        assert!(window(0, 9).overlaps(&window(2, 2)));
    }

    #[test]
    fn clash_of_two_sets_is_found() {
        let (one, other) = ([window(0, 1), window(4, 2)], [window(1, 1), window(5, 1)]);
        assert_eq!(clash(&one, &other), Some((window(4, 2), window(5, 1))));
        assert_eq!(clash(&one[..1], &other), None);
    }

    proptest! {
        #[test]
        fn clash_is_found_exactly_when_there_is_one(
            one in prop::collection::vec((0u64..9, 1u64..4), 0..6),
            other in prop::collection::vec((0u64..9, 1u64..4), 0..6),
        ) {
            // Gaps and lengths make sorted sets without overlap.
            let set = |steps: Vec<(u64, u64)>| {
                let mut at = 0;
                let mut windows = Vec::new();
                for (gap, length) in steps {
                    windows.push(window(at + gap, length));
                    at += gap + length;
                }
                windows
            };
            let (one, other) = (set(one), set(other));
            let any = one.iter().any(|a| other.iter().any(|b| a.overlaps(b)));
            prop_assert_eq!(clash(&one, &other).is_some(), any);
        }
    }
}
