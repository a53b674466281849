//! Bulkhead's own calls about the life of partitions: their numbers, what they answer, and the page by which a program without hypercalls makes them.
//! docs/guest-abi.md and docs/containment.md are their reference.

use core::ops::RangeInclusive;

/// All of Bulkhead's own 64-bit calls: the vendor-specific hypervisor services of the SMCCC (Arm DEN 0028, chapter 6).
pub const OWN: RangeInclusive<u32> = 0xc600_0000..=0xc600_ffff;
/// The first of them.
const FIRST: u32 = *OWN.start();

/// A call. Its argument is a partition by its place in the system file, or what the call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// How a partition does: state, restarts, faults.
    State = FIRST + 0x10,
    /// A partition that stands still starts.
    Start = FIRST + 0x11,
    /// It stops; one that waits to start does not.
    Stop = FIRST + 0x12,
    /// It starts again, whatever it does now.
    Restart = FIRST + 0x13,
    /// Its virtual CPUs rest.
    Suspend = FIRST + 0x14,
    /// They go on.
    Resume = FIRST + 0x15,
    /// The caller has failed; the argument is its own code for that.
    Panic = FIRST + 0x16,
    /// The caller is alive.
    Alive = FIRST + 0x17,
    /// The oldest failure of others of which the caller was not told: who, class and virtual CPU; counter, program counter, value, count.
    Failure = FIRST + 0x18,
    /// One of the counts of a partition: its place in bits 7:0, the number of the count in bits 15:8. Exits by [`ExitKind`](crate::exit::ExitKind) come first, then
    /// failures by [`Class`](crate::monitor::Class). With a virtual CPU's number plus 1 in bits 23:16 the number is that of a counter of its turns.
    Count = FIRST + 0x19,
    /// What led to the newest failure of a partition, event by event: its place in bits 7:0, the number of the event above them. The two words of an
    /// [`Event`](crate::trace), and the number of the record from which it is.
    Trace = FIRST + 0x1a,
    /// A [piece](console) of what a partition has written to its console: its place in bits 7:0, where the piece begins in bits 39:8.
    Console = FIRST + 0x1b,
}

impl Call {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::State,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Suspend,
        Self::Resume,
        Self::Panic,
        Self::Alive,
        Self::Failure,
        Self::Count,
        Self::Trace,
        Self::Console,
    ];

    /// The call with this number.
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as u32 == number)
    }
}

/// What became of a call: numbers as PSCI has them (Arm DEN 0022D, 5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Status {
    /// Done.
    Success = 0,
    /// No such call.
    NotSupported = -1,
    /// It does not fit what the partition does now.
    InvalidParameters = -2,
    /// The system file does not grant it.
    Denied = -3,
    /// There is nothing more to tell.
    NotPresent = -7,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Success,
        Self::NotSupported,
        Self::InvalidParameters,
        Self::Denied,
        Self::NotPresent,
    ];

    /// The status with this number.
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as i64 == number)
    }
}

/// Most values that a call gives beside its status.
pub const MOST_VALUES: usize = 5;

/// States of a partition, by the number that [`Call::State`] gives.
pub const STATES: [&str; 5] = ["stopped", "waiting", "running", "suspended", "changing"];

/// A piece of a partition's console text, as [`Call::Console`] gives it. Places in the text are bytes written since boot, modulo 2^32.
pub mod console {
    /// Bytes in the values behind the first.
    pub const MOST: usize = (super::MOST_VALUES - 1) * size_of::<u64>();

    /// Bytes that the hypervisor keeps of a partition's text.
    pub const KEPT: usize = 2048;

