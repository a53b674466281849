//! Images in files of their own, which a boot loader puts into memory: nothing of one that is not what was built comes into a partition.
//!
//! The SHA-256 of the file (FIPS 180-4) is computed before the partition's first start, piece by piece with the rest of a
//! [start](crate::partition::Loading), so that a start in turns keeps nobody else waiting. Nobody but the hypervisor is given the memory, and it
//! maps it for reading alone: a file that was right once is not looked at again. One that was wrong is, at each start.

use core::slice::from_ref;
use core::sync::atomic::{AtomicBool, Ordering};

use model::file::File;
use sha2::compress256;
use sha2::digest::generic_array::GenericArray;

use crate::event::Event;
use crate::machine::Machine;
use crate::partition::{Loading, Partition};
use crate::vcpu::Vcpu;

/// Bytes that SHA-256 takes at a time. A page is a multiple.
const BLOCK: usize = 64;

/// A byte takes as long as so many that are copied.
const PRICE: u64 = 32;

/// SHA-256 of nothing so far.
const START: Sha256 = Sha256([
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
]);

/// SHA-256 under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256([u32; 8]);

impl Sha256 {
    /// With more bytes: whole blocks, of 64 bytes each.
    pub fn add(&mut self, bytes: &[u8]) {
        for block in bytes.as_chunks::<BLOCK>().0 {
            compress256(&mut self.0, from_ref(GenericArray::from_slice(block)));
        }
    }

    /// Of `size` bytes that were added.
    fn end(mut self, size: u64) -> [u8; 32] {
        // A one behind the last bit, and the number of bits at the end (5.1.1).
        let mut last = [0; BLOCK];
        let (text, length) = last.split_at_mut(BLOCK - 8);
        text.iter_mut().take(1).for_each(|byte| *byte = 0x80);
        length.copy_from_slice(&(size * 8).to_be_bytes());
        self.add(&last);
        let mut digest = [0; 32];
        let words = digest.as_chunks_mut::<4>().0.iter_mut();
        words
            .zip(self.0)
            .for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        digest
    }
}

/// How far a file has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    done: u64,
    sum: Sha256,
}

impl Progress {
    pub(crate) const BEGIN: Self = Self {
        done: 0,
        sum: START,
    };
}

/// Whether a partition's file was found to be what was built.
#[derive(Debug, Default)]
pub(crate) struct Proven(AtomicBool);

impl Partition {
    /// Its file, if that is not known to be what was built.
    fn unproven(&self) -> Option<&'static File> {
        let file = self.config.file;
        file.filter(|_| !self.proven.0.load(Ordering::Relaxed))
    }

    /// Looks at a piece of its file that takes as long as `most` bytes to be copied. `Ok` says that there is nothing to look at, or no more; `Err`
    /// how far that has come, or with `None` that the file is not what was built.
    pub(crate) fn prove_piece<M: Machine>(
        &self,
        machine: &M,
        at: Loading,
        most: u64,
    ) -> Result<(), Option<Loading>> {
        let Some(file) = self.unproven() else {
            return Ok(());
        };
        let mut next = at;
        let Progress { done, sum } = &mut next.file;
        let most = (most / PRICE).next_multiple_of(BLOCK as u64);
        let size = file.place.size.saturating_sub(*done).min(most);
        if size > 0 {
            machine.hash(sum, file.place.base.checked_add(*done).ok_or(None)?, size);
            *done += size;
            return Err(Some(next));
        }
        if sum.end(file.place.size) != file.sha256 {
            return Err(None);
        }
        self.proven.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl<M: Machine> Vcpu<M> {
    /// True when the partition's file is not the one that was built: the partition has stopped.
    pub(crate) fn refuses_file(&mut self) -> bool {
        let partition = self.partition;
        let Some(file) = partition.unproven() else {
            return false;
        };
        self.not_started(Event::WrongFile {
            partition: partition.id,
            address: file.place.base.get(),
        });
        true
    }
}

#[cfg(test)]
mod tests;
