//! Small sets: of virtual CPUs, and of interrupts.

use model::{IntId, VcpuId};

/// A set of virtual CPUs of one partition, each below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "the virtual CPUs in the set do not notice the change unless they are kicked"]
pub struct VcpuSet(u64);

impl VcpuSet {
    /// How many virtual CPUs a set can tell apart.
    pub const MOST: usize = 64;

    /// Nobody.
    pub const EMPTY: Self = Self(0);

    /// Just `cpu`; nobody when its number is 64 or more.
    pub const fn only(cpu: VcpuId) -> Self {
        if cpu.get() < 64 {
            Self(1 << cpu.get())
        } else {
            Self(0)
        }
    }

    /// True when nobody is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when `cpu` is in the set.
    pub const fn contains(self, cpu: VcpuId) -> bool {
        self.0 & Self::only(cpu).0 != 0
    }

    /// The set without `cpu`.
    pub const fn without(self, cpu: VcpuId) -> Self {
        Self(self.0 & !Self::only(cpu).0)
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = VcpuId> {
        Bits(self.0).map(|bit| VcpuId::new(bit as u8))
    }
}

impl core::ops::BitOr for VcpuSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl core::ops::BitOrAssign for VcpuSet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The set bits of a number, lowest first.
pub(super) struct Bits(pub(super) u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let bit = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit)
    }
}

/// Ordinary interrupt numbers lie below this.
const ORDINARY: u32 = 1024;

/// A set of interrupt numbers, ordinary ones (0 to 1023) and the first [`MOST_LPIS`](super::MOST_LPIS) LPIs, in which the next member is
/// found without looking at every number.
#[derive(Clone, Copy, Debug)]
pub(super) struct IntIdSet {
    /// Bit n: word n is not zero.
    summary: u64,
    words: [u32; WORDS],
}

const WORDS: usize = (ORDINARY as usize + super::MOST_LPIS) / 32;

/// The bit of a number: LPIs follow the ordinary ones. A number between them has none.
const fn place(intid: IntId) -> u32 {
    match intid.get() {
        ordinary @ ..ORDINARY => ordinary,
        #[cfg(feature = "its")]
        lpi @ IntId::FIRST_LPI.. => ORDINARY + (lpi - IntId::FIRST_LPI),
        _ => u32::MAX,
    }
}

/// The number of a bit.
const fn number(place: u32) -> IntId {
    #[cfg(feature = "its")]
    if place >= ORDINARY {
        return IntId::new(place - ORDINARY + IntId::FIRST_LPI);
    }
    IntId::new(place)
}

impl IntIdSet {
    pub(super) const EMPTY: Self = Self {
        summary: 0,
        words: [0; WORDS],
    };

    pub(super) const fn is_empty(&self) -> bool {
        self.summary == 0
    }

    pub(super) fn insert(&mut self, intid: IntId) {
        let place = place(intid);
        let index = place / 32;
        if let Some(word) = self.words.get_mut(index as usize) {
            *word |= 1 << (place % 32);
            self.summary |= 1 << index;
        }
    }

    pub(super) fn remove(&mut self, intid: IntId) {
        let place = place(intid);
        let index = place / 32;
        if let Some(word) = self.words.get_mut(index as usize) {
            *word &= !(1 << (place % 32));
            if *word == 0 {
                self.summary &= !(1 << index);
            }
        }
    }

    pub(super) fn len(&self) -> u32 {
        Bits(self.summary)
            .map(|index| self.word(index).count_ones())
            .sum()
    }

    /// Members in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = IntId> {
        Bits(self.summary).flat_map(|index| {
            Bits(u64::from(self.word(index))).map(move |bit| number(index * 32 + bit))
        })
    }

    fn word(&self, index: u32) -> u32 {
        self.words.get(index as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vcpu_set_holds_0_to_63_and_ignores_64() {
        let set = VcpuSet::only(VcpuId::new(0))
            | VcpuSet::only(VcpuId::new(63))
            | VcpuSet::only(VcpuId::new(64));
        assert_eq!(set.iter().map(VcpuId::get).collect::<Vec<_>>(), [0, 63]);
        assert!(
            set.without(VcpuId::new(0))
                .without(VcpuId::new(63))
                .is_empty()
        );
    }

    #[test]
    fn interrupt_set_iterates_in_order_and_forgets_removed() {
        let mut set = IntIdSet::EMPTY;
        for intid in [8192 + 255, 1019, 3, 8192, 31, 32, 500] {
            set.insert(IntId::new(intid));
        }
        set.remove(IntId::new(31));
        set.remove(IntId::new(31));
        assert_eq!(
            set.iter().map(IntId::get).collect::<Vec<_>>(),
            [3, 32, 500, 1019, 8192, 8192 + 255]
        );
        assert_eq!(set.len(), 6);
    }

    #[test]
    fn interrupt_set_ignores_numbers_that_no_guest_has() {
        let mut set = IntIdSet::EMPTY;
        for intid in [1024, 8191, 8192 + 256] {
            set.insert(IntId::new(intid));
        }
        set.insert(IntId::new(u32::MAX));
        assert!(set.is_empty());
    }
}
