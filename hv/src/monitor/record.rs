//! Records of failures that outlive a reset: a ring in memory that no loader writes.
//!
//! docs/containment.md has the layout. A record stands by itself: each slot has its own magic number and checksum, so that a reset in the middle of
//! one costs that one alone, and memory that holds something else is not taken for records.

#[cfg(feature = "trace")]
mod trace;

use core::sync::atomic::{AtomicU64, Ordering};

use model::checksum;

#[cfg(feature = "trace")]
pub use trace::Trace;

/// Words of 64 bits in a record.
pub const WORDS: usize = 64;
/// Records in the ring: eight pages of 4 KiB.
pub const SLOTS: usize = 64;
/// "BHRC" in the first four bytes.
const MAGIC: u64 = 0x4352_4842;
/// Version of the layout, in the next byte.
const VERSION: u64 = 2;

/// What a virtual CPU had in its registers when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Its processor state (`SPSR_EL2`).
    pub pstate: u64,
    /// Why it was left (`ESR_EL2`).
    pub syndrome: u64,
    /// Which virtual address that was about (`FAR_EL2`), where the syndrome is about one.
    pub far: u64,
    /// `SP_EL0` and `SP_EL1`.
    pub stacks: [u64; 2],
}

/// Words before the registers.
const HEAD: usize = 8;
/// Words of the registers. The trace is behind them.
#[cfg(feature = "trace")]
const REGISTERS: usize = 36;
/// In the last of the head: the registers are known.
const HAS_REGISTERS: u64 = 1;

/// One failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the class.
    pub class: u8,
    /// Which partition.
    pub partition: u8,
    /// Which virtual CPU, or [`Self::NO_VCPU`].
    pub vcpu: u8,
    /// When, in ticks of the system counter.
    pub ticks: u64,
    /// Where the guest's program was.
    pub pc: u64,
    /// What it is about.
    pub value: u64,
    /// How many of its class its partition has had since boot, this one included.
    pub count: u64,
    /// The registers of the virtual CPU; `None` when it is about none.
    pub registers: Option<Registers>,
    /// What led to it.
    #[cfg(feature = "trace")]
    pub trace: Trace,
}

impl Registers {
    fn encode(&self, words: &mut [u64]) {
        let special = [self.pstate, self.syndrome, self.far];
        let values = special.into_iter().chain(self.stacks).chain(self.x);
        for (word, value) in words.iter_mut().zip(values) {
            *word = value;
        }
    }

    /// From the words behind the head.
    fn decode(words: &[u64]) -> Option<Self> {
        let (&[pstate, syndrome, far, sp_el0, sp_el1], rest) = words.split_first_chunk()?;
        Some(Self {
            x: *rest.first_chunk()?,
            pstate,
            syndrome,
            far,
            stacks: [sp_el0, sp_el1],
        })
    }
}

impl Record {
    /// It is about no single virtual CPU.
    pub const NO_VCPU: u8 = 0xff;

    fn encode(&self, boot: u64, number: u64) -> [u64; WORDS] {
        let head = MAGIC
            | VERSION << 32
            | u64::from(self.class) << 40
            | u64::from(self.partition) << 48
            | u64::from(self.vcpu) << 56;
        let flags = self.registers.map_or(0, |_| HAS_REGISTERS);
        let mut words = [0; WORDS];
        let (first, rest) = words.split_at_mut(HEAD);
        first.copy_from_slice(&[
            head, boot, number, self.ticks, self.pc, self.value, self.count, flags,
        ]);
        if let Some(registers) = &self.registers {
            registers.encode(rest);
        }
        #[cfg(feature = "trace")]
        self.trace.encode(rest.split_at_mut(REGISTERS).1);
        let [rest @ .., sum] = &mut words;
        *sum = checksum(rest);
        words
    }

    /// The record with its boot and number; `None` when that is none.
    fn decode(words: &[u64; WORDS]) -> Option<(u64, u64, Self)> {
        let [rest @ .., sum] = words;
        let (&[head, boot, number, ticks, pc, value, count, flags], registers) =
            rest.split_first_chunk::<HEAD>()?;
        if head & 0xff_ffff_ffff != MAGIC | VERSION << 32 || checksum(rest) != *sum {
            return None;
        }
        let byte = |shift: u32| (head >> shift) as u8;
        let record = Self {
            class: byte(40),
            partition: byte(48),
            vcpu: byte(56),
            ticks,
            pc,
            value,
            count,
            registers: Registers::decode(registers).filter(|_| flags & HAS_REGISTERS != 0),
            #[cfg(feature = "trace")]
            trace: Trace::decode(registers.split_at(REGISTERS).1),
        };
        Some((boot, number, record))
    }
}

