//! What a boot loader of the PVH protocol leaves in memory: Xen's `hvm_start_info` (Xen `public/arch-x86/hvm/start_info.h`, version 1).

/// First word of the start information.
pub const MAGIC: u32 = 0x336e_c578;

/// The start information.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StartInfo {
    /// [`MAGIC`].
    pub magic: u32,
    /// 1 since there is a memory map.
    pub version: u32,
    /// Flags of the domain; 0 outside Xen.
    pub flags: u32,
    /// Modules.
    pub modules: u32,
    /// Physical address of their list.
    pub module_list: u64,
    /// Physical address of the command line.
    pub command_line: u64,
    /// Physical address of the ACPI root pointer, or 0.
    pub acpi: u64,
    /// Physical address of the memory map.
    pub memory_map: u64,
    /// Its entries.
    pub memory_map_entries: u32,
    /// 0.
    pub reserved: u32,
}

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

/// Most entries that are looked at. A firmware's map has a dozen.
pub const MOST_ENTRIES: usize = 128;

const _: () = assert!(size_of::<StartInfo>() == 56);
const _: () = assert!(size_of::<MemoryMapEntry>() == 24);

/// Why the start information cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// It does not begin with [`MAGIC`]; this is what it begins with.
    Magic(u32),
    /// It has no memory map.
    NoMemoryMap,
    /// Its memory map has too many entries.
    LongMemoryMap(u32),
}

impl StartInfo {
    /// Where the memory map is and how many entries it has.
    ///
    /// # Errors
    /// [`StartError`] when it is not what it must be.
    pub fn memory_map(&self) -> Result<(u64, usize), StartError> {
        if self.magic != MAGIC {
            return Err(StartError::Magic(self.magic));
        }
        let entries = self.memory_map_entries;
        match entries as usize {
            _ if self.version == 0 || self.memory_map == 0 => Err(StartError::NoMemoryMap),
            0 => Err(StartError::NoMemoryMap),
            count if count > MOST_ENTRIES => Err(StartError::LongMemoryMap(entries)),
            count => Ok((self.memory_map, count)),
        }
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

    fn start(entries: u32) -> StartInfo {
        StartInfo {
            magic: MAGIC,
            version: 1,
            memory_map: 0x1000,
            memory_map_entries: entries,
            ..StartInfo::default()
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

    #[test]
    fn start_information_of_a_loader_is_accepted() {
        assert_eq!(start(7).memory_map(), Ok((0x1000, 7)));
    }

    #[test]
    fn wrong_magic_missing_map_and_long_map_are_refused() {
        let wrong = StartInfo {
            magic: 5,
            ..start(1)
        };
        assert_eq!(wrong.memory_map(), Err(StartError::Magic(5)));
        let old = StartInfo {
            version: 0,
            ..start(1)
        };
        assert_eq!(old.memory_map(), Err(StartError::NoMemoryMap));
        assert_eq!(start(0).memory_map(), Err(StartError::NoMemoryMap));
        assert_eq!(start(129).memory_map(), Err(StartError::LongMemoryMap(129)));
    }
}
