//! A frame of memory-mapped registers.

/// `SIZE` bytes of registers at a fixed address. The drivers' handles are copied to every CPU, so a frame is shared, not unique: the
/// GIC's own registers are safe to access from several CPUs (set/clear pairs, byte-wide fields), and what is not (a
/// read-modify-write) happens on one CPU at start or under the hypervisor's locks.
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

    /// The place of a `T` at `offset`, if it is inside and aligned.
    fn place<T>(self, offset: usize) -> Option<*mut T> {
        let inside = offset <= SIZE - size_of::<T>() && offset.is_multiple_of(align_of::<T>());
        inside.then(|| (self.base + offset) as *mut T)
    }

    pub(super) fn read(self, offset: usize) -> u32 {
        self.place::<u32>(offset).map_or(0, |place| {
            // SAFETY: `place` is inside the frame and aligned; the creator of the frame vouched for the rest (`new`).
            unsafe { place.read_volatile() }
        })
    }

    pub(super) fn write(self, offset: usize, value: u32) {
        if let Some(place) = self.place::<u32>(offset) {
            // SAFETY: as in `read`.
            unsafe { place.write_volatile(value) }
        }
    }

    pub(super) fn write8(self, offset: usize, value: u8) {
        if let Some(place) = self.place::<u8>(offset) {
            // SAFETY: as in `read`.
            unsafe { place.write_volatile(value) }
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
}

/// Registers of 64 bits, which a GICv2 does not have.
#[cfg(feature = "v3")]
impl<const SIZE: usize> Frame<SIZE> {
    pub(super) fn read64(self, offset: usize) -> u64 {
        self.place::<u64>(offset).map_or(0, |place| {
            // SAFETY: as in `read`.
            unsafe { place.read_volatile() }
        })
    }

    pub(super) fn write64(self, offset: usize, value: u64) {
        if let Some(place) = self.place::<u64>(offset) {
            // SAFETY: as in `read`.
            unsafe { place.write_volatile(value) }
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
