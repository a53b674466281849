//! Starts that find nothing of the run before: all memory of the partition is cleared before its image comes into place, and the image is compared
//! with what was built.
//!
//! Both go on piece by piece with the rest of a [start](crate::partition::Loading), so that a start in turns keeps nobody else waiting.

use core::sync::atomic::{AtomicBool, Ordering};

use model::checksum;
use model::memory::MemoryKind;

use crate::event::Event;
use crate::machine::Machine;
use crate::partition::{Loading, Partition};
use crate::vcpu::Vcpu;

/// How far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of the partition's RAM that are cleared.
    cleared: u64,
    /// Checksum of what is in place of the segment.
    sum: u64,
}

impl Progress {
    pub(crate) const BEGIN: Self = Self {
        cleared: 0,
        sum: checksum::START,
    };

    /// Before a piece of the payload is put into place.
    pub(crate) fn add<M: Machine>(&mut self, machine: &M, offset: u64, size: u64) {
        self.sum = machine.checksum(self.sum, offset, size);
    }
}

/// Whether the image that came into place last is the one that was built.
#[derive(Debug, Default)]
pub(crate) struct Damage(AtomicBool);

impl Partition {
    /// True when a start finds nothing of the run before.
    const fn is_pristine(&self) -> bool {
        self.config.pristine.is_some()
    }

    /// Most bytes of one piece: to compare one takes three times as long as to copy it.
    pub(crate) const fn most(&self, most: u64) -> u64 {
        if self.is_pristine() && most < u64::MAX {
            most / 4
        } else {
            most
        }
    }

    pub(crate) fn begin_pristine(&self) {
        self.damage.0.store(false, Ordering::Relaxed);
    }

    /// Clears at most `most` bytes of its RAM. Returns how far that has come; `None` when there is nothing left to clear.
    pub(crate) fn clear_piece<M: Machine>(
        &self,
        machine: &M,
        at: Loading,
        most: u64,
    ) -> Option<Loading> {
        if !self.is_pristine() {
            return None;
        }
        let mut before = 0;
        for mapping in self.config.memory {
            if mapping.kind != MemoryKind::Ram {
                continue;
            }
            let done = at.pristine.cleared - before;
            if done < mapping.size {
                let size = (mapping.size - done).min(most);
                let from = mapping.pa.checked_add(done)?;
                machine.zero(from, size);
                let mut next = at;
                next.pristine.cleared += size;
                return Some(next);
            }
            before += mapping.size;
        }
        None
    }

    /// All of a segment is in place.
    pub(crate) fn end_segment(&self, segment: usize, progress: &mut Progress) {
        let sum = core::mem::replace(&mut progress.sum, checksum::START);
        let built = self.config.pristine.map(|sums| sums.get(segment));
        if built.is_some_and(|built| built != Some(&sum)) {
            self.damage.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<M: Machine> Vcpu<M> {
    /// True when the image in place is not the one that was built: the partition has stopped.
    pub(crate) fn refuses_image(&mut self) -> bool {
        let partition = self.partition;
        if !partition.damage.0.load(Ordering::Relaxed) {
            return false;
        }
        self.not_started(Event::Damaged {
            partition: partition.id,
        });
        true
    }
}

#[cfg(test)]
mod tests;
