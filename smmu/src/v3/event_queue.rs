//! The event queue (Arm IHI 0070, sections 7.2 and 7.4): the SMMU writes, the driver reads.

use model::Pa;

use super::event::{self, Record};
use super::register_map::{EVENTQ_CONS, EVENTQ_PROD, OVERFLOW};
use crate::memory::{SharedMemory, publish};
use crate::{Fault, RegisterFrame};

/// A page holds 2^7 records.
const PAGE_BITS: u8 = 7;

/// The queue, in a page of its own.
pub struct EventQueue<'a> {
    page: SharedMemory<'a>,
    bits: u8,
    /// Offset of the page with its indices.
    registers: usize,
    /// EVENTQ_CONS: index of the next record, its turn, and the overflow that was acknowledged.
    taken: u32,
}

impl<'a> EventQueue<'a> {
    /// An empty queue, on an SMMU that fills up to 2^`most_bits` records and has the queue's indices in the page at offset `registers`.
    pub fn new(page: SharedMemory<'a>, most_bits: u8, registers: usize) -> Self {
        page.clear();
        Self {
            page,
            bits: most_bits.min(PAGE_BITS),
            registers,
            taken: 0,
        }
    }

    /// Where it is.
    pub fn base(&self) -> Pa {
        self.page.base()
    }

    /// Its size as a power of two.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Has the SMMU begin with the first record.
    pub fn begin(&self, registers: &mut impl RegisterFrame) {
        registers.write(self.registers + EVENTQ_PROD, 0);
        registers.write(self.registers + EVENTQ_CONS, 0);
    }

    /// Bits of an index with its turn.
    fn turn(&self) -> u32 {
        (2 << self.bits) - 1
    }

    /// Takes the oldest record.
    pub fn take(&mut self, registers: &mut impl RegisterFrame) -> Option<Fault> {
        let written = registers.read(self.registers + EVENTQ_PROD);
        if (written ^ self.taken) & self.turn() == 0 {
            return None;
        }
        publish();
        let at = (self.taken & (self.turn() >> 1)) as usize * size_of::<Record>() / 8;
        let record: Record = core::array::from_fn(|word| self.page.read(at + word));
        self.advance(registers, self.taken.wrapping_add(1));
        Some(event::decode(&record))
    }

    /// True when records were lost since this was asked last.
    pub fn has_overflowed(&mut self, registers: &mut impl RegisterFrame) -> bool {
        let overflow = (registers.read(self.registers + EVENTQ_PROD) ^ self.taken) & OVERFLOW;
        if overflow != 0 {
            self.taken ^= overflow;
            registers.write(self.registers + EVENTQ_CONS, self.taken);
        }
        overflow != 0
    }

    /// Forgets all records. False when there were none.
    pub fn discard(&mut self, registers: &mut impl RegisterFrame) -> bool {
        let written = registers.read(self.registers + EVENTQ_PROD);
        if (written ^ self.taken) & self.turn() == 0 {
            return false;
        }
        self.advance(registers, written);
        true
    }

    /// Everything before `index` is taken.
    fn advance(&mut self, registers: &mut impl RegisterFrame, index: u32) {
        // What was read is read before the SMMU may write there again.
        publish();
        self.taken = self.taken & OVERFLOW | index & self.turn();
        registers.write(self.registers + EVENTQ_CONS, self.taken);
    }
}
