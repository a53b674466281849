//! Fault records (Intel 671081, 11.4.7.6 and 7.2): a few registers, each of which holds one fault until it is taken.

use model::{Ipa, StreamId};

use super::features::Features;
use super::register_map::{ERRORS, FECTL, FSTS, IQE, MASKED, PFO, PPF};
use crate::{Access, Cause, Fault, RegisterFrame, Source};

/// Bytes of a record.
const RECORD: usize = 16;
/// Last word of a record: it holds a fault; writing it makes it free.
const HELD: u32 = 1 << 31;
/// Last word: it would have read.
const READ: u32 = 1 << 30;
/// Reasons of interrupts that were refused; their address is an interrupt's number.
const INTERRUPTS: core::ops::RangeInclusive<u8> = 0x20..=0x27;

/// The records of a unit.
pub struct FaultRecords {
    first: usize,
    count: u16,
    /// The next one to look at.
    next: u16,
}

impl FaultRecords {
    /// Those of a unit with these features.
    pub const fn new(features: &Features) -> Self {
        Self {
            first: features.records,
            count: features.record_count,
            next: 0,
        }
    }

    /// What was recorded for whoever used the unit before is not ours.
    pub fn begin(&mut self, registers: &mut impl RegisterFrame) {
        self.discard(registers);
        registers.write(FSTS, ERRORS);
    }

    /// The oldest fault; `None` when there is none.
    pub fn take(&mut self, registers: &mut impl RegisterFrame) -> Option<Fault> {
        if registers.read(FSTS) & PPF == 0 {
            return None;
        }
        for _ in 0..self.count {
            let record = self.first + usize::from(self.next) * RECORD;
            self.next = (self.next + 1) % self.count;
            let last = registers.read(record + 12);
            if last & HELD != 0 {
                let words = [0, 4, 8].map(|offset| registers.read(record + offset));
                registers.write(record + 12, HELD);
                return Some(decode(words, last));
            }
        }
        None
    }

    /// Forgets all faults that are recorded. False when there were none.
    pub fn discard(&mut self, registers: &mut impl RegisterFrame) -> bool {
        let mut any = false;
        while self.take(registers).is_some() {
            any = true;
            if self.next == 0 {
                break;
            }
        }
        any
    }

    /// No interrupt tells of faults any more.
    pub fn silence(&self, registers: &mut impl RegisterFrame) {
        registers.write(FECTL, MASKED);
    }

    /// True, once, when faults were lost. From then on they are recorded again.
    pub fn has_overflowed(&self, registers: &mut impl RegisterFrame) -> bool {
        let lost = registers.read(FSTS) & (ERRORS & !IQE);
        if lost != 0 {
            registers.write(FSTS, lost);
        }
        lost & PFO != 0
    }
}

/// What a record tells.
const fn decode(words: [u32; 3], last: u32) -> Fault {
    let [low, high, source] = words;
    let reason = last as u8;
    let is_interrupt = *INTERRUPTS.start() <= reason && reason <= *INTERRUPTS.end();
    let page = ((high as u64) << 32 | low as u64) & !0xfff;
    Fault {
        source: Source::Stream(StreamId::new(source & 0xffff)),
        cause: cause(reason),
        address: if is_interrupt {
            None
        } else {
            Some(Ipa::new(page))
        },
        access: match is_interrupt {
            true => None,
            false if last & READ != 0 => Some(Access::Read),
            false => Some(Access::Write),
        },
        class: None,
    }
}

/// What a reason means (Intel 671081, 7.2.1). The hardware does not tell a page that is not mapped from one that is mapped for something else.
const fn cause(reason: u8) -> Cause {
    match reason {
        // No root entry, no context entry, a kind of request that is blocked.
        1 | 2 | 0xd => Cause::Denied,
        4 => Cause::AddressSize,
        5 | 6 => Cause::Permission,
        // Reserved bits in an entry or in a table.
        3 | 0xa..=0xc => Cause::BadConfiguration,
        7..=9 => Cause::ExternalAbort,
        other => Cause::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_of_a_refused_write_is_decoded_as_qemu_writes_it() {
        let found = decode([0x4000_0000, 0, 8], 0x80ff_ff05);
        let expected = Fault {
            source: Source::Stream(StreamId::new(8)),
            cause: Cause::Permission,
            address: Some(Ipa::new(0x4000_0000)),
            access: Some(Access::Write),
            class: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn interrupt_that_was_refused_has_no_address() {
        let found = decode([0, 3 << 16, 0x10], 0x8000_0026);
        assert_eq!((found.address, found.access), (None, None));
        assert_eq!(found.cause, Cause::Other(0x26));
    }

    #[test]
    fn reasons_have_their_causes() {
        let found = [1, 2, 3, 4, 6, 8, 0xb, 0xd, 0x22].map(cause);
        let expected = [
            Cause::Denied,
            Cause::Denied,
            Cause::BadConfiguration,
            Cause::AddressSize,
            Cause::Permission,
            Cause::ExternalAbort,
            Cause::BadConfiguration,
            Cause::Denied,
            Cause::Other(0x22),
        ];
        assert_eq!(found, expected);
    }
}
