//! Who gets what is typed.
//!
//! Bytes go to the partition in focus. The escape byte, Ctrl-], begins a command of one more byte:
//!
//! | byte | does |
//! |---|---|
//! | `n`, Ctrl-] | focus on the next partition that reads a console |
//! | `1` … `9` | focus on that partition, counted from 1, if it reads a console |
//! | `s` | print statistics |
//! | `t` | record events, or do not, where the image has the feature `trace` |
//! | `r`, `R` | print the registers of that partition, of all, where the image can |
//! | `?` | print these commands |
//! | any other | nothing |

use model::PartitionId;

/// Ctrl-].
pub const ESCAPE: u8 = 0x1d;

/// What a typed byte asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputAction {
    /// The byte belongs to this partition.
    ToPartition(PartitionId, u8),
    /// The focus is now on this partition.
    Focus(PartitionId),
    /// Print the statistics.
    Statistics,
    /// Turn the trace on or off.
    #[cfg(feature = "trace")]
    Trace,
    /// Print the registers of a partition, or of all.
    #[cfg(feature = "registers")]
    Registers(Option<PartitionId>),
    /// Print the commands.
    Help,
    /// Nothing: half a command, an unknown one, or nobody who reads.
    None,
}

/// The partition in focus, and whether a command has begun.
#[derive(Clone, Copy, Debug)]
pub struct Focus {
    /// Bit n: partition n reads a console.
    readers: u64,
    current: Option<u8>,
    escaped: bool,
}

impl Focus {
    /// Focus on the first of `readers`, the partitions with a virtual console. Those beyond the 64th cannot be reached.
    pub fn new(readers: impl Iterator<Item = PartitionId>) -> Self {
        let readers = readers
            .filter_map(|id| 1_u64.checked_shl(id.get().into()))
            .fold(0, |all, bit| all | bit);
        let mut focus = Self {
            readers,
            current: None,
            escaped: false,
        };
        focus.current = focus.next_after(63);
        focus
    }

    /// The partition in focus; `None` when none reads a console.
    pub fn current(&self) -> Option<PartitionId> {
        self.current.map(PartitionId::new)
    }

    /// Takes one typed byte and says what to do.
    pub fn input(&mut self, byte: u8) -> InputAction {
        if !core::mem::take(&mut self.escaped) {
            if byte == ESCAPE {
                self.escaped = true;
                return InputAction::None;
            }
            return self
                .current()
                .map_or(InputAction::None, |id| InputAction::ToPartition(id, byte));
        }
        match byte {
            b'n' | ESCAPE => self
                .current
                .and_then(|current| self.next_after(current))
                .map_or(InputAction::None, |id| self.turn_to(id)),
            b'1'..=b'9' if self.reads(byte - b'1') => self.turn_to(byte - b'1'),
            b's' => InputAction::Statistics,
            #[cfg(feature = "trace")]
            b't' => InputAction::Trace,
            #[cfg(feature = "registers")]
            b'r' => InputAction::Registers(self.current()),
            #[cfg(feature = "registers")]
            b'R' => InputAction::Registers(None),
            b'?' => InputAction::Help,
            _ => InputAction::None,
        }
    }

    fn reads(&self, partition: u8) -> bool {
        self.readers
            .checked_shr(partition.into())
            .is_some_and(|rest| rest & 1 == 1)
    }

    fn turn_to(&mut self, partition: u8) -> InputAction {
        self.current = Some(partition);
        InputAction::Focus(PartitionId::new(partition))
    }

    /// The next reader after `partition`, cyclically; itself when it is the only one.
    fn next_after(&self, partition: u8) -> Option<u8> {
        (1..=64)
            .map(|step| (partition + step) % 64)
            .find(|id| self.reads(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partitions 0, 2 and 3 read a console.
    fn focus() -> Focus {
        Focus::new([0, 2, 3].into_iter().map(PartitionId::new))
    }

    fn id(n: u8) -> PartitionId {
        PartitionId::new(n)
    }

    #[test]
    fn plain_byte_goes_to_the_first_reader() {
        assert_eq!(focus().input(b'n'), InputAction::ToPartition(id(0), b'n'));
    }

    #[test]
    fn escape_n_goes_round_all_readers() {
        let mut focus = focus();
        let mut seen = [InputAction::None; 3];
        for action in &mut seen {
            assert_eq!(focus.input(ESCAPE), InputAction::None);
            *action = focus.input(b'n');
        }
        assert_eq!(
            seen,
            [
                InputAction::Focus(id(2)),
                InputAction::Focus(id(3)),
                InputAction::Focus(id(0))
            ]
        );
    }

    #[test]
    fn escape_twice_moves_on_like_n() {
        let mut focus = focus();
        focus.input(ESCAPE);
        assert_eq!(focus.input(ESCAPE), InputAction::Focus(id(2)));
        assert_eq!(focus.input(b'x'), InputAction::ToPartition(id(2), b'x'));
    }

    #[test]
    fn digit_picks_a_reader_and_ignores_others() {
        let mut focus = focus();
        focus.input(ESCAPE);
        assert_eq!(focus.input(b'4'), InputAction::Focus(id(3)));
        focus.input(ESCAPE);
        assert_eq!(focus.input(b'2'), InputAction::None);
        focus.input(ESCAPE);
        assert_eq!(focus.input(b'9'), InputAction::None);
        assert_eq!(focus.current(), Some(id(3)));
    }

    #[test]
    fn commands_are_one_byte_and_unknown_ones_are_swallowed() {
        let mut focus = focus();
        let typed = [ESCAPE, b's', ESCAPE, b'?', ESCAPE, b'q', b'q'];
        let actions = typed.map(|byte| focus.input(byte));
        let nothing = InputAction::None;
        let to_guest = InputAction::ToPartition(id(0), b'q');
        assert_eq!(
            actions,
            [
                nothing,
                InputAction::Statistics,
                nothing,
                InputAction::Help,
                nothing,
                nothing,
                to_guest
            ]
        );
    }

    #[cfg(feature = "registers")]
    #[test]
    fn registers_are_those_of_the_focus_or_of_all() {
        let mut focus = focus();
        focus.input(ESCAPE);
        focus.input(b'n');
        let actions = [ESCAPE, b'r', ESCAPE, b'R'].map(|byte| focus.input(byte));
        assert_eq!(actions[1], InputAction::Registers(Some(id(2))));
        assert_eq!(actions[3], InputAction::Registers(None));
    }

    #[test]
    fn without_readers_every_byte_is_dropped() {
        let mut focus = Focus::new(core::iter::empty());
        assert_eq!(focus.input(b'a'), InputAction::None);
        focus.input(ESCAPE);
        assert_eq!(focus.input(b'n'), InputAction::None);
        focus.input(ESCAPE);
        assert_eq!(focus.input(b's'), InputAction::Statistics);
    }
}
