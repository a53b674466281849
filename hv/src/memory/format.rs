//! What a translation table format says about itself, so that the builder need not know it.

use model::Pa;

/// A level of lookup with the 4 KiB granule, named as by the Arm architecture: 0 is the outermost, 3 holds pages.
/// Every level resolves nine bits of the input address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An entry covers 512 GiB.
    L0,
    /// An entry covers 1 GiB.
    L1,
    /// An entry covers 2 MiB.
    L2,
    /// An entry covers 4 KiB.
    L3,
}

impl Level {
    /// All levels, outermost first.
    pub const ALL: [Self; 4] = [Self::L0, Self::L1, Self::L2, Self::L3];

    /// Position of the lowest input bit that indexes this level.
    pub const fn shift(self) -> u32 {
        match self {
            Self::L0 => 39,
            Self::L1 => 30,
            Self::L2 => 21,
            Self::L3 => 12,
        }
    }

    /// Bytes that one entry covers.
    pub const fn size(self) -> u64 {
        1 << self.shift()
    }

    /// The next level of a walk, or `None` after the last.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::L0 => Some(Self::L1),
            Self::L1 => Some(Self::L2),
            Self::L2 => Some(Self::L3),
            Self::L3 => None,
        }
    }
}

/// The outermost table of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Level at which walks start.
    pub level: Level,
    /// Pages that follow one another there: a power of two. More than one only where the format concatenates tables.
    pub pages: usize,
}

/// What one descriptor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<A> {
    /// Nothing is mapped.
    Empty,
    /// The walk goes on in the table at this address.
    Table(Pa),
    /// The walk ends: memory from this address on, as large as the level's entries.
    Leaf(Pa, A),
    /// A pattern that the format does not define, or that the builder never writes.
    Reserved,
}

/// A translation table format with the 4 KiB granule and 64-bit descriptors.
///
/// Bit 0 of what `leaf` and `table` give is set, and no two of them give the same at one level: `decode` depends on it.
pub trait Format {
    /// Permissions and memory type of a leaf.
    type Attributes: Copy + 'static;

    /// All of them.
    const ATTRIBUTES: &'static [Self::Attributes];

    /// The bits of a descriptor that hold the output address.
    const ADDRESS: u64 = ADDRESS;

    /// Outermost level whose entries may be leaves.
    const LARGEST_LEAF: Level;

    /// Width of the addresses that a descriptor can hold, in bits.
    const OUTPUT_BITS: u32;

    /// Shape of the outermost table for input addresses of `input_bits` bits; `None` where the format has no such width.
    fn root(input_bits: u32) -> Option<Root>;

    /// The descriptor that maps [`Level::size`] bytes at `pa`, which is a multiple of that size.
    fn leaf(level: Level, pa: Pa, attributes: Self::Attributes) -> u64;

    /// The descriptor that points to the next table, at `pa`, which is a multiple of 4 KiB.
    fn table(pa: Pa) -> u64;

    /// What `descriptor` means at `level`: what gives it, if anything does.
    fn decode(descriptor: u64, level: Level) -> Entry<Self::Attributes> {
        let pa = Pa::new(descriptor & Self::ADDRESS);
        if descriptor & 1 == 0 {
            return Entry::Empty;
        }
        if level != Level::L3 && descriptor == Self::table(pa) {
            return Entry::Table(pa);
        }
        let may_end = level >= Self::LARGEST_LEAF && pa.is_aligned(level.size());
        let mut leaves = Self::ATTRIBUTES.iter().filter(|_| may_end);
        leaves
            .find(|attributes| descriptor == Self::leaf(level, pa, **attributes))
            .map_or(Entry::Reserved, |found| Entry::Leaf(pa, *found))
    }
}

/// Bits 47:12: the output address of a descriptor in every format with 4 KiB granule and 48-bit addresses.
pub const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_covers_512_entries_of_the_next() {
        for level in Level::ALL {
            if let Some(next) = level.next() {
                assert_eq!(level.size(), 512 * next.size());
            }
        }
    }
}
