//! Where everything is in the shared memory, in words of 32 bits, little-endian.
//!
//! The memory has two halves; [`End::First`] writes the lower one, [`End::Second`] the upper one, each nothing else. Words that are written often have
//! a cache line of their own.

/// First word of a half, once its end is there: "BHCQ".
pub const MAGIC: u32 = 0x5143_4842;
/// What this crate speaks.
pub const VERSION: u32 = 1;

/// The word with [`MAGIC`]; written last.
pub(crate) const MAGIC_AT: usize = 0;
/// The word with [`VERSION`].
pub(crate) const VERSION_AT: usize = 1;
/// How many slots the half has.
pub(crate) const SLOTS_AT: usize = 2;
/// How many messages the half's end has sent, modulo 2³².
pub(crate) const SENT_AT: usize = 16;
/// How many messages it has taken of the other half, modulo 2³².
pub(crate) const TAKEN_AT: usize = 32;
/// It wants to be rung when the other end has sent more messages than this.
pub(crate) const WANTS_MESSAGE_AT: usize = 48;
/// It wants to be rung when the other end has taken more messages than this.
pub(crate) const WANTS_ROOM_AT: usize = 64;
/// The first slot.
pub(crate) const FIRST_SLOT_AT: usize = 80;
/// Words of a slot: the length of the message in bytes, and the message.
pub(crate) const SLOT_WORDS: usize = 64;

/// The longest message, in bytes.
pub const MOST_BYTES: usize = (SLOT_WORDS - 1) * 4;

/// Which end of the channel one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It writes the lower half.
    First,
    /// It writes the upper half.
    Second,
}

/// How many slots a half of so many words has: a power of two. `None` when not even one fits.
pub(crate) const fn slots(words: usize) -> Option<u32> {
    let Some(room) = words.checked_sub(FIRST_SLOT_AT) else {
        return None;
    };
    match (room / SLOT_WORDS).checked_ilog2() {
        // More than memory can have; and indices must stay apart modulo 2³².
        Some(30..) => Some(1 << 30),
        Some(log) => Some(1 << log),
        None => None,
    }
}
