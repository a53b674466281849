//! Registers that the exit may read without the lock: they change only by writes of the guest, and one load gives their whole value.

use core::sync::atomic::{AtomicU32, Ordering};

use super::{Frame, VcpuSet};
use model::{IntId, VcpuId};

/// Words of 32 SPIs.
const SPI_WORDS: usize = ((IntId::END_SPI - IntId::FIRST_SPI) as usize).div_ceil(32);

/// Offset of `GICD_TYPER`.
const TYPER: u32 = 0x004;
/// Offset of `ISENABLER` in the distributor, and in a redistributor.
const ISENABLER: u32 = 0x100;
const ISENABLER_OF_REDISTRIBUTOR: u32 = 0x1_0100;
/// From `ISENABLER` to `ICENABLER`, which reads as the same.
const TO_ICENABLER: u32 = 0x80;

/// The registers of one partition. Written under its lock, read by anyone: a guest that reads while another of its CPUs writes sees the
/// value before or after, as on hardware.
#[derive(Debug)]
pub struct Shown {
    kind: AtomicU32,
    spis: [AtomicU32; SPI_WORDS],
    privates: [AtomicU32; VcpuSet::MOST],
}

impl Shown {
    /// Nothing enabled.
    pub const fn new() -> Self {
        Self {
            kind: AtomicU32::new(0),
            spis: [const { AtomicU32::new(0) }; SPI_WORDS],
            privates: [const { AtomicU32::new(0) }; VcpuSet::MOST],
        }
    }

    /// The word at `offset`, if it is one of those that are kept here. The widths, the other registers and whatever does not exist
    /// are [`Vgic::read`](super::Vgic::read)'s.
    #[inline]
    pub fn read_word(&self, frame: Frame, offset: u32) -> Option<u32> {
        let word = match frame {
            Frame::Distributor if offset == TYPER => &self.kind,
            Frame::Distributor => {
                // The first word is a CPU's own (GICv2), or reserved (GICv3).
                let bytes = (offset & !TO_ICENABLER).checked_sub(ISENABLER + 4)?;
                self.spis.get(aligned(bytes)?)?
            }
            Frame::Redistributor(of) if offset & !TO_ICENABLER == ISENABLER_OF_REDISTRIBUTOR => {
                self.privates.get(usize::from(of.get()))?
            }
            Frame::Redistributor(_) => return None,
        };
        Some(word.load(Ordering::Relaxed))
    }

    pub(super) fn kind(&self) -> u32 {
        self.kind.load(Ordering::Relaxed)
    }

    pub(super) fn set_kind(&self, kind: u32) {
        self.kind.store(kind, Ordering::Relaxed);
    }

    /// Nothing is enabled but `of_each` of the private interrupts.
    pub(super) fn reset(&self, of_each: u32) {
        for word in &self.spis {
            word.store(0, Ordering::Relaxed);
        }
        for word in &self.privates {
            word.store(of_each, Ordering::Relaxed);
        }
    }

    fn word(&self, number: usize, cpu: VcpuId) -> Option<&AtomicU32> {
        match number.checked_sub(1) {
            Some(spis) => self.spis.get(spis),
            None => self.privates.get(usize::from(cpu.get())),
        }
    }

    /// `ISENABLER` number `word`; the first one is that of `cpu`.
    pub(super) fn enabled_word(&self, word: usize, cpu: VcpuId) -> u32 {
        self.word(word, cpu)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    pub(super) fn is_enabled(&self, intid: IntId, cpu: VcpuId) -> bool {
        self.enabled_word(intid.get() as usize / 32, cpu) >> (intid.get() % 32) & 1 != 0
    }

    /// Lets an interrupt be signalled, or not. The caller holds the partition's lock.
    pub(super) fn set_enabled(&self, intid: IntId, cpu: VcpuId, on: bool) {
        let Some(word) = self.word(intid.get() as usize / 32, cpu) else {
            return;
        };
        let bit = 1 << (intid.get() % 32);
        let before = word.load(Ordering::Relaxed);
        let after = if on { before | bit } else { before & !bit };
        word.store(after, Ordering::Relaxed);
    }
}

/// The index of the word at `bytes`, if one begins there.
const fn aligned(bytes: u32) -> Option<usize> {
    if bytes.is_multiple_of(4) {
        Some((bytes / 4) as usize)
    } else {
        None
    }
}
