//! RAM. What nobody has written holds no zeros.

use crate::fault::{Access, Fault};

/// Bytes that come into being together.
const CHUNK: u64 = 1 << 16;
/// What RAM holds after power-on.
const UNWRITTEN: u8 = 0xa5;

type Chunk = Box<[u8]>;

struct Bank {
    base: u64,
    size: u64,
    chunks: Vec<Option<Chunk>>,
}

/// The board's RAM.
pub struct Ram {
    banks: Vec<Bank>,
}

impl Ram {
    /// RAM in these ranges: base and size.
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let bank = |(base, size): (u64, u64)| Bank {
            base,
            size,
            chunks: (0..size.div_ceil(CHUNK)).map(|_| None).collect(),
        };
        Self {
            banks: ranges.into_iter().map(bank).collect(),
        }
    }

    fn bank(&self, address: u64, size: usize) -> Option<usize> {
        let fits = |bank: &Bank| {
            let offset = address.checked_sub(bank.base);
            offset.is_some_and(|offset| {
                bank.size
                    .checked_sub(offset)
                    .is_some_and(|left| left >= size as u64)
            })
        };
        self.banks.iter().position(fits)
    }

    /// True when all of the range is RAM.
    pub fn has(&self, address: u64, size: usize) -> bool {
        self.bank(address, size).is_some()
    }

    /// Reads `bytes`; false when they are not all in one bank.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(bank) = self.bank(address, bytes.len()).map(|at| &self.banks[at]) else {
            return false;
        };
        let mut offset = address - bank.base;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = (offset % CHUNK) as usize;
            let count = rest.len().min(CHUNK as usize - within);
            let (now, later) = rest.split_at_mut(count);
            match &bank.chunks[(offset / CHUNK) as usize] {
                Some(chunk) => now.copy_from_slice(&chunk[within..within + count]),
                None => now.fill(UNWRITTEN),
            }
            offset += count as u64;
            rest = later;
        }
        true
    }

    /// Writes `bytes`; false, and nothing is written, when they are not all in one bank.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let Some(bank) = self
            .bank(address, bytes.len())
            .map(|at| &mut self.banks[at])
        else {
            return false;
        };
        let mut offset = address - bank.base;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = (offset % CHUNK) as usize;
            let count = rest.len().min(CHUNK as usize - within);
            let (now, later) = rest.split_at(count);
            let chunk = &mut bank.chunks[(offset / CHUNK) as usize];
            let fresh = || vec![UNWRITTEN; CHUNK as usize].into_boxed_slice();
            chunk.get_or_insert_with(fresh)[within..within + count].copy_from_slice(now);
            offset += count as u64;
            rest = later;
        }
        true
    }

    /// The double word at an address.
    ///
    /// # Errors
    /// [`Fault::Outside`].
    pub fn word(&self, address: u64) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        let there = self.read(address, &mut bytes);
        let outside = Fault::Outside {
            access: Access::Read,
            address,
            size: 8,
        };
        there.then_some(u64::from_le_bytes(bytes)).ok_or(outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_across_two_chunks_are_read_as_written_and_others_are_not_zero() {
        let mut ram = Ram::new([(0x4000_0000, 0x4_0000)]);
        assert!(ram.write(0x4000_fffe, &[1, 2, 3, 4]));
        let mut bytes = [0; 6];
        assert!(ram.read(0x4000_fffd, &mut bytes));
        assert_eq!(bytes, [UNWRITTEN, 1, 2, 3, 4, UNWRITTEN]);
    }

    #[test]
    fn access_across_the_end_of_a_bank_is_none_of_its() {
        let mut ram = Ram::new([(0x4000_0000, 0x1000)]);
        assert!(!ram.write(0x4000_0ffd, &[0; 4]));
        assert!(!ram.read(0x3fff_ffff, &mut [0; 1]));
        assert!(!ram.read(u64::MAX, &mut [0; 2]));
        assert!(ram.has(0x4000_0ffc, 4));
    }
}
