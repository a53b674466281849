//! A frame of memory-mapped registers.

use super::FOUR_PRIORITIES;
#[cfg(all(test, feature = "v2", feature = "v3"))]
use super::tests::played::{read_volatile, write_volatile};
#[cfg(not(all(test, feature = "v2", feature = "v3")))]
use core::ptr::{read_volatile, write_volatile};

/// Register arrays of one bit, byte or bit pair an interrupt, at the same offsets in the distributor of a GICv2 (IHI 0048B 4.3), in that of a
/// GICv3 (IHI 0069H 12.9) and in the redistributors' frames of private interrupts (12.11).
pub(super) mod array {
    pub(in crate::phys) const IGROUPR: usize = 0x080;
    pub(in crate::phys) const ISENABLER: usize = 0x100;
    pub(in crate::phys) const ICENABLER: usize = 0x180;
    pub(in crate::phys) const ISPENDR: usize = 0x200;
    pub(in crate::phys) const ICPENDR: usize = 0x280;
    #[cfg(feature = "shared")]
    pub(in crate::phys) const ISACTIVER: usize = 0x300;
    pub(in crate::phys) const ICACTIVER: usize = 0x380;
    pub(in crate::phys) const IPRIORITYR: usize = 0x400;
    pub(in crate::phys) const ICFGR: usize = 0xc00;
}

/// `SIZE` bytes of registers at a fixed address. The drivers' handles are copied to every CPU, so a frame is shared, not unique: the
/// GIC's own registers are safe to access from several CPUs (set/clear pairs, byte-wide fields), and what is not (a
/// read-modify-write: triggers) happens on one CPU at a time, at start or under a lock of the hypervisor's.
///
/// Offsets past the end read as zero and ignore writes; with constant offsets the check costs nothing.
#[derive(Clone, Copy)]
pub(super) struct Frame<const SIZE: usize> {
    base: usize,
}

impl<const SIZE: usize> Frame<SIZE> {
    /// # Safety
    /// For as long as any copy is used, `base .. base + SIZE` is mapped, 8-byte aligned, readable and writable, and either a frame
    /// of GIC registers mapped as Device memory or, in tests, memory that nothing else refers to meanwhile.
    pub(super) const unsafe fn new(base: usize) -> Self {
        Self { base }
    }

    /// Address of its first register.
    pub(super) const fn base(self) -> usize {
        self.base
    }

    /// The last `PART` bytes of it.
    #[cfg(feature = "v3")]
    pub(super) const fn end<const PART: usize>(self) -> Frame<PART> {
        const { assert!(PART <= SIZE) };
        Frame {
            base: self.base + SIZE - PART,
        }
    }

    /// The place of a `T` at `offset`, if it is inside and aligned.
    fn place<T>(self, offset: usize) -> Option<*mut T> {
        let inside = offset <= SIZE - size_of::<T>() && offset.is_multiple_of(align_of::<T>());
        inside.then(|| (self.base + offset) as *mut T)
    }

    pub(super) fn read(self, offset: usize) -> u32 {
        self.place::<u32>(offset).map_or(0, |place| {
            // SAFETY: `place` is inside the frame and aligned; the creator of the frame vouched for the rest (`new`).
            unsafe { read_volatile(place) }
        })
    }

    pub(super) fn write(self, offset: usize, value: u32) {
        if let Some(place) = self.place::<u32>(offset) {
            // SAFETY: as in `read`.
            unsafe { write_volatile(place, value) }
        }
    }

    #[cfg(any(feature = "v2", feature = "its"))]
    pub(super) fn write8(self, offset: usize, value: u8) {
        if let Some(place) = self.place::<u8>(offset) {
            // SAFETY: as in `read`.
            unsafe { write_volatile(place, value) }
        }
    }

    /// Writes the bit of interrupt `number` to a set/clear register array (one bit an interrupt, zeros without effect).
    pub(super) fn write_bit(self, array: usize, number: u32) {
        self.write(array + (number / 32) as usize * 4, 1 << (number % 32));
    }

