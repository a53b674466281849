//! The machine's memory as its firmware and boot loader tell it. The entries of the PVH and of the Multiboot2 protocol look alike.

/// A piece of the machine's address space.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryMapEntry {
    /// First byte.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it is, as in an E820 map (ACPI 6.5, table 15.4).
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

/// Memory that the machine's owner may use.
pub const RAM: u32 = 1;

/// Most entries that are looked at. A BIOS has a dozen, UEFI firmware a hundred.
pub const MOST_ENTRIES: usize = 1024;

const _: () = assert!(size_of::<MemoryMapEntry>() == 24);

/// Why what a boot loader left cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoaderError {
    /// It begins with this rather than with what its protocol says.
    Magic(u32),
    /// Its parts do not lie within it: the offset, in bytes, of the one that does not.
    Broken(usize),
    /// It has no memory map.
    NoMemoryMap,
    /// The entries of its memory map have this many bytes rather than 24.
    EntrySize(u32),
    /// Its memory map has too many entries.
    LongMemoryMap(u32),
}

/// The number of entries of a memory map.
///
/// # Errors
/// There are none, or too many.
pub(crate) const fn entries(count: u32) -> Result<usize, LoaderError> {
    match count as usize {
        0 => Err(LoaderError::NoMemoryMap),
        many if many > MOST_ENTRIES => Err(LoaderError::LongMemoryMap(count)),
        count => Ok(count),
    }
}

/// True when all of `[base, base + size)` is RAM by one or several entries of the map, in whatever order they are.
pub fn is_ram(map: &[MemoryMapEntry], base: u64, size: u64) -> bool {
    let Some(end) = base.checked_add(size) else {
        return false;
    };
    let mut at = base;
    while at < end {
        let covers = |entry: &&MemoryMapEntry| {
            entry.kind == RAM && entry.address <= at && at - entry.address < entry.size
        };
        match map.iter().find(covers) {
            // `at` grows: the entry covers it, so its end is above it.
            Some(entry) => at = entry.address.saturating_add(entry.size),
            None => return false,
        }
    }
    // Firmware may not contradict itself: what it reserves is reserved, whatever else it says.
    !map.iter().any(|entry| {
        entry.kind != RAM
            && entry.size != 0
            && entry.address < end
            && entry.address.saturating_add(entry.size) > base
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(address: u64, size: u64, kind: u32) -> MemoryMapEntry {
        MemoryMapEntry {
            address,
            size,
            kind,
            reserved: 0,
        }
    }

    #[test]
    fn range_across_two_entries_is_ram_and_across_a_hole_is_not() {
        let map = [entry(0x2000, 0x1000, RAM), entry(0x1000, 0x1000, RAM)];
        assert!(is_ram(&map, 0x1000, 0x2000));
        assert!(!is_ram(&map, 0x1000, 0x2001));
        assert!(!is_ram(&map, 0xfff, 0x10));
    }

    #[test]
    fn reserved_entry_wins_over_ram() {
        let map = [entry(0, 0x10_0000, RAM), entry(0x8000, 0x1000, 2)];
        assert!(is_ram(&map, 0, 0x8000));
        assert!(!is_ram(&map, 0x8fff, 1));
    }

    #[test]
    fn entry_that_wraps_covers_to_the_end_and_ends_the_search() {
        assert!(is_ram(&[entry(0x1000, u64::MAX, RAM)], 0x2000, 0x1000));
        assert!(!is_ram(&[entry(0, u64::MAX, RAM)], u64::MAX, 2));
    }
}