    /// A piece of text.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Piece {
        /// Where it begins: where it was asked for, or later, when what was there is gone.
        pub place: u32,
        bytes: [u8; MOST],
        length: u8,
    }

    impl Piece {
        /// The first bytes of `text` that a piece holds, which begins at `place`.
        pub fn new(place: u32, text: impl Iterator<Item = u8>) -> Self {
            let mut piece = Self {
                place,
                bytes: [0; MOST],
                length: 0,
            };
            for (to, byte) in piece.bytes.iter_mut().zip(text) {
                *to = byte;
                piece.length += 1;
            }
            piece
        }

        /// Its text.
        pub fn text(&self) -> &[u8] {
            self.bytes.get(..self.length.into()).unwrap_or(&self.bytes)
        }

        /// Where what follows it begins.
        pub fn end(&self) -> u32 {
            self.place.wrapping_add(self.length.into())
        }

        /// As the values of the call: the place in bits 31:0 and the length in bits 39:32 of the first one, the text in the others, its first byte in the
        /// lowest bits.
        pub fn values(&self) -> [u64; super::MOST_VALUES] {
            let (words, _) = self.bytes.as_chunks();
            let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
            let first = u64::from(self.place) | u64::from(self.length) << 32;
            core::array::from_fn(|index| match index {
                0 => first,
                _ => words.next().unwrap_or(0),
            })
        }

        /// From the values of the call. A length that no piece has counts as the longest.
        pub fn from_values([first, text @ ..]: [u64; super::MOST_VALUES]) -> Self {
            let length = usize::from((first >> 32) as u8);
            let bytes = text.into_iter().flat_map(u64::to_le_bytes);
            Self::new(first as u32, bytes.take(length))
        }
    }
}

/// The page of calls, version 1: 64-bit little-endian registers. A store to one of the calls' makes that call with what is stored as its argument, and what
/// it answers is in the others until the next one.
pub mod page {
    /// Reads as [`MAGIC`].
    pub const IDENTITY: u64 = 0;
    /// `BHCT` in the bytes 0 to 3, the version in bytes 4 to 7.
    pub const MAGIC: u64 = 1 << 32 | 0x5443_4842;
    /// The status of the last call; its values follow.
    pub const STATUS: u64 = 0x800;

    /// The register that makes the call with this number, if it has one.
    pub const fn register(number: u32) -> Option<u64> {
        match number.checked_sub(super::FIRST) {
            Some(index) if index > 0 && (index as u64) < STATUS / 8 => Some(index as u64 * 8),
            _ => None,
        }
    }

    /// The number of the call that a store at this offset makes.
    pub const fn number(offset: u64) -> Option<u32> {
        if offset > IDENTITY && offset < STATUS && offset.is_multiple_of(8) {
            Some(super::FIRST + (offset / 8) as u32)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_numbers_of_the_reference() {
        let numbers = Call::ALL.map(|call| call as u32);
        assert_eq!(
            numbers,
            core::array::from_fn(|index| 0xc600_0010 + index as u32)
        );
    }

    #[test]
    fn register_of_each_call_makes_that_call() {
        for call in Call::ALL {
            let register = page::register(call as u32).unwrap();
            assert_eq!(page::number(register).and_then(Call::of), Some(call));
        }
        assert_eq!(page::register(Call::State as u32), Some(0x80));
    }

    #[test]
    fn identity_and_answers_are_no_calls() {
        for offset in [page::IDENTITY, page::STATUS, 0x84, 0xff8, u64::MAX] {
            assert_eq!(page::number(offset), None, "{offset:#x}");
        }
        for number in [0, *OWN.start(), *OWN.start() + 0x100, u32::MAX] {
            assert_eq!(page::register(number), None, "{number:#x}");
        }
    }

    #[test]
    fn piece_of_a_console_is_the_same_behind_the_call() {
        for text in [
            &b""[..],
            b"x",
            b"eight by",
            b"half a line of a partition, and more",
        ] {
            let piece = console::Piece::new(u32::MAX - 2, text.iter().copied());
            assert_eq!(piece.text(), text.get(..console::MOST).unwrap_or(text));
            let end = (text.len().min(console::MOST) as u32).wrapping_sub(3);
            assert_eq!(piece.end(), end);
            assert_eq!(console::Piece::from_values(piece.values()), piece);
        }
    }

    #[test]
    fn piece_that_claims_more_than_there_is_has_all_that_there_is() {
        let piece = console::Piece::from_values([0xff << 32 | 7, 1, 2, 3, 4]);
        assert_eq!((piece.place, piece.text().len()), (7, console::MOST));
    }
}
