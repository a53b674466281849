//! The names that a pool has for its virtual and physical CPUs.

/// A virtual CPU of a pool, by the order in which it was added. Another thing than its number in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuIndex(u16);

impl VcpuIndex {
    /// The one with this number in its pool.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// A physical CPU of a pool, by its place in the pool. Another thing than its number on the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcpuIndex(u8);

impl PcpuIndex {
    /// The one with this number in its pool.
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// Its number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Physical CPUs of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PcpuSet(u64);

impl PcpuSet {
    /// The most that a set holds.
    pub const MOST: usize = u64::BITS as usize;
    /// None.
    pub const EMPTY: Self = Self(0);

    /// The first `count` ones, all when `count` is [`Self::MOST`] or more.
    pub const fn first(count: usize) -> Self {
        if count < Self::MOST {
            Self((1 << count) - 1)
        } else {
            Self(u64::MAX)
        }
    }

    /// This set and one more; the same set when the number is [`Self::MOST`] or more.
    #[must_use]
    pub const fn with(self, pcpu: PcpuIndex) -> Self {
        Self(self.0 | Self::bit(pcpu))
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in one of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without one; the same set when it is not in it.
    #[must_use]
    pub const fn without(self, pcpu: PcpuIndex) -> Self {
        Self(self.0 & !Self::bit(pcpu))
    }

    /// True when it is in the set.
    pub const fn contains(self, pcpu: PcpuIndex) -> bool {
        self.0 & Self::bit(pcpu) != 0
    }

    /// True for the empty set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = PcpuIndex> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let lowest = rest.trailing_zeros();
            rest &= rest.checked_sub(1)?;
            u8::try_from(lowest).ok().map(PcpuIndex)
        })
    }

    const fn bit(pcpu: PcpuIndex) -> u64 {
        match 1_u64.checked_shl(pcpu.0 as u32) {
            Some(bit) => bit,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: PcpuSet) -> Vec<usize> {
        set.iter().map(PcpuIndex::get).collect()
    }

    #[test]
    fn first_ones_are_counted_from_zero() {
        assert_eq!(members(PcpuSet::first(3)), [0, 1, 2]);
        assert_eq!(members(PcpuSet::EMPTY), []);
        assert_eq!(members(PcpuSet::first(64)).len(), 64);
        assert_eq!(members(PcpuSet::first(200)).len(), 64);
    }

    #[test]
    fn added_one_is_contained_and_one_beyond_the_last_is_not() {
        let set = PcpuSet::EMPTY.with(PcpuIndex::new(63));
        assert!(set.contains(PcpuIndex::new(63)));
        assert!(!set.contains(PcpuIndex::new(62)));
        assert_eq!(set.with(PcpuIndex::new(64)), set);
        assert!(!set.contains(PcpuIndex::new(64)));
    }

    #[test]
    fn members_of_either_are_joined_and_one_is_taken_out() {
        let both = PcpuSet::first(2).or(PcpuSet::EMPTY.with(PcpuIndex::new(5)));
        assert_eq!(members(both), [0, 1, 5]);
        assert_eq!(members(both.without(PcpuIndex::new(1))), [0, 5]);
        assert_eq!(both.without(PcpuIndex::new(64)), both);
    }

    #[test]
    fn common_members_are_in_both() {
        let odd = PcpuSet::EMPTY
            .with(PcpuIndex::new(1))
            .with(PcpuIndex::new(3));
        assert_eq!(members(odd.and(PcpuSet::first(3))), [1]);
        assert!(odd.and(PcpuSet::first(1)).is_empty());
    }
}
