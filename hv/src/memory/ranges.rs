//! Ranges that a guest alleges. What a guest says is no address: it becomes one only here, by a check against what the partition owns.

use model::memory::{Mapping, MemoryKind, PhysicalRange};
use model::{Ipa, Pa};

/// What the hypervisor is about to do with a guest's memory on its behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read it.
    Read,
    /// Write it, and perhaps read it.
    Write,
}

impl Access {
    /// True when a partition that may use `kind` itself may have this done for it. Device registers never: reading one may already
    /// have an effect.
    const fn is_allowed(self, kind: MemoryKind) -> bool {
        match kind {
            MemoryKind::Ram | MemoryKind::Shared => true,
            MemoryKind::ReadOnly => matches!(self, Self::Read),
            MemoryKind::Device | MemoryKind::DeviceReadOnly => false,
        }
    }
}

/// Why an alleged range is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Length 0.
    #[error("empty range at {0}")]
    Empty(Ipa),
    /// The range passes the end of the 64-bit address space.
    #[error("range at {0} wraps around")]
    Wraps(Ipa),
    /// The partition has no memory at this address, or none that may be used so.
    #[error("the partition may not do that at {0}")]
    NotOwned(Ipa),
    /// The range is the partition's, but from this address on its memory lies elsewhere.
    #[error("memory is not contiguous at {0}")]
    Scattered(Ipa),
}

/// A range of guest memory as a guest alleges it. There is nothing to do with it but [`check`](Self::check) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestRange {
    ipa: Ipa,
    size: u64,
}

impl GuestRange {
    /// Takes down what the guest says: `size` bytes from `ipa` on. Any numbers will do.
    pub const fn alleged(ipa: Ipa, size: u64) -> Self {
        Self { ipa, size }
    }

    /// Checks the allegation against `memory`, the partition's mappings sorted by IPA. The range may cross from one mapping into the
    /// next when they adjoin in physical memory too. Takes as many steps as there are mappings at most.
    ///
    /// # Errors
    /// [`RangeError`] names the first address for which the allegation does not hold.
    pub fn check(self, memory: &[Mapping], access: Access) -> Result<CheckedRange, RangeError> {
        if self.size == 0 {
            return Err(RangeError::Empty(self.ipa));
        }
        let end = self
            .ipa
            .checked_add(self.size)
            .ok_or(RangeError::Wraps(self.ipa))?;
        let mut base = None;
        let mut at = self.ipa;
        for mapping in memory {
            let Some(offset) = at
                .offset_from(mapping.ipa)
                .filter(|offset| *offset < mapping.size)
            else {
                continue;
            };
            if !access.is_allowed(mapping.kind) {
                return Err(RangeError::NotOwned(at));
            }
            let pa = mapping
                .pa
                .checked_add(offset)
                .ok_or(RangeError::Wraps(at))?;
            let first = *base.get_or_insert(pa);
            let done = at.offset_from(self.ipa).ok_or(RangeError::Wraps(at))?;
            if first.checked_add(done) != Some(pa) {
                return Err(RangeError::Scattered(at));
            }
            at = mapping
                .ipa
                .checked_add(mapping.size)
                .ok_or(RangeError::Wraps(at))?;
            if at >= end {
                return Ok(CheckedRange {
                    base: first,
                    size: self.size,
                });
            }
        }
        Err(RangeError::NotOwned(at))
    }
}

/// A range of physical memory that a partition owns and that may be accessed on its behalf as it was checked for.
/// The guest may still change its contents at any time: read each byte once, and check what was read, not what lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedRange {
    base: Pa,
    size: u64,
}

impl CheckedRange {
    /// Where it is. Byte-aligned: neither end need be page-aligned.
    pub const fn physical(self) -> PhysicalRange {
        PhysicalRange {
            base: self.base,
            size: self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: [Mapping; 5] = [
        mapping(0x0900_0000, 0x0900_0000, 0x1000, MemoryKind::Device),
        mapping(0x4000_0000, 0x8000_0000, 0x2000, MemoryKind::Ram),
        mapping(0x4000_2000, 0x8000_2000, 0x1000, MemoryKind::ReadOnly),
        mapping(0x4000_3000, 0x9000_0000, 0x1000, MemoryKind::Ram),
        mapping(0x5000_0000, 0xa000_0000, 0x1000, MemoryKind::Shared),
    ];

    const fn mapping(ipa: u64, pa: u64, size: u64, kind: MemoryKind) -> Mapping {
        Mapping {
            ipa: Ipa::new(ipa),
            pa: Pa::new(pa),
            size,
            kind,
        }
    }

    fn check(ipa: u64, size: u64, access: Access) -> Result<(u64, u64), RangeError> {
        let range = GuestRange::alleged(Ipa::new(ipa), size)
            .check(&MEMORY, access)?
            .physical();
        Ok((range.base.get(), range.size))
    }

    #[test]
    fn range_inside_ram_gives_its_physical_place() {
        assert_eq!(
            check(0x4000_0123, 0x100, Access::Write),
            Ok((0x8000_0123, 0x100))
        );
        assert_eq!(
            check(0x4000_0000, 0x2000, Access::Write),
            Ok((0x8000_0000, 0x2000))
        );
        assert_eq!(check(0x5000_0fff, 1, Access::Write), Ok((0xa000_0fff, 1)));
    }

    #[test]
    fn range_over_adjoining_mappings_is_read_but_not_written_where_one_is_read_only() {
        assert_eq!(
            check(0x4000_1ff0, 0x20, Access::Read),
            Ok((0x8000_1ff0, 0x20))
        );
        assert_eq!(
            check(0x4000_1ff0, 0x20, Access::Write),
            Err(RangeError::NotOwned(Ipa::new(0x4000_2000)))
        );
    }

    #[test]
    fn range_whose_memory_lies_apart_is_refused() {
        assert_eq!(
            check(0x4000_2ff0, 0x20, Access::Read),
            Err(RangeError::Scattered(Ipa::new(0x4000_3000)))
        );
    }

    #[test]
    fn range_past_the_end_of_memory_is_refused_at_the_first_missing_byte() {
        assert_eq!(
            check(0x4000_3fff, 2, Access::Read),
            Err(RangeError::NotOwned(Ipa::new(0x4000_4000)))
        );
        assert_eq!(
            check(0x5000_0000, 0x1001, Access::Read),
            Err(RangeError::NotOwned(Ipa::new(0x5000_1000)))
        );
    }

    #[test]
    fn range_before_or_between_memory_is_refused() {
        assert_eq!(
            check(0, 1, Access::Read),
            Err(RangeError::NotOwned(Ipa::new(0)))
        );
        assert_eq!(
            check(0x3fff_ffff, 2, Access::Read),
            Err(RangeError::NotOwned(Ipa::new(0x3fff_ffff)))
        );
    }

    #[test]
    fn device_registers_are_never_touched_for_a_guest() {
        assert_eq!(
            check(0x0900_0000, 4, Access::Read),
            Err(RangeError::NotOwned(Ipa::new(0x0900_0000)))
        );
    }

    #[test]
    fn empty_and_wrapping_ranges_are_refused() {
        assert_eq!(
            check(0x4000_0000, 0, Access::Read),
            Err(RangeError::Empty(Ipa::new(0x4000_0000)))
        );
        assert_eq!(
            check(0x4000_0000, u64::MAX, Access::Read),
            Err(RangeError::Wraps(Ipa::new(0x4000_0000)))
        );
        assert_eq!(
            check(u64::MAX, 2, Access::Read),
            Err(RangeError::Wraps(Ipa::new(u64::MAX)))
        );
    }
}