fn checksum(words: &[u64]) -> u64 {
    let words = words.iter();
    words.fold(checksum::START, |sum, word| checksum::word(sum, *word))
}

/// The ring.
pub struct Records {
    slots: &'static [[AtomicU64; WORDS]; SLOTS],
    /// Which boot this is, as the records count them.
    boot: u64,
    /// Records of this boot so far.
    written: AtomicU64,
    /// Where the first of them goes.
    first: u64,
}

impl Records {
    /// Finds what earlier boots have left in memory, and goes on behind it.
    pub fn resume(slots: &'static [[AtomicU64; WORDS]; SLOTS]) -> Self {
        let found = (0..).zip(slots).filter_map(|(slot, words)| {
            let (boot, number, _) = Record::decode(&load(words))?;
            Some((boot, number, slot))
        });
        let newest = found.max();
        let (boot, slot) = newest.map_or((0, 0), |(boot, _, slot)| (boot, slot + 1));
        Self {
            slots,
            boot: boot.wrapping_add(1),
            written: AtomicU64::new(0),
            first: slot,
        }
    }

    /// Keeps a record: the oldest one goes.
    pub fn append(&self, record: &Record) {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let slot = self.first.wrapping_add(number) % SLOTS as u64;
        let Some(words) = self.slots.get(slot as usize) else {
            return;
        };
        for (word, value) in words.iter().zip(record.encode(self.boot, number)) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Numbers of the records of this boot that the ring still has.
    pub fn numbers(&self) -> core::ops::Range<u64> {
        let written = self.written.load(Ordering::Acquire);
        written.saturating_sub(SLOTS as u64)..written
    }

    /// Which partition a record of this boot is about: as its words say, before their checksum is looked at. `None` when it is not there, or is being
    /// written now.
    pub fn partition(&self, number: u64) -> Option<u8> {
        let slot = self.first.wrapping_add(number) % SLOTS as u64;
        let [head, boot, found, ..] = self.slots.get(slot as usize)?;
        let there =
            boot.load(Ordering::Relaxed) == self.boot && found.load(Ordering::Relaxed) == number;
        there.then(|| (head.load(Ordering::Relaxed) >> 48) as u8)
    }

    /// A record of this boot by its number. `None` when it was overwritten, or is being written now.
    pub fn get(&self, number: u64) -> Option<Record> {
        let slot = self.first.wrapping_add(number) % SLOTS as u64;
        let words = load(self.slots.get(slot as usize)?);
        let (boot, found, record) = Record::decode(&words)?;
        ((boot, found) == (self.boot, number)).then_some(record)
    }

    /// The newest `most` records of the boot before this one, the oldest of them first.
    pub fn before(&self, most: usize) -> impl Iterator<Item = Record> + '_ {
        let last = self.boot.wrapping_sub(1);
        // Newest first they stand from the end of the ring backwards.
        let newest = (0..SLOTS as u64).map(move |age| {
            let slot = self.first.wrapping_sub(1 + age) % SLOTS as u64;
            let words = self.slots.get(slot as usize)?;
            let (boot, _, record) = Record::decode(&load(words))?;
            (boot == last).then_some(record)
        });
        let count = newest
            .clone()
            .take_while(Option::is_some)
            .take(most)
            .count() as u64;
        (0..count).filter_map(move |index| {
            let slot = self.first.wrapping_sub(count - index) % SLOTS as u64;
            let words = self.slots.get(slot as usize)?;
            Record::decode(&load(words)).map(|(_, _, record)| record)
        })
    }
}

fn load(words: &[AtomicU64; WORDS]) -> [u64; WORDS] {
    words.each_ref().map(|word| word.load(Ordering::Relaxed))
}