    /// The bit of interrupt `number` in such an array.
    pub(super) fn read_bit(self, array: usize, number: u32) -> bool {
        self.read(array + (number / 32) as usize * 4) >> (number % 32) & 1 != 0
    }

    /// Sets the trigger of interrupt `number` in an `ICFGR` array: two bits an interrupt, the upper one set for edges
    /// (IHI 0048B 4.3.13, IHI 0069H 12.9.9).
    pub(super) fn write_trigger(self, array: usize, number: u32, edge: bool) {
        let offset = array + (number / 16) as usize * 4;
        let bit = 2 << (number % 16 * 2);
        let others = self.read(offset) & !bit;
        self.write(offset, if edge { others | bit } else { others });
    }

    /// Puts 32 disabled interrupts into these groups, neither pending nor active, whatever firmware left. `word` is 4 for each 32 interrupts before
    /// these.
    pub(super) fn forget(self, word: usize, groups: u32) {
        self.write(array::IGROUPR + word, groups);
        self.write(array::ICPENDR + word, u32::MAX);
        self.write(array::ICACTIVER + word, u32::MAX);
    }

    /// The same for the calling CPU's private interrupts, which get their priority; its SGIs are enabled.
    pub(super) fn init_private(self, groups: u32) {
        self.forget(0, groups);
        for intid in (0..32).step_by(4) {
            self.write(array::IPRIORITYR + intid, FOUR_PRIORITIES);
        }
        self.write(array::ISENABLER, 0xffff);
    }

    /// True when the interrupt keeps a priority in an `IPRIORITYR` array: whatever its group, zero is what those read as that are not there or that
    /// are Secure.
    pub(super) fn has_priority(self, array: usize, number: u32) -> bool {
        let place = array + (number & !3) as usize;
        self.read(place) >> (number % 4 * 8) & 0xff != 0
    }

    /// The state of those of the calling CPU's private interrupts that are in `mask`.
    #[cfg(feature = "shared")]
    pub(super) fn private(self, mask: u32) -> crate::PrivateState {
        crate::PrivateState {
            enabled: self.read(array::ISENABLER) & mask,
            active: self.read(array::ISACTIVER) & mask,
        }
    }

    /// Brings the calling CPU's private interrupts from one state into another: a register is written only where they differ.
    #[cfg(feature = "shared")]
    pub(super) fn change_private(self, from: crate::PrivateState, to: crate::PrivateState) {
        let set = |array, bits| {
            if bits != 0 {
                self.write(array, bits);
            }
        };
        set(array::ICENABLER, from.enabled & !to.enabled);
        set(array::ICACTIVER, from.active & !to.active);
        set(array::ISACTIVER, to.active & !from.active);
        set(array::ISENABLER, to.enabled & !from.enabled);
    }
}

/// Registers of 64 bits, which a GICv2 does not have.
#[cfg(feature = "v3")]
impl<const SIZE: usize> Frame<SIZE> {
    pub(super) fn read64(self, offset: usize) -> u64 {
        self.place::<u64>(offset).map_or(0, |place| {
            // SAFETY: as in `read`.
            unsafe { read_volatile(place) }
        })
    }

    pub(super) fn write64(self, offset: usize, value: u64) {
        if let Some(place) = self.place::<u64>(offset) {
            // SAFETY: as in `read`.
            unsafe { write_volatile(place, value) }
        }
    }
}

#[cfg(all(test, feature = "v3"))]
mod tests {
    use super::*;

    #[test]
    fn access_past_the_end_or_unaligned_is_void() {
        let mut memory = [0x1111_1111_u32; 4];
        // SAFETY: `memory` outlives the frame and is not used while it is.
        let frame = unsafe { Frame::<8>::new(memory.as_mut_ptr() as usize) };

        frame.write(8, 5);
        frame.write(2, 5);
        frame.write64(4, 5);

        assert_eq!((frame.read(8), frame.read(usize::MAX)), (0, 0));
        assert_eq!(memory, [0x1111_1111; 4]);
    }
}
