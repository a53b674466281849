//! What a boot loader of the PVH protocol leaves in memory: Xen's `hvm_start_info` (Xen `public/arch-x86/hvm/start_info.h`, version 1).

use crate::memory_map::{LoaderError, entries};

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

const _: () = assert!(size_of::<StartInfo>() == 56);

impl StartInfo {
    /// Where the memory map is and how many entries it has.
    ///
    /// # Errors
    /// [`LoaderError`] when it is not what it must be.
    pub fn memory_map(&self) -> Result<(u64, usize), LoaderError> {
        if self.magic != MAGIC {
            return Err(LoaderError::Magic(self.magic));
        }
        if self.version == 0 || self.memory_map == 0 {
            return Err(LoaderError::NoMemoryMap);
        }
        Ok((self.memory_map, entries(self.memory_map_entries)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn start_information_of_a_loader_is_accepted() {
        assert_eq!(start(7).memory_map(), Ok((0x1000, 7)));
    }

    #[test]
    fn wrong_magic_missing_map_and_long_map_are_refused() {
        let wrong = StartInfo {
            magic: 5,
            ..start(1)
        };
        assert_eq!(wrong.memory_map(), Err(LoaderError::Magic(5)));
        let old = StartInfo {
            version: 0,
            ..start(1)
        };
        assert_eq!(old.memory_map(), Err(LoaderError::NoMemoryMap));
        assert_eq!(start(0).memory_map(), Err(LoaderError::NoMemoryMap));
        assert_eq!(
            start(1025).memory_map(),
            Err(LoaderError::LongMemoryMap(1025))
        );
    }
}