/// Memory for a ring, filled with one number.
#[cfg(test)]
pub(crate) fn fresh(fill: u64) -> &'static [[AtomicU64; WORDS]; SLOTS] {
    let slot = || [(); WORDS].map(|()| AtomicU64::new(fill));
    Box::leak(Box::new([(); SLOTS].map(|()| slot())))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "trace")]
    use crate::trace::Event;

    #[cfg(feature = "trace")]
    const TRACE: [[u64; Event::WORDS]; 2] =
        [[0x1000_0000_0000_03e8, 0x0102_0000_5a00_0000], [5, 6]];

    fn record(value: u64) -> Record {
        Record {
            class: 3,
            partition: 1,
            vcpu: 2,
            ticks: 1_000,
            pc: 0x4020_0000,
            value,
            count: 1,
            registers: Some(Registers {
                x: [0xa5; 31],
                pstate: 0x3c5,
                syndrome: 0x9600_0045,
                far: 0xffff_0000,
                stacks: [1, 2],
            }),
            #[cfg(feature = "trace")]
            trace: Trace::of(TRACE.into_iter().map(Event::from_words)),
        }
    }

    fn values(records: &Records, most: usize) -> Vec<u64> {
        records.before(most).map(|one| one.value).collect()
    }

    #[test]
    fn records_are_found_after_a_reset_in_their_order() {
        let memory = fresh(0);
        let first = Records::resume(memory);
        (10..13).for_each(|value| first.append(&record(value)));
        let second = Records::resume(memory);
        assert_eq!(second.before(8).next(), Some(record(10)));
        assert_eq!(values(&second, 8), [10, 11, 12]);
        assert_eq!(values(&second, 2), [11, 12]);
    }

    #[test]
    fn record_of_this_boot_is_found_by_its_number_until_it_is_overwritten() {
        let memory = fresh(0);
        Records::resume(memory).append(&record(1));
        let records = Records::resume(memory);
        assert_eq!((records.numbers(), records.get(0)), (0..0, None));
        (0..=SLOTS as u64).for_each(|value| records.append(&record(value)));
        assert_eq!(records.numbers(), 1..SLOTS as u64 + 1);
        assert_eq!((records.get(0), records.get(1)), (None, Some(record(1))));
    }

    #[test]
    fn records_of_the_boot_before_the_last_are_not_told_again() {
        let memory = fresh(0);
        Records::resume(memory).append(&record(1));
        Records::resume(memory).append(&record(2));
        assert_eq!(values(&Records::resume(memory), 8), [2]);
    }

    #[test]
    fn memory_that_holds_something_else_has_no_records() {
        for fill in [0, u64::MAX, MAGIC | VERSION << 32] {
            assert_eq!(values(&Records::resume(fresh(fill)), 8), []);
        }
    }

    #[test]
    fn record_of_no_virtual_cpu_has_no_registers() {
        let memory = fresh(0);
        let watchdog = Record {
            registers: None,
            ..record(1)
        };
        Records::resume(memory).append(&watchdog);
        assert_eq!(Records::resume(memory).before(8).next(), Some(watchdog));
    }

    #[test]
    fn record_of_the_layout_before_is_none() {
        let memory = fresh(0);
        // Version 1 had eight words; this is its first one, with the checksum where version 2 looks for it.
        let mut words = [0; WORDS];
        words[0] = MAGIC | 1 << 32;
        words[WORDS - 1] = checksum(&words[..WORDS - 1]);
        for (word, value) in memory[3].iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        assert_eq!(values(&Records::resume(memory), 8), []);
    }

    #[test]
    fn damaged_record_is_not_told_whichever_word_it_is() {
        for damaged in 0..WORDS {
            let memory = fresh(0);
            Records::resume(memory).append(&record(1));
            memory[0][damaged].fetch_xor(1 << 17, Ordering::Relaxed);
            assert_eq!(values(&Records::resume(memory), 8), [], "word {damaged}");
        }
    }

    #[test]
    fn oldest_record_goes_when_the_ring_is_full() {
        let memory = fresh(0);
        let records = Records::resume(memory);
        (0..=SLOTS as u64).for_each(|value| records.append(&record(value)));
        let after = values(&Records::resume(memory), SLOTS);
        assert_eq!((after.len(), after[0]), (SLOTS, 1));
        assert_eq!(after.last(), Some(&(SLOTS as u64)));
    }

    #[test]
    fn layout_is_the_one_of_the_documentation() {
        let words = record(0x3fff_fffc).encode(7, 9);
        let expected = [
            0x0201_0302_4352_4842,
            7,
            9,
            1_000,
            0x4020_0000,
            0x3fff_fffc,
            1,
        ];
        assert_eq!(words[..7], expected);
        assert_eq!(
            words[7..14],
            [1, 0x3c5, 0x9600_0045, 0xffff_0000, 1, 2, 0xa5]
        );
        assert_eq!(words[43], 0xa5);
        #[cfg(feature = "trace")]
        assert_eq!(words[44..48], *TRACE.as_flattened());
        assert_eq!(words[48..63], [0; 15]);
    }
}
