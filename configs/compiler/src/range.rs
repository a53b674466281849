//! Ranges of bare addresses, before they are given a meaning.

use std::fmt::{self, Display};

/// A half-open range that does not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AddressRange {
    pub base: u64,
    pub size: u64,
}

impl AddressRange {
    /// `None` when the range is empty or its end does not fit 64 bits.
    pub fn new(base: u64, size: u64) -> Option<Self> {
        base.checked_add(size)?;
        (size > 0).then_some(Self { base, size })
    }

    /// From `base` up to `end`; `None` when that is empty.
    pub fn between(base: u64, end: u64) -> Option<Self> {
        end.checked_sub(base).and_then(|size| Self::new(base, size))
    }

    pub fn end(self) -> u64 {
        self.base + self.size
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.base < other.end() && other.base < self.end()
    }

    pub fn contains(self, inner: Self) -> bool {
        self.base <= inner.base && inner.end() <= self.end()
    }

    /// Grown to whole granules of `granule` bytes, a power of two. `None` past the end of the address space.
    pub fn outward(self, granule: u64) -> Option<Self> {
        Self::between(
            align_down(self.base, granule),
            align_up(self.end(), granule)?,
        )
    }

    /// Shrunk to whole granules; `None` when nothing is left.
    pub fn inward(self, granule: u64) -> Option<Self> {
        Self::between(
            align_up(self.base, granule)?,
            align_down(self.end(), granule),
        )
    }

    /// What is left of this range without `hole`, lower part first.
    pub fn without(self, hole: Self) -> impl Iterator<Item = Self> {
        let below = Self::between(self.base, self.end().min(hole.base));
        let above = Self::between(self.base.max(hole.end()), self.end());
        below.into_iter().chain(above)
    }
}

impl Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.base, self.end())
    }
}

/// `value` rounded up to a multiple of `granule`, a power of two; `None` when that does not fit.
pub(crate) fn align_up(value: u64, granule: u64) -> Option<u64> {
    Some(align_down(value.checked_add(granule - 1)?, granule))
}

/// `value` rounded down to a multiple of `granule`, a power of two.
pub(crate) fn align_down(value: u64, granule: u64) -> u64 {
    value & !(granule - 1)
}

/// Unites ranges that touch or overlap; the result is sorted.
pub(crate) fn merge(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    ranges.sort_unstable();
    let mut merged: Vec<AddressRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.base <= last.end() => {
                last.size = last.end().max(range.end()) - last.base
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// A size as people write it: the largest unit that divides it, else bytes.
pub(crate) fn human_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    match bytes {
        0..=0xfff => format!("{bytes} bytes"),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: u64, end: u64) -> AddressRange {
        AddressRange::between(base, end).unwrap()
    }

    #[test]
    fn empty_and_wrapping_ranges_do_not_exist() {
        assert_eq!(AddressRange::new(5, 0), None);
        assert_eq!(AddressRange::new(u64::MAX, 2), None);
        assert_eq!(range(u64::MAX - 9, u64::MAX).outward(4096), None);
    }

    #[test]
    fn hole_in_the_middle_leaves_two_parts() {
        let parts: Vec<_> = range(0, 100).without(range(20, 30)).collect();
        assert_eq!(parts, [range(0, 20), range(30, 100)]);
    }

    #[test]
    fn hole_elsewhere_leaves_all() {
        assert_eq!(
            range(0, 10).without(range(50, 60)).collect::<Vec<_>>(),
            [range(0, 10)]
        );
        assert_eq!(
            range(50, 60).without(range(0, 10)).collect::<Vec<_>>(),
            [range(50, 60)]
        );
    }

    #[test]
    fn touching_ranges_merge_and_distant_ones_do_not() {
        let merged = merge(vec![range(10, 20), range(0, 10), range(30, 40)]);
        assert_eq!(merged, [range(0, 20), range(30, 40)]);
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(human_size(256 << 20), "256MiB");
        assert_eq!(human_size(0x1800), "6KiB");
        assert_eq!(human_size(12), "12 bytes");
    }
}
